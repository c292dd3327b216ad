//! A thousand resources in a hundred namespaces, and what becomes of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ecr_secret_core::api::EcrSecret;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{
    Api, DeleteParams, ListParams, ObjectMeta, PartialObjectMeta, PostParams, WatchEvent,
    WatchParams,
};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::writes;

/// How many requests the clients have under way at a time.
const CONCURRENCY: usize = 32;
/// How long anything may take as a whole.
const LIMIT: Duration = Duration::from_mins(3);

/// The resources, by namespace and name.
pub(crate) struct Fleet {
    names: Vec<(String, String)>,
}

/// How long the Secrets took.
pub(crate) struct Measured {
    /// From the first request to the last Secret.
    pub(crate) total: Duration,
    /// From each resource to its Secret, sorted.
    pub(crate) each: Vec<Duration>,
}

impl Measured {
    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let at = |share: usize| self.each[(self.each.len() - 1) * share / 100].as_secs_f64();
        format!(
            "{:.2} s until the last Secret, p50 {:.3} s, p99 {:.3} s",
            self.total.as_secs_f64(),
            at(50),
            at(99)
        )
    }
}

impl Fleet {
    /// Creates the namespaces, and waits until the controllers have made them ready.
    pub(crate) async fn prepare(
        client: &Client,
        resources: usize,
        namespaces: usize,
    ) -> Result<Self> {
        ensure!(
            resources > 0 && namespaces > 0,
            "at least one resource in one namespace"
        );
        let namespace_names: Vec<String> = (0..namespaces)
            .map(|number| format!("bench-{number}"))
            .collect();
        let api: Api<Namespace> = Api::all(client.clone());
        for name in &namespace_names {
            let namespace = Namespace {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            api.create(&PostParams::default(), &namespace).await?;
        }
        let accounts: Api<ServiceAccount> = Api::all(client.clone());
        test_cluster::eventually(LIMIT, "the default service accounts", || async {
            let found = accounts.list_metadata(&ListParams::default()).await.ok()?;
            let ready = found
                .iter()
                .filter(|account| {
                    account.name_any() == "default"
                        && account
                            .namespace()
                            .is_some_and(|name| name.starts_with("bench-"))
                })
                .count();
            (ready == namespaces).then_some(())
        })
        .await;
        let names = (0..resources)
            .map(|number| {
                (
                    namespace_names[number % namespaces].clone(),
                    format!("r{number}"),
                )
            })
            .collect();
        Ok(Self { names })
    }

    async fn create(&self, client: &Client, created: impl Fn(&str, &str)) -> Result<()> {
        let created = &created;
        stream::iter(&self.names)
            .map(|(namespace, name)| async move {
                let api: Api<EcrSecret> = Api::namespaced(client.clone(), namespace);
                let object = json!({
                    "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": name },
                    "spec": { "generated_secret_name": format!("generated-{name}"), "ecr_registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com", "frequency": "10h", "region": "us-east-2" },
                });
                api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
                created(namespace, name);
                Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// The same writes by a client that does nothing else; everything is deleted again.
    pub(crate) async fn bare(&self, client: &Client) -> Result<Measured> {
        self.create(client, |_, _| {}).await?;
        let started = Instant::now();
        let mut each: Vec<Duration> = stream::iter(&self.names)
            .map(|(namespace, name)| async move {
                let began = Instant::now();
                writes::bare(client, namespace, name)
                    .await
                    .map(|()| began.elapsed())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let total = started.elapsed();
        each.sort_unstable();
        self.delete(client).await?;
        Ok(Measured { total, each })
    }

    async fn delete(&self, client: &Client) -> Result<()> {
        stream::iter(&self.names)
            .map(|(namespace, name)| async move {
                let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
                secrets
                    .delete(&format!("generated-{name}"), &DeleteParams::default())
                    .await?;
                let resources: Api<EcrSecret> = Api::namespaced(client.clone(), namespace);
                resources.delete(name, &DeleteParams::default()).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Creates the resources and waits until a watch, begun before the first of them, has shown every Secret.
    pub(crate) async fn operated(&self, client: &Client) -> Result<Measured> {
        let api: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
        let version = api
            .list(&ListParams::default().limit(1))
            .await?
            .metadata
            .resource_version
            .unwrap_or_default();
        let watching = watch(api.clone(), version, self.names.len());
        let created: Arc<Mutex<HashMap<(String, String), Instant>>> = Arc::default();
        let started = Instant::now();
        let note = |namespace: &str, name: &str| {
            let key = (namespace.to_owned(), format!("generated-{name}"));
            created
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, Instant::now());
        };
        let (seen, made) = tokio::join!(
            tokio::time::timeout(LIMIT, watching),
            self.create(client, note)
        );
        made?;
        let seen = seen??;
        let created = created.lock().unwrap_or_else(PoisonError::into_inner);
        let mut each: Vec<Duration> = created
            .iter()
            .filter_map(|(key, began)| Some(seen.get(key)?.saturating_duration_since(*began)))
            .collect();
        ensure!(
            each.len() == self.names.len(),
            "{} of {} Secrets were seen",
            each.len(),
            self.names.len()
        );
        each.sort_unstable();
        let last = seen.values().max().copied().unwrap_or(started);
        Ok(Measured {
            total: last.duration_since(started),
            each,
        })
    }

    /// Waits until every resource's status says that its Secret is there.
    pub(crate) async fn wait_until_told(&self, client: &Client) -> Result<()> {
        let api: Api<EcrSecret> = Api::all(client.clone());
        test_cluster::eventually(LIMIT, "every status", || async {
            let all = api
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            let told = all
                .iter()
                .filter(|resource| {
                    resource
                        .status
                        .as_ref()
                        .is_some_and(|status| status.phase.is_some())
                })
                .count();
            if told == self.names.len() {
                Ok(())
            } else {
                Err(format!("{told} of {}", self.names.len()))
            }
        })
        .await;
        Ok(())
    }

    /// The `resourceVersion` of every generated Secret.
    pub(crate) async fn versions(
        &self,
        client: &Client,
    ) -> Result<HashMap<(String, String), String>> {
        let api: Api<Secret> = Api::all(client.clone());
        let all = api.list_metadata(&ListParams::default()).await?;
        Ok(all
            .iter()
            .map(|secret| {
                (
                    (secret.namespace().unwrap_or_default(), secret.name_any()),
                    secret.resource_version().unwrap_or_default(),
                )
            })
            .collect())
    }
}

/// When each Secret was first seen, until there are `wanted` of them.
async fn watch(
    api: Api<PartialObjectMeta<Secret>>,
    version: String,
    wanted: usize,
) -> Result<HashMap<(String, String), Instant>> {
    let mut events = api.watch(&WatchParams::default(), &version).await?.boxed();
    let mut seen = HashMap::new();
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(secret) = event {
            if secret.name_any().starts_with("generated-") {
                seen.insert(
                    (secret.namespace().unwrap_or_default(), secret.name_any()),
                    Instant::now(),
                );
            }
            if seen.len() == wanted {
                return Ok(seen);
            }
        }
    }
    anyhow::bail!("the watch ended after {} of {wanted} Secrets", seen.len())
}
