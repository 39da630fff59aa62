//! Processes that the harness starts, looks at, and ends by their id.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Failure;

/// How long a process may take to end politely.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// How a process is asked to end.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Finish what was begun.
    Terminate,
    /// What `PostgreSQL` calls a fast shutdown.
    Interrupt,
}

/// A child process. It is killed where it is dropped without [`Process::stop`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    name: &'static str,
}

impl Process {
    /// Starts a program; what it says on standard error goes to a file, so that a full pipe never slows it.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let pid = child.id().ok_or_else(|| format!("{name} ended at once"))?;
        Ok(Self { child, pid, name })
    }

    /// What the process writes on its standard output; once.
    pub fn take_output(&mut self) -> Result<tokio::process::ChildStdout, Failure> {
        self.child.stdout.take().ok_or_else(|| format!("the output of {} was taken already", self.name).into())
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self, signal: Signal) -> Result<(), Failure> {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
        };
        Command::new("kill").arg(name).arg(self.pid.to_string()).status().await?;
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = ended.map_err(|_| format!("{} did not end in {} s", self.name, STOP_TIMEOUT.as_secs()))??;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name).into()) }
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }
}

/// The kernel's clock ticks in a second.
#[derive(Clone, Copy, Debug)]
pub struct TicksPerSecond(u64);

impl TicksPerSecond {
    /// Asks the system.
    pub async fn of_system() -> Result<Self, Failure> {
        let output = Command::new("getconf").arg("CLK_TCK").output().await?;
        let ticks = String::from_utf8(output.stdout)?.trim().parse()?;
        if ticks == 0 { Err("the system has no clock ticks".into()) } else { Ok(Self(ticks)) }
    }

    /// CPU time that a process has used.
    pub fn cpu(self, pid: u32) -> Result<Duration, Failure> {
        let times = CpuTicks::read(pid)?;
        Ok(self.duration(times.own))
    }

    /// CPU time that a process and its children have used, those that ended included.
    pub fn cpu_with_children(self, pid: u32) -> Result<Duration, Failure> {
        let parent = CpuTicks::read(pid)?;
        let mut ticks = parent.own + parent.ended_children;
        for entry in std::fs::read_dir("/proc")? {
            let Some(other) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // A process may end between the listing and the look.
            if let Ok(child) = CpuTicks::read(other)
                && child.parent_pid == pid
            {
                ticks += child.own + child.ended_children;
            }
        }
        Ok(self.duration(ticks))
    }

    /// So many ticks as time.
    pub fn duration(self, ticks: u64) -> Duration {
        Duration::from_micros(ticks.saturating_mul(1_000_000).checked_div(self.0).unwrap_or(0))
    }
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib_of(&status, "VmRSS:").ok_or_else(|| "the process has no resident memory".into())
}

/// The number of a line like `VmRSS:  1234 kB`.
pub fn kib_of(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU times of a process, in clock ticks (`man 5 proc`, the fields of `stat`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct CpuTicks {
    parent_pid: u32,
    own: u64,
    ended_children: u64,
}

impl CpuTicks {
    fn read(pid: u32) -> Result<Self, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&stat).ok_or_else(|| format!("/proc/{pid}/stat cannot be read").into())
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses and may hold spaces and parentheses; the state, field 3, follows the last one.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent_pid: fields.get(1)?.parse().ok()?,
            own: ticks(14)? + ticks(15)?,
            ended_children: ticks(16)? + ticks(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_read_behind_a_name_with_parentheses() {
        let stat = "12 (a (b) c) S 7 12 12 0 -1 4194304 100 0 0 0 250 50 30 20 20 0 8 0 100 1000 10";
        assert_eq!(CpuTicks::parse(stat), Some(CpuTicks { parent_pid: 7, own: 300, ended_children: 50 }));
        assert_eq!(CpuTicks::parse("12 (a) S 7"), None);
        assert_eq!(TicksPerSecond(100).duration(300), Duration::from_secs(3));
    }

    #[test]
    fn memory_is_read_by_its_label() {
        assert_eq!(kib_of("Name:\tscrip\nVmRSS:\t  4321 kB\n", "VmRSS:"), Some(4321));
        assert_eq!(kib_of("Name:\tscrip\n", "VmRSS:"), None);
    }
}
