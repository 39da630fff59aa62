//! The `scrip` program.

use std::io::IsTerminal;
use std::process::ExitCode;

use server::configuration;
use server::log::Log;
use tikv_jemallocator::Jemalloc;
use tracing_subscriber::EnvFilter;

/// What a request allocates is mostly freed by another thread than its own, the desk above all, where the machine's allocator
/// pays for a lock and for joining neighbours (decision 13). It serves `SQLite` too.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = match configuration::read(std::env::args_os()) {
        Ok(command_line) => command_line,
        Err(failure) => match failure.downcast::<clap::Error>() {
            Ok(error) => error.exit(),
            Err(failure) => return failed(&failure),
        },
    };
    // SCRIP_LOG takes the levels, `info` or `warn,scrip::access=info`. Lines are JSON unless a person is looking.
    let levels = std::env::var("SCRIP_LOG").unwrap_or_else(|_| command_line.log_levels().to_owned());
    let filter = match EnvFilter::try_new(&levels) {
        Ok(filter) => filter,
        Err(error) => return failed(&format!("SCRIP_LOG has no levels of a log: {error}")),
    };
    let (writer, _keeper) = match Log::open(std::io::stderr()) {
        Ok(opened) => opened,
        Err(failure) => return failed(&format!("the log cannot be opened: {failure}")),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if std::io::stderr().is_terminal() {
        log.compact().init();
    } else {
        log.json().init();
    }
    match command_line.run().await {
        Ok(code) => code,
        Err(failure) => failed(&failure),
    }
}

fn failed(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("scrip: {reason}");
    ExitCode::FAILURE
}
