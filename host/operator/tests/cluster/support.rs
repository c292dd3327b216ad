//! A stage of its own for each test: a namespace, an AWS double, and an operator that serves only that
//! namespace, with the Role that we ship and nothing more.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_double::{Action, AwsDouble, Issued};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::{
    ArgoHelmRepoSecret, EcrSecret, REFRESH_REQUESTED_AT, Status, TOKEN_ISSUED_AT,
};
use ecr_secret_core::manifests::{Installation, Scope, WORKLOAD_NAME};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use test_cluster::Cluster;
use test_stage::{Operator, Setup};

pub use test_cluster::eventually;

/// The registry of the samples.
pub const REGISTRY: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";
/// How long anything may take that the operator does at once.
pub const SOON: Duration = Duration::from_secs(20);

/// A control plane: the one that the tests share, or one of the test's own.
pub type Plane = Arc<dyn Deref<Target = Cluster> + Send + Sync>;

pub struct Stage {
    pub cluster: Plane,
    /// The administrator's client.
    pub client: Client,
    pub namespace: String,
    pub aws: AwsDouble,
    pub setup: Setup,
    directory: tempfile::TempDir,
}

impl Stage {
    /// A stage whose operator is not started yet.
    pub async fn prepare() -> Self {
        let shared = Arc::new(test_cluster::shared().await.expect("a control plane"));
        Self::prepare_on(shared, |own| Scope::Namespaces(vec![own.to_owned()])).await
    }

    /// As [`Stage::prepare`], on this control plane, for the scope that is given the operator's own namespace.
    pub async fn prepare_on(cluster: Plane, scope: impl FnOnce(&str) -> Scope) -> Self {
        let client = cluster.client().expect("a client");
        let namespace = cluster.create_namespace("test").await.expect("a namespace");
        let scope = scope(&namespace);
        let watch_namespace = match &scope {
            Scope::Cluster => String::new(),
            Scope::Namespaces(names) => names.join(","),
        };
        let installation = Installation {
            namespace: namespace.clone(),
            scope,
            ..Installation::default()
        };
        test_stage::install(&client, &installation)
            .await
            .expect("the shipped manifests");
        let kubeconfig = cluster
            .service_account_kubeconfig(&namespace, WORKLOAD_NAME)
            .await
            .expect("a kubeconfig");
        let aws = AwsDouble::start().await;
        let directory = tempfile::tempdir().expect("a directory");
        let setup = Setup {
            binary: PathBuf::from(env!("CARGO_BIN_EXE_ecr-secret-operator")),
            kubeconfig,
            watch_namespace,
            namespace: namespace.clone(),
            leader_elect: false,
            environment: aws
                .environment()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            log: directory.path().join("operator.log"),
        };
        Self {
            cluster,
            client,
            namespace,
            aws,
            setup,
            directory,
        }
    }

    /// Lets operators that are started from now on keep compiled policies in a directory of the stage.
    pub fn keep_compiled_policies(&mut self) {
        let directory = self.directory.path().to_str().expect("a path of text");
        self.setup
            .environment
            .push(("POLICY_CACHE_DIR".to_owned(), directory.to_owned()));
    }

    /// A stage with a running operator.
    pub async fn with_operator() -> (Self, Operator) {
        let stage = Self::prepare().await;
        let operator = stage.start().await;
        (stage, operator)
    }

    /// Starts an operator and waits until it is ready.
    pub async fn start(&self) -> Operator {
        let mut operator = Operator::start(&self.setup).expect("the operator starts");
        operator
            .wait_until_ready()
            .await
            .expect("the operator is ready");
        operator
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn resources(&self) -> Api<EcrSecret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn argo_resources(&self) -> Api<ArgoHelmRepoSecret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a `Secret` resource with this spec.
    pub async fn create(&self, name: &str, spec: Value) -> EcrSecret {
        let object = json!({
            "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret",
            "metadata": { "name": name, "namespace": self.namespace }, "spec": spec,
        });
        let object: EcrSecret = serde_json::from_value(object).expect("a resource");
        self.resources()
            .create(&PostParams::default(), &object)
            .await
            .expect("the resource is admitted")
    }

    /// Changes a `Secret` resource by a merge patch.
    pub async fn change(&self, name: &str, patch: Value) {
        self.resources()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the resource is changed");
    }

    /// Asks for one refresh, which does not wait for the end of a back-off.
    pub async fn request_refresh(&self, name: &str, value: &str) {
        self.change(
            name,
            json!({ "metadata": { "annotations": { REFRESH_REQUESTED_AT: value } } }),
        )
        .await;
    }

    /// Waits until a token is so old that a request for a refresh cannot be answered with it.
    pub async fn old_enough_for_a_refresh(secret: &Secret) {
        let issued: jiff::Timestamp = secret.annotations()[TOKEN_ISSUED_AT]
            .parse()
            .expect("a time");
        let old = || async {
            (jiff::Timestamp::now().duration_since(issued) > jiff::SignedDuration::from_secs(3))
                .then_some(())
        };
        eventually(SOON, "the token is some seconds old", old).await;
    }

    /// Writes a file that lives as long as the stage; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("the file is written");
        path.to_str().expect("a path of text").to_owned()
    }

    /// Creates a service account.
    pub async fn create_account(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        self.accounts()
            .create(&PostParams::default(), &account)
            .await
            .expect("the account is created");
    }

    /// Creates or replaces a `ConfigMap` with one binary key.
    pub async fn upload(&self, name: &str, key: &str, bytes: Vec<u8>) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "binaryData": { key: STANDARD.encode(bytes) },
        });
        let params = PatchParams::apply("test").force();
        self.config_maps()
            .patch(name, &params, &Patch::Apply(object))
            .await
            .expect("the ConfigMap is uploaded");
    }

    /// The bytes of a built guest, by its name.
    pub fn guest(name: &str) -> Vec<u8> {
        let directory = std::env::var_os("ECR_GUESTS_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests")),
            PathBuf::from,
        );
        let path = directory.join(format!("{name}.wasm"));
        std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; run cargo xtask guests", path.display()))
    }

    /// Waits for a Secret.
    pub async fn secret(&self, name: &str) -> Secret {
        let api = self.secrets();
        eventually(SOON, &format!("Secret {name}"), || async {
            api.get(name).await
        })
        .await
    }

    /// Waits until the status of a resource meets a condition.
    pub async fn status(&self, name: &str, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        self.status_within(SOON, name, what, wanted).await
    }

    /// As [`Stage::status`], with another limit.
    pub async fn status_within(
        &self,
        limit: Duration,
        name: &str,
        what: &str,
        wanted: impl Fn(&Status) -> bool,
    ) -> Status {
        let api = self.resources();
        eventually(limit, &format!("{name}: {what}"), || async {
            let resource = api.get(name).await.map_err(|error| error.to_string())?;
            let status = resource.status.unwrap_or_default();
            if wanted(&status) {
                Ok(status)
            } else {
                Err(serde_json::to_string(&status).unwrap_or_default())
            }
        })
        .await
    }

    /// Waits until `Ready` has this reason.
    pub async fn ready(&self, name: &str, reason: &str) -> Status {
        self.ready_within(SOON, name, reason).await
    }

    /// As [`Stage::ready`], with another limit.
    pub async fn ready_within(&self, limit: Duration, name: &str, reason: &str) -> Status {
        self.status_within(
            limit,
            name,
            &format!("Ready with reason {reason}"),
            |status| {
                status
                    .condition("Ready")
                    .is_some_and(|ready| ready.reason == reason)
            },
        )
        .await
    }

    /// Changes a resource, and waits until `Ready` has this reason for what it asks now.
    pub async fn change_to(&self, name: &str, patch: Value, reason: &str) -> Status {
        self.change(name, patch).await;
        let generation = self
            .resources()
            .get(name)
            .await
            .expect("the resource")
            .metadata
            .generation;
        let told = |status: &Status| {
            status.observed_generation == generation
                && status
                    .condition("Ready")
                    .is_some_and(|ready| ready.reason == reason)
        };
        self.status(
            name,
            &format!("Ready with reason {reason} for generation {generation:?}"),
            told,
        )
        .await
    }

    /// How often AWS was asked for a token.
    pub fn calls(&self) -> u64 {
        self.aws.counts().of(Action::EcrGetAuthorizationToken)
    }

    /// Reason and count of each event on a resource, the oldest first.
    pub async fn events(&self, resource: &str) -> Vec<(String, i32)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut events = api
            .list(&ListParams::default())
            .await
            .expect("the events")
            .items;
        events.retain(|event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|object| object.name.as_deref() == Some(resource))
        });
        events.sort_by_key(|event| event.metadata.creation_timestamp.clone());
        let count = |event: &Event| event.series.as_ref().map_or(1, |series| series.count);
        events
            .iter()
            .map(|event| (event.reason.clone().unwrap_or_default(), count(event)))
            .collect()
    }

    /// Waits until the lists of a service account are these.
    pub async fn linked(&self, account: &str, image_pull_secrets: &[&str], secrets: &[&str]) {
        let api = self.accounts();
        eventually(
            SOON,
            &format!("service account {account} names {image_pull_secrets:?} and {secrets:?}"),
            || async {
                let (pull, mount) =
                    lists(&api.get(account).await.map_err(|error| error.to_string())?);
                if pull == image_pull_secrets && mount == secrets {
                    Ok(())
                } else {
                    Err(format!("{pull:?} and {mount:?}"))
                }
            },
        )
        .await;
    }
}

/// The names in `imagePullSecrets` and in `secrets`.
pub fn lists(account: &ServiceAccount) -> (Vec<String>, Vec<String>) {
    let pull = account
        .image_pull_secrets
        .iter()
        .flatten()
        .map(|reference| reference.name.clone())
        .collect();
    let mount = account
        .secrets
        .iter()
        .flatten()
        .map(|reference| reference.name.clone().unwrap_or_default())
        .collect();
    (pull, mount)
}

/// What tells whether a Secret was touched in any way.
pub fn state(secret: &Secret) -> (Option<String>, Option<BTreeMap<String, ByteString>>) {
    (
        secret.metadata.resource_version.clone(),
        secret.data.clone(),
    )
}

/// The token in a Secret.
pub fn token(secret: &Secret) -> Issued {
    aws_double::issued(&password(secret)).expect("a token of AWS")
}

/// Whether the password of a Secret is a token of AWS that lives.
pub fn is_alive(secret: &Secret) -> bool {
    aws_double::issued(&password(secret))
        .is_some_and(|token| token.expires_at > jiff::Timestamp::now())
}

/// The spec of the samples, for a Secret of this name.
pub fn spec(generated: &str) -> Value {
    json!({ "generated_secret_name": generated, "ecr_registry": REGISTRY, "frequency": "10h", "region": "us-east-2" })
}

/// The data of a Secret as text.
pub fn text(secret: &Secret, key: &str) -> String {
    let data = secret
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .unwrap_or_else(|| panic!("no key {key}"));
    let ByteString(bytes) = data;
    String::from_utf8(bytes.clone()).expect("text")
}

/// The password in a `.dockerconfigjson` for the samples' registry.
pub fn password(secret: &Secret) -> String {
    let config: Value = serde_json::from_str(&text(secret, ".dockerconfigjson")).expect("JSON");
    config["auths"][REGISTRY]["password"]
        .as_str()
        .expect("a password")
        .to_owned()
}
