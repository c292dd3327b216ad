//! A request from a file, in a form that people can write: what it does not say is as in an ordinary request, labels may
//! be a map, and settings an object.

use std::path::Path;

use ecr_policy_model::Request;
use serde_json::{Value, json};

use super::read;
use crate::outcome::{Outcome, input};

/// The request of a file, or the ordinary one.
pub(super) fn of_file(path: Option<&Path>) -> Outcome<Request> {
    let Some(path) = path else {
        return of_value(Value::Null);
    };
    let text = read(path)?;
    let value = serde_norway::from_slice(&text).map_err(|error| {
        input(format!(
            "{} is neither YAML nor JSON: {error}",
            path.display()
        ))
    })?;
    of_value(value).map_err(|failure| input(format!("{}: {}", path.display(), failure.message())))
}

/// The request that `value` describes.
pub(super) fn of_value(value: Value) -> Outcome<Request> {
    let mut request = ordinary();
    merge(&mut request, value);
    for pairs in ["/resource/labels", "/resource/annotations"] {
        if let Some(found) = request.pointer_mut(pairs) {
            listed(found);
        }
    }
    if let Some(Value::Array(accounts)) = request.pointer_mut("/serviceAccounts") {
        for account in accounts {
            match account.get_mut("labels") {
                Some(found) => listed(found),
                None => account["labels"] = json!([]),
            }
        }
    }
    if let Some(settings) = request
        .get_mut("settings")
        .filter(|settings| !settings.is_string())
    {
        *settings = Value::String(settings.to_string());
    }
    serde_json::from_value(request).map_err(|error| {
        input(format!(
            "this is no request: {error}; see `kubectl ecr policy run --help`"
        ))
    })
}

/// A resource in the middle of its life.
fn ordinary() -> Value {
    json!({
        "now": 1_800_000_000,
        "resource": {
            "kind": "Secret", "name": "ecr-secret", "namespace": "default", "uid": "00000000-0000-0000-0000-000000000000",
            "labels": {}, "annotations": {}, "registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com",
            "region": "us-east-2", "generatedSecretName": "ecr-docker-secret", "frequencySeconds": 36_000, "serviceAccounts": [],
        },
        "serviceAccounts": [{ "name": "builder" }, { "name": "default" }],
        "token": { "issuedAt": 1_799_996_400, "expiresAt": 1_800_039_600 },
        "settings": {},
    })
}

/// Puts `value` over `base`, key by key. Settings are a whole, as they are in a resource.
fn merge(base: &mut Value, value: Value) {
    match (base, value) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(value)) => {
            for (key, value) in value {
                match base.get_mut(&key) {
                    Some(under) if key != "settings" && !value.is_null() => merge(under, value),
                    _ => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, value) => *base = value,
    }
}

/// A map as the sorted list of its pairs.
fn listed(value: &mut Value) {
    if let Value::Object(map) = value {
        *value = map.iter().map(|(key, value)| json!([key, value])).collect();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_not_said_is_ordinary_and_maps_become_lists() {
        let request = of_value(json!({
            "resource": { "name": "x", "labels": { "b": "2", "a": "1" }, "generatedSecretName": null },
            "serviceAccounts": [{ "name": "s", "labels": { "pull": "yes" } }],
            "settings": { "prefix": "p" },
        }))
        .unwrap();
        assert_eq!(request.resource.name, "x");
        assert_eq!(request.resource.namespace, "default");
        assert_eq!(request.resource.generated_secret_name, None);
        assert_eq!(request.resource.labels[0], ("a".to_owned(), "1".to_owned()));
        assert_eq!(request.service_accounts[0].labels[0].0, "pull");
        assert_eq!(request.settings, r#"{"prefix":"p"}"#);
        assert!(of_value(Value::Null).unwrap().token.is_some());
        let without = of_value(json!({ "token": null })).unwrap();
        assert_eq!(without.token, None);
    }

    #[test]
    fn what_is_no_request_is_told() {
        let error = of_value(json!({ "now": "tomorrow" })).unwrap_err();
        assert!(error.message().contains("no request"), "{error:?}");
    }
}
