//! The chart, as Helm sees it.

use super::{compare, here};
use crate::process::{output, run as run_process};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use tokio::process::Command;

const CHART: &str = "deploy/chart";
const NAMESPACE: &str = "ecr-secret-operator";

/// Values that the chart takes.
const ACCEPTED: [&[&str]; 9] = [
    &["watchNamespaces={team-a,team-b}"],
    &["watchNamespaces={team-a}", "metrics.auth=false"],
    &["image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    &["serviceAccount.create=false", "serviceAccount.name=mine"],
    &["rbac.create=false"],
    &["crds.enabled=false"],
    &["policy.limits.fuel=50000000", "policy.registries={ghcr.io}"],
    EVERYTHING,
    &[
        "aws.roleArn=arn:aws:iam::123456789012:role/x",
        "aws.region=us-east-2",
    ],
];
/// Values that switch on everything that is off at first.
pub(super) const EVERYTHING: &[&str] = &[
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "networkPolicy.enabled=true",
    "podDisruptionBudget.enabled=true",
    "replicaCount=2",
];
/// Values that it refuses, and what it has to name.
const REFUSED: [(&str, &str); 7] = [
    ("replicas=2", "replicas"),
    ("image.repo=x", "repo"),
    ("image.digest=sha256:1", "digest"),
    ("watchNamespaces={A}", "watchNamespaces"),
    ("policy.limits.fule=5", "fule"),
    ("logFormat=xml", "logFormat"),
    ("podDisruptionBudget.enabled=true", "replica"),
];

pub(super) async fn lint(helm: &Path) -> Result<()> {
    let mut command = here(helm);
    command.args(["lint", "--strict", "--namespace", NAMESPACE, CHART]);
    run_process(command).await
}

/// What Helm would install with these values.
pub(super) fn template(helm: &Path, values: &[&str]) -> Command {
    let mut command = here(helm);
    command.args(["template", NAMESPACE, CHART, "--namespace", NAMESPACE]);
    for value in values {
        command.args(["--set", value]);
    }
    command
}

pub(super) async fn same(helm: &Path) -> Result<()> {
    let deploy = workspace::root().join("deploy");
    let installed = std::fs::read_to_string(deploy.join("install.yaml"))?;
    let policy = std::fs::read_to_string(deploy.join("networkpolicy.yaml"))?;
    renders(helm, &[], &installed).await?;
    let both = format!("{installed}\n---\n{policy}");
    renders(helm, &["networkPolicy.enabled=true"], &both).await
}

/// Helm renders these objects with these values, and no others.
async fn renders(helm: &Path, values: &[&str], installed: &str) -> Result<()> {
    let rendered = output(template(helm, values)).await?;
    let differences = compare::differences(installed, &rendered)?;
    if !differences.is_empty() {
        bail!("{}", differences.join("; "));
    }
    Ok(())
}

pub(super) async fn values(helm: &Path) -> Result<()> {
    for values in ACCEPTED {
        output(template(helm, values))
            .await
            .with_context(|| values.join(","))?;
    }
    for (value, name) in REFUSED {
        let mut command = template(helm, &[value]);
        let refused = command.output().await?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        if refused.status.success() || !told.contains(name) {
            bail!("--set {value} is not refused by its name: {told}");
        }
    }
    Ok(())
}
