//! A progress bar for people, and plain lines where nobody looks.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;

/// How far the run has come.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    is_watched: bool,
}

impl Progress {
    /// A run of so many steps.
    pub fn new(steps: u64) -> Result<Self, Failure> {
        let style = ProgressStyle::with_template("{spinner} [{bar:30}] {pos}/{len} {elapsed_precise} {msg}")?;
        let bar = ProgressBar::new(steps).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self { bar, is_watched: std::io::stderr().is_terminal() })
    }

    /// A step begins; the one before it is done.
    pub fn step(&self, name: &str) {
        self.bar.inc(1);
        if self.is_watched {
            self.bar.set_message(name.to_owned());
        } else {
            eprintln!("{}/{} {name}", self.bar.position(), self.bar.length().unwrap_or(0));
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, line: &str) {
        if self.is_watched {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// Everything is done.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How much of one long work is done.
#[derive(Debug)]
pub struct Bar {
    shown: ProgressBar,
    what: &'static str,
    said_percent: Cell<u64>,
}

impl Bar {
    /// A work of so many things.
    pub fn new(what: &'static str, things: u64) -> Result<Self, Failure> {
        let style = ProgressStyle::with_template("{spinner} [{bar:30}] {human_pos}/{human_len} {msg} {per_sec} {eta} left")?;
        let shown = ProgressBar::new(things).with_style(style).with_message(what);
        Ok(Self { shown, what, said_percent: Cell::new(0) })
    }

    /// So many more are done.
    pub fn advance(&self, things: u64) {
        self.shown.inc(things);
        let (done, all) = (self.shown.position(), self.shown.length().unwrap_or(0));
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        if !std::io::stderr().is_terminal() && percent >= self.said_percent.get() + 10 {
            self.said_percent.set(percent - percent % 10);
            eprintln!("{done} of {all} {}", self.what);
        }
    }

    /// Everything is done.
    pub fn finish(&self) {
        self.shown.finish_and_clear();
    }
}
