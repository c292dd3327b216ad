//! Argo CD's own code, with a repository Secret that we generated.

use super::ARGO;
use super::charts::VERSION;
use super::tenant::{self, NAMESPACE};
use super::user::User;
use crate::registry::ECR;
use anyhow::{Context, Result, ensure};
use ecr_secret_core::api::{ArgoHelmRepoSecret, ECR_USER, OPERATOR_NAME};
use serde_json::{Value, json};

/// Of `samples/ecr_v1alpha1_argohelmreposecret.yaml`.
const SECRET: &str = "ecr-argo-helm-secret";

/// Argo CD finds the repository, and fetches the chart that Helm pushed.
pub(super) async fn run(user: &User<'_>) {
    let sentence =
        "Argo CD's own code reads the repository Secret: user, password, type, OCI and name";
    let found = user.prove(sentence, async {
        user.follow(ARGO).await?;
        tenant::ready::<ArgoHelmRepoSecret>(&user.client(), "helm-charts").await?;
        let told = argo(user, ECR, "").await?;
        let repository = &told["repository"];
        let password = tenant::value(&user.client(), SECRET, "password").await?;
        let expected = json!({
            "repo": ECR,
            "username": ECR_USER,
            "password": password,
            "type": "helm",
            "enableOCI": true,
            "name": SECRET,
        });
        for (field, value) in expected.as_object().into_iter().flatten() {
            ensure!(
                repository[field] == *value,
                "{field} is {}",
                repository[field]
            );
        }
        let stranger = argo(user, "registry.example.com", "").await;
        ensure!(
            stranger.is_err(),
            "Argo CD finds a repository that is not there"
        );
        Ok(())
    });
    if found.await.is_none() {
        return;
    }
    let sentence = "Argo CD's own code fetches the chart from ECR with what it found in the Secret";
    user.prove(sentence, async {
        let chart = format!("-chart {OPERATOR_NAME} -version {VERSION} -plain-http");
        let told = argo(user, ECR, &chart).await?;
        let chart = told["chart"].as_str().context("no chart was fetched")?;
        ensure!(chart.contains("name: ecr-secret-operator"), "{chart}");
        Ok(())
    })
    .await;
}

async fn argo(user: &User<'_>, url: &str, chart: &str) -> Result<Value> {
    let told = user
        .sh(&format!(
            "argo-repository -kubeconfig $KUBECONFIG -namespace {NAMESPACE} -url {url} {chart}"
        ))
        .await?;
    serde_json::from_str(&told).context("read what Argo CD's code found")
}
