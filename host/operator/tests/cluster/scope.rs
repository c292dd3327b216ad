//! An operator for some namespaces keeps to them; one for the whole cluster serves all.

use std::sync::Arc;

use ecr_secret_core::manifests::{Installation, Scope, WORKLOAD_NAME};
use serde_json::json;
use test_cluster::{ControlPlane, Options};

use crate::support::{Plane, SOON, Stage, eventually, spec};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_for_some_namespaces_leaves_all_others_alone_and_needs_no_right_there() {
    let cluster: Plane = Arc::new(test_cluster::shared().await.unwrap());
    let (one, two, other) = (
        cluster.create_namespace("one").await.unwrap(),
        cluster.create_namespace("two").await.unwrap(),
        cluster.create_namespace("other").await.unwrap(),
    );
    let watched = vec![one.clone(), two.clone()];
    let installation = Installation {
        scope: Scope::Namespaces(watched.clone()),
        ..Installation::default()
    };
    assert!(
        !installation.rbac_yaml().contains("kind: ClusterRole"),
        "no right for the whole cluster is asked for"
    );
    let mut stage = Stage::prepare_on(cluster, |_| Scope::Namespaces(watched)).await;
    let own = stage.namespace.clone();
    let operator = stage.start().await;
    for namespace in [&other, &own, &one, &two] {
        stage.namespace.clone_from(namespace);
        stage.create("a", spec("a")).await;
    }
    for namespace in [&one, &two] {
        stage.namespace.clone_from(namespace);
        stage.ready("a", "Refreshed").await;
    }
    for namespace in [&other, &own] {
        stage.namespace.clone_from(namespace);
        assert!(
            stage.secrets().get_opt("a").await.unwrap().is_none(),
            "a Secret in {namespace}, which is not watched"
        );
        assert!(
            stage.resources().get("a").await.unwrap().status.is_none(),
            "a status in {namespace}, which is not watched"
        );
    }
    assert_eq!(stage.calls(), 1, "both namespaces share a token");
    let log = operator.log();
    assert!(
        !log.to_lowercase().contains("forbidden"),
        "it asks for nothing that it may not: {log}"
    );
    let user = format!("--as=system:serviceaccount:{own}:{WORKLOAD_NAME}");
    for verb in ["get", "list", "watch", "create", "patch", "delete"] {
        let mut allowed = stage.cluster.kubectl();
        allowed.args(["auth", "can-i", verb, "secrets", "-n", &other, &user]);
        assert_eq!(
            String::from_utf8_lossy(&allowed.output().unwrap().stdout).trim(),
            "no",
            "{verb}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_for_the_whole_cluster_serves_every_namespace_also_new_ones_with_the_shipped_cluster_role()
 {
    let plane = Arc::new(ControlPlane::start(Options::default()).await.unwrap());
    let mut stage = Stage::prepare_on(Arc::clone(&plane) as _, |_| Scope::Cluster).await;
    let own = stage.namespace.clone();
    stage.setup.leader_elect = true;
    let operator = stage.start().await;
    let new = plane.create_namespace("new").await.unwrap();
    for namespace in [&own, &new] {
        stage.namespace.clone_from(namespace);
        stage.create_account("builder", &[]).await;
        let mut spec = spec("a");
        spec["service_accounts"] = json!([{ "name": "builder", "use": ["ImagePull", "Mount"] }]);
        stage.create("a", spec).await;
    }
    for namespace in [&own, &new] {
        stage.namespace.clone_from(namespace);
        stage.ready("a", "Refreshed").await;
        stage.linked("builder", &["a"], &["a"]).await;
        eventually(SOON, "an event", || async {
            (stage.events("a").await == [("Refreshed".to_owned(), 1)]).then_some(())
        })
        .await;
    }
    assert_eq!(stage.calls(), 1);
    assert!(
        !operator.log().to_lowercase().contains("forbidden"),
        "{}",
        operator.log()
    );
}
