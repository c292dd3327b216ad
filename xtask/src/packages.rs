//! `cargo xtask packages`: checks what people install, with the programs that will read it: manifests, chart, bundle, alerts,
//! and the workflows that publish them.

mod bundle;
mod chart;
mod compare;
mod openapi;
#[cfg(test)]
mod permissions;
mod schemas;
mod score;
mod versions;

use crate::process::run as run_process;
use crate::steps::Steps;
use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use test_cluster::print_progress;
use tokio::process::Command;

pub(crate) async fn run() -> Result<()> {
    let mut steps = Steps::default();
    steps
        .run("one version everywhere", async { versions::check() })
        .await;
    if let Some(helm) = steps.run("helm", program("helm")).await {
        steps.run("chart: lint", chart::lint(&helm)).await;
        steps
            .run(
                "chart: the same objects as deploy/install.yaml and networkpolicy.yaml",
                chart::same(&helm),
            )
            .await;
        steps
            .run(
                "chart: values that it takes and refuses",
                chart::values(&helm),
            )
            .await;
        manifests(&mut steps, &helm).await;
    }
    steps.run("bundle: sizes", async { bundle::sizes() }).await;
    if let Some(check) = steps.run("bundle-check", program("bundle-check")).await {
        let name = "bundle: the validators of the operator framework";
        steps.run(name, bundle::validate(&check)).await;
    }
    if let Some(opm) = steps.run("opm", program("opm")).await {
        steps.run("bundle: a catalog", bundle::catalog(&opm)).await;
    }
    if let Some(promtool) = steps.run("promtool", program("promtool")).await {
        for arguments in [
            ["check", "rules", "alerts.yaml"],
            ["test", "rules", "alerts_test.yaml"],
        ] {
            let mut command = Command::new(&promtool);
            command.current_dir(workspace::root().join("deploy/monitoring"));
            command.args(arguments);
            steps
                .run(
                    &format!("alerts: {} rules", arguments[0]),
                    run_process(command),
                )
                .await;
        }
    }
    if let Some(actionlint) = steps.run("actionlint", program("actionlint")).await {
        // It looks for `.github/workflows` itself.
        steps
            .run("workflows: actionlint", run_process(here(&actionlint)))
            .await;
    }
    steps.finish()
}

/// The manifests against schemas, an API server and rules of good practice.
async fn manifests(steps: &mut Steps, helm: &Path) {
    if let Some(kube_score) = steps.run("kube-score", program("kube-score")).await {
        let name = "manifests: kube-score";
        steps.run(name, score::check(&kube_score, helm)).await;
    }
    let Some(server) = steps
        .run("a control plane", schemas::Server::start(helm))
        .await
    else {
        return;
    };
    if let Some(kubeconform) = steps.run("kubeconform", program("kubeconform")).await {
        let name = "manifests: kubeconform, with the schemas of that API server";
        steps.run(name, server.conform(&kubeconform)).await;
    }
    let name = "manifests: a strict dry run";
    steps.run(name, async { server.dry_run() }).await;
}

async fn program(name: &'static str) -> Result<PathBuf> {
    tokio::task::spawn_blocking(move || test_cluster::program(name, print_progress))
        .await?
        .with_context(|| format!("no {name}"))
}

fn here(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

/// Writes a file that a program will read, and the directories above it.
fn write(path: &Path, content: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}
