//! What the operator says about a resource.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccountRef, Time};

/// The one word that the original operator wrote to `status.phase`.
pub const PHASE_UPDATED: &str = "Updated";
/// The condition that says whether the Secret is good: `True`, `False` or, before the first answer, `Unknown`.
pub const CONDITION_READY: &str = "Ready";
/// The condition that says whether the service accounts name the Secret; absent when none shall.
pub const CONDITION_LINKED: &str = "Linked";
/// The condition, present only when true, that says what the host corrected in the resource's wishes.
pub const CONDITION_ADJUSTED: &str = "Adjusted";

/// What the operator last did for the resource, and what it will do next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// `Updated` once a Secret was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// When the Secret was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_time: Option<Time>,
    /// The generation of the resource that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state in detail; `Ready` sums it up.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The name of the generated Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_secret_name: Option<String>,
    /// When the token in the Secret dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When the token will be renewed at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_refresh_time: Option<Time>,
    /// The service accounts that name the Secret.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub service_accounts: Vec<AccountRef>,
    /// The policy that decided; absent when none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyStatus>,
    /// The value of the annotation `ecr.mobb.redhat.com/refresh-requested-at` that was last obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled_refresh_request: Option<String>,
}

impl Status {
    /// The condition of this type, if there is one.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }
}

/// The policy that was asked last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// Where the module came from.
    pub source: String,
    /// The module's SHA-256, as 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The interface that the module speaks, for instance `mobb:ecr-policy@1.0.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What the last run used of each limit. Brought up to date together with the rest of the status.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub usage: Vec<PolicyUsage>,
}

/// One limit of a policy, and what a run used of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyUsage {
    /// The limit's name, as in `POLICY_LIMITS`.
    pub name: String,
    /// What was used; absent for what cannot be observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// The limit.
    pub limit: i64,
    /// What both numbers count: `Bytes`, `Microseconds` or `Count`.
    pub unit: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl ConditionStatus {
    /// The word that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One aspect of the state, in the form of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect, in `CamelCase`.
    #[serde(rename = "type")]
    #[schemars(
        length(max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// One stable, documented word that says why.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// What happened and what to do, in one line for people.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// The generation of the resource that this condition speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

impl Condition {
    /// Whether both say the same. When it began does not count, nor does the generation.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.type_, self.status, &self.reason, &self.message)
            == (&other.type_, other.status, &other.reason, &other.message)
    }
}
