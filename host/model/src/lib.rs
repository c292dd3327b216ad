//! What a policy is asked and what it may answer, as plain Rust types.
//!
//! The host and the guests share these types: the engine converts them to and from the component
//! model, the SDK hands them to a policy, the core validates what came back. They mirror
//! `wit/policy.wit` one to one, which is where the meaning of a field is fixed for other languages.
//! The crate has no dependency but serde, so a guest that uses it stays small.
//!
//! All times are whole seconds since the Unix epoch, UTC. All durations are whole seconds.

mod default;

pub use default::default_decision;

use serde::{Deserialize, Serialize};

/// Everything a policy may know when it decides about one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The time of the decision, in seconds since the Unix epoch. A policy has no other clock.
    pub now: u64,
    /// The resource that asks for credentials.
    pub resource: Resource,
    /// The service accounts of the resource's namespace, sorted by name.
    #[serde(default)]
    pub service_accounts: Vec<ServiceAccount>,
    /// The life of the token that the Secret holds or is about to hold; none before the first one.
    #[serde(default)]
    pub token: Option<TokenWindow>,
    /// `spec.policy.settings` as JSON text; `{}` when there are none.
    pub settings: String,
}

/// The kind of the resource, which fixes the form of the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceKind {
    /// Our `Secret`: the result is a `kubernetes.io/dockerconfigjson` Secret.
    #[default]
    Secret,
    /// `ArgoHelmRepoSecret`: the result is an Argo CD repository Secret.
    ArgoHelmRepoSecret,
}

/// The resource, as far as a policy may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The resource's kind.
    pub kind: ResourceKind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`; stable for the life of the resource, so a good source of a stagger.
    #[serde(default)]
    pub uid: String,
    /// `metadata.labels`, sorted by key.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// `metadata.annotations`, sorted by key, without the ones that tools keep for themselves.
    #[serde(default)]
    pub annotations: Vec<(String, String)>,
    /// `spec.ecr_registry` or `spec.url`, as the user wrote it.
    pub registry: String,
    /// The AWS region, from the spec or from the registry's host name; none when neither tells.
    #[serde(default)]
    pub region: Option<String>,
    /// `spec.generated_secret_name`, when it is set.
    #[serde(default)]
    pub generated_secret_name: Option<String>,
    /// `spec.frequency` in seconds, after defaulting.
    pub frequency_seconds: u64,
    /// `spec.service_accounts`.
    #[serde(default)]
    pub service_accounts: Vec<AccountLink>,
}

/// A service account of the resource's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`, sorted by key.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
}

/// The life of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenWindow {
    /// When the token was issued, in seconds since the Unix epoch.
    pub issued_at: u64,
    /// When the token dies, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// A service account, and the lists of it that shall name the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLink {
    /// The service account's name.
    pub name: String,
    /// `imagePullSecrets`: kubelet pulls with it.
    pub image_pull: bool,
    /// `secrets`: OpenShift mounts it into builds.
    pub mount: bool,
}

/// When the token shall be renewed. The host clamps every answer to what is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refresh {
    /// As the host would without a policy: by `frequency`, and never later than safe.
    #[default]
    HostDefault,
    /// At this time, in seconds since the Unix epoch.
    At(u64),
    /// This many seconds after the token was issued.
    AfterIssue(u64),
    /// This many seconds before the token dies.
    BeforeExpiry(u64),
}

/// What a policy wants to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The name of the generated Secret: an RFC 1123 subdomain.
    pub secret_name: String,
    /// Labels of the generated Secret.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// Annotations of the generated Secret.
    #[serde(default)]
    pub annotations: Vec<(String, String)>,
    /// The service accounts of the namespace that get the Secret.
    #[serde(default)]
    pub service_accounts: Vec<AccountLink>,
    /// When the token is renewed.
    #[serde(default)]
    pub refresh: Refresh,
}

/// What a policy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its name, for instance `team-prefix`.
    pub name: String,
    /// Its own version, not that of the interface.
    pub version: String,
    /// What it does, in one sentence; may be empty.
    pub summary: String,
    /// A JSON schema of the settings as JSON text; `{}` when everything is allowed.
    pub settings_schema: String,
}

/// Why a policy does not want to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The settings of the resource do not fit the policy.
    InvalidSettings(Vec<FieldError>),
    /// The policy forbids credentials for this resource, and says why.
    Denied(String),
}

/// One thing wrong with one field of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// The path of the field, for instance `prefix` or `teams[2].name`; empty for the whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}
