//! Writes a resource's status, if it says something new.

use ecr_secret_core::api::{CONDITION_READY, CredentialResource, FIELD_MANAGER, Status};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

/// The status as a merge patch: what is absent now is removed.
fn body(status: &Status, before: Option<&Status>) -> Value {
    let as_map = |status: &Status| match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let mut fields = as_map(status);
    for (key, _) in before.map(as_map).unwrap_or_default() {
        fields.entry(key).or_insert(Value::Null);
    }
    json!({ "status": fields })
}

/// Writes the status when it differs from `before`; says whether it did.
///
/// # Errors
/// What the API server answered; a resource that is gone is no error.
pub async fn write<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    status: &Status,
    before: Option<&Status>,
) -> kube::Result<bool>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + CredentialResource,
{
    if before == Some(status) {
        return Ok(false);
    }
    // Dynamic, so that the answer for a resource that we cannot read is no error either.
    let resource = kube::api::ApiResource::erase::<K>(&());
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(name, &params, &Patch::Merge(body(status, before)))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether `Ready` says something else than before: the moment for an event.
pub fn is_transition(before: Option<&Status>, after: &Status) -> bool {
    let ready = |status: &Status| {
        status
            .condition(CONDITION_READY)
            .map(|condition| (condition.status, condition.reason.clone()))
    };
    before.and_then(ready) != ready(after)
}
