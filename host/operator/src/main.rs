//! The operator's binary: reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use ecr_secret_core::manifests::{self, Scope};
use ecr_secret_operator::config::{Cli, Command};
use ecr_secret_operator::run::run;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None | Some(Command::Run) => run(cli.options).await,
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
            print!("{}", manifests::rbac_yaml(&scope));
        }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ecr-secret-operator: {message}");
            ExitCode::from(2)
        }
    }
}
