//! What a user asks for.
//!
//! The original operator demanded all of its four fields and left the rest to luck. Here every
//! field may be absent or null, and so may the whole spec: a resource that cannot work is told so by
//! a condition. Nothing that the original stored fails to deserialize.

#![allow(
    clippy::duplicated_attributes,
    reason = "columns of one resource share their type"
)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Status;

/// The longest list of service accounts, in a spec and in a policy's answer.
pub const MAX_ACCOUNTS: usize = 500;

/// A Secret for one ECR registry, of type `kubernetes.io/dockerconfigjson`, kept fresh.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ecr.mobb.redhat.com",
    version = "v1alpha1",
    kind = "Secret",
    root = "EcrSecret",
    plural = "secrets",
    singular = "secret",
    namespaced,
    status = "Status",
    shortname = "ecrsec",
    category = "ecr",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Secret is an image pull and push Secret for one Amazon ECR registry, renewed before its token dies.",
    printcolumn(
        name = "Secret",
        type_ = "string",
        json_path = ".status.generatedSecretName",
        description = "The generated Secret"
    ),
    printcolumn(
        name = "Registry",
        type_ = "string",
        json_path = ".spec.ecr_registry",
        description = "The registry that the Secret is for"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the Secret is good"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expiresAt",
        description = "When the token dies"
    ),
    printcolumn(
        name = "Next refresh",
        type_ = "string",
        json_path = ".status.nextRefreshTime",
        description = "When the token is renewed"
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".status.policy.source",
        description = "The policy that decided"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Age of the resource"
    )
)]
#[serde(remote = "Self", default)]
#[schemars(rename = "SecretSpec")]
pub struct EcrSecretSpec {
    /// The name of the Secret to generate. It may be left out when a policy names the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_secret_name: Option<String>,
    /// The registry's host, for instance `123456789012.dkr.ecr.us-east-2.amazonaws.com`. It becomes
    /// the key in the Secret exactly as it is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecr_registry: Option<String>,
    /// How often the token is renewed at least, as a Go duration such as `10h` or `1h30m`; `10h` when
    /// left out. A token is always renewed in time before it dies, whatever is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<String>,
    /// The AWS region, for instance `us-east-2`. It may be left out when the registry's host tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The policy that decides about name, metadata, service accounts and refresh time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// Service accounts of this namespace that shall use the Secret.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub service_accounts: Vec<AccountRef>,
    /// Take over a Secret of the wanted name that somebody else made, if nothing else controls it.
    #[serde(
        skip_serializing_if = "super::is_false",
        deserialize_with = "super::null_as_default"
    )]
    pub adopt: bool,
    /// Leave the Secret alone until this is false again.
    #[serde(
        skip_serializing_if = "super::is_false",
        deserialize_with = "super::null_as_default"
    )]
    pub suspend: bool,
}

/// An Argo CD repository Secret for Helm charts in one ECR registry, kept fresh.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ecr.mobb.redhat.com",
    version = "v1alpha1",
    kind = "ArgoHelmRepoSecret",
    root = "ArgoHelmRepoSecret",
    plural = "argohelmreposecrets",
    singular = "argohelmreposecret",
    namespaced,
    status = "Status",
    shortname = "argoecr",
    category = "ecr",
    derive = "Default",
    derive = "PartialEq",
    doc = "An ArgoHelmRepoSecret is an Argo CD repository Secret for Helm charts in one Amazon ECR registry, renewed before its token dies.",
    printcolumn(
        name = "Secret",
        type_ = "string",
        json_path = ".status.generatedSecretName",
        description = "The generated Secret"
    ),
    printcolumn(
        name = "Registry",
        type_ = "string",
        json_path = ".spec.url",
        description = "The repository that the Secret is for"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the Secret is good"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expiresAt",
        description = "When the token dies"
    ),
    printcolumn(
        name = "Next refresh",
        type_ = "string",
        json_path = ".status.nextRefreshTime",
        description = "When the token is renewed"
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".status.policy.source",
        description = "The policy that decided"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Age of the resource"
    )
)]
#[serde(remote = "Self", default)]
#[schemars(rename = "ArgoHelmRepoSecretSpec")]
pub struct ArgoHelmRepoSecretSpec {
    /// The name of the Secret to generate. It may be left out when a policy names the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_secret_name: Option<String>,
    /// The repository's URL as Argo CD shall know it, for instance
    /// `123456789012.dkr.ecr.us-east-2.amazonaws.com`. It is copied as it is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How often the token is renewed at least, as a Go duration such as `10h` or `1h30m`; `10h` when
    /// left out. A token is always renewed in time before it dies, whatever is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<String>,
    /// The AWS region, for instance `us-east-2`. It may be left out when the URL's host tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The policy that decides about name, metadata, service accounts and refresh time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// Service accounts of this namespace that shall use the Secret.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::null_as_default"
    )]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub service_accounts: Vec<AccountRef>,
    /// Take over a Secret of the wanted name that somebody else made, if nothing else controls it.
    #[serde(
        skip_serializing_if = "super::is_false",
        deserialize_with = "super::null_as_default"
    )]
    pub adopt: bool,
    /// Leave the Secret alone until this is false again.
    #[serde(
        skip_serializing_if = "super::is_false",
        deserialize_with = "super::null_as_default"
    )]
    pub suspend: bool,
}

/// The derived code of the two specs is `remote`, so that a null spec can be read as an empty one;
/// as serde asks for an option when a field is missing, a missing spec is then empty as well.
macro_rules! null_spec_is_empty {
    ($spec:ty) => {
        impl Serialize for $spec {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$spec>::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $spec {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                struct Present(#[serde(with = "Remote")] $spec);
                type Remote = $spec;
                Ok(Option::<Present>::deserialize(deserializer)?
                    .map(|spec| spec.0)
                    .unwrap_or_default())
            }
        }
    };
}

null_spec_is_empty!(EcrSecretSpec);
null_spec_is_empty!(ArgoHelmRepoSecretSpec);

/// Which policy module decides, and with what settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.key) || has(self.config_map)",
    "message": "key needs config_map: name the ConfigMap that holds the module",
}, {
    "rule": "!(has(self.image) && has(self.config_map))",
    "message": "image and config_map exclude each other: the module is in one place",
}, {
    "rule": "!has(self.pull_secret) || has(self.image)",
    "message": "pull_secret needs image: a ConfigMap needs no Secret to be read",
}]))]
pub struct PolicyRef {
    /// The `ConfigMap` of this namespace whose `binaryData` holds the module. When left out, the namespace's
    /// default policy decides: the `ConfigMap` with the label `ecr.mobb.redhat.com/default-policy: "true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// The key in the `ConfigMap`. It may be left out when there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
    /// The module as an OCI artifact in a registry, `host/repository@sha256:<digest>`, in place of a `ConfigMap`. The
    /// administrator decides which registries may be used; those of ECR may.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 512),
        regex(pattern = r"^[a-zA-Z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$")
    )]
    pub image: Option<String>,
    /// The Secret of this namespace, of type `kubernetes.io/dockerconfigjson`, that opens the registry of `image`. Without it
    /// an ECR registry is asked with the operator's own token, and any other without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pull_secret: Option<String>,
    /// The module's SHA-256, as 64 lower-case hexadecimal digits. When set, no other module is obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Any JSON object, handed to the policy as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub settings: Option<Map<String, Value>>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A service account, and what it shall do with the Secret.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct AccountRef {
    /// The service account's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The lists of the service account that name the Secret; `[ImagePull]` when left out.
    #[serde(rename = "use", default = "image_pull")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub uses: Vec<AccountUse>,
}

fn image_pull() -> Vec<AccountUse> {
    vec![AccountUse::ImagePull]
}

/// A list of a service account.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum AccountUse {
    /// `imagePullSecrets`: kubelet pulls images with it.
    ImagePull,
    /// `secrets`: the builds of `OpenShift` mount it.
    Mount,
}
