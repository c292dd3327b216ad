//! `cargo xtask lint`: the static checks.

use crate::process::{cargo, guest_cargo, run as run_process, succeeds};
use crate::steps::Steps;
use crate::{generate, workspace};
use anyhow::Result;

pub(crate) async fn run() -> Result<()> {
    let mut steps = Steps::default();
    for (name, directory) in [
        ("format", workspace::root()),
        ("format of the guests", workspace::guest_workspace()),
    ] {
        let mut command = cargo(&directory);
        command.args(["fmt", "--all", "--check"]);
        steps.run(name, run_process(command)).await;
    }
    for (name, mut command) in [
        ("clippy", cargo_clippy()),
        ("clippy of the guests", guest_cargo("clippy")),
    ] {
        command.args([
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]);
        steps.run(name, run_process(command)).await;
    }
    steps
        .run("generated files", async { generate::check() })
        .await;
    deny(&mut steps).await;
    steps.finish()
}

fn cargo_clippy() -> tokio::process::Command {
    let mut command = cargo(&workspace::root());
    command.arg("clippy");
    command
}

async fn deny(steps: &mut Steps) {
    let name = "dependencies (cargo deny)";
    let mut version = cargo(&workspace::root());
    version.args(["deny", "--version"]);
    if !succeeds(version).await {
        steps.skip(
            name,
            "cargo-deny is not installed (cargo install cargo-deny)",
        );
        return;
    }
    let mut check = cargo(&workspace::root());
    check.args(["deny", "--workspace", "check"]);
    steps.run(name, run_process(check)).await;
}
