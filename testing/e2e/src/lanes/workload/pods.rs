//! Pods that only run, and what becomes of them.

use super::tenant::NAMESPACE;
use crate::registry::ECR;
use crate::until;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerState, Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use serde_json::json;
use std::time::Duration;

/// kubelet tries twice, ten seconds apart, before it speaks of a back-off; a busy machine takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// Creates a service account that nobody links.
pub(super) async fn account(client: &Client, name: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    let created = accounts.create(&PostParams::default(), &account).await;
    created
        .map(drop)
        .with_context(|| format!("create the service account {name}"))
}

/// Creates a pod of this service account, with an image of ECR.
pub(super) async fn start(client: &Client, name: &str, account: &str, image: &str) -> Result<()> {
    let pod = json!({
        "metadata": { "name": name },
        "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "app", "image": format!("{ECR}/{image}") }],
        },
    });
    let pod = serde_json::from_value(pod).context("read a pod")?;
    let created = pods(client).create(&PostParams::default(), &pod).await;
    created
        .map(drop)
        .with_context(|| format!("create the pod {name}"))
}

/// Waits until the pod runs.
pub(super) async fn runs(client: &Client, name: &str) -> Result<()> {
    let pods = pods(client);
    until(LIMIT, &format!("the pod {name} to run"), async || {
        let pod = pods.get(name).await?;
        let state = state(&pod).unwrap_or_default();
        ensure!(state.running.is_some(), "{state:?}");
        Ok(())
    })
    .await
}

/// Waits until kubelet gives up for a while, and makes sure that credentials are what it lacks.
pub(super) async fn is_refused(client: &Client, name: &str) -> Result<()> {
    let pods = pods(client);
    let what = format!("the pod {name} to end in ImagePullBackOff");
    let message = until(LIMIT, &what, async || {
        let pod = pods.get(name).await?;
        let state = state(&pod).context("kubelet tells nothing yet")?;
        let waiting = state.waiting.clone().unwrap_or_default();
        let reason = waiting.reason.unwrap_or_default();
        ensure!(reason == "ImagePullBackOff", "{state:?}");
        Ok(waiting.message.unwrap_or_default())
    })
    .await?;
    ensure!(
        message.contains("401 Unauthorized"),
        "the pod {name} has another trouble than credentials: {message}"
    );
    Ok(())
}

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn state(pod: &Pod) -> Option<ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first()?.state.clone()
}
