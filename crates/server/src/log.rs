//! Where log lines go: gathered in memory and written by a thread of their own, so that no request waits for a write.
//!
//! Invariant: no line is lost while the program lives or ends in order: a full buffer makes writers wait, and the
//! [`LogKeeper`] writes what is left. A warning or an error is written before whoever reports it goes on.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most, in bytes.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long lines are gathered before they are written.
const GATHERING: Duration = Duration::from_millis(20);

/// The way to the log. Clones share one.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// Writes what is left when it is dropped, and ends the log's thread.
#[derive(Debug)]
pub struct LogKeeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the lines of one event.
#[derive(Debug)]
pub struct Lines<'l> {
    shared: &'l Shared,
    is_urgent: bool,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Rings when the first line waits, and at the end.
    filled: Condvar,
    /// Rings when there is room again.
    emptied: Condvar,
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    is_closed: bool,
}

struct Out(Box<dyn Write + Send>);

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Out")
    }
}

impl Log {
    /// Opens a log over whatever takes bytes.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn open(out: impl Write + Send + 'static) -> io::Result<(Self, LogKeeper)> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            out: Mutex::new(Out(Box::new(out))),
        });
        let writer = shared.clone();
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || writer.write_until_closed())?;
        Ok((Self { shared: shared.clone() }, LogKeeper { shared, thread: Some(thread) }))
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        self.shared.waiting().is_closed = true;
        self.shared.filled.notify_all();
        if let Some(thread) = self.thread.take() {
            // A log that panicked has no better place to say so.
            let _ended = thread.join();
        }
        self.shared.write_waiting();
    }
}

impl<'l> MakeWriter<'l> for Log {
    type Writer = Lines<'l>;

    fn make_writer(&'l self) -> Lines<'l> {
        Lines { shared: &self.shared, is_urgent: true }
    }

    fn make_writer_for(&'l self, event: &Metadata<'_>) -> Lines<'l> {
        Lines { shared: &self.shared, is_urgent: *event.level() <= Level::WARN }
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_closed = self.shared.take(bytes);
        if self.is_urgent || is_closed {
            self.shared.write_waiting();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts lines behind those that wait; says whether the log's thread has ended.
    fn take(&self, bytes: &[u8]) -> bool {
        let is_full = |waiting: &mut Waiting| waiting.lines.len() >= WAITING_BYTES_MAX && !waiting.is_closed;
        let mut waiting = self.emptied.wait_while(self.waiting(), is_full).unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.is_empty() {
            self.filled.notify_one();
        }
        waiting.lines.extend_from_slice(bytes);
        waiting.is_closed
    }

    /// Writes what waits. Whoever holds `out` writes, so that lines keep their order.
    fn write_waiting(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut self.waiting().lines);
        self.emptied.notify_all();
        // There is nowhere to report that the log cannot be written.
        let _written = out.0.write_all(&lines).and_then(|()| out.0.flush());
    }

    fn write_until_closed(&self) {
        loop {
            let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_closed;
            let waiting = self.filled.wait_while(self.waiting(), is_idle).unwrap_or_else(PoisonError::into_inner);
            let is_open = |waiting: &mut Waiting| waiting.lines.len() < WAITING_BYTES_MAX / 2 && !waiting.is_closed;
            let gathered = self.filled.wait_timeout_while(waiting, GATHERING, is_open);
            let is_closed = gathered.unwrap_or_else(PoisonError::into_inner).0.is_closed;
            self.write_waiting();
            if is_closed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Takes a write only when the test takes it out.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Keeps what is written.
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn open() -> (Log, LogKeeper, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        let (log, keeper) = Log::open(Slow(sender)).unwrap();
        (log, keeper, receiver)
    }

    fn say(log: &Log, line: &str, is_urgent: bool) {
        Lines { shared: &log.shared, is_urgent }.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn every_line_of_every_thread_is_written_once_although_the_buffer_is_full_again_and_again() {
        let (log, keeper, written) = open();
        let reader = std::thread::spawn(move || written.iter().flatten().collect::<Vec<u8>>());
        let filler = "x".repeat(1_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (log, filler) = (&log, &filler);
                scope.spawn(move || (0..1_000).for_each(|number| say(log, &format!("{thread} {number} {filler}\n"), false)));
            }
        });
        say(&log, "last\n", false);
        drop(keeper);
        say(&log, "after the end\n", false);
        drop(log);
        let text = String::from_utf8(reader.join().unwrap()).unwrap();
        assert!(text.ends_with("last\nafter the end\n"));
        for thread in 0..4 {
            let prefix = format!("{thread} ");
            let numbers: Vec<usize> =
                text.lines().filter_map(|line| line.strip_prefix(&prefix)?.split(' ').next()?.parse().ok()).collect();
            assert_eq!(numbers, (0..1_000).collect::<Vec<_>>(), "the lines of a thread in order, each once");
        }
    }

    #[test]
    fn a_warning_is_written_with_everything_before_it_when_it_is_reported() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (log, _keeper) = Log::open(Kept(lines.clone())).unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(log).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("a request");
            tracing::warn!("a warning");
            let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
            let (request, warning) = (text.find("a request").unwrap(), text.find("a warning").unwrap());
            assert!(request < warning, "{text}");
        });
    }
}
