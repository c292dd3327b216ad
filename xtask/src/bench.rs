//! `cargo xtask bench`: builds in release mode and measures.

use crate::process::{cargo, run as run_process};
use crate::{guests, image, workspace};
use anyhow::Result;
use clap::ValueEnum;
use tokio::process::Command;

/// What to measure.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum What {
    /// The operator with a thousand resources, beside a bare client
    #[default]
    Operator,
    /// Up to a thousand policies, beside bare wasmtime; draws target/bench/policy.svg
    Policy,
    /// Tenants while another one uploads hostile modules, beside quiet times
    Hostile,
}

pub(crate) async fn run(what: What) -> Result<()> {
    guests::ensure_targets().await?;
    guests::build().await?;
    let mut build = cargo(&workspace::root());
    build.args(["build", "--release", "-p", "bench"]);
    run_process(build).await?;
    // What is shipped is measured: its C library, and so its allocator, is another one than that of a plain build.
    let operator = image::operator().await?;
    let mut bench = Command::new(workspace::target().join("release/bench"));
    let guest = match what {
        What::Operator => "default.wasm",
        // One that reads settings.
        What::Policy | What::Hostile => "early-refresh.wasm",
    };
    bench.arg(match what {
        What::Operator => "operator",
        What::Policy => "policy",
        What::Hostile => "hostile",
    });
    bench.arg("--operator").arg(operator);
    bench.arg("--guest").arg(workspace::guests().join(guest));
    if matches!(what, What::Policy) {
        let plot = workspace::target().join("bench").join("policy.svg");
        bench.args(["--settings", r#"{"before_expiry_percent":40}"#]);
        bench.arg("--plot").arg(plot);
    }
    run_process(bench).await
}
