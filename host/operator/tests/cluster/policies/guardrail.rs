//! The administrator's guardrail sees every decision, whoever made it, and nothing gets around it.

use std::fs;
use std::path::PathBuf;

use ecr_secret_core::api::DECISION;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{message, policy_spec};
use crate::support::{Stage, spec, state};

/// A directory as kubelet mounts it.
struct Mounted {
    directory: PathBuf,
}

impl Mounted {
    fn new(stage: &Stage) -> Self {
        let beside = PathBuf::from(stage.file("beside", ""));
        let directory = beside.with_file_name("guardrail");
        fs::create_dir(&directory).unwrap();
        Self { directory }
    }

    /// Puts a file there in one step.
    fn put(&self, name: &str, content: &[u8]) {
        let temporary = self.directory.join("new");
        fs::write(&temporary, content).unwrap();
        fs::rename(&temporary, self.directory.join(name)).unwrap();
    }

    fn settings(&self, settings: &Value) {
        self.put("settings.json", settings.to_string().as_bytes());
    }
}

async fn guarded(settings: &Value) -> (Stage, Mounted) {
    let mut stage = Stage::prepare().await;
    let mounted = Mounted::new(&stage);
    mounted.put("policy.wasm", &Stage::guest("guardrail"));
    mounted.settings(settings);
    let directory = mounted.directory.to_str().unwrap().to_owned();
    stage
        .setup
        .environment
        .push(("POLICY_GUARDRAIL_DIR".to_owned(), directory));
    (stage, mounted)
}

fn with_accounts(mut spec: Value, names: &[&str]) -> Value {
    spec["service_accounts"] = names.iter().map(|name| json!({ "name": name })).collect();
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn it_narrows_and_denies_what_policies_and_the_operator_decide() {
    let (stage, mounted) =
        guarded(&json!({ "accounts": ["default"], "name_prefix": "ecr-" })).await;
    let _operator = stage.start().await;
    stage.create_account("deployer", &[]).await;
    // Without a policy: one link is taken away, and that is told.
    stage
        .create(
            "plain",
            with_accounts(spec("ecr-plain"), &["default", "deployer"]),
        )
        .await;
    let status = stage.ready("plain", "Refreshed").await;
    assert_eq!(
        status.condition("Adjusted").unwrap().reason,
        "GuardrailNarrowed"
    );
    let told = message(&status, "Adjusted");
    assert!(
        told.contains("took away service account deployer"),
        "{told}"
    );
    assert_eq!(status.service_accounts.len(), 1);
    stage.linked("default", &["ecr-plain"], &[]).await;
    stage.linked("deployer", &[], &[]).await;
    // With a policy: the name is not allowed.
    stage
        .upload("team", "policy.wasm", Stage::guest("team-prefix"))
        .await;
    let policy = json!({ "config_map": "team", "settings": { "prefix": "web" } });
    stage.create("named", policy_spec("x", policy)).await;
    let status = stage.ready("named", "GuardrailDenied").await;
    let told = message(&status, "Ready");
    assert!(
        told.contains("guardrail denies") && told.contains("ecr-"),
        "{told}"
    );
    assert_eq!(status.generated_secret_name, None);

    // Other settings: everybody is looked at again.
    let before = stage.secret("ecr-plain").await;
    mounted.settings(&json!({ "accounts": ["deployer"], "name_prefix": "web-" }));
    stage.ready("named", "Refreshed").await;
    let status = stage.ready("plain", "GuardrailDenied").await;
    assert!(
        message(&status, "Ready").contains("Secret ecr-plain stays valid until"),
        "{status:?}"
    );
    assert_eq!(status.generated_secret_name.as_deref(), Some("ecr-plain"));
    assert_eq!(
        state(&stage.secret("ecr-plain").await),
        state(&before),
        "left alone"
    );
    stage.linked("default", &["ecr-plain"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_a_tenant_writes_into_an_annotation_goes_through_it_too() {
    let (stage, _mounted) = guarded(&json!({ "accounts": ["default"], "name_prefix": "" })).await;
    let operator = stage.start().await;
    stage.create_account("deployer", &[]).await;
    stage
        .upload("policy", "policy.wasm", Stage::guest("default"))
        .await;
    let spec = with_accounts(
        policy_spec("ecr", json!({ "config_map": "policy" })),
        &["default"],
    );
    stage.create("a", spec).await;
    stage.ready("a", "Refreshed").await;
    drop(operator);
    // The policy is gone, so the last good decision counts; and the tenant says what that was.
    stage
        .change(
            "a",
            json!({ "spec": { "policy": { "config_map": "gone" } } }),
        )
        .await;
    let secret = stage.secret("ecr").await;
    let mut decision: Value =
        serde_json::from_str(&secret.metadata.annotations.unwrap()[DECISION]).unwrap();
    decision["serviceAccounts"] = json!([
        { "name": "default", "imagePull": true, "mount": false },
        { "name": "deployer", "imagePull": true, "mount": true },
    ]);
    let patch = json!({ "metadata": { "annotations": { DECISION: decision.to_string() } } });
    stage
        .secrets()
        .patch("ecr", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let _operator = stage.start().await;
    stage.ready("a", "PolicyMissing").await;
    stage.linked("default", &["ecr"], &[]).await;
    stage.linked("deployer", &[], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_usable_answer_nothing_is_decided_and_a_broken_new_version_does_not_take_over() {
    let (stage, mounted) = guarded(&json!({ "accounts": ["default"], "name_prefix": "" })).await;
    mounted.put("policy.wasm", b"no module");
    let _operator = stage.start().await;
    stage.create("a", spec("a")).await;
    let status = stage.ready("a", "GuardrailFailed").await;
    assert!(
        message(&status, "Ready").contains("not a WebAssembly component"),
        "{status:?}"
    );
    assert_eq!(status.generated_secret_name, None);
    mounted.put("policy.wasm", &Stage::guest("guardrail"));
    stage.ready("a", "Refreshed").await;
    // A new version that cannot be used leaves the one before in force.
    mounted.put("policy.wasm", b"no module either");
    stage.create("b", spec("b")).await;
    stage.ready("b", "Refreshed").await;
    // One that allows more than was decided is no answer.
    mounted.settings(&json!({ "accounts": ["default"], "name_prefix": "", "widen": true }));
    mounted.put("policy.wasm", &Stage::guest("guardrail"));
    let status = stage.ready("b", "GuardrailFailed").await;
    assert!(
        message(&status, "Ready").contains("takes away only"),
        "{status:?}"
    );
    // Without one, everything is as it was.
    fs::remove_file(mounted.directory.join("policy.wasm")).unwrap();
    stage.ready("b", "Refreshed").await;
}
