//! The contract with the users of the original operator, line by line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecr_secret_core::api::TOKEN_EXPIRES_AT;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{REGISTRY, SOON, Stage, eventually, password, spec, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_becomes_a_docker_registry_secret_byte_for_byte() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("ecr-secret", spec("ecr-docker-secret")).await;
    let secret = stage.secret("ecr-docker-secret").await;
    assert_eq!(
        secret.type_.as_deref(),
        Some("kubernetes.io/dockerconfigjson")
    );
    assert_eq!(secret.data.as_ref().unwrap().len(), 1);
    let password = password(&secret);
    let auth = STANDARD.encode(format!("AWS:{password}"));
    let expected = format!(
        r#"{{"auths":{{"{REGISTRY}":{{"username":"AWS","password":"{password}","auth":"{auth}"}}}}}}"#
    );
    assert_eq!(text(&secret, ".dockerconfigjson"), expected);
    assert!(
        aws_double::issued(&password).is_some(),
        "the password is the one that AWS gave"
    );

    let status = stage.ready("ecr-secret", "Refreshed").await;
    assert_eq!(status.phase.as_deref(), Some("Updated"));
    assert!(status.last_updated_time.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argo_resource_becomes_a_repository_secret_with_six_keys() {
    let (stage, _operator) = Stage::with_operator().await;
    let object = json!({
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "ArgoHelmRepoSecret", "metadata": { "name": "charts" },
        "spec": { "generated_secret_name": "argo-charts", "url": REGISTRY, "frequency": "10h", "region": "us-east-2" },
    });
    stage
        .argo_resources()
        .create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
    let secret = stage.secret("argo-charts").await;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(
        secret.metadata.labels.as_ref().unwrap()["argocd.argoproj.io/secret-type"],
        "repository"
    );
    assert_eq!(secret.data.as_ref().unwrap().len(), 6);
    for (key, value) in [
        ("username", "AWS"),
        ("url", REGISTRY),
        ("type", "helm"),
        ("enableOCI", "true"),
        ("name", "argo-charts"),
    ] {
        assert_eq!(text(&secret, key), value, "{key}");
    }
    assert!(aws_double::issued(&text(&secret, "password")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_or_account_that_does_not_exist_is_admitted_and_told_and_harms_nothing_else() {
    let (stage, _operator) = Stage::with_operator().await;
    let mut bad = spec("never");
    bad["region"] = json!("xx-invalid-99");
    stage.create("bad-region", bad).await;
    stage.create("good", spec("good")).await;
    stage.secret("good").await;
    let status = stage.status("bad-region", "Ready is False", |status| {
        status
            .condition("Ready")
            .is_some_and(|ready| ready.status.as_str() == "False")
    });
    let status = status.await;
    let ready = status.condition("Ready").unwrap();
    assert!(ready.message.contains("xx-invalid-99"), "{}", ready.message);
    assert!(stage.secrets().get_opt("never").await.unwrap().is_none());
    assert_eq!(
        stage.ready("good", "Refreshed").await.phase.as_deref(),
        Some("Updated")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_go_duration_of_the_contract_is_accepted_and_mistakes_are_told() {
    let (stage, _operator) = Stage::with_operator().await;
    for (number, frequency) in ["10h", "1h30m", "10s", "1.5h", "90m"]
        .into_iter()
        .enumerate()
    {
        let name = format!("good-{number}");
        let mut spec = spec(&name);
        spec["frequency"] = json!(frequency);
        stage.create(&name, spec).await;
        let status = stage.ready(&name, "Refreshed").await;
        assert!(
            status.condition("Adjusted").is_none(),
            "{frequency}: {:?}",
            status.conditions
        );
    }
    for (number, frequency) in ["300ms", "1µs", "0s", "-1h", "garbage"]
        .into_iter()
        .enumerate()
    {
        let name = format!("odd-{number}");
        let mut spec = spec(&name);
        spec["frequency"] = json!(frequency);
        stage.create(&name, spec).await;
        let status = stage.ready(&name, "Refreshed").await;
        let adjusted = status
            .condition("Adjusted")
            .unwrap_or_else(|| panic!("{frequency}: no word of it"));
        assert_eq!(adjusted.reason, "InvalidFrequency");
        assert!(
            status.next_refresh_time.unwrap() < status.expires_at.unwrap(),
            "{frequency}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_comes_back_and_an_edited_one_is_repaired_with_the_same_token() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    let first = stage.secret("a").await;
    stage.ready("a", "Refreshed").await;
    stage
        .secrets()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let second = stage.secret("a").await;
    assert_ne!(first.metadata.uid, second.metadata.uid);

    let junk = json!({ "data": { ".dockerconfigjson": STANDARD.encode("{}") } });
    stage
        .secrets()
        .patch("a", &PatchParams::default(), &Patch::Merge(junk))
        .await
        .unwrap();
    let api = stage.secrets();
    eventually(SOON, "the edited Secret is repaired", || async {
        let secret = api.get("a").await.ok()?;
        (secret.data == first.data).then_some(())
    })
    .await;

    let lie =
        json!({ "metadata": { "annotations": { TOKEN_EXPIRES_AT: "2099-01-01T00:00:00Z" } } });
    stage
        .secrets()
        .patch("a", &PatchParams::default(), &Patch::Merge(lie))
        .await
        .unwrap();
    eventually(SOON, "a late expiry is no longer claimed", || async {
        let secret = api.get("a").await.ok()?;
        (secret.annotations()[TOKEN_EXPIRES_AT] == first.annotations()[TOKEN_EXPIRES_AT])
            .then_some(())
    })
    .await;
    assert_eq!(
        stage
            .aws
            .counts()
            .of(aws_double::Action::EcrGetAuthorizationToken),
        1,
        "one token served all of it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_resource_deletes_its_secret_and_creating_it_anew_makes_a_new_one() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    let first = stage.secret("a").await;
    stage
        .resources()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let api = stage.secrets();
    // A garbage collector that has not seen the CRD yet looks for new kinds every 30 s.
    eventually(3 * SOON, "the Secret is collected", || async {
        api.get_opt("a").await.ok().filter(Option::is_none)
    })
    .await;
    stage.create("a", spec("a")).await;
    assert_ne!(stage.secret("a").await.metadata.uid, first.metadata.uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_secret_is_taken_over_in_place() {
    let stage = Stage::prepare().await;
    let old = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": { "name": "a" },
        "stringData": { ".dockerconfigjson": json!({ "auths": { REGISTRY: { "username": "AWS", "password": "old", "auth": STANDARD.encode("AWS:old") } } }).to_string() },
    });
    let before = stage
        .secrets()
        .create(
            &PostParams::default(),
            &serde_json::from_value(old).unwrap(),
        )
        .await
        .unwrap();
    stage.create("a", spec("a")).await;
    let _operator = stage.start().await;
    stage.ready("a", "Refreshed").await;
    let after = stage.secret("a").await;
    assert_eq!(after.metadata.uid, before.metadata.uid, "in place");
    assert_ne!(password(&after), "old");
    assert_eq!(after.metadata.owner_references.unwrap()[0].kind, "Secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_resources_of_the_original_get_conditions() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("empty", json!({})).await;
    let status = stage.ready("empty", "InvalidSpec").await;
    assert!(
        status
            .condition("Ready")
            .unwrap()
            .message
            .contains("spec.ecr_registry")
    );
    let api: kube::Api<kube::api::DynamicObject> = kube::Api::namespaced_with(
        stage.client.clone(),
        &stage.namespace,
        &kube::api::ApiResource::erase::<ecr_secret_core::api::EcrSecret>(&()),
    );
    let without: Value = json!({ "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": "without" } });
    api.create(
        &PostParams::default(),
        &serde_json::from_value(without).unwrap(),
    )
    .await
    .unwrap();
    stage.ready("without", "InvalidSpec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_names_the_category_and_the_columns_are_there() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("generated")).await;
    stage.ready("a", "Refreshed").await;
    let namespace = stage.namespace.as_str();
    for name in ["secrets.ecr.mobb.redhat.com", "ecrsec", "ecr"] {
        let table = stage
            .cluster
            .run_kubectl(&["get", name, "-n", namespace])
            .unwrap();
        for word in [
            "SECRET",
            "REGISTRY",
            "READY",
            "REASON",
            "EXPIRES",
            "NEXT REFRESH",
            "POLICY",
            "generated",
            REGISTRY,
            "True",
            "Refreshed",
        ] {
            assert!(table.contains(word), "{name}: no {word} in\n{table}");
        }
    }
    stage
        .cluster
        .run_kubectl(&[
            "wait",
            "ecrsec/a",
            "-n",
            namespace,
            "--for=condition=Ready",
            "--timeout=10s",
        ])
        .unwrap();
}
