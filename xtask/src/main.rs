//! `cargo xtask`: the one tool for developers, CI and newcomers. Each subcommand does all its own set-up.

mod bench;
mod bundle;
mod cluster;
mod demo;
mod e2e;
mod fuzz;
mod generate;
mod guests;
mod image;
mod languages;
mod lint;
mod packages;
mod process;
mod steps;
mod test;
mod tools;
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
    /// Show the whole story on a real control plane, step by step
    Demo(demo::Arguments),
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
    /// Measure in release mode, each time beside something that is measured in the same run
    Bench {
        #[arg(value_enum, default_value_t)]
        what: bench::What,
    },
    /// Build the container image for each platform; needs python3 with pip
    Image(image::Arguments),
    /// Prove on a real node what the operator promises; on Debian, as root
    E2e(e2e::Arguments),
    /// Build the policies in C and JavaScript, and test them; needs python3 with pip, and Node.js with npm
    Languages,
    /// Check chart, bundle and alerts with the programs that will read them
    Packages,
    /// Run the fuzz targets
    Fuzz(fuzz::Arguments),
    /// Check format, lints, generated files and dependencies
    Lint,
}

/// What the user gave cannot be used: one line with what to do, and exit code 2.
#[derive(Debug)]
struct BadInput(String);

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The demo may be told to stay until then, and removes what it brought.
    let ends_itself = matches!(arguments.command, Command::Demo(_));
    let result = tokio::select! {
        result = run(arguments.command) => result,
        // Dropping the command's future ends what it started.
        name = interruption(), if !ends_itself => {
            eprintln!("interrupted by {name}");
            // Not a return: that would wait for a blocking build.
            std::process::exit(INTERRUPTED.into());
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<BadInput>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Test(arguments) => test::run(arguments).await,
        Command::Guests => guests::run().await,
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Cluster { action } => cluster::run(action).await,
        Command::Bench { what } => bench::run(what).await,
        Command::Image(arguments) => image::run(arguments).await,
        Command::E2e(arguments) => e2e::run(arguments).await,
        Command::Languages => languages::run().await,
        Command::Packages => packages::run().await,
        Command::Fuzz(arguments) => fuzz::run(&arguments).await,
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
