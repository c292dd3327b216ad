//! `cargo xtask test`: sets everything up and runs all tests, those on a real control plane with one for all.

use crate::process::{cargo, guest_cargo, run as run_process};
use crate::steps::Steps;
use crate::{guests, workspace};
use anyhow::Result;
use clap::Args;
use test_cluster::{Binaries, ControlPlane, KUBECONFIG_VARIABLE, Options, print_progress};
use tokio::process::Command;

/// Names the directory of the guests for the tests that use them, which then have to find them there.
const GUESTS_VARIABLE: &str = "ECR_GUESTS_DIR";

/// What to test.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Passed to `cargo test` of the host, for instance `-- -p ecr-secret-core renewal`; the guests' own tests are
    /// left out then
    #[arg(last = true, value_name = "CARGO_TEST_ARGUMENTS")]
    cargo: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut steps = Steps::default();
    test(&mut steps, &arguments.cargo).await;
    steps.finish()
}

/// Goes on after a failed test, but not after a failed set-up, which later steps need.
async fn test(steps: &mut Steps, arguments: &[String]) -> Option<()> {
    steps
        .run("WebAssembly targets", guests::ensure_targets())
        .await?;
    let guests = async { guests::build().await.map(drop) };
    steps.run("guest modules", guests).await?;
    steps.run("control plane binaries", binaries()).await?;
    let build = run_process(host_tests(arguments, &["--no-run", "--quiet"]));
    steps.run("build of the tests", build).await?;
    let options = Options {
        progress: print_progress,
        ..Options::default()
    };
    let start = async { Ok(ControlPlane::start(options).await?) };
    let control_plane = steps.run("control plane", start).await?;
    let mut tests = host_tests(arguments, &["--no-fail-fast"]);
    tests.env(KUBECONFIG_VARIABLE, control_plane.kubeconfig_path());
    steps.run("host tests", run_process(tests)).await;
    control_plane.stop();
    if arguments.is_empty() {
        let mut tests = guest_cargo("test");
        tests.args(["--workspace", "--no-fail-fast"]);
        steps.run("guest tests", run_process(tests)).await;
    } else {
        steps.skip("guest tests", "arguments choose host tests");
    }
    Some(())
}

async fn binaries() -> Result<()> {
    tokio::task::spawn_blocking(|| Binaries::ensure(print_progress)).await??;
    Ok(())
}

fn host_tests(arguments: &[String], own: &[&str]) -> Command {
    let mut command = cargo(&workspace::root());
    command.arg("test").args(own);
    if !chooses_packages(arguments) {
        command.arg("--workspace");
    }
    command
        .args(arguments)
        .env(GUESTS_VARIABLE, workspace::guests());
    command
}

/// `--workspace` would overrule such a choice.
fn chooses_packages(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_chosen_package_is_tested_alone() {
        assert!(chooses_packages(&words("-p ecr-secret-core")));
        assert!(chooses_packages(&words("--package=xtask some_test")));
        assert!(!chooses_packages(&words("some_test -- -p")));
        assert!(!chooses_packages(&[]));
    }
}
