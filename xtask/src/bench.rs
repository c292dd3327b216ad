//! `cargo xtask bench`: builds in release mode and measures.

use crate::process::{cargo, run as run_process};
use crate::{guests, workspace};
use anyhow::Result;
use tokio::process::Command;

pub(crate) async fn run() -> Result<()> {
    guests::ensure_targets().await?;
    guests::build().await?;
    let mut build = cargo(&workspace::root());
    build.args([
        "build",
        "--release",
        "-p",
        "ecr-secret-operator",
        "-p",
        "bench",
    ]);
    run_process(build).await?;
    let release = workspace::target().join("release");
    let mut bench = Command::new(release.join("bench"));
    bench
        .arg("--operator")
        .arg(release.join("ecr-secret-operator"));
    bench
        .arg("--guest")
        .arg(workspace::guests().join("default.wasm"));
    run_process(bench).await
}
