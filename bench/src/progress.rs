//! A progress bar for people, and plain lines where nobody looks.

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
