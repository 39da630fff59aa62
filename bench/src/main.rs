//! The load harness: programs that measure, never timed tests.
//!
//! `bench run` starts what it measures and what it compares with as processes of their own on loopback, drives them over
//! raw HTTP/1.1 connections, checks afterwards that nothing was lost, doubled or oversold, and writes one JSON file.
//! `bench report` writes `docs/performance.md` and its plot from the newest committed file.

mod account;
mod anvil;
mod client;
mod cluster;
mod correctness;
mod echo;
mod engine;
mod findings;
mod load;
mod machine;
mod meter;
mod newcomer;
mod page;
mod parts;
mod per_request;
mod plot;
mod process;
mod progress;
mod report;
mod run;
mod sandbox;
mod second;
mod seed;
mod sized;
mod statistics;
mod targets;
mod traffic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why a command did not do its work. It is shown to the person who called it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Scrip under load.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures a built `scrip`, the bare echo and the per-request baseline, and writes a result file.
    Run(run::RunArgs),
    /// Makes a register with many investments, for `bench run` to measure on.
    Seed(seed::SeedArgs),
    /// Writes docs/performance.md and docs/performance.svg from the newest committed result file.
    Report(report::ReportArgs),
    /// Serves a bare JSON echo: what the HTTP stack alone can do.
    Echo,
    /// Serves creates with one database transaction per request: what group commit is compared with.
    PerRequest(per_request::PerRequestArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        // The whole run is one large future.
        Command::Run(args) => Box::pin(run::run(args)).await,
        Command::Seed(args) => seed::seed(args).await,
        Command::Report(args) => report::report(&args),
        Command::Echo => echo::serve().await,
        Command::PerRequest(args) => per_request::serve(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
