//! Writes a resource's status, if it says something new.

use ecr_secret_core::api::{CONDITION_READY, CredentialResource, FIELD_MANAGER, Status};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

/// The status as a merge patch: what is absent now is removed, at every depth.
fn body(status: &Status, before: Option<&Status>) -> Value {
    let mut fields = serde_json::to_value(status).unwrap_or_default(); // never fails: all keys are text
    if let Some(before) = before.and_then(|before| serde_json::to_value(before).ok()) {
        remove_absent(&mut fields, &before);
    }
    json!({ "status": fields })
}

fn remove_absent(after: &mut Value, before: &Value) {
    if let (Value::Object(after), Value::Object(before)) = (after, before) {
        for (key, value) in before {
            remove_absent(after.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ecr_secret_core::api::PolicyStatus;

    #[test]
    fn what_is_absent_now_is_removed_at_every_depth() {
        let policy = |digest: Option<&str>| {
            Some(PolicyStatus {
                source: "configmap/p".into(),
                digest: digest.map(str::to_owned),
                ..PolicyStatus::default()
            })
        };
        let before = Status {
            phase: Some("Updated".into()),
            policy: policy(Some("abc")),
            ..Status::default()
        };
        let after = Status {
            policy: policy(None),
            ..Status::default()
        };
        let policy = json!({ "source": "configmap/p", "digest": null });
        assert_eq!(
            body(&after, Some(&before)),
            json!({ "status": { "phase": null, "policy": policy } })
        );
    }
}
