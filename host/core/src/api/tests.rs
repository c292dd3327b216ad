#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use super::*;
use serde_json::{Value, json};

fn read<K: CredentialResource>(resource: Value) -> K {
    serde_json::from_value(resource).unwrap()
}

fn secret_with(spec: &Value) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "Secret", "metadata": { "name": "a", "namespace": "b" }, "spec": spec })
}

#[test]
fn every_odd_resource_that_the_original_stored_can_be_read() {
    for spec in [
        json!(null),
        json!({}),
        json!({ "ecr_registry": null, "region": null, "service_accounts": null, "adopt": null }),
        json!({ "aws_iam_secret": "gone" }),
    ] {
        let resource: EcrSecret = read(secret_with(&spec));
        assert_eq!(resource.spec, EcrSecretSpec::default(), "{spec}");
        let resource: ArgoHelmRepoSecret = read(secret_with(&spec));
        assert_eq!(resource.spec, ArgoHelmRepoSecretSpec::default(), "{spec}");
        assert_eq!(resource.view().registry, "");
    }
    let mut without_spec = secret_with(&json!(null));
    without_spec.as_object_mut().unwrap().remove("spec");
    assert_eq!(
        read::<EcrSecret>(without_spec.clone()).spec,
        EcrSecretSpec::default()
    );
    assert_eq!(
        read::<ArgoHelmRepoSecret>(without_spec).spec,
        ArgoHelmRepoSecretSpec::default()
    );

    let odd = read::<EcrSecret>(secret_with(
        &json!({ "generated_secret_name": "", "ecr_registry": "nonsense", "frequency": "garbage", "region": "xx-invalid-99" }),
    ));
    assert_eq!(odd.view().generated_secret_name, None);
    assert_eq!(odd.view().frequency, Some("garbage"));
}

#[test]
fn the_originals_status_can_be_read() {
    let mut stored = secret_with(&json!({}));
    for status in [
        json!({ "phase": "Updated", "lastUpdatedTime": "2023-05-01T10:11:12Z" }),
        json!({ "lastUpdatedTime": null, "conditions": null }),
        json!({}),
    ] {
        stored["status"] = status;
        read::<EcrSecret>(stored.clone());
    }
    stored["status"] = json!(null);
    assert_eq!(CredentialResource::status(&read::<EcrSecret>(stored)), None);
}

#[test]
fn a_full_spec_keeps_its_form() {
    let spec = json!({
        "generated_secret_name": "ecr",
        "ecr_registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com",
        "frequency": "10h",
        "region": "us-east-2",
        "policy": { "config_map": "policy", "key": "policy.wasm", "sha256": "0".repeat(64), "settings": { "a": [1, { "b": null }] } },
        "service_accounts": [{ "name": "builder", "use": ["ImagePull", "Mount"] }],
        "adopt": true,
        "suspend": true,
    });
    let resource: EcrSecret = read(secret_with(&spec));
    assert_eq!(serde_json::to_value(&resource.spec).unwrap(), spec);
    assert_eq!(serde_json::to_value(&resource).unwrap()["kind"], "Secret");
}

#[test]
fn an_account_without_use_pulls_images() {
    let resource: EcrSecret = read(secret_with(
        &json!({ "service_accounts": [{ "name": "default" }] }),
    ));
    assert_eq!(
        resource.spec.service_accounts[0].uses,
        [AccountUse::ImagePull]
    );
    let link = &resource.view().account_links()[0];
    assert!(link.image_pull && !link.mount);
    assert_eq!(AccountRef::from(link), resource.spec.service_accounts[0]);
}

#[test]
fn conditions_are_compared_by_what_they_say() {
    let condition = Condition {
        type_: CONDITION_READY.into(),
        status: ConditionStatus::True,
        reason: "Refreshed".into(),
        message: "fine".into(),
        last_transition_time: jiff::Timestamp::UNIX_EPOCH.into(),
        observed_generation: Some(1),
    };
    let later = Condition {
        last_transition_time: jiff::Timestamp::MAX.into(),
        observed_generation: Some(2),
        ..condition.clone()
    };
    assert!(condition.says_the_same(&later));
    assert!(!condition.says_the_same(&Condition {
        message: "bad".into(),
        ..later
    }));
    assert_eq!(ConditionStatus::True.as_str(), "True");
}
