//! `kubectl-ecr`: policies on a laptop, on the engine and inside the limits of the cluster, and the everyday commands.

mod command_line;
mod doctor;
mod explain;
mod live;
mod outcome;
mod policy;
mod resources;
mod screen;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use command_line::{Cli, Command};
use outcome::Outcome;

fn main() -> ExitCode {
    // First of all: a compiler of policies must not have threads.
    if let Some(ended) = ecr_secret_engine::compile_role() {
        return ended;
    }
    quiet_when_nobody_reads();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // With help and version as well, and with clap's own words and exit code 2 for mistakes.
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message());
            failure.exit_code()
        }
    }
}

/// Ends without a word when the reader of the output has gone, as in `… | head`; the standard library panics then.
fn quiet_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains("Broken pipe") {
            // What a shell makes of a program that SIGPIPE ended.
            std::process::exit(141);
        }
        usual(panic);
    }));
}

fn run(cli: Cli) -> Outcome {
    match cli.command {
        Command::Policy { command } => policy::run(command),
        Command::Status(arguments) => resources::block_on(resources::status(arguments)),
        Command::Explain(arguments) => resources::block_on(explain::explain(arguments)),
        Command::Doctor(arguments) => resources::block_on(doctor::doctor(arguments)),
        Command::Refresh(arguments) => resources::block_on(resources::refresh(arguments)),
        Command::Suspend(arguments) => resources::block_on(resources::suspend(arguments, true)),
        Command::Resume(arguments) => resources::block_on(resources::suspend(arguments, false)),
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "kubectl-ecr",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}
