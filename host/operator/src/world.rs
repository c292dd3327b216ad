//! What the operator knows of the cluster: facts from the watches, and what it remembers itself.

mod links;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ecr_policy_model::{AccountLink, Decision, ResourceKind};
use ecr_secret_core::api::{
    AccountRef, CredentialResource, DECISION, DEFAULT_POLICY_LABEL, FIELD_MANAGER, INPUTS, LINKED,
    REFRESH_REQUEST, Status,
};
use ecr_secret_core::decide::OwnedSecret;
use ecr_secret_core::ownership::drift;
use ecr_secret_core::policy_source::{PolicySource, source_of};
use ecr_secret_core::render::data_keys;
use ecr_secret_core::token::TokenWindow;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;

use crate::cache::Cache;

/// How many of its own statuses of a resource the watch may show late.
const STATUSES: usize = 4;

/// Everything that is known within one scope: all namespaces, or one of those to be served.
#[derive(Debug, Default)]
pub struct World {
    /// The Secrets that carry our label.
    pub secrets: Cache<SecretFacts>,
    /// All service accounts.
    pub accounts: Cache<AccountFacts>,
    /// All `ConfigMap`s.
    pub config_maps: Cache<ConfigMapFacts>,
    /// Our `Secret` resources.
    pub ecr_secrets: Cache<ResourceFacts>,
    /// Our `ArgoHelmRepoSecret` resources.
    pub argo_secrets: Cache<ResourceFacts>,
    memories: Mutex<HashMap<String, Memory>>,
}

/// What the metadata of a generated Secret tells.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretFacts {
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Who controls it.
    pub owner: Option<Owner>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What the decision needs.
    pub owned: OwnedSecret,
}

/// The controller of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// What the metadata of a service account tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Whether we have linked anything there.
    pub has_ledger: bool,
}

/// What the metadata of a `ConfigMap` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapFacts {
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Whether it holds its namespace's default policy.
    pub default_policy: bool,
}

/// What other resources' reconciles need to know of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFacts {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The value of the annotation that forces a refresh.
    pub refresh_request: Option<String>,
    /// Labels and annotations, which a policy may depend on.
    pub metadata: u64,
    /// Where the policy is, when the spec names a place.
    pub policy: Option<PolicySource>,
    /// The Secret's name by the spec.
    pub wanted_name: Option<String>,
    /// The links of the last status; none when the resource cannot be read.
    pub linked: Option<Linked>,
    /// Digest of the last status.
    pub status: u64,
}

/// A generated Secret and the service accounts that shall name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// The Secret's name; empty when there is none.
    pub secret: String,
    /// The service accounts.
    pub accounts: Vec<AccountLink>,
}

/// What a change of a Secret was made for: the resource's generation and the policy's digest.
pub type Cause = (Option<i64>, Option<String>);

/// What this process remembers of a resource.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The last good decision.
    pub decision: Option<Decision>,
    /// When the Secret was last changed, for which generation and which policy.
    pub last_change: Option<(Timestamp, Cause)>,
    /// The status as we last wrote it, which a watch may not have shown us yet.
    pub status: Option<Status>,
    /// Digests of the last statuses that we found or wrote: another one is somebody else's.
    pub told: VecDeque<u64>,
    /// The links as last decided, which outweigh the status.
    pub linked: Option<Linked>,
    /// The Secret's name that the resource wants and somebody else has.
    pub waits_for: Option<String>,
    /// The request for a refresh that has cut a wait for AWS short already.
    pub forced_for: Option<String>,
    /// How many reconciles in a row the API server has failed.
    pub failures: u32,
}

impl World {
    /// The cache of one kind.
    pub fn resources(&self, kind: ResourceKind) -> &Cache<ResourceFacts> {
        match kind {
            ResourceKind::Secret => &self.ecr_secrets,
            ResourceKind::ArgoHelmRepoSecret => &self.argo_secrets,
        }
    }

    /// What is missing before work can begin.
    ///
    /// # Errors
    /// The kinds that have not been listed completely.
    pub fn ready(&self) -> Result<(), String> {
        let filled = [
            ("secrets", self.secrets.is_filled()),
            ("serviceaccounts", self.accounts.is_filled()),
            ("configmaps", self.config_maps.is_filled()),
            ("secrets.ecr.mobb.redhat.com", self.ecr_secrets.is_filled()),
            (
                "argohelmreposecrets.ecr.mobb.redhat.com",
                self.argo_secrets.is_filled(),
            ),
        ];
        let missing: Vec<&str> = filled
            .iter()
            .filter(|(_, filled)| !filled)
            .map(|(kind, _)| *kind)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "waiting for the first listing of {}",
                missing.join(", ")
            ))
        }
    }

    /// Waits until every kind has been listed once.
    pub async fn wait_until_ready(&self) {
        self.secrets.wait_until_filled().await;
        self.accounts.wait_until_filled().await;
        self.config_maps.wait_until_filled().await;
        self.ecr_secrets.wait_until_filled().await;
        self.argo_secrets.wait_until_filled().await;
    }

    /// The `ConfigMaps` of a namespace with the label that makes them its default policy.
    pub fn default_policies(&self, namespace: &str) -> Vec<String> {
        let maps = self.config_maps.in_namespace(namespace).into_iter();
        maps.filter(|(_, facts)| facts.default_policy)
            .map(|(name, _)| name)
            .collect()
    }

    /// What is remembered of a resource.
    pub fn memory(&self, uid: &str) -> Memory {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of a resource.
    pub fn remember(&self, uid: &str, change: impl FnOnce(&mut Memory)) {
        change(self.lock().entry(uid.to_owned()).or_default());
    }

    /// Forgets everything about all resources.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    /// Remembers a status that we found or are about to write, by its digest.
    pub fn remember_status(&self, uid: &str, digest: u64) {
        self.remember(uid, |memory| {
            memory.told.retain(|told| *told != digest);
            memory.told.push_back(digest);
            if memory.told.len() > STATUSES {
                memory.told.pop_front();
            }
        });
    }

    /// Whether a status is none of those that we lately found or wrote.
    pub fn is_foreign_status(&self, uid: &str, digest: u64) -> bool {
        let memories = self.lock();
        let told = memories.get(uid).map(|memory| &memory.told);
        told.is_some_and(|told| !told.is_empty() && !told.contains(&digest))
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str) -> Option<Memory> {
        self.lock().remove(uid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretFacts {
    /// Reads a Secret's metadata.
    pub fn new(meta: &ObjectMeta) -> Self {
        let annotation = |key: &str| {
            meta.annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
                .cloned()
        };
        let owner = meta
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true))
            .map(Owner::from);
        let decision: Option<Decision> =
            annotation(DECISION).and_then(|json| serde_json::from_str(&json).ok());
        let kind = match owner.as_ref().map(|owner| owner.kind.as_str()) {
            Some("ArgoHelmRepoSecret") => ResourceKind::ArgoHelmRepoSecret,
            _ => ResourceKind::Secret,
        };
        let labels = meta.labels.as_ref();
        let labelled = decision
            .iter()
            .flat_map(|decision| &decision.labels)
            .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
        Self {
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            owner,
            deleting: meta.deletion_timestamp.is_some(),
            owned: OwnedSecret {
                name: meta.name.clone().unwrap_or_default(),
                window: TokenWindow::from_annotations(meta),
                inputs: annotation(INPUTS),
                refresh_request: annotation(REFRESH_REQUEST),
                decision,
                intact: labelled && !drift(meta, FIELD_MANAGER, data_keys(kind)),
            },
        }
    }
}

impl From<&OwnerReference> for Owner {
    fn from(owner: &OwnerReference) -> Self {
        Self {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }
    }
}

impl AccountFacts {
    /// Reads a service account's metadata.
    pub fn new(meta: &ObjectMeta) -> Self {
        Self {
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            labels: meta
                .labels
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            has_ledger: meta
                .annotations
                .as_ref()
                .is_some_and(|annotations| annotations.contains_key(LINKED)),
        }
    }
}

impl ConfigMapFacts {
    /// Reads a `ConfigMap`'s metadata.
    pub fn new(meta: &ObjectMeta) -> Self {
        Self {
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            default_policy: meta
                .labels
                .as_ref()
                .and_then(|labels| labels.get(DEFAULT_POLICY_LABEL))
                .is_some_and(|value| value == "true"),
        }
    }
}

impl ResourceFacts {
    /// Reads a resource, or what can be read of one that is damaged.
    pub fn new<K: CredentialResource>(guarded: &DeserializeGuard<K>) -> Self {
        use kube::Resource;
        let meta = guarded.meta();
        let annotation = |key: &str| {
            meta.annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
                .cloned()
        };
        let resource = guarded.0.as_ref().ok();
        let view = resource.map(CredentialResource::view);
        let status = resource.and_then(CredentialResource::status);
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation,
            refresh_request: annotation(ecr_secret_core::api::REFRESH_REQUESTED_AT),
            metadata: metadata_hash(meta),
            policy: view
                .as_ref()
                .and_then(|view| source_of(view.policy, Vec::new).ok().flatten()),
            wanted_name: view
                .as_ref()
                .and_then(|view| view.generated_secret_name)
                .map(str::to_owned),
            linked: resource.map(|_| status.map(Linked::from).unwrap_or_default()),
            status: status_digest(status),
        }
    }

    /// Whether a reconcile could come to another end than with these facts before.
    pub fn asks_anew(&self, before: &Self) -> bool {
        (
            &self.uid,
            self.generation,
            &self.refresh_request,
            self.metadata,
        ) != (
            &before.uid,
            before.generation,
            &before.refresh_request,
            before.metadata,
        )
    }
}

impl Linked {
    /// The names of the service accounts.
    pub fn names(&self) -> BTreeSet<String> {
        self.accounts.iter().map(|link| link.name.clone()).collect()
    }
}

impl From<&Status> for Linked {
    fn from(status: &Status) -> Self {
        let accounts = status
            .service_accounts
            .iter()
            .map(|account: &AccountRef| account.into())
            .collect();
        Self {
            secret: status.generated_secret_name.clone().unwrap_or_default(),
            accounts,
        }
    }
}

/// Tells one status from another.
pub fn status_digest(status: Option<&Status>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let text = serde_json::to_string(&status).unwrap_or_default(); // never fails: it is plain data
    text.hash(&mut hasher);
    hasher.finish()
}

fn metadata_hash(meta: &ObjectMeta) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (&meta.labels, &meta.annotations).hash(&mut hasher);
    hasher.finish()
}

/// The service accounts of a namespace, sorted by name.
pub fn service_accounts(world: &World, namespace: &str) -> Vec<ecr_policy_model::ServiceAccount> {
    let accounts = world.accounts.in_namespace(namespace).into_iter();
    accounts
        .map(|(name, facts)| ecr_policy_model::ServiceAccount {
            name,
            labels: facts.labels.clone(),
        })
        .collect()
}

/// The Secrets of a namespace that a resource controls, and those that others of ours control.
pub fn secrets_of(
    world: &World,
    namespace: &str,
    uid: &str,
) -> (Vec<OwnedSecret>, BTreeMap<String, Arc<SecretFacts>>) {
    let mut own = Vec::new();
    let mut others = BTreeMap::new();
    for (name, facts) in world.secrets.in_namespace(namespace) {
        match &facts.owner {
            Some(owner) if owner.uid == uid && facts.deleting => {}
            Some(owner) if owner.uid == uid => own.push(facts.owned.clone()),
            Some(_) => {
                others.insert(name, facts);
            }
            None => {}
        }
    }
    (own, others)
}

/// The Secret with the youngest token.
pub fn newest(secrets: Vec<OwnedSecret>) -> Option<OwnedSecret> {
    secrets
        .into_iter()
        .max_by_key(|secret| secret.window.map(|window| window.issued_at))
}

/// A resource's name and namespace, for messages.
pub fn place<K: kube::Resource>(resource: &K) -> (String, String) {
    (
        resource.namespace().unwrap_or_default(),
        resource.name_any(),
    )
}
