//! The commands that look into a cluster: why a resource is as it is, what a new module would change, and what is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ecr_secret_core::api::{EcrSecret, LEASE_NAME};
use ecr_secret_core::manifests::Installation;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use test_cluster::{Cluster, ControlPlane, Controllers, Options};

/// A namespace, and the tool that looks at it.
struct Place {
    client: Client,
    namespace: String,
    kubeconfig: PathBuf,
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let cluster = test_cluster::shared().await.unwrap();
        Self::on(cluster).await
    }

    async fn on(cluster: &Cluster) -> Self {
        let client = cluster.client().unwrap();
        test_stage::install_crds(&client).await.unwrap();
        Self {
            namespace: cluster.create_namespace("live").await.unwrap(),
            kubeconfig: cluster.kubeconfig_path().to_owned(),
            directory: tempfile::tempdir().unwrap(),
            client,
        }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ecr"))
            .args([arguments, &["-n", &self.namespace]].concat())
            .current_dir(self.directory.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!printed.contains("panicked"), "{printed}");
        (output.status.code().unwrap(), printed)
    }

    fn good(&self, arguments: &[&str]) -> String {
        let (code, printed) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {printed}");
        printed
    }

    async fn create(&self, name: &str, spec: Value) {
        let object = json!({ "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": name }, "spec": spec });
        let object: EcrSecret = serde_json::from_value(object).unwrap();
        let api: Api<EcrSecret> = Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

fn guest(name: &str) -> String {
    let directory = std::env::var_os("ECR_GUESTS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests"),
        PathBuf::from,
    );
    let path = directory.join(format!("{name}.wasm"));
    path.to_str().unwrap().to_owned()
}

fn spec(generated: &str) -> Value {
    json!({ "generated_secret_name": generated, "ecr_registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com" })
}

fn with_policy(mut spec: Value, policy: Value) -> Value {
    spec["policy"] = policy;
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_why_a_resource_gets_this_name_these_accounts_and_this_time() {
    let place = Place::new().await;
    place.good(&["policy", "push", &guest("team-prefix"), "--name", "team"]);
    let mut plain = spec("plain");
    plain["service_accounts"] = json!([{ "name": "builder" }]);
    plain["frequency"] = json!("3s");
    place.create("plain", plain).await;
    // A Secret as the operator leaves it, with the life of its token.
    let secret = json!({ "metadata": { "name": "plain", "annotations": {
        "ecr.mobb.redhat.com/token-issued-at": "2026-01-01T00:00:00Z", "ecr.mobb.redhat.com/token-expires-at": "2026-01-01T12:00:00Z",
    } } });
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    let secret: Secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let api: Api<EcrSecret> = Api::namespaced(place.client.clone(), &place.namespace);
    let status = json!({ "status": { "generatedSecretName": "plain" } });
    api.patch_status("plain", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let told = place.good(&["explain", "plain"]);
    for part in [
        "secret/plain in namespace",
        "served by Private ECR in us-east-2",
        "none: the operator decides by itself",
        "plain, as generated_secret_name says",
        "builder (image pull) by the resource, does not exist yet",
        "issued 2026-01-01T00:00:00Z, dies 2026-01-01T12:00:00Z",
        "corrected: spec.frequency 3s is shorter than 10s",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let policy = json!({ "config_map": "team", "settings": { "prefix": "web" } });
    place
        .create("named", with_policy(spec("ecr"), policy))
        .await;
    let told = place.good(&["explain", "secret/named"]);
    let name = format!(
        "web-{}-ecr, by the policy; generated_secret_name is ecr",
        place.namespace
    );
    assert!(told.contains(&name) && told.contains("team=web"), "{told}");
    let json: Value =
        serde_json::from_str(&place.good(&["explain", "named", "-o", "json"])).unwrap();
    assert_eq!(json["policy"]["config_map"], "team");
    assert_eq!(json["request"]["resource"]["generatedSecretName"], "ecr");

    place
        .create(
            "wrong",
            with_policy(spec("ecr"), json!({ "config_map": "team" })),
        )
        .await;
    let (code, told) = place.run(&["explain", "wrong"]);
    assert!(
        code == 1 && told.contains("error: PolicyInvalidSettings"),
        "{told}"
    );
    place
        .create(
            "missing",
            with_policy(spec("ecr"), json!({ "config_map": "gone" })),
        )
        .await;
    let (code, told) = place.run(&["explain", "missing"]);
    assert!(
        code == 2 && told.contains("ConfigMap gone: not found"),
        "{told}"
    );
    // The same request, from the resource to a file of the author's.
    let told = place.good(&[
        "policy",
        "run",
        &guest("team-prefix"),
        "--resource",
        "named",
    ]);
    assert!(
        told.contains(&format!("web-{}-ecr", place.namespace)),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_tells_what_a_new_module_would_change_and_recordings_need_no_cluster() {
    let place = Place::new().await;
    place.good(&["policy", "push", &guest("default"), "--name", "policy"]);
    let settings = json!({ "config_map": "policy", "settings": { "prefix": "web" } });
    place.create("a", with_policy(spec("a"), settings)).await;
    place.create("elsewhere", spec("b")).await;
    let same = place.good(&[
        "policy",
        "replay",
        &guest("default"),
        "--config-map",
        "policy",
    ]);
    assert!(
        same.contains("same     secret/a") && same.contains("0 of 1 would change"),
        "{same}"
    );

    let new = guest("team-prefix");
    let arguments = [
        "policy",
        "replay",
        &new,
        "--config-map",
        "policy",
        "--record",
        "asked.yaml",
    ];
    let told = place.good(&arguments);
    let line = format!(r#"decision.secretName: "a" -> "web-{}-a""#, place.namespace);
    assert!(
        told.contains("changes  secret/a") && told.contains(&line),
        "{told}"
    );
    // All resources, also the one that gives this module no settings.
    let (code, told) = place.run(&["policy", "replay", &new, "--all"]);
    assert!(
        code == 1
            && told.contains("FAILS    secret/elsewhere")
            && told.contains("2 of 2 would change"),
        "{told}"
    );
    let (code, told) = place.run(&["policy", "replay", &new]);
    assert!(
        code == 2 && told.contains("decided about by ConfigMap team-prefix"),
        "{told}"
    );

    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ecr"))
        .args(["policy", "replay", &new, "--from", "asked.yaml"])
        .current_dir(place.directory.path())
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.contains(&line), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_what_is_missing_and_is_content_when_nothing_is() {
    // No controller, which would tell of the Deployment that no pod of it runs.
    let options = Options {
        controllers: Controllers::None,
        ..Options::default()
    };
    let cluster = ControlPlane::start(options).await.unwrap();
    let place = Place::on(&cluster).await;
    let (code, told) = place.run(&["doctor"]);
    assert_eq!(code, 1, "{told}");
    for part in [
        "answers",
        "differ by 0 s",
        "is of this tool's version",
        "BAD    operator",
        "there is none yet",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let installation = Installation {
        namespace: place.namespace.clone(),
        ..Installation::default()
    };
    test_stage::install(&place.client, &installation)
        .await
        .unwrap();
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "operator", "labels": { "app.kubernetes.io/name": "ecr-secret-operator" } },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": {
            "metadata": { "labels": { "a": "b" } },
            "spec": { "serviceAccountName": "ecr-secret-operator-controller-manager", "containers": [{ "name": "a", "image": "a" }] },
        } },
    })).unwrap();
    let deployments: Api<Deployment> = Api::namespaced(place.client.clone(), &place.namespace);
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    let ready = json!({ "status": { "replicas": 1, "readyReplicas": 1 } });
    deployments
        .patch_status("operator", &PatchParams::default(), &Patch::Merge(ready))
        .await
        .unwrap();
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": LEASE_NAME },
        "spec": { "holderIdentity": "pod-1", "renewTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(jiff::Timestamp::now()) },
    })).unwrap();
    let leases: Api<Lease> = Api::namespaced(place.client.clone(), &place.namespace);
    leases.create(&PostParams::default(), &lease).await.unwrap();
    let told = place.good(&["doctor"]);
    for part in [
        "1 of 1 replicas are ready",
        "pod-1, renewed",
        "may do all that it has to",
        "AWS",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // Without the roles, with an unhappy resource, and with definitions of another time.
    let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> =
        Api::all(place.client.clone());
    bindings
        .delete("ecr-secret-operator", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    place.create("a", spec("a")).await;
    let api: Api<EcrSecret> = Api::namespaced(place.client.clone(), &place.namespace);
    let condition = json!({ "type": "Ready", "status": "False", "reason": "AccessDenied", "message": "allow it", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    api.patch_status(
        "a",
        &PatchParams::default(),
        &Patch::Merge(json!({ "status": { "conditions": [condition] } })),
    )
    .await
    .unwrap();
    let definitions: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> = Api::all(place.client.clone());
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend";
    let old = json!([{ "op": "remove", "path": path }]);
    let old: json_patch::Patch = serde_json::from_value(old).unwrap();
    definitions
        .patch(
            "secrets.ecr.mobb.redhat.com",
            &PatchParams::default(),
            &Patch::Json::<()>(old),
        )
        .await
        .unwrap();
    let (code, told) = place.run(&["doctor"]);
    assert_eq!(code, 1, "{told}");
    for part in [
        "may not get secrets.ecr.mobb.redhat.com, list secrets.ecr.mobb.redhat.com, watch",
        "1 are AccessDenied",
        "is older than this tool: it lacks .spec.suspend",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
