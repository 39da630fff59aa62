//! The machine and the commit that a result belongs to.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::findings::{Commit, Machine, Others};
use crate::process::{TicksPerSecond, kib_of};
use crate::statistics::micros;

/// Synced writes that are timed.
const SYNCS: usize = 200;
/// Bytes of each: a database page.
const SYNC_BYTES: usize = 4096;
/// How long the machine is watched while the harness does nothing.
const WATCH: Duration = Duration::from_secs(2);

impl Machine {
    /// Looks at this machine; the disk is that of `folder`.
    pub fn here(folder: &Path) -> Result<Self, Failure> {
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let processors = std::fs::read_to_string("/proc/cpuinfo")?;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Self {
            cores: u64::try_from(std::thread::available_parallelism()?.get())?,
            memory_kib: kib_of(&memory, "MemTotal:").ok_or("the memory's size is not known")?,
            kernel: format!("Linux {}", kernel.trim()),
            cpu_model: model(&processors).unwrap_or("unknown").to_owned(),
            sync_p50_us: sync_p50_us(folder)?,
        })
    }
}

/// Processors that are busy while the harness does nothing, in thousandths.
pub async fn busy_milli_cores(ticks: TicksPerSecond) -> Result<u64, Failure> {
    let read = || -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let used = busy_ticks(&stat).ok_or("/proc/stat cannot be read")?;
        Ok(ticks.duration(used))
    };
    let (before, began) = (read()?, Instant::now());
    tokio::time::sleep(WATCH).await;
    let (busy, elapsed) = (read()?.saturating_sub(before), began.elapsed());
    Ok(micros(busy).saturating_mul(1_000).checked_div(micros(elapsed)).unwrap_or(0))
}

/// Ticks in which a processor did something, of the first line of `/proc/stat` (`man 5 proc`): neither idle nor waiting for a
/// disk.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    // user nice system idle iowait irq softirq steal; what guests used is in user.
    Some([0, 1, 2, 5, 6, 7].iter().filter_map(|&field| ticks.get(field)).sum())
}

impl Others {
    /// Looks at the machine before a part.
    pub async fn before(ticks: TicksPerSecond) -> Result<Self, Failure> {
        let average = std::fs::read_to_string("/proc/loadavg")?;
        let load_average_milli = milli(&average).ok_or("/proc/loadavg cannot be read")?;
        Ok(Self { load_average_milli, before_milli_cores: busy_milli_cores(ticks).await?, after_milli_cores: 0 })
    }

    /// Looks again after it.
    pub async fn after(self, ticks: TicksPerSecond) -> Result<Self, Failure> {
        Ok(Self { after_milli_cores: busy_milli_cores(ticks).await?, ..self })
    }
}

/// The first number of a line like `1.25 0.80 0.50 2/200 999`, in thousandths.
fn milli(average: &str) -> Option<u64> {
    let (whole, hundredths) = average.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000 + hundredths.get(..2)?.parse::<u64>().ok()? * 10)
}

impl Commit {
    /// The commit of the working directory; `date` replaces the commit's own.
    pub fn here(date: Option<String>) -> Result<Self, Failure> {
        let date = match date {
            Some(date) => date,
            None => git(&["log", "-1", "--format=%cs"])?.trim().to_owned(),
        };
        Ok(Self {
            id: git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            is_dirty: !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty(),
            date,
        })
    }
}

/// What git prints, also where the clone belongs to another user.
pub fn git(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git").args(["-c", "safe.directory=*"]).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn model(processors: &str) -> Option<&str> {
    processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model)
}

/// The median time of a small synced append: what one commit costs at least.
fn sync_p50_us(folder: &Path) -> Result<u64, Failure> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    let page = [7; SYNC_BYTES];
    let mut times_us = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times_us.push(micros(began.elapsed()));
    }
    std::fs::remove_file(&path)?;
    times_us.sort_unstable();
    Ok(times_us.get(SYNCS / 2).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_ticks("cpu  10 20 30 4000 500 6 7 8 9 9\ncpu0 1 1 1 1\n"), Some(81));
        assert_eq!(busy_ticks("cpu0 1 1"), None);
        assert_eq!(milli("12.05 0.80 0.50 2/200 999"), Some(12_050));
    }
}
