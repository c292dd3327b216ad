//! The operator's binary: reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use ecr_secret_core::manifests::{self, DEFAULT_NAMESPACE, Installation, Scope};
use ecr_secret_operator::config::{self, Cli, Command};
use ecr_secret_operator::doctor::doctor;
use ecr_secret_operator::run::run;

fn main() -> ExitCode {
    // First of all: a compiler of policies must not have threads, nor read anything that it is not given.
    if let Some(ended) = ecr_secret_engine::compile_role() {
        return ended;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return failed(&config::one_line(&error)),
        // Help and version.
        Err(error) => error.exit(),
    };
    let ended = match cli.command {
        None | Some(Command::Run) => {
            runtime().and_then(|runtime| runtime.block_on(run(cli.options)))
        }
        Some(Command::Doctor { regions }) => return report(&regions),
        Some(Command::Crds) => {
            print!("{}", manifests::crds_yaml());
            Ok(())
        }
        Some(Command::Rbac) => cli.options.namespaces().map(|names| {
            let scope = if names.is_empty() {
                Scope::Cluster
            } else {
                Scope::Namespaces(names)
            };
            let namespace = match cli.options.namespace.as_str() {
                "" => DEFAULT_NAMESPACE.to_owned(),
                named => named.to_owned(),
            };
            let installation = Installation {
                namespace,
                scope,
                ..Installation::default()
            };
            print!("{}", installation.rbac_yaml());
        }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Runtime::new().map_err(|error| {
        format!("no threads can be started: {error}; raise the limit on processes")
    })
}

fn report(regions: &[String]) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(message) => return failed(&message),
    };
    let (report, good) = runtime.block_on(doctor(regions));
    print!("{report}");
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("ecr-secret-operator: {message}");
    ExitCode::from(2)
}
