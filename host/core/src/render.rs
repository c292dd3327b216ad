//! The generated Secret, byte for byte.
//!
//! Its content is the one of the original operator, because kubelet, builds, Helm and Argo CD read
//! it. The metadata is ours: an owner reference, a label that says who manages it, and annotations
//! from which a restarted operator knows all that it has to know without reading the data.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use ecr_policy_model::ResourceKind;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::{
    ARGO_REPOSITORY, ARGO_SECRET_TYPE, CredentialResource, DECISION, ECR_USER, INPUTS, MANAGED_BY,
    OPERATOR_NAME, REFRESH_REQUEST, TOKEN_EXPIRES_AT, TOKEN_ISSUED_AT, Time,
};
use crate::registry::{RegistryKind, Target};
use crate::token::Token;
use crate::validate::ValidDecision;

/// The key of a `kubernetes.io/dockerconfigjson` Secret.
pub const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";
/// The keys of an Argo CD repository Secret, sorted.
pub const ARGO_KEYS: [&str; 6] = ["enableOCI", "name", "password", "type", "url", "username"];

/// The type of the generated Secret. It can never be changed on an existing one.
pub fn secret_type(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Secret => "kubernetes.io/dockerconfigjson",
        ResourceKind::ArgoHelmRepoSecret => "Opaque",
    }
}

/// The keys of the generated Secret's data, sorted.
pub fn data_keys(kind: ResourceKind) -> &'static [&'static str] {
    match kind {
        ResourceKind::Secret => &[DOCKER_CONFIG_KEY],
        ResourceKind::ArgoHelmRepoSecret => &ARGO_KEYS,
    }
}

/// The fields in the order of the original.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
struct Auth<'a> {
    username: &'a str,
    password: &'a str,
    auth: String,
}

/// The data of the generated Secret. `registry` goes in as the user wrote it; `name` is the Secret's.
pub fn secret_data(
    kind: ResourceKind,
    registry: &str,
    name: &str,
    token: &Token,
) -> BTreeMap<String, ByteString> {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let password = token.expose_password();
    match kind {
        ResourceKind::Secret => {
            let auth = Auth {
                username: ECR_USER,
                password,
                auth: STANDARD.encode(format!("{ECR_USER}:{password}")),
            };
            let config = BTreeMap::from([("auths", BTreeMap::from([(registry, auth)]))]);
            let json = serde_json::to_vec(&config).unwrap_or_default(); // never fails: only text, and text keys
            BTreeMap::from([(DOCKER_CONFIG_KEY.to_owned(), ByteString(json))])
        }
        ResourceKind::ArgoHelmRepoSecret => [
            ("username", ECR_USER),
            ("password", password),
            ("url", registry),
            ("type", "helm"),
            ("enableOCI", "true"),
            ("name", name),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), bytes(value)))
        .collect(),
    }
}

/// Digest of all that the data is rendered from but the token: 64 hexadecimal digits. When it differs
/// from the annotation [`INPUTS`] of a Secret, that Secret is for something else and has to be written.
pub fn inputs_digest(kind: ResourceKind, registry: &str, target: &Target, name: &str) -> String {
    let service = match target.kind {
        RegistryKind::Private => "ecr",
        RegistryKind::Public => "ecr-public",
    };
    let mut hash = Sha256::new();
    for input in [
        secret_type(kind),
        registry,
        service,
        target.region.as_str(),
        name,
    ] {
        // The length first, so that no two lists of inputs run together.
        hash.update((input.len() as u64).to_be_bytes());
        hash.update(input);
    }
    hex::encode(hash.finalize())
}

/// The owner reference on what the resource generates; none when the resource was never stored.
///
/// It names the controller, so that nobody else takes the Secret and the garbage collector deletes it
/// with the resource. `blockOwnerDeletion` is left out: it would ask for permission to change the
/// resource's finalizers, which `OpenShift` demands, and nothing needs to wait for the Secret to go.
pub fn owner_reference<K: CredentialResource>(resource: &K) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: resource.meta().name.clone()?,
        uid: resource.meta().uid.clone()?,
        controller: Some(true),
        block_owner_deletion: None,
    })
}

/// The labels of the generated Secret: the decision's, and ours over them.
pub fn labels(kind: ResourceKind, decision: &ValidDecision) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = decision.get().labels.iter().cloned().collect();
    labels.insert(MANAGED_BY.to_owned(), OPERATOR_NAME.to_owned());
    if kind == ResourceKind::ArgoHelmRepoSecret {
        labels.insert(ARGO_SECRET_TYPE.to_owned(), ARGO_REPOSITORY.to_owned());
    }
    labels
}

/// The annotations of the generated Secret: the decision's, and ours over them. `refresh_request` is
/// the resource's annotation that the token answers.
pub fn annotations(
    decision: &ValidDecision,
    inputs: &str,
    token: &Token,
    refresh_request: Option<&str>,
) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> =
        decision.get().annotations.iter().cloned().collect();
    let stored = serde_json::to_string(decision.get()).unwrap_or_default(); // never fails: text, numbers and lists
    let ours = [
        // The issue is not cut to a second: whether a token is younger than a request depends on it.
        (TOKEN_ISSUED_AT, token.issued_at().to_string()),
        (TOKEN_EXPIRES_AT, Time::from(token.expires_at()).to_string()),
        (INPUTS, inputs.to_owned()),
        (DECISION, stored),
    ];
    annotations.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    if let Some(request) = refresh_request {
        annotations.insert(REFRESH_REQUEST.to_owned(), request.to_owned());
    }
    annotations
}

/// The whole Secret as it shall be. Every write has to carry all its data: [`crate::ownership::drift`]
/// relies on that.
pub fn render<K: CredentialResource>(
    resource: &K,
    target: &Target,
    decision: &ValidDecision,
    token: &Token,
    refresh_request: Option<&str>,
) -> Secret {
    let kind = K::model_kind();
    let registry = resource.view().registry;
    let name = &decision.get().secret_name;
    Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: resource.namespace(),
            labels: Some(labels(kind, decision)),
            annotations: Some(annotations(
                decision,
                &inputs_digest(kind, registry, target, name),
                token,
                refresh_request,
            )),
            owner_references: owner_reference(resource).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(secret_type(kind).to_owned()),
        data: Some(secret_data(kind, registry, name, token)),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
