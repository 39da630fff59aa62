//! The `scrip` program.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use server::command::CommandLine;
use server::log::Log;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    // SCRIP_LOG takes the levels, `info` or `warn,scrip::access=info`. Lines are JSON unless a person is looking.
    let filter = EnvFilter::try_from_env("SCRIP_LOG").unwrap_or_else(|_| EnvFilter::new(command_line.log_levels()));
    let (writer, _keeper) = match Log::open(std::io::stderr()) {
        Ok(opened) => opened,
        Err(failure) => {
            eprintln!("scrip: the log cannot be opened: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if std::io::stderr().is_terminal() {
        log.compact().init();
    } else {
        log.json().init();
    }
    match command_line.run().await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("scrip: {failure}");
            ExitCode::FAILURE
        }
    }
}
