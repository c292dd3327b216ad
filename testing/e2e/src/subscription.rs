//! One installation of the operator by OLM: group, subscription, and what came of them.

use crate::catalog::{CATALOG, OPERATORS, PACKAGE};
use crate::{World, objects, olm, until};
use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

const SUCCEEDED: Duration = Duration::from_mins(3);
/// What follows an installation or a removal.
const SETTLED: Duration = Duration::from_mins(1);

/// An operator that OLM keeps in a namespace.
pub struct Subscription<'a> {
    world: &'a World,
    /// The operator's namespace.
    pub namespace: String,
}

impl<'a> Subscription<'a> {
    /// One in this namespace, which need not be there yet.
    pub fn new(world: &'a World, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { world, namespace }
    }

    /// Makes the namespace, the group that serves `targets` (all namespaces when there are none), and the subscription.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn create(
        &self,
        targets: &[String],
        channel: &str,
        environment: &[(&str, String)],
    ) -> Result<()> {
        let client = self.world.node.client();
        let namespace = &self.namespace;
        objects::restricted_namespace(&client, namespace).await?;
        let spec = if targets.is_empty() {
            json!({})
        } else {
            json!({ "targetNamespaces": targets })
        };
        let group = json!({
            "apiVersion": "operators.coreos.com/v1",
            "kind": "OperatorGroup",
            "metadata": { "name": "tenants", "namespace": namespace },
            "spec": spec,
        });
        let subscription = json!({
            "apiVersion": OPERATORS,
            "kind": "Subscription",
            "metadata": { "name": PACKAGE, "namespace": namespace },
            "spec": {
                "name": PACKAGE,
                "channel": channel,
                "source": CATALOG,
                "sourceNamespace": olm::NAMESPACE,
                "installPlanApproval": "Automatic",
                "config": { "env": variables(environment) },
            },
        });
        objects::apply(&client, group).await?;
        objects::apply(&client, subscription).await
    }

    /// Changes the environment of the operator, as an administrator does.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn set_environment(&self, environment: &[(&str, String)]) -> Result<()> {
        let change = json!({ "spec": { "config": { "env": variables(environment) } } });
        let subscriptions = self.all("Subscription").await?;
        let params = PatchParams::default();
        subscriptions
            .patch(PACKAGE, &params, &Patch::Merge(&change))
            .await
            .map(drop)
            .context("change the Subscription's environment")
    }

    /// Waits until a version is installed.
    ///
    /// # Errors
    /// It is not `Succeeded` in time; the error tells what OLM says.
    pub async fn wait_for(&self, version: &str) -> Result<()> {
        let versions = self.all("ClusterServiceVersion").await?;
        let what = format!("{version} to be Succeeded in {}", self.namespace);
        let waited = until(SUCCEEDED, &what, async || {
            let status = match versions.get_opt(version).await? {
                Some(found) => found.data["status"].clone(),
                None => json!({ "message": "OLM has not made it yet" }),
            };
            ensure!(
                status["phase"] == "Succeeded",
                "{} ({})",
                status["message"],
                status["reason"]
            );
            Ok(())
        })
        .await;
        match waited {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.told().await)),
        }
    }

    /// Waits until OLM has taken every other version away.
    ///
    /// # Errors
    /// One stays.
    pub async fn wait_until_only(&self, version: &str) -> Result<()> {
        let versions = self.all("ClusterServiceVersion").await?;
        let what = format!("{version} to be the only one");
        until(SETTLED, &what, async || {
            for found in versions.list(&ListParams::default()).await? {
                let name = found.name_any();
                let phase = &found.data["status"]["phase"];
                ensure!(name == version, "{name} is {phase}");
            }
            Ok(())
        })
        .await
    }

    /// Waits until every `InstallPlan` is `Complete`. OLM may make a second one that finds all done.
    ///
    /// # Errors
    /// One is not in time, or there is none.
    pub async fn wait_for_plans(&self) -> Result<()> {
        let plans = self.all("InstallPlan").await?;
        until(SETTLED, "the InstallPlans to be Complete", async || {
            let found = plans.list(&ListParams::default()).await?.items;
            ensure!(!found.is_empty(), "there is none");
            for plan in found {
                let (name, phase) = (plan.name_any(), &plan.data["status"]["phase"]);
                ensure!(phase == "Complete", "{name} is {phase}");
            }
            Ok(())
        })
        .await
    }

    /// What OLM says about the subscription and its plans.
    async fn told(&self) -> String {
        let mut told = Vec::new();
        for kind in ["Subscription", "InstallPlan"] {
            if let Ok(found) = self.all(kind).await
                && let Ok(found) = found.list(&ListParams::default()).await
            {
                for one in found {
                    told.push(format!("{kind}: {}", one.data["status"]["conditions"]));
                }
            }
        }
        told.join("; ")
    }

    /// Removes the operator as an administrator does: the subscription, then the version. Waits until its Deployment is gone.
    ///
    /// # Errors
    /// Something stays.
    pub async fn remove(&self) -> Result<()> {
        let subscriptions = self.all("Subscription").await?;
        subscriptions
            .delete(PACKAGE, &DeleteParams::default())
            .await?;
        let versions = self.all("ClusterServiceVersion").await?;
        for version in versions.list(&ListParams::default()).await? {
            // OLM's own copies go with their original.
            if version.data["status"]["reason"] != "Copied" {
                versions
                    .delete(&version.name_any(), &DeleteParams::default())
                    .await?;
            }
        }
        let client = self.world.node.client();
        let pods = objects::all(&client, "v1", "Pod", Some(&self.namespace)).await?;
        until(SETTLED, "the operator's pod to go", async || {
            let left = pods.list(&ListParams::default()).await?.items.len();
            ensure!(left == 0, "{left} pods are there");
            Ok(())
        })
        .await
    }

    /// The operator's only pod, once there is one that is Ready and no other.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn pod(&self) -> Result<DynamicObject> {
        ready_pod(self.world, &self.namespace).await
    }

    async fn all(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let client = self.world.node.client();
        objects::all(&client, OPERATORS, kind, Some(&self.namespace)).await
    }
}

/// The operator's only pod in a namespace, once there is one that is Ready and no other.
///
/// # Errors
/// There is none in time.
pub async fn ready_pod(world: &World, namespace: &str) -> Result<DynamicObject> {
    let client = world.node.client();
    let pods = objects::all(&client, "v1", "Pod", Some(namespace)).await?;
    let params = ListParams::default().labels("control-plane=controller-manager");
    let what = format!("one Ready pod of the operator in {namespace}");
    until(Duration::from_mins(1), &what, async || {
        let mut found = pods.list(&params).await?.items;
        ensure!(found.len() == 1, "there are {} pods", found.len());
        let pod = found.pop().context("no pod")?;
        let ready = objects::condition(&pod, "Ready").context("it is not started")?;
        ensure!(ready["status"] == "True", "{}", ready["message"]);
        Ok(pod)
    })
    .await
}

fn variables(environment: &[(&str, String)]) -> Value {
    let variables = environment
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }));
    variables.collect()
}
