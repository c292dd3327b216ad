//! `cargo xtask fuzz`: builds the fuzz targets with `cargo fuzz`, and runs each for some time.
//!
//! Without a sanitizer, which needs no nightly compiler: what is fuzzed is safe code, so panics, hangs, too much memory
//! and broken assertions are what can be found.

use crate::process::{output, run as run_process};
use crate::steps::Steps;
use crate::{tools, workspace};
use anyhow::Result;
use tokio::process::Command;

const VERSION: &str = "0.13.2";
const DIRECTORY: &str = "testing/fuzz";
/// The longest that one input may take, in seconds.
const SLOWEST: u32 = 20;
/// The most memory that a target may take, in MB.
const MEMORY: u32 = 2_048;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The targets; all of them otherwise
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    let ready = steps
        .run("cargo fuzz", tools::ensure("cargo-fuzz", VERSION))
        .await
        .is_some();
    let built = ready && steps.run("build of the targets", build()).await.is_some();
    if built {
        let known = known().await?;
        let targets = if arguments.targets.is_empty() {
            &known
        } else {
            &arguments.targets
        };
        for target in targets {
            steps
                .run(&format!("fuzz {target}"), fuzz(target, arguments.seconds))
                .await;
        }
    }
    steps.finish()
}

fn cargo_fuzz(subcommand: &str) -> Command {
    let mut command = Command::new(tools::directory().join("bin/cargo-fuzz"));
    command.current_dir(workspace::root());
    command.args(["fuzz", subcommand, "--fuzz-dir", DIRECTORY]);
    command
}

async fn build() -> Result<()> {
    let mut command = cargo_fuzz("build");
    command.args(["--sanitizer", "none", "--target-dir"]);
    command.arg(workspace::target().join("fuzz"));
    run_process(command).await
}

async fn known() -> Result<Vec<String>> {
    Ok(output(cargo_fuzz("list"))
        .await?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Runs one target. What was found in earlier runs is in the corpus, and the seeds of the repository are added to it.
async fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let corpus = workspace::target().join("fuzz-corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut command = cargo_fuzz("run");
    command.args(["--sanitizer", "none", "--target-dir"]);
    command.arg(workspace::target().join("fuzz"));
    command.arg(target).arg(&corpus);
    command.arg(format!("{DIRECTORY}/seeds/{target}"));
    command.arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={SLOWEST}"),
        format!("-rss_limit_mb={MEMORY}"),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ]);
    run_process(command).await
}
