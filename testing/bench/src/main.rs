//! Measures, each time beside something that is measured in the same run: the operator beside a bare client on a real
//! control plane, a policy beside a bare call of wasmtime, and quiet times beside those of hostile tenants.
//! `cargo xtask bench` builds and runs it in release mode.
//!
//! Absolute times depend on the machine; the ratios are what can be compared.

mod fleet;
mod hostile;
mod operator;
mod policy;
mod process;
mod writes;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to measure.
#[derive(Subcommand)]
enum Command {
    /// A fleet of resources, beside a bare client
    Operator(operator::Arguments),
    /// Compilation, loading and evaluation of up to a thousand policies, beside bare wasmtime
    Policy(policy::Arguments),
    /// The latency of tenants while another one uploads hostile modules, beside quiet times
    Hostile(hostile::Arguments),
    /// One size of `policy`, in a process of its own
    #[command(hide = true)]
    PolicyOfSize(policy::size::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = || tokio::runtime::Runtime::new();
    match command {
        Command::Operator(arguments) => runtime()?.block_on(operator::run(arguments)),
        Command::Hostile(arguments) => runtime()?.block_on(hostile::run(arguments)),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::PolicyOfSize(arguments) => policy::size::run(&arguments),
    }
}
