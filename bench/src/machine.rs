//! The machine and the commit that a result belongs to.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::Failure;
use crate::findings::{Commit, Machine};
use crate::process::kib_of;
use crate::statistics::micros;

/// Synced writes that are timed.
const SYNCS: usize = 200;
/// Bytes of each: a database page.
const SYNC_BYTES: usize = 4096;

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
