//! `cargo xtask cluster`: a control plane that stays until it is told to go.

use crate::workspace::{self, shown};
use anyhow::{Result, bail};
use clap::Subcommand;
use test_cluster::{ControlPlane, Options, Running, find, print_progress, shut_down};

/// What to do with the control plane.
#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Action {
    /// Start it, unless it runs; say how to use it
    Up,
    /// End it and remove its data
    Down,
    /// Say whether it runs; exit code 1 when it does not
    Status,
}

pub(crate) async fn run(action: Action) -> Result<()> {
    let directory = workspace::cluster();
    match action {
        Action::Up => {
            if let Some(running) = find(&directory) {
                println!("the control plane runs already");
                explain(&running);
                return Ok(());
            }
            let options = Options {
                directory: Some(directory),
                progress: print_progress,
                ..Options::default()
            };
            let running = ControlPlane::start(options).await?.detach();
            println!(
                "Kubernetes {} is up, without nodes",
                test_cluster::kubernetes_version()
            );
            explain(&running);
        }
        Action::Down => {
            if shut_down(&directory)? {
                println!("the control plane is down");
            } else {
                println!("no control plane was up");
            }
        }
        Action::Status => {
            let Some(running) = find(&directory) else {
                bail!("no control plane is up; `cargo xtask cluster up` starts one");
            };
            println!("the control plane is up");
            explain(&running);
        }
    }
    Ok(())
}

fn explain(running: &Running) {
    println!("  export KUBECONFIG={}", running.kubeconfig.display());
    println!("  {} get namespaces", running.kubectl.display());
    println!("logs: {}", shown(&workspace::cluster()));
    println!("end it with: cargo xtask cluster down");
}
