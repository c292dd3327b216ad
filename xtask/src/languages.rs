//! `cargo xtask languages`: builds the policies in C and in JavaScript by their scripts, runs their cases, and lets the one in
//! JavaScript decide in a cluster, pulled from a registry.

use crate::process::{cargo, run as run_process};
use crate::steps::Steps;
use crate::{guests, workspace};
use anyhow::Result;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// An unoptimised tool compiles slowly, so the limit on that is higher than in the cluster.
const LIMITS: &str = "compile-cpu=60s";

pub(crate) async fn run() -> Result<()> {
    let mut steps = Steps::default();
    let directory = workspace::target().join("languages");
    let Some(tool) = steps.run("kubectl-ecr", kubectl_ecr()).await else {
        return steps.finish();
    };
    let mut built = Vec::new();
    for language in ["c", "javascript"] {
        let module = directory.join(format!("{language}.wasm"));
        let name = format!("policy in {language}");
        if steps
            .run(&name, build(language, &tool, &module))
            .await
            .is_some()
        {
            steps
                .run(&format!("{name}: cases"), test(language, &tool, &module))
                .await;
            built.push(module);
        }
    }
    if let Some(module) = built.iter().find(|path| path.ends_with("javascript.wasm")) {
        steps
            .run(
                "policy in javascript: in a cluster, from a registry",
                decide(module),
            )
            .await;
    }
    steps.finish()
}

/// Builds the command line, and tells where it is.
///
/// # Errors
/// It does not build.
pub(crate) async fn kubectl_ecr() -> Result<PathBuf> {
    let mut build = cargo(&workspace::root());
    build.args(["build", "--quiet", "-p", "kubectl-ecr"]);
    run_process(build).await?;
    Ok(workspace::target().join("debug/kubectl-ecr"))
}

fn source(language: &str) -> PathBuf {
    workspace::guest_workspace()
        .join("other-languages")
        .join(language)
}

async fn build(language: &str, tool: &Path, module: &Path) -> Result<()> {
    let mut script = Command::new(source(language).join("build.sh"));
    script.arg(module);
    script.env("TOOLS", workspace::target().join("tools"));
    script.env("KUBECTL_ECR", tool);
    run_process(script).await
}

async fn test(language: &str, tool: &Path, module: &Path) -> Result<()> {
    let mut cases = Command::new(tool);
    cases.args(["policy", "test", "--limits", LIMITS]);
    cases.arg(module).arg(source(language).join("cases.yaml"));
    run_process(cases).await
}

/// The scenario on a control plane, which is left out where no module is given.
async fn decide(module: &Path) -> Result<()> {
    guests::build().await?;
    let mut test = cargo(&workspace::root());
    test.args([
        "test",
        "--quiet",
        "-p",
        "ecr-secret-operator",
        "--test",
        "cluster",
        "--",
    ]);
    test.args(["--ignored", "a_policy_in_another_language"]);
    test.env("ECR_GUESTS_DIR", workspace::guests());
    test.env("ECR_LANGUAGE_MODULE", module);
    run_process(test).await
}
