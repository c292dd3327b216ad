//! Writes and deletes generated Secrets.
//!
//! A new Secret is *created*, never applied: creation fails when the name is taken, which an apply
//! cannot promise. An existing one is changed by a merge patch that names the `resourceVersion` that
//! the judgement rests on, so a Secret that somebody replaced meanwhile is not touched. Both are one
//! request. Nothing is ever deleted in order to be created again.

use std::collections::BTreeMap;

use ecr_secret_core::api::{CredentialResource, FIELD_MANAGER};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::ownership::{Ownership, classify, may_take_over};
use ecr_secret_core::reason::Reason;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::world::SecretFacts;

/// How a write ended.
#[derive(Debug)]
pub enum Written {
    /// The Secret is as it should be.
    Done,
    /// The name belongs to somebody else.
    Refused(Problem),
    /// The Secret changed under our hands: look again.
    Changed,
    /// The namespace is being deleted: there is nothing to do any more.
    Ending,
}

/// Writes the Secret `wanted` of `resource`. `known` is what the watch told of a Secret of that name.
///
/// # Errors
/// What the API server answered, unless it is one of the ordinary ends.
pub async fn write<K: CredentialResource>(
    client: &Client,
    resource: &K,
    wanted: &Secret,
    known: Option<&SecretFacts>,
) -> kube::Result<Written> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &wanted.namespace().unwrap_or_default());
    if let Some(known) = known.filter(|known| !known.deleting) {
        if known.owner.as_ref().map(|owner| &owner.uid) != resource.meta().uid.as_ref() {
            return Ok(Written::Changed);
        }
        let before = known.owned.decision.as_ref();
        let stale = Stale {
            labels: before
                .map(|decision| keys(&decision.labels))
                .unwrap_or_default(),
            annotations: before
                .map(|decision| keys(&decision.annotations))
                .unwrap_or_default(),
        };
        return patch(&api, wanted, &known.resource_version, &stale).await;
    }
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match api.create(&params, wanted).await {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            take_over(&api, resource, wanted).await
        }
        Err(kube::Error::Api(status))
            if status.code == 403 && status.message.contains("being terminated") =>
        {
            Ok(Written::Ending)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Written::Ending),
        Err(error) => Err(error),
    }
}

/// The name is taken by a Secret that does not carry our label: whose is it?
async fn take_over<K: CredentialResource>(
    api: &Api<Secret>,
    resource: &K,
    wanted: &Secret,
) -> kube::Result<Written> {
    let name = wanted.name_any();
    let Some(existing) = api.get_opt(&name).await? else {
        return Ok(Written::Changed);
    };
    if existing.metadata.deletion_timestamp.is_some() {
        return Ok(Written::Changed);
    }
    let ownership = classify(&existing, resource);
    if is_predecessors(&ownership, resource) {
        return Ok(Written::Changed);
    }
    if !may_take_over(&ownership, resource.view().adopt) {
        return Ok(Written::Refused(refusal(&name, &ownership)));
    }
    tracing::info!(
        namespace = wanted.namespace(),
        secret = name,
        ?ownership,
        "taking over a Secret in place"
    );
    patch(
        api,
        wanted,
        &existing.resource_version().unwrap_or_default(),
        &Stale::default(),
    )
    .await
}

/// Whether the Secret belonged to a deleted resource of the same name: the garbage collector takes it.
fn is_predecessors<K: CredentialResource>(ownership: &Ownership, resource: &K) -> bool {
    matches!(ownership, Ownership::OtherResource { kind, name } if *kind == K::kind(&()) && *name == resource.name_any())
}

fn refusal(name: &str, ownership: &Ownership) -> Problem {
    match ownership {
        Ownership::OtherResource { kind, name: owner } => taken_by(name, kind, owner),
        Ownership::Foreign { why } => {
            let message = format!(
                "Secret {name} exists and is not ours ({why}); choose another generated_secret_name, delete it, or set spec.adopt"
            );
            Problem::new(Reason::SecretConflict, message)
        }
        Ownership::Ours | Ownership::OriginalOperators => Problem::new(
            Reason::SecretConflict,
            format!("Secret {name} cannot be taken over"),
        ),
    }
}

/// The problem that another of our resources keeps the Secret.
pub fn taken_by(name: &str, kind: &str, owner: &str) -> Problem {
    Problem::new(
        Reason::SecretOwnedByOther,
        format!(
            "Secret {name} is kept by {kind} {owner}; choose another generated_secret_name for one of both"
        ),
    )
}

/// Keys that an earlier decision set and the new one may not set any more.
#[derive(Default)]
struct Stale {
    labels: Vec<String>,
    annotations: Vec<String>,
}

async fn patch(
    api: &Api<Secret>,
    wanted: &Secret,
    resource_version: &str,
    stale: &Stale,
) -> kube::Result<Written> {
    let meta = &wanted.metadata;
    let body = json!({
        "metadata": {
            "resourceVersion": resource_version,
            "labels": with_removals(meta.labels.as_ref(), &stale.labels),
            "annotations": with_removals(meta.annotations.as_ref(), &stale.annotations),
            "ownerReferences": meta.owner_references,
        },
        "data": wanted.data,
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&wanted.name_any(), &params, &Patch::Merge(body))
        .await
    {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Changed),
        Err(error) => Err(error),
    }
}

fn with_removals(wanted: Option<&BTreeMap<String, String>>, stale: &[String]) -> Value {
    let removals = stale.iter().map(|key| (key.clone(), Value::Null));
    let values = wanted
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())));
    Value::Object(removals.chain(values).collect())
}

fn keys(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(key, _)| key.clone()).collect()
}

/// Deletes a generated Secret that is not wanted any more, unless it changed since `facts`.
///
/// # Errors
/// What the API server answered; a Secret that is gone or changed is no error.
pub async fn delete(client: &Client, namespace: &str, facts: &SecretFacts) -> kube::Result<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let preconditions = Preconditions {
        resource_version: Some(facts.resource_version.clone()),
        uid: None,
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match api.delete(&facts.owned.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}
