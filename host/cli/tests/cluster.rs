//! The commands that speak to a cluster, on a real control plane.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ecr_secret_core::api::{EcrSecret, REFRESH_REQUESTED_AT};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

fn ecr(kubeconfig: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ecr"))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(printed).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_listed_refreshed_and_suspended_and_modules_are_pushed() {
    let cluster = test_cluster::shared().await.unwrap();
    let client = cluster.client().unwrap();
    test_stage::install_crds(&client).await.unwrap();
    let namespace = cluster.create_namespace("cli").await.unwrap();
    let resources: Api<EcrSecret> = Api::namespaced(client.clone(), &namespace);
    let kubeconfig = cluster.kubeconfig_path();
    let run = |arguments: &[&str]| {
        let (code, printed) = ecr(kubeconfig, &[arguments, &["-n", &namespace]].concat());
        assert_eq!(code, 0, "{arguments:?}: {printed}");
        printed
    };
    assert!(run(&["status"]).contains("no resources"));

    let object = json!({
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": "a" },
        "spec": { "generated_secret_name": "s", "ecr_registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com" },
    });
    let object: EcrSecret = serde_json::from_value(object).unwrap();
    resources
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    assert!(run(&["status"]).contains("the operator has not looked at it yet"));
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "AccessDenied", "message": "allow it",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({ "status": { "generatedSecretName": "s", "conditions": [condition] } });
    resources
        .patch_status("a", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let table = run(&["status"]);
    assert!(
        table.starts_with("NAMESPACE") && table.contains("a: allow it"),
        "{table}"
    );
    let listed: Value = serde_json::from_str(&run(&["status", "-o", "json"])).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["reason"]),
        (&json!("a"), &json!("AccessDenied"))
    );

    run(&["refresh", "a"]);
    let asked = resources.get("a").await.unwrap();
    assert!(asked.annotations().contains_key(REFRESH_REQUESTED_AT));
    run(&["suspend", "secret/a"]);
    assert!(resources.get("a").await.unwrap().spec.suspend);
    run(&["resume", "ecrsec/a"]);
    assert!(!resources.get("a").await.unwrap().spec.suspend);
    for wrong in ["b", "argohelmreposecret/a", "pod/a"] {
        let (code, printed) = ecr(kubeconfig, &["refresh", wrong, "-n", &namespace]);
        assert_eq!(code, 2, "{wrong}: {printed}");
    }

    let guests = std::env::var_os("ECR_GUESTS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests")),
        PathBuf::from,
    );
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let digest_of = |module: &Path| ecr_secret_engine::digest(&std::fs::read(module).unwrap());
    for (guest, name) in [("default", None), ("early-refresh", Some("default"))] {
        let module = guests.join(format!("{guest}.wasm"));
        let mut arguments = vec!["policy", "push", module.to_str().unwrap(), "--default"];
        arguments.extend(name.into_iter().flat_map(|name| ["--name", name]));
        let printed = run(&arguments);
        let digest = digest_of(&module);
        assert!(printed.contains(&digest), "{printed}");
        let map = maps.get("default").await.unwrap();
        let labels = map.labels();
        assert_eq!(labels["ecr.mobb.redhat.com/default-policy"], "true");
        assert_eq!(labels["policy.ecr.mobb.redhat.com/digest"], digest[..16]);
        let stored = &map.binary_data.unwrap()["policy.wasm"].0;
        assert_eq!(*stored, std::fs::read(&module).unwrap());
    }
    let broken = guests.join("wrong-interface.wasm");
    let (code, printed) = ecr(
        kubeconfig,
        &["policy", "push", broken.to_str().unwrap(), "-n", &namespace],
    );
    assert!(
        code == 1 && printed.contains("PolicyInterfaceMismatch"),
        "{printed}"
    );
}
