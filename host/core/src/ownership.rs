//! Whose is an existing Secret, may it be taken over, and has somebody edited it.
//!
//! Ownership is by the UID of the controller. A label proves nothing: anybody can write one.

use std::collections::BTreeMap;
use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ecr_policy_model::ResourceKind;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::core::ObjectMeta;
use serde_json::Value;

use crate::api::{
    CredentialResource, DECISION, ECR_USER, GROUP, INPUTS, TOKEN_EXPIRES_AT, TOKEN_ISSUED_AT,
};
use crate::render::{ARGO_KEYS, DOCKER_CONFIG_KEY, secret_type};

/// The annotations of a generated Secret that every write carries, and that judgement rests on.
pub const KEPT: [&str; 4] = [TOKEN_ISSUED_AT, TOKEN_EXPIRES_AT, INPUTS, DECISION];

const DATA: &[&str] = &["data"];
const ANNOTATIONS: &[&str] = &["metadata", "annotations"];

/// Whose an existing Secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This resource controls it.
    Ours,
    /// Another of our resources controls it. When kind and name are the resource's own, it belonged to
    /// a predecessor of the same name that was deleted, and the garbage collector is about to delete it.
    OtherResource {
        /// The other resource's kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Nobody owns it, and it is what the original operator, or we, would have made for this resource.
    OriginalOperators,
    /// Somebody else's.
    Foreign {
        /// What tells that it is not ours.
        why: Foreign,
    },
}

/// Why a Secret is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Something else controls it.
    Controlled {
        /// The controller's kind.
        kind: String,
        /// The controller's name.
        name: String,
    },
    /// It belongs to something that does not control it.
    Owned {
        /// The owner's kind.
        kind: String,
        /// The owner's name.
        name: String,
    },
    /// Its type is another, and the type of a Secret never changes.
    WrongType {
        /// The type that it has.
        found: String,
        /// The type that it would need.
        wanted: &'static str,
    },
    /// Its data is marked as immutable.
    Immutable,
    /// It holds something else than the credentials for this registry.
    OtherContent,
}

impl Foreign {
    /// Whether `spec.adopt` helps: not when something else controls the Secret, nor when the API server
    /// would refuse the change.
    pub fn adoptable(&self) -> bool {
        matches!(self, Self::Owned { .. } | Self::OtherContent)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controlled { kind, name } => write!(f, "{kind} {name} controls it"),
            Self::Owned { kind, name } => write!(f, "it belongs to {kind} {name}"),
            Self::WrongType { found, wanted } => write!(
                f,
                "its type is {found:?}, not {wanted}, and a type cannot be changed"
            ),
            Self::Immutable => f.write_str("it is immutable"),
            Self::OtherContent => {
                f.write_str("it holds something else than this registry's credentials")
            }
        }
    }
}

/// Whether the resource may write the Secret. `adopt` is the resource's `spec.adopt`.
pub fn may_take_over(ownership: &Ownership, adopt: bool) -> bool {
    match ownership {
        Ownership::Ours | Ownership::OriginalOperators => true,
        Ownership::OtherResource { .. } => false,
        Ownership::Foreign { why } => adopt && why.adoptable(),
    }
}

/// Whose an object is, as far as its metadata tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataOwnership {
    /// The object of this UID controls it.
    Ours,
    /// Another of our resources controls it.
    OtherResource {
        /// The other resource's kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Something else controls it.
    Controlled {
        /// The controller's kind.
        kind: String,
        /// The controller's name.
        name: String,
    },
    /// Nothing controls it.
    Uncontrolled,
}

/// Whose an object is for the resource of this UID, by its metadata alone.
pub fn metadata_ownership(meta: &ObjectMeta, uid: &str) -> MetadataOwnership {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let Some(OwnerReference {
        kind,
        name,
        api_version,
        uid: controller,
        ..
    }) = owners.iter().find(|owner| owner.controller == Some(true))
    else {
        return MetadataOwnership::Uncontrolled;
    };
    let (kind, name) = (kind.clone(), name.clone());
    // A resource that was never stored has no UID, and owns nothing.
    if controller == uid && !uid.is_empty() {
        MetadataOwnership::Ours
    } else if api_version
        .split_once('/')
        .is_some_and(|(group, _)| group == GROUP)
    {
        MetadataOwnership::OtherResource { kind, name }
    } else {
        MetadataOwnership::Controlled { kind, name }
    }
}

/// Whose an existing Secret is for this resource. It has to be the whole Secret, with its data.
pub fn classify<K: CredentialResource>(existing: &Secret, resource: &K) -> Ownership {
    let foreign = |why| Ownership::Foreign { why };
    let uid = resource.meta().uid.as_deref().unwrap_or_default();
    match metadata_ownership(&existing.metadata, uid) {
        // A type cannot be changed, so a Secret of ours with a wrong one is of no use.
        MetadataOwnership::Ours => {
            return wrong_type::<K>(existing).map_or(Ownership::Ours, foreign);
        }
        MetadataOwnership::OtherResource { kind, name } => {
            return Ownership::OtherResource { kind, name };
        }
        MetadataOwnership::Controlled { kind, name } => {
            return foreign(Foreign::Controlled { kind, name });
        }
        MetadataOwnership::Uncontrolled => {}
    }
    if let Some(why) = wrong_type::<K>(existing) {
        return foreign(why);
    }
    if existing.immutable == Some(true) {
        return foreign(Foreign::Immutable);
    }
    if let Some(owner) = existing
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default()
        .first()
    {
        return foreign(Foreign::Owned {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        });
    }
    let data = existing.data.as_ref().unwrap_or(const { &BTreeMap::new() });
    let registry = resource.view().registry;
    let original = match K::model_kind() {
        ResourceKind::Secret => is_docker_config_for(data, registry),
        ResourceKind::ArgoHelmRepoSecret => is_argo_repository_for(data, registry),
    };
    if original {
        Ownership::OriginalOperators
    } else {
        foreign(Foreign::OtherContent)
    }
}

fn wrong_type<K: CredentialResource>(existing: &Secret) -> Option<Foreign> {
    let (found, wanted) = (
        existing.type_.as_deref().unwrap_or("Opaque"),
        secret_type(K::model_kind()),
    );
    (found != wanted).then(|| Foreign::WrongType {
        found: found.to_owned(),
        wanted,
    })
}

/// Exactly one key, in it exactly this registry, and the user is AWS.
fn is_docker_config_for(data: &BTreeMap<String, ByteString>, registry: &str) -> bool {
    let Some(config) = data.get(DOCKER_CONFIG_KEY).filter(|_| data.len() == 1) else {
        return false;
    };
    let Ok(Value::Object(config)) = serde_json::from_slice(&config.0) else {
        return false;
    };
    let Some(Value::Object(auths)) = config.get("auths").filter(|_| config.len() == 1) else {
        return false;
    };
    auths.len() == 1 && auths.get(registry).is_some_and(is_ecr_user)
}

fn is_ecr_user(auth: &Value) -> bool {
    match auth.get("username") {
        Some(user) => user == ECR_USER,
        None => auth
            .get("auth")
            .and_then(Value::as_str)
            .and_then(|auth| STANDARD.decode(auth).ok())
            .is_some_and(|auth| auth.starts_with(b"AWS:")),
    }
}

/// Exactly the six keys, for this URL, and the user is AWS.
fn is_argo_repository_for(data: &BTreeMap<String, ByteString>, url: &str) -> bool {
    let is = |key: &str, value: &str| {
        data.get(key)
            .is_some_and(|found| found.0 == value.as_bytes())
    };
    data.keys().eq(ARGO_KEYS.iter())
        && is("username", ECR_USER)
        && is("url", url)
        && is("type", "helm")
        && is("enableOCI", "true")
}

/// Whether somebody else has changed or removed what `manager` wrote into a Secret: data of the wanted keys, or one of
/// the annotations [`KEPT`], by which a renewal would come too late.
///
/// It is told by `managedFields`, so no data is read. When another manager changes a field, the API
/// server takes the field away from us and notes the time; when it removes the field, nobody has it.
/// So a wanted field is as we wrote it if we own it, alone or with others. It is also if somebody
/// owns it who has not changed anything since our last write: then the value was already the one that
/// we wrote, as it is after a take-over. That conclusion needs every write of ours to carry all fields.
/// Times are whole seconds; an edit in the very second of our write counts as one after it.
///
/// Without any `managedFields` nothing is known, and that is no drift: a watch may have dropped them.
pub fn drift(meta: &ObjectMeta, manager: &str, wanted_data_keys: &[&str]) -> bool {
    let Some(entries) = meta
        .managed_fields
        .as_deref()
        .filter(|entries| !entries.is_empty())
    else {
        return false;
    };
    let is_ours = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(manager);
    let last_write = entries
        .iter()
        .filter(|entry| is_ours(entry) && of_object(entry))
        .filter_map(|entry| entry.time.as_ref().map(|time| time.0))
        .max();
    let before_last_write = |entry: &ManagedFieldsEntry| {
        let changed = entry.time.as_ref().map(|time| time.0);
        matches!((changed, last_write), (Some(changed), Some(write)) if changed < write)
    };
    let as_written = |(parents, key): (&[&str], &str)| {
        entries
            .iter()
            .filter(|entry| of_object(entry) && has_field(entry, parents, key))
            .any(|entry| is_ours(entry) || before_last_write(entry))
    };
    let data = wanted_data_keys.iter().map(|key| (DATA, *key));
    let annotations = KEPT.iter().map(|key| (ANNOTATIONS, *key));
    !data.chain(annotations).all(as_written)
}

/// Whether the entry speaks of the object itself and not of a subresource.
fn of_object(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Whether the entry names the field `key` below `parents`.
fn has_field(entry: &ManagedFieldsEntry, parents: &[&str], key: &str) -> bool {
    let root = entry.fields_v1.as_ref().map(|fields| &fields.0);
    let path = parents.iter().chain([&key]);
    path.fold(root, |fields, name| fields?.get(format!("f:{name}")))
        .is_some()
}

#[cfg(test)]
mod tests;
