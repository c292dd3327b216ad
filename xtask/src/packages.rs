//! `cargo xtask packages`: checks what people install, with the programs that will read it: chart, bundle, alerts.

mod compare;

use crate::process::{output, run as run_process};
use crate::steps::Steps;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use test_cluster::print_progress;
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
    &[
        "metrics.serviceMonitor.enabled=true",
        "metrics.prometheusRule.enabled=true",
        "metrics.dashboard.enabled=true",
        "networkPolicy.enabled=true",
        "podDisruptionBudget.enabled=true",
        "replicaCount=2",
    ],
    &[
        "aws.roleArn=arn:aws:iam::123456789012:role/x",
        "aws.region=us-east-2",
    ],
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

pub(crate) async fn run() -> Result<()> {
    let mut steps = Steps::default();
    if let Some(helm) = steps.run("helm", program("helm")).await {
        steps.run("chart: lint", lint(&helm)).await;
        steps
            .run(
                "chart: the same objects as deploy/install.yaml",
                same(&helm),
            )
            .await;
        steps
            .run("chart: values that it takes and refuses", values(&helm))
            .await;
    }
    if let Some(check) = steps.run("bundle-check", program("bundle-check")).await {
        let name = "bundle: the validators of the operator framework";
        steps.run(name, validate(&check)).await;
    }
    if let Some(opm) = steps.run("opm", program("opm")).await {
        steps.run("bundle: a catalog", catalog(&opm)).await;
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
    steps.finish()
}

async fn program(name: &'static str) -> Result<PathBuf> {
    tokio::task::spawn_blocking(move || test_cluster::program(name, print_progress))
        .await?
        .with_context(|| format!("no {name}"))
}

fn here(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

async fn lint(helm: &PathBuf) -> Result<()> {
    let mut command = here(helm);
    command.args(["lint", "--strict", "--namespace", NAMESPACE, CHART]);
    run_process(command).await
}

fn template(helm: &PathBuf, values: &[&str]) -> Command {
    let mut command = here(helm);
    command.args(["template", NAMESPACE, CHART, "--namespace", NAMESPACE]);
    for value in values {
        command.args(["--set", value]);
    }
    command
}

async fn same(helm: &PathBuf) -> Result<()> {
    let rendered = output(template(helm, &[])).await?;
    let installed = std::fs::read_to_string(workspace::root().join("deploy/install.yaml"))?;
    let differences = compare::differences(&installed, &rendered)?;
    if !differences.is_empty() {
        bail!("{}", differences.join("; "));
    }
    Ok(())
}

async fn values(helm: &PathBuf) -> Result<()> {
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

/// Warnings that are none, and why.
const NO_WARNING: [(&str, &str); 2] = [
    // The channel of the original operator, whose users are on it.
    ("good-practices", "channel(s) [\"alpha\"]"),
    // The validator knows the resource `events` of a version that is gone, and does not look at the version of ours.
    ("", "Migrate the API(s) for events"),
];

/// All validators of operator-framework/api: no error, and no warning but those that are explained.
async fn validate(check: &PathBuf) -> Result<()> {
    let told = here(check).arg("bundle").output().await?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let explained = |line: &str| {
        let words = NO_WARNING.iter();
        line.starts_with("WARN")
            && words
                .into_iter()
                .any(|(validator, text)| line.contains(validator) && line.contains(text))
    };
    let left: Vec<&str> = told
        .lines()
        .filter(|line| !line.trim().is_empty() && !explained(line))
        .collect();
    if !left.is_empty() {
        bail!("{}", left.join("; "));
    }
    Ok(())
}

/// Renders the bundle, and lets `opm` judge the catalog that it stands in.
async fn catalog(opm: &PathBuf) -> Result<()> {
    let directory = workspace::target().join("catalog");
    // What an earlier run left would be judged, too.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let mut render = here(opm);
    render.args(["render", "bundle", "--output", "yaml"]);
    let bundle = output(render).await?;
    let channels = crate::bundle::channels();
    std::fs::write(
        directory.join("catalog.yaml"),
        format!("{channels}---\n{bundle}"),
    )?;
    let mut validate = here(opm);
    validate.arg("validate").arg(&directory);
    run_process(validate).await
}
