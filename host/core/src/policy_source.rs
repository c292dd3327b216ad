//! Where a resource's policy module is: which `ConfigMap`, which key.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::api::PolicyRef;
use crate::decide::Problem;
use crate::reason::Reason;

/// The name of the `ConfigMap` that decides; none when none shall. `defaults` lists those of the namespace with the label
/// that makes them the default.
///
/// # Errors
/// The spec asks for a policy and says too little, or the namespace has too many defaults.
pub fn config_map_of(
    policy: Option<&PolicyRef>,
    defaults: impl FnOnce() -> Vec<String>,
) -> Result<Option<String>, Problem> {
    if let Some(name) = policy.and_then(|policy| policy.config_map.clone()) {
        return Ok(Some(name));
    }
    let defaults = defaults();
    match (defaults.as_slice(), policy) {
        ([one], _) => Ok(Some(one.clone())),
        ([], None) => Ok(None),
        ([], Some(_)) => Err(Problem::new(
            Reason::PolicyMissing,
            "spec.policy names no config_map, and no ConfigMap of this namespace has the label ecr.mobb.redhat.com/default-policy=true; do one of both",
        )),
        (many, _) => Err(Problem::new(
            Reason::PolicyAmbiguous,
            format!(
                "{} ConfigMaps have the label ecr.mobb.redhat.com/default-policy=true ({}); leave it on one",
                many.len(),
                many.join(", ")
            ),
        )),
    }
}

/// The module's file: the named key, else the only one.
///
/// # Errors
/// There is none, or more than one could be meant.
pub fn module_of(
    object: ConfigMap,
    config_map: &str,
    key: Option<&str>,
) -> Result<Vec<u8>, Problem> {
    let mut binary = object.binary_data.unwrap_or_default();
    let text = object.data.unwrap_or_default();
    let missing = |message: String| Err(Problem::new(Reason::PolicyMissing, message));
    let key = match key {
        Some(key) => key.to_owned(),
        None if binary.len() == 1 => binary.keys().next().cloned().unwrap_or_default(),
        None if binary.contains_key("policy.wasm") => "policy.wasm".to_owned(),
        None if binary.is_empty() && text.is_empty() => {
            return missing(format!(
                "ConfigMap {config_map} is empty; put the module under the key policy.wasm of binaryData"
            ));
        }
        None if binary.is_empty() => {
            let message = format!(
                "ConfigMap {config_map} holds text only; a module is binary: create it with kubectl create configmap {config_map} --from-file=policy.wasm"
            );
            return Err(Problem::new(Reason::PolicyNotAComponent, message));
        }
        None => {
            let message = format!(
                "ConfigMap {config_map} has {} keys in binaryData; name one in spec.policy.key",
                binary.len()
            );
            return Err(Problem::new(Reason::PolicyAmbiguous, message));
        }
    };
    match binary.remove(&key) {
        Some(bytes) => Ok(bytes.0),
        None if text.contains_key(&key) => {
            let message = format!(
                "key {key} of ConfigMap {config_map} is text; a module is binary: create it with kubectl create configmap {config_map} --from-file={key}"
            );
            Err(Problem::new(Reason::PolicyNotAComponent, message))
        }
        None => missing(format!(
            "ConfigMap {config_map} has no key {key} in binaryData; correct spec.policy.key or upload the module under it"
        )),
    }
}
