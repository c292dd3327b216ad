//! `cargo xtask e2e`: the operator's image on a real node. The proofs are in `testing/e2e`.

use crate::process::{cargo, run as run_process};
use crate::{guests, image, languages, workspace};
use anyhow::Result;

/// What to prove, and what stays.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave the node running at the end, until ctrl-c
    #[arg(long)]
    keep: bool,
    /// Only these lanes: modes, workload, upgrade, uninstall, footprint
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How long the operator is watched while nothing happens, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    guests::run().await?;
    let plugin = languages::kubectl_ecr().await?;
    let image = image::archive().await?;
    let mut proofs = cargo(&workspace::root());
    proofs.args(["run", "--package", "e2e", "--", "--image"]);
    proofs.arg(image).arg("--plugin").arg(plugin);
    proofs.args(["--idle", &arguments.idle.to_string()]);
    for lane in &arguments.only {
        proofs.args(["--only", lane]);
    }
    if arguments.keep {
        proofs.arg("--keep");
    }
    run_process(proofs).await
}
