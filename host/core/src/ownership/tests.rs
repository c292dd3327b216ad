#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use serde_json::json;

use super::*;
use crate::api::{ArgoHelmRepoSecret, EcrSecret, FIELD_MANAGER};
use crate::render::data_keys;

const REGISTRY: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";

fn resource() -> EcrSecret {
    serde_json::from_value(json!({ "metadata": { "name": "mine", "namespace": "team", "uid": "u-1" }, "spec": { "ecr_registry": REGISTRY } })).unwrap()
}

fn argo() -> ArgoHelmRepoSecret {
    serde_json::from_value(json!({ "metadata": { "name": "mine", "namespace": "team", "uid": "u-1" }, "spec": { "url": REGISTRY } })).unwrap()
}

fn docker(config: &Value) -> Secret {
    let config = ByteString(config.to_string().into_bytes());
    Secret {
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some(BTreeMap::from([(DOCKER_CONFIG_KEY.into(), config)])),
        ..Secret::default()
    }
}

fn originals() -> Secret {
    docker(
        &json!({ "auths": { REGISTRY: { "username": "AWS", "password": "p", "auth": "QVdTOnA=" } } }),
    )
}

fn argo_originals(changes: &[(&str, &str)]) -> Secret {
    let mut data = BTreeMap::from([
        ("username", "AWS"),
        ("password", "p"),
        ("url", REGISTRY),
        ("type", "helm"),
        ("enableOCI", "true"),
        ("name", "x"),
    ]);
    data.extend(changes.iter().copied());
    let data = data
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), ByteString(value.into())))
        .collect();
    Secret {
        type_: Some("Opaque".into()),
        data: Some(data),
        ..Secret::default()
    }
}

fn owned_by(
    mut secret: Secret,
    api_version: &str,
    kind: &str,
    uid: &str,
    controller: Option<bool>,
) -> Secret {
    let owner = OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: "owner".into(),
        uid: uid.into(),
        controller,
        block_owner_deletion: None,
    };
    secret.metadata.owner_references = Some(vec![owner]);
    secret
}

fn why(ownership: Ownership) -> Foreign {
    match ownership {
        Ownership::Foreign { why } => why,
        other => panic!("not foreign: {other:?}"),
    }
}

#[test]
fn what_this_resource_controls_is_its_own_whatever_it_holds() {
    let ours = owned_by(
        docker(&json!({})),
        "ecr.mobb.redhat.com/v1alpha1",
        "Secret",
        "u-1",
        Some(true),
    );
    assert_eq!(classify(&ours, &resource()), Ownership::Ours);
    assert_eq!(
        metadata_ownership(&ours.metadata, "u-1"),
        MetadataOwnership::Ours
    );
    assert!(may_take_over(&Ownership::Ours, false));
}

#[test]
fn another_resources_secret_is_never_taken() {
    for kind in ["Secret", "ArgoHelmRepoSecret"] {
        let theirs = owned_by(
            originals(),
            "ecr.mobb.redhat.com/v1beta9",
            kind,
            "u-2",
            Some(true),
        );
        let ownership = classify(&theirs, &resource());
        assert_eq!(
            ownership,
            Ownership::OtherResource {
                kind: kind.into(),
                name: "owner".into()
            }
        );
        assert!(!may_take_over(&ownership, true));
    }
}

#[test]
fn what_something_else_controls_is_never_taken() {
    let theirs = owned_by(
        originals(),
        "external-secrets.io/v1",
        "ExternalSecret",
        "u-3",
        Some(true),
    );
    let ownership = classify(&theirs, &resource());
    assert!(!may_take_over(&ownership, true));
    assert_eq!(
        why(ownership).to_string(),
        "ExternalSecret owner controls it"
    );
    assert!(matches!(
        metadata_ownership(&theirs.metadata, "u-1"),
        MetadataOwnership::Controlled { .. }
    ));
}

#[test]
fn a_resource_without_uid_owns_nothing() {
    let mut unborn = resource();
    unborn.metadata.uid = None;
    let secret = owned_by(
        originals(),
        "ecr.mobb.redhat.com/v1alpha1",
        "Secret",
        "",
        Some(true),
    );
    assert!(matches!(
        classify(&secret, &unborn),
        Ownership::OtherResource { .. }
    ));
}

#[test]
fn the_originals_secrets_are_recognised() {
    for secret in [
        originals(),
        docker(&json!({ "auths": { REGISTRY: { "auth": "QVdTOnA=" } } })),
        docker(&json!({ "auths": { REGISTRY: { "username": "AWS" } } })),
    ] {
        let ownership = classify(&secret, &resource());
        assert_eq!(ownership, Ownership::OriginalOperators);
        assert!(may_take_over(&ownership, false));
    }
    assert_eq!(
        classify(&argo_originals(&[]), &argo()),
        Ownership::OriginalOperators
    );
    assert_eq!(
        metadata_ownership(&originals().metadata, "u-1"),
        MetadataOwnership::Uncontrolled
    );
}

#[test]
fn other_content_is_somebody_elses_until_adoption_is_asked_for() {
    let mut two_keys = originals();
    two_keys
        .data
        .as_mut()
        .unwrap()
        .insert("more".into(), ByteString::default());
    let auth = json!({ "username": "AWS", "auth": "QVdTOnA=" });
    for secret in [
        two_keys,
        docker(&json!({ "auths": { REGISTRY: auth, "other": auth } })),
        docker(&json!({ "auths": { "other": auth } })),
        docker(&json!({ "auths": {} })),
        docker(&json!({ "auths": { REGISTRY: auth }, "credHelpers": {} })),
        docker(&json!({ "auths": { REGISTRY: { "username": "bob", "auth": "QVdTOnA=" } } })),
        docker(&json!({ "auths": { REGISTRY: { "auth": "Ym9iOnA=" } } })),
        docker(&json!({ "auths": { REGISTRY: { "auth": 1 } } })),
        docker(&json!({ "auths": [REGISTRY] })),
        docker(&json!(null)),
        Secret {
            data: None,
            ..originals()
        },
    ] {
        let ownership = classify(&secret, &resource());
        assert!(!may_take_over(&ownership, false), "{secret:?}");
        assert!(may_take_over(&ownership, true));
        assert_eq!(why(ownership), Foreign::OtherContent);
    }
    for changes in [
        [("username", "bob")],
        [("url", "other")],
        [("type", "git")],
        [("enableOCI", "")],
        [("project", "x")],
    ] {
        assert_eq!(
            why(classify(&argo_originals(&changes), &argo())),
            Foreign::OtherContent,
            "{changes:?}"
        );
    }
}

#[test]
fn an_owner_that_does_not_control_is_respected_until_adoption_is_asked_for() {
    for controller in [None, Some(false)] {
        let ownership = classify(
            &owned_by(originals(), "v1", "ConfigMap", "u-4", controller),
            &resource(),
        );
        assert!(!may_take_over(&ownership, false) && may_take_over(&ownership, true));
        assert_eq!(why(ownership).to_string(), "it belongs to ConfigMap owner");
    }
}

#[test]
fn what_the_api_server_would_refuse_is_not_adopted() {
    let wrong_type = Secret {
        type_: Some("Opaque".into()),
        ..originals()
    };
    let without_type = Secret {
        type_: None,
        ..originals()
    };
    let immutable = Secret {
        immutable: Some(true),
        ..originals()
    };
    for secret in [wrong_type.clone(), without_type, immutable] {
        assert!(!may_take_over(&classify(&secret, &resource()), true));
    }
    let ours = owned_by(
        wrong_type,
        "ecr.mobb.redhat.com/v1alpha1",
        "Secret",
        "u-1",
        Some(true),
    );
    assert!(matches!(
        why(classify(&ours, &resource())),
        Foreign::WrongType { .. }
    ));
}

fn managed(entries: &Value) -> ObjectMeta {
    serde_json::from_value(json!({ "managedFields": entries })).unwrap()
}

#[test]
fn an_edit_by_somebody_else_is_seen_in_the_metadata() {
    let keys = data_keys(ResourceKind::Secret);
    let ours = json!({ "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": { "f:metadata": kept(), "f:data": { ".": {}, "f:.dockerconfigjson": {} }, "f:type": {} } });
    let without_data = json!({ "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": { "f:metadata": kept(), "f:type": {} } });
    let editors = json!({ "manager": "kubectl-edit", "operation": "Update", "fieldsV1": { "f:data": { "f:.dockerconfigjson": {} } } });
    let elsewhere = json!({ "manager": FIELD_MANAGER, "subresource": "status", "fieldsV1": { "f:data": { "f:.dockerconfigjson": {} } } });
    assert!(
        !drift(&managed(&json!([ours])), FIELD_MANAGER, keys),
        "untouched"
    );
    assert!(
        !drift(&managed(&json!([ours, editors])), FIELD_MANAGER, keys),
        "same value, owned together"
    );
    assert!(
        drift(
            &managed(&json!([without_data, editors])),
            FIELD_MANAGER,
            keys
        ),
        "edited"
    );
    assert!(
        drift(&managed(&json!([without_data])), FIELD_MANAGER, keys),
        "removed"
    );
    assert!(
        drift(&managed(&json!([editors])), FIELD_MANAGER, keys),
        "never ours"
    );
    assert!(
        drift(&managed(&json!([elsewhere])), FIELD_MANAGER, keys),
        "another subresource"
    );
    assert!(
        drift(
            &managed(&json!([ours])),
            FIELD_MANAGER,
            data_keys(ResourceKind::ArgoHelmRepoSecret)
        ),
        "other keys are wanted"
    );
    assert!(
        !drift(&managed(&json!([])), FIELD_MANAGER, keys),
        "nothing is known"
    );
    assert!(
        !drift(&ObjectMeta::default(), FIELD_MANAGER, keys),
        "nothing is known"
    );
}

/// The annotations that every write of ours carries, as `managedFields` have them.
fn kept() -> Value {
    json!({ "f:annotations": fields(&KEPT) })
}

fn fields(keys: &[&str]) -> serde_json::Map<String, Value> {
    keys.iter()
        .map(|key| (format!("f:{key}"), json!({})))
        .collect()
}

fn entry(manager: &str, second: u8, keys: &[&str]) -> Value {
    let metadata = if manager == FIELD_MANAGER {
        kept()
    } else {
        json!({})
    };
    json!({
        "manager": manager, "operation": "Update", "time": format!("2026-01-31T00:00:{second:02}Z"),
        "fieldsV1": { "f:metadata": metadata, "f:data": fields(keys) },
    })
}

#[test]
fn an_edit_of_what_judgement_rests_on_is_an_edit() {
    let keys = data_keys(ResourceKind::Secret);
    for edited in KEPT {
        let rest: Vec<&str> = KEPT.into_iter().filter(|key| *key != edited).collect();
        let ours = json!({ "manager": FIELD_MANAGER, "time": "2026-01-31T00:00:01Z", "fieldsV1": { "f:metadata": { "f:annotations": fields(&rest) }, "f:data": fields(keys) } });
        let editors = json!({ "manager": "kubectl-annotate", "time": "2026-01-31T00:00:02Z", "fieldsV1": { "f:metadata": { "f:annotations": fields(&[edited]) } } });
        assert!(
            drift(&managed(&json!([ours, editors])), FIELD_MANAGER, keys),
            "{edited} was changed"
        );
        assert!(
            drift(&managed(&json!([ours])), FIELD_MANAGER, keys),
            "{edited} was removed"
        );
    }
}

/// The entries are those that an API server of Kubernetes 1.36 keeps in these situations.
#[test]
fn what_a_merge_patch_left_in_others_hands_counts_as_ours_until_they_change_it() {
    let drift = |entries: &[Value]| {
        super::drift(
            &managed(&json!(entries)),
            FIELD_MANAGER,
            &["password", "url"],
        )
    };
    let taken_over = [
        entry("manager", 14, &["url"]),
        entry(FIELD_MANAGER, 17, &["password"]),
    ];
    assert!(!drift(&taken_over), "taken over with the same url");
    let edited = [
        entry("manager", 14, &[]),
        entry(FIELD_MANAGER, 17, &["password"]),
        entry("editor", 19, &["url"]),
    ];
    assert!(drift(&edited), "edited after our write");
    let repaired = [
        entry(FIELD_MANAGER, 22, &["password", "url"]),
        entry("editor", 19, &[]),
    ];
    assert!(!drift(&repaired), "repaired");
    let edited_by_the_first = [
        entry(FIELD_MANAGER, 22, &["password"]),
        entry("manager", 25, &["url"]),
    ];
    assert!(
        drift(&edited_by_the_first),
        "edited by the one that it was taken over from"
    );
    let removed = [
        entry(FIELD_MANAGER, 27, &["password"]),
        entry("editor", 29, &[]),
    ];
    assert!(drift(&removed), "removed");
    let same_second = [
        entry(FIELD_MANAGER, 27, &["password"]),
        entry("editor", 27, &["url"]),
    ];
    assert!(drift(&same_second), "edited in the second of our write");
    assert!(
        drift(&[entry("editor", 27, &["password", "url"])]),
        "we never wrote"
    );
}
