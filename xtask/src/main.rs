//! `cargo xtask`: the one tool for developers, CI and newcomers. Each subcommand does all its own set-up.

mod bench;
mod cluster;
mod generate;
mod guests;
mod lint;
mod process;
mod steps;
mod test;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a shell for a command that ctrl-c ended.
const INTERRUPTED: u8 = 130;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Build, test and try the ECR Secret Operator",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up everything and run all tests: host, guests, and on a real control plane
    Test(test::Arguments),
    /// Build all guest modules into target/guests
    Guests,
    /// Write the generated manifests and reference documents
    Generate(generate::Arguments),
    /// A control plane that stays, to try things on
    Cluster {
        #[command(subcommand)]
        action: cluster::Action,
    },
    /// Measure the operator in release mode beside a bare client, on a real control plane
    Bench,
    /// Check format, lints, generated files and dependencies
    Lint,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = tokio::select! {
        result = run(arguments.command) => result,
        // Dropping the command's future ends what it started.
        name = interruption() => {
            eprintln!("interrupted by {name}");
            // Not a return: that would wait for a blocking build.
            std::process::exit(INTERRUPTED.into());
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Test(arguments) => test::run(arguments).await,
        Command::Guests => guests::run().await,
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Cluster { action } => cluster::run(action).await,
        Command::Bench => bench::run().await,
        Command::Lint => lint::run().await,
    }
}

/// Waits for a signal that asks to end, and tells its name.
async fn interruption() -> &'static str {
    let listen = |kind| signal(kind).ok();
    let (Some(mut interrupt), Some(mut terminate), Some(mut hangup)) = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
        listen(SignalKind::hangup()),
    ) else {
        // Without handlers a signal ends the process by itself.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    }
}
