//! The watches of one scope: they fill the world and wake the resources that a change concerns.
//!
//! Secrets, service accounts and `ConfigMap`s are watched as metadata only, Secrets only with our label.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ecr_policy_model::ResourceKind;
use ecr_secret_core::api::{ArgoHelmRepoSecret, EcrSecret, MANAGED_BY, OPERATOR_NAME};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::PartialObjectMeta;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use crate::cache::Change;
use crate::reconcile::Kind;
use crate::world::{AccountFacts, ConfigMapFacts, ResourceFacts, SecretFacts, World};

/// A resource that may not deserialize.
pub type Guarded<K> = DeserializeGuard<K>;

/// Whom to wake. Nobody is woken while this replica does not lead: the next leader looks at all.
#[derive(Default)]
pub struct Wakers {
    /// Resources of kind `Secret`.
    pub ecr_secrets: Waker<ObjectRef<Guarded<EcrSecret>>>,
    /// Resources of kind `ArgoHelmRepoSecret`.
    pub argo_secrets: Waker<ObjectRef<Guarded<ArgoHelmRepoSecret>>>,
    /// Service accounts, by namespace and name.
    pub accounts: Waker<(String, String)>,
}

/// The sending end of a queue that exists only while this replica leads.
pub struct Waker<T>(Mutex<Option<UnboundedSender<T>>>);

impl<T> Default for Waker<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Waker<T> {
    /// Connects to a queue, or disconnects.
    pub fn connect(&self, queue: Option<UnboundedSender<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = queue;
    }

    /// Puts something into the queue, if there is one.
    pub fn wake(&self, what: T) {
        if let Some(queue) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            let _ = queue.send(what); // a closed queue means that the work has ended
        }
    }
}

impl Wakers {
    /// Wakes one resource.
    pub fn resource(&self, kind: ResourceKind, namespace: &str, name: &str) {
        match kind {
            ResourceKind::Secret => self
                .ecr_secrets
                .wake(ObjectRef::new(name).within(namespace)),
            ResourceKind::ArgoHelmRepoSecret => self
                .argo_secrets
                .wake(ObjectRef::new(name).within(namespace)),
        }
    }

    /// Wakes those resources of a namespace that meet a condition.
    pub fn resources(
        &self,
        world: &World,
        namespace: &str,
        wanted: impl Fn(&ResourceFacts) -> bool,
    ) {
        for kind in [ResourceKind::Secret, ResourceKind::ArgoHelmRepoSecret] {
            for (name, facts) in world.resources(kind).in_namespace(namespace) {
                if wanted(&facts) {
                    self.resource(kind, namespace, &name);
                }
            }
        }
    }

    /// Wakes every resource, and every service account that something may be linked to.
    pub fn all(&self, world: &World) {
        for kind in [ResourceKind::Secret, ResourceKind::ArgoHelmRepoSecret] {
            for (namespace, name, _) in world.resources(kind).all() {
                self.resource(kind, &namespace, &name);
            }
        }
        for (namespace, name, facts) in world.accounts.all() {
            if facts.has_ledger {
                self.accounts.wake((namespace, name));
            }
        }
    }
}

/// Takes a kind, a namespace and a name.
pub type OnResourceGone = Box<dyn Fn(&'static str, &str, &str) + Send + Sync>;
/// Takes a namespace and a name.
pub type OnConfigMapGone = Box<dyn Fn(&str, &str) + Send + Sync>;
/// Takes a namespace.
pub type HeldBack = Box<dyn Fn(&str) -> Duration + Send + Sync>;

/// One scope's watches.
pub struct Watches {
    /// Speaks to the API server.
    pub client: Client,
    /// The namespace; none for all.
    pub namespace: Option<String>,
    /// What is filled.
    pub world: Arc<World>,
    /// Who is woken.
    pub wakers: Arc<Wakers>,
    /// Told of a resource that is gone: its kind, namespace, name.
    pub gone: OnResourceGone,
    /// Told of a `ConfigMap` that is gone: its namespace and name.
    pub config_map_gone: OnConfigMapGone,
    /// Tells for how long those who use a changed `ConfigMap` of a namespace are left alone.
    pub held_back: HeldBack,
    /// The `ConfigMap`s whose users are woken later, by namespace and name.
    pub held: Mutex<HashSet<(String, String)>>,
}

impl Watches {
    /// Watches the generated Secrets, for ever.
    pub async fn secrets(self: Arc<Self>) {
        let config = Config::default().labels(&format!("{MANAGED_BY}={OPERATOR_NAME}"));
        let api: Api<PartialObjectMeta<Secret>> = self.api();
        let stream = watcher(api, config).default_backoff();
        self.each(stream, "secrets", |watches, event| {
            for change in watches
                .world
                .secrets
                .apply(event, |object: &PartialObjectMeta<Secret>| {
                    SecretFacts::new(&object.metadata)
                })
            {
                watches.secret_changed(&change);
            }
        })
        .await;
    }

    /// Watches the service accounts, for ever.
    pub async fn accounts(self: Arc<Self>) {
        let api: Api<PartialObjectMeta<ServiceAccount>> = self.api();
        let stream = watcher(api, Config::default()).default_backoff();
        self.each(stream, "serviceaccounts", |watches, event| {
            for change in watches
                .world
                .accounts
                .apply(event, |object: &PartialObjectMeta<ServiceAccount>| {
                    AccountFacts::new(&object.metadata)
                })
            {
                watches.account_changed(&change);
            }
        })
        .await;
    }

    /// Watches the `ConfigMap`s, for ever.
    pub async fn config_maps(self: Arc<Self>) {
        let api: Api<PartialObjectMeta<ConfigMap>> = self.api();
        let stream = watcher(api, Config::default()).default_backoff();
        self.each(stream, "configmaps", |watches, event| {
            for change in watches
                .world
                .config_maps
                .apply(event, |object: &PartialObjectMeta<ConfigMap>| {
                    ConfigMapFacts::new(&object.metadata)
                })
            {
                watches.config_map_changed(change);
            }
        })
        .await;
    }

    /// Watches the resources of one kind, for ever; the store holds them.
    pub fn resources<K: Kind>(
        self: Arc<Self>,
    ) -> (Store<Guarded<K>>, impl Future<Output = ()> + Send) {
        let (reader, writer) = store();
        let api: Api<Guarded<K>> = self.api();
        let stream = watcher(api, Config::default())
            .default_backoff()
            .modify(|guarded| guarded.meta_mut().managed_fields = None)
            .reflect(writer);
        let watching = async move {
            self.each(stream, K::NAME, |watches, event| {
                for change in watches
                    .world
                    .resources(K::model_kind())
                    .apply(event, ResourceFacts::new::<K>)
                {
                    watches.resource_changed::<K>(&change);
                }
            })
            .await;
        };
        (reader, watching)
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    async fn each<K>(
        self: &Arc<Self>,
        stream: impl Stream<Item = watcher::Result<Event<K>>>,
        kind: &str,
        apply: impl Fn(&Arc<Self>, Event<K>),
    ) {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => apply(self, event),
                Err(error) => warn!(kind, %error, "a watch was interrupted; it is taken up again"),
            }
        }
    }

    fn secret_changed(&self, change: &Change<SecretFacts>) {
        let owners = [&change.before, &change.after]
            .into_iter()
            .flatten()
            .filter_map(|facts| facts.owner.as_ref());
        for owner in owners {
            let kind = if owner.kind == ecr_secret_core::api::ArgoHelmRepoSecret::NAME {
                ResourceKind::ArgoHelmRepoSecret
            } else {
                ResourceKind::Secret
            };
            self.wakers.resource(kind, &change.namespace, &owner.name);
        }
        if change.after.is_none() {
            let waits = |facts: &ResourceFacts| {
                self.world.memory(&facts.uid).waits_for.as_deref() == Some(change.name.as_str())
            };
            self.wakers.resources(&self.world, &change.namespace, waits);
        }
    }

    fn account_changed(&self, change: &Change<AccountFacts>) {
        let labels =
            |facts: &Option<Arc<AccountFacts>>| facts.as_ref().map(|facts| facts.labels.clone());
        if labels(&change.before) != labels(&change.after) {
            // A policy may select by name or label, and a missing account may have come.
            self.wakers
                .resources(&self.world, &change.namespace, |_| true);
        }
        if change.after.is_some() {
            self.wakers
                .accounts
                .wake((change.namespace.clone(), change.name.clone()));
        }
    }

    fn config_map_changed(self: &Arc<Self>, change: Change<ConfigMapFacts>) {
        let default = [&change.before, &change.after]
            .into_iter()
            .flatten()
            .any(|facts| facts.default_policy);
        if change.after.is_none() {
            self.wake_users(&change.namespace, &change.name, default);
            (self.config_map_gone)(&change.namespace, &change.name);
            return;
        }
        let wait = (self.held_back)(&change.namespace);
        if wait.is_zero() {
            self.wake_users(&change.namespace, &change.name, default);
            return;
        }
        let held = (change.namespace, change.name);
        // Whoever waits already will see what is new by then.
        if self.held().insert(held.clone()) {
            let watches = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                watches.held().remove(&held);
                let (namespace, name) = held;
                watches.wake_users(&namespace, &name, default);
            });
        }
    }

    /// Wakes the resources that use a `ConfigMap`; also those that name no policy, if it is one for them.
    fn wake_users(&self, namespace: &str, config_map: &str, default: bool) {
        let uses = |facts: &ResourceFacts| match &facts.policy {
            Some(source) => source.config_map() == Some(config_map),
            None => default,
        };
        self.wakers.resources(&self.world, namespace, uses);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        // Nothing between the lock and its end can panic half way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resource_changed<K: Kind>(&self, change: &Change<ResourceFacts>) {
        match (&change.before, &change.after) {
            (before, Some(after)) => {
                if let Some(before) = before.as_ref().filter(|before| before.uid != after.uid) {
                    self.resource_gone::<K>(change, before);
                }
                let spoilt = || self.world.is_foreign_status(&after.uid, after.status);
                if before.as_ref().is_none_or(|before| after.asks_anew(before)) || spoilt() {
                    self.wakers
                        .resource(K::model_kind(), &change.namespace, &change.name);
                }
            }
            (Some(before), None) => self.resource_gone::<K>(change, before),
            (None, None) => {}
        }
    }

    fn resource_gone<K: Kind>(&self, change: &Change<ResourceFacts>, before: &ResourceFacts) {
        let linked = self.world.linked(&change.namespace, before);
        self.world.forget(&before.uid);
        for link in linked.accounts {
            self.wakers
                .accounts
                .wake((change.namespace.clone(), link.name));
        }
        (self.gone)(K::NAME, &change.namespace, &change.name);
    }
}
