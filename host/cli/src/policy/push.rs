//! `policy push`: a checked module into a `ConfigMap`, by server-side apply.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::DEFAULT_POLICY_LABEL;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{load_file, read, stem};
use crate::command_line::Push;
use crate::outcome::{Outcome, input};
use crate::resources::{block_on, connect, refused};

/// Who applies, so that what others set stays theirs.
const MANAGER: &str = "kubectl-ecr";
/// The label that tells which module a `ConfigMap` holds: the beginning of its digest, since a label is short.
const DIGEST: &str = "policy.ecr.mobb.redhat.com/digest";
/// The key that the operator looks for first.
const KEY: &str = "policy.wasm";

pub(super) fn run(arguments: Push) -> Outcome {
    let loaded = load_file(&arguments.module)?;
    let file = read(&arguments.module.module)?;
    let name = arguments
        .name
        .unwrap_or_else(|| stem(&arguments.module.module));
    let digest = loaded.policy.digest().to_owned();
    let mut labels = json!({ DIGEST: &digest[..16] });
    if arguments.default {
        labels[DEFAULT_POLICY_LABEL] = json!("true");
    }
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels },
        "binaryData": { KEY: STANDARD.encode(&file) },
    });
    block_on(async move {
        let (client, namespace) = connect(&arguments.place).await?;
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let params = PatchParams::apply(MANAGER).force();
        let what = format!("ConfigMap {namespace}/{name}");
        api.patch(&name, &params, &Patch::Apply(object))
            .await
            .map_err(|error| input(refused(&what, &error)))?;
        println!("{what} holds {} bytes", file.len());
        println!("to pin it in a resource:");
        println!("  policy: {{ config_map: {name}, sha256: {digest} }}");
        Ok(())
    })
}
