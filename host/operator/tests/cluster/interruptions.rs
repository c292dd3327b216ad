//! The API server goes and comes back, watches break, namespaces end, others write at the same time.

use std::sync::Arc;
use std::time::Duration;

use ecr_secret_core::api::Status;
use ecr_secret_core::manifests::Scope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use test_cluster::{ControlPlane, Options};

use crate::proxy::Proxy;
use crate::round::Round;
use crate::support::{Plane, SOON, Stage, eventually, spec};

/// Watches that were interrupted again and again wait up to half a minute.
const RECOVERY: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_outlives_a_restart_of_the_api_server_and_serves_what_comes_after() {
    let plane = Arc::new(ControlPlane::start(Options::default()).await.unwrap());
    let mut stage = Stage::prepare_on(Arc::clone(&plane) as _, |own| {
        Scope::Namespaces(vec![own.to_owned()])
    })
    .await;
    let mut operator = stage.start().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let before = stage.secret("a").await;

    plane.stop_apiserver();
    eventually(SOON, "the operator notices", || async {
        operator
            .log()
            .contains("a watch was interrupted")
            .then_some(())
    })
    .await;
    assert_eq!(
        operator.health("/healthz").await.unwrap().0,
        200,
        "a restart of the operator would mend nothing"
    );
    plane.start_apiserver().await.unwrap();
    stage.client = plane.client().unwrap();

    stage.create("b", spec("b")).await;
    stage.ready_within(RECOVERY, "b", "Refreshed").await;
    stage
        .change(
            "a",
            json!({ "spec": { "generated_secret_name": "renamed" } }),
        )
        .await;
    stage
        .status_within(RECOVERY, "a", "renamed", |status| {
            status.generated_secret_name.as_deref() == Some("renamed")
        })
        .await;
    eventually(SOON, "the old Secret goes", || async {
        stage
            .secrets()
            .get_opt("a")
            .await
            .ok()
            .filter(Option::is_none)
    })
    .await;
    assert_eq!(
        stage.secret("renamed").await.data,
        before.data,
        "the token is still good"
    );
    assert!(operator.is_running().unwrap());
    assert_eq!(stage.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_cut_are_taken_up_again_and_nothing_in_between_is_missed() {
    let stage = Stage::prepare().await;
    let proxy = Proxy::start(&stage).await;
    let mut operator = proxy.operator();
    operator.wait_until_ready().await.unwrap();
    let round = Round::new(&stage, 1).await;
    stage.create("r1", round.spec("s1")).await;
    stage.create("gone", spec("gone")).await;
    round.is_told(&stage, "s1").await;
    stage.ready("gone", "Refreshed").await;

    proxy.let_pass();
    proxy.cut();
    eventually(SOON, "the five watches begin anew", || async {
        (proxy.watches() >= 5).then_some(())
    })
    .await;
    stage.create("after-a-cut", spec("after-a-cut")).await;
    stage.ready("after-a-cut", "Refreshed").await;

    proxy.refuse(true);
    proxy.cut();
    eventually(SOON, "the five watches find nobody", || async {
        (proxy.refused() >= 5).then_some(())
    })
    .await;
    stage
        .resources()
        .delete("gone", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .change("r1", json!({ "spec": { "generated_secret_name": "s2" } }))
        .await;
    stage.create("new", spec("new")).await;
    stage
        .secrets()
        .delete("after-a-cut", &DeleteParams::default())
        .await
        .unwrap();
    proxy.refuse(false);
    stage.ready_within(RECOVERY, "new", "Refreshed").await;
    eventually(RECOVERY, "the deleted Secret comes back", || async {
        stage.secrets().get("after-a-cut").await
    })
    .await;
    eventually(RECOVERY, "the rename is done", || async {
        stage.secrets().get("s2").await
    })
    .await;
    round.is_settled(&stage, "s2").await;
    let series = format!("namespace=\"{}\",name=\"gone\"", stage.namespace);
    eventually(SOON, "the metrics of what was deleted vanish", || async {
        (!operator.metrics().await.ok()?.contains(&series)).then_some(())
    })
    .await;
    assert!(operator.is_running().unwrap());
    assert_eq!(stage.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_while_its_tokens_are_renewed_goes_away_and_disturbs_nobody() {
    let plane = Arc::new(ControlPlane::start(Options::default()).await.unwrap());
    let mut stage = Stage::prepare_on(Arc::clone(&plane) as _, |_| Scope::Cluster).await;
    stage.aws.set_token_life(Duration::from_secs(6));
    let own = stage.namespace.clone();
    let mut operator = stage.start().await;
    stage.create("survivor", spec("survivor")).await;
    stage.ready("survivor", "Refreshed").await;

    let ending = plane.create_namespace("ending").await.unwrap();
    stage.namespace.clone_from(&ending);
    let names: Vec<String> = (0..10).map(|number| format!("r{number}")).collect();
    for name in &names {
        stage.create_account(name, &[]).await;
        let mut spec = spec(name);
        spec["service_accounts"] = json!([{ "name": name, "use": ["ImagePull"] }]);
        stage.create(name, spec).await;
    }
    for name in &names {
        stage.ready(name, "Refreshed").await;
    }
    // Holds the namespace in the state of being deleted.
    let hold: ConfigMap = serde_json::from_value(
        json!({ "metadata": { "name": "hold", "finalizers": ["test.example.com/hold"] } }),
    )
    .unwrap();
    stage
        .config_maps()
        .create(&PostParams::default(), &hold)
        .await
        .unwrap();
    let log_before = operator.log().lines().count();
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces
        .delete(&ending, &DeleteParams::default())
        .await
        .unwrap();
    eventually(RECOVERY, "the resources go", || async {
        stage
            .resources()
            .list(&ListParams::default())
            .await
            .ok()
            .filter(|list| list.items.is_empty())
    })
    .await;
    eventually(RECOVERY, "the Secrets go", || async {
        stage
            .secrets()
            .list(&ListParams::default())
            .await
            .ok()
            .filter(|list| list.items.is_empty())
    })
    .await;

    // Two renewals of the survivor: the moments at which the others would have been renewed have passed.
    stage.namespace.clone_from(&own);
    for _ in 0..2 {
        let before = stage.secret("survivor").await;
        eventually(SOON, "the survivor is renewed", || async {
            stage
                .secrets()
                .get("survivor")
                .await
                .ok()
                .filter(|now| now.data != before.data)
        })
        .await;
    }
    stage.namespace.clone_from(&ending);
    assert!(
        stage
            .secrets()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty(),
        "no Secret comes back in a namespace that ends"
    );
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    stage
        .config_maps()
        .patch("hold", &PatchParams::default(), &release)
        .await
        .unwrap();
    eventually(RECOVERY, "the namespace goes", || async {
        namespaces
            .get_opt(&ending)
            .await
            .ok()
            .filter(Option::is_none)
    })
    .await;

    assert!(operator.is_running().unwrap());
    assert_eq!(operator.health("/readyz").await.unwrap().0, 200);
    let log = operator.log();
    let complaints: Vec<&str> = log
        .lines()
        .skip(log_before)
        .filter(|line| line.contains(r#""WARN""#) || line.contains(r#""ERROR""#))
        .collect();
    assert!(
        complaints.len() <= 10,
        "{} complaints about 10 resources:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    let metrics = operator.metrics().await.unwrap();
    assert!(
        !metrics.contains(&ending),
        "series of a namespace that is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_role_goes_with_it_does_not_disturb_the_other_one_that_is_watched() {
    let cluster: Plane = Arc::new(test_cluster::shared().await.unwrap());
    let (ending, staying) = (
        cluster.create_namespace("ending").await.unwrap(),
        cluster.create_namespace("staying").await.unwrap(),
    );
    let watched = vec![ending.clone(), staying.clone()];
    let mut stage = Stage::prepare_on(cluster, |_| Scope::Namespaces(watched)).await;
    stage.aws.set_token_life(Duration::from_secs(6));
    let mut operator = stage.start().await;
    for namespace in [&ending, &staying] {
        stage.namespace.clone_from(namespace);
        stage.create("a", spec("a")).await;
        stage.ready("a", "Refreshed").await;
    }
    let log_before = operator.log().lines().count();
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces
        .delete(&ending, &DeleteParams::default())
        .await
        .unwrap();
    eventually(RECOVERY, "the namespace goes", || async {
        namespaces
            .get_opt(&ending)
            .await
            .ok()
            .filter(Option::is_none)
    })
    .await;
    for _ in 0..2 {
        let before = stage.secret("a").await;
        eventually(SOON, "the other one is renewed", || async {
            stage
                .secrets()
                .get("a")
                .await
                .ok()
                .filter(|now| now.data != before.data)
        })
        .await;
    }
    stage.create("b", spec("b")).await;
    stage.ready("b", "Refreshed").await;
    assert!(operator.is_running().unwrap());
    let log = operator.log();
    let complaints = log
        .lines()
        .skip(log_before)
        .filter(|line| line.contains(r#""WARN""#) || line.contains(r#""ERROR""#))
        .count();
    assert!(complaints <= 60, "{complaints} complaints:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_the_resource_at_the_same_time_keeps_the_spec_and_cannot_spoil_the_status() {
    let (stage, _operator) = Stage::with_operator().await;
    stage.create("a", spec("a")).await;
    stage.ready("a", "Refreshed").await;
    let secret = stage.secret("a").await;
    let lie =
        json!({ "status": { "phase": "Bogus", "generatedSecretName": "bogus", "conditions": [] } });
    for number in 1..=20 {
        let change = json!({ "metadata": { "labels": { "round": number.to_string() } }, "spec": { "frequency": format!("{number}h") } });
        stage.change("a", change).await;
        stage
            .resources()
            .patch_status("a", &PatchParams::default(), &Patch::Merge(&lie))
            .await
            .unwrap();
    }
    let generation = stage
        .resources()
        .get("a")
        .await
        .unwrap()
        .metadata
        .generation;
    let right = |status: &Status| {
        status.phase.as_deref() == Some("Updated")
            && status.generated_secret_name.as_deref() == Some("a")
            && status.observed_generation == generation
            && status.condition("Ready").is_some_and(|ready| {
                ready.status.as_str() == "True" && ready.observed_generation == generation
            })
    };
    stage.status("a", "the truth", right).await;
    let resource = stage.resources().get("a").await.unwrap();
    assert_eq!(
        resource.spec.frequency.as_deref(),
        Some("20h"),
        "the spec is the user's"
    );
    assert_eq!(resource.labels()["round"], "20");
    assert_eq!(
        stage.secret("a").await.data,
        secret.data,
        "no new token was needed"
    );
    assert_eq!(stage.calls(), 1);
}
