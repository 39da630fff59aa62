//! Panics, and background work that was given up.

use metrics::{Counter, Gauge};

use super::Registry;

/// Where a panic was caught.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PanicPlace {
    /// In a handler: that request got 500.
    Handler,
    /// In a command at the desk: that command got 500.
    Command,
    /// In background work: it is tried again.
    Task,
}

/// Handles for panics and parked work. Clones count together.
#[derive(Clone, Debug)]
pub struct TaskMeters {
    /// Handlers that panicked.
    pub handler_panics: Counter,
    /// Background work that panicked.
    pub task_panics: Counter,
    parked: Vec<(&'static str, Gauge)>,
}

/// The background work that is supervised.
pub const TASKS: [&str; 6] = ["ledger", "blocks", "head", "directory", "meters", "webhooks"];

impl TaskMeters {
    pub(super) fn register(registry: &Registry) -> Self {
        let parked = |task: &'static str| {
            let help = "1 while this background work is parked: it panicked again and again, and does not run.";
            (task, registry.gauge("scrip_task_parked", help, &[("task", task)]))
        };
        Self {
            handler_panics: panics(registry, PanicPlace::Handler),
            task_panics: panics(registry, PanicPlace::Task),
            parked: TASKS.into_iter().map(parked).collect(),
        }
    }

    /// Says that this work does not run any more.
    pub fn park(&self, task: &str) {
        for (_, gauge) in self.parked.iter().filter(|(name, _)| *name == task) {
            gauge.set(1_u32);
        }
    }
}

pub(super) fn panics(registry: &Registry, place: PanicPlace) -> Counter {
    let place = match place {
        PanicPlace::Handler => "handler",
        PanicPlace::Command => "command",
        PanicPlace::Task => "task",
    };
    registry.counter("scrip_panics_total", "Panics that were caught, by where.", &[("place", place)])
}
