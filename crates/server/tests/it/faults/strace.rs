//! System calls that fail, or kill the program, at a chosen count: `strace -e inject` on a running program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often something is looked for before it is given up; together half a minute.
const LOOKS_MAX: u32 = 3_000;

/// A tracer at a running program. The program runs on untouched when it is dropped.
pub struct Strace {
    tracer: Child,
    calls: PathBuf,
}

impl Strace {
    /// Attaches to every thread of a process. Only calls that name one of the files count, where there are any; counts
    /// begin here, for each thread by itself.
    pub fn attach(pid: u32, folder: &Path, files: &[PathBuf], options: &[&str]) -> Self {
        let (said, calls) = (folder.join("strace.said"), folder.join("strace.calls"));
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string(), "-o"]).arg(&calls).args(options);
        for file in files {
            command.arg("-P").arg(file);
        }
        let tracer = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).unwrap()).spawn();
        let mut tracer = tracer.expect("strace is needed: ./check installs it");
        for _look in 0..LOOKS_MAX {
            if std::fs::read_to_string(&said).unwrap().contains("attached") {
                return Self { tracer, calls };
            }
            assert_eq!(tracer.try_wait().unwrap(), None, "{}", std::fs::read_to_string(&said).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("strace does not attach");
    }

    /// Lets the program go, and gives for each call how often the thread that made it most often made it.
    pub fn detach(mut self) -> Vec<(String, usize)> {
        self.end();
        let text = std::fs::read_to_string(&self.calls).unwrap();
        let mut counts = std::collections::BTreeMap::<(&str, &str), usize>::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
            if call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                *counts.entry((call, thread)).or_default() += 1;
            }
        }
        let mut most = std::collections::BTreeMap::<String, usize>::new();
        for ((call, _), count) in counts {
            let entry = most.entry(call.to_owned()).or_default();
            *entry = count.max(*entry);
        }
        most.into_iter().collect()
    }

    /// A polite end detaches; one that has ended with its program is no error.
    fn end(&mut self) {
        let _ended = Command::new("sh").arg("-c").arg(format!("kill -TERM {} 2>/dev/null", self.tracer.id())).status();
        let _reaped = self.tracer.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}
