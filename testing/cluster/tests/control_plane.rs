//! A real control plane: it starts, it keeps its data, it refuses what is not allowed, it goes away.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use test_cluster::{Cluster, ControlPlane, Options, eventually, shared};

const PATIENCE: Duration = Duration::from_mins(1);

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name}, "data": {"key": value}}))
}

async fn create<K>(api: &Api<K>, value: &K)
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), value).await.unwrap();
}

#[tokio::test]
async fn kubectl_talks_to_the_control_plane() {
    let cluster = shared().await.unwrap();
    let version = cluster.run_kubectl(&["version", "-o", "json"]).unwrap();
    let version: Value = serde_json::from_str(&version).unwrap();
    assert!(
        version["serverVersion"]["gitVersion"]
            .as_str()
            .unwrap()
            .starts_with("v1.")
    );
    let error = cluster.run_kubectl(&["get", "nonsense"]).unwrap_err();
    assert!(
        error.to_string().starts_with("kubectl get nonsense: error"),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says_and_nothing_else() {
    let cluster = shared().await.unwrap();
    let namespace = cluster.create_namespace("rbac").await.unwrap();
    let admin = cluster.client().unwrap();
    let role = json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
    });
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    });
    create::<Role>(&Api::namespaced(admin.clone(), &namespace), &object(role)).await;
    create::<RoleBinding>(
        &Api::namespaced(admin.clone(), &namespace),
        &object(binding),
    )
    .await;
    create(
        &Api::namespaced(admin, &namespace),
        &config_map("seen", "yes"),
    )
    .await;

    let client = cluster
        .client_as_service_account(&namespace, "default")
        .await
        .unwrap();
    let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    // The authorizer learns of a new role through a watch.
    eventually(PATIENCE, "the right to read", || maps.get("seen")).await;
    let refused = maps
        .create(&PostParams::default(), &config_map("unseen", "no"))
        .await;
    assert_forbidden(refused);
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    assert_forbidden(secrets.list(&ListParams::default()).await);
    let elsewhere = Api::<ConfigMap>::namespaced(client, "kube-system");
    assert_forbidden(elsewhere.get("seen").await);
}

fn assert_forbidden<T: std::fmt::Debug>(result: kube::Result<T>) {
    match result {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn two_namespaces_of_one_prefix_are_two() {
    let cluster = shared().await.unwrap();
    let first = cluster.create_namespace("twin").await.unwrap();
    let second = cluster.create_namespace("twin").await.unwrap();
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_token_for_another_audience_is_not_one_for_the_api_server() {
    let cluster = shared().await.unwrap();
    let life = Duration::from_hours(1);
    let token = cluster
        .service_account_token("default", "default", &["openshift"], life)
        .await
        .unwrap();
    assert_eq!(token.split('.').count(), 3, "not a JWT");
    let output = cluster
        .kubectl()
        .args(["--token", &token, "get", "namespaces"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("You must be logged in"), "{said}");
}

#[tokio::test]
async fn a_restarted_api_server_has_its_data_and_owned_objects_are_collected() {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(control_plane.client().unwrap());
    create(&maps, &config_map("owner", "1")).await;

    control_plane.stop_apiserver();
    assert!(maps.get("owner").await.is_err(), "it still answers");
    control_plane.start_apiserver().await.unwrap();
    let owner = maps.get("owner").await.unwrap();
    assert_eq!(owner.data.unwrap()["key"], "1");

    // The controllers survive the restart: what belongs to a deleted owner goes, a deleted namespace too.
    let dependent: ConfigMap = object(json!({
        "metadata": {"name": "owned", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid},
        ]},
    }));
    create(&maps, &dependent).await;
    maps.delete("owner", &DeleteParams::default())
        .await
        .unwrap();
    gone(&maps, "owned").await;
    let namespace = control_plane.create_namespace("short").await.unwrap();
    let namespaces = Api::<Namespace>::all(control_plane.client().unwrap());
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
    gone(&namespaces, &namespace).await;

    let directory = control_plane.directory().to_owned();
    let client = control_plane.client().unwrap();
    control_plane.stop();
    assert!(!directory.exists(), "the data stayed");
    assert!(
        client.apiserver_version().await.is_err(),
        "it still answers"
    );
}

async fn gone<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    eventually(PATIENCE, "the object to be gone", async || {
        match api.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_detached_control_plane_is_found_and_shut_down() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().canonicalize().unwrap().join("kept");
    let options = || Options {
        directory: Some(directory.clone()),
        controllers: test_cluster::Controllers::None,
        ..Options::default()
    };
    let running = ControlPlane::start(options()).await.unwrap().detach();
    assert_eq!(test_cluster::find(&directory), Some(running.clone()));
    let found = Cluster::from_kubeconfig(&running.kubeconfig).await.unwrap();
    found.create_namespace("kept").await.unwrap();

    let Err(error) = ControlPlane::start(options()).await else {
        panic!("started twice in one directory");
    };
    assert!(error.to_string().contains("end it first"), "{error}");

    assert!(test_cluster::shut_down(&directory).unwrap());
    assert!(!directory.exists());
    assert!(found.client().unwrap().apiserver_version().await.is_err());
    assert!(!test_cluster::shut_down(&directory).unwrap());
}

/// Where the next test's child tells its directory.
const TELL: &str = "TEST_CLUSTER_TELL";

#[tokio::test]
async fn nothing_outlives_a_process_that_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let told = place.path().join("directory");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "waits_with_a_control_plane"])
        .env(TELL, &told)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let directory = eventually(PATIENCE, "the child's control plane", async || {
        std::fs::read_to_string(&told).map(PathBuf::from)
    })
    .await;
    let running = test_cluster::find(&directory).expect("it does not run");
    let cluster = Cluster::from_kubeconfig(&running.kubeconfig).await.unwrap();
    let client = cluster.client().unwrap();
    client.apiserver_version().await.unwrap();

    child.kill().unwrap();
    child.wait().unwrap();

    eventually(PATIENCE, "the directory to be gone", async || {
        (!directory.exists()).then_some(())
    })
    .await;
    assert!(
        client.apiserver_version().await.is_err(),
        "it still answers"
    );
}

#[tokio::test]
#[ignore = "the test above runs it in a process of its own and kills that"]
async fn waits_with_a_control_plane() {
    let Some(told) = std::env::var_os(TELL).map(PathBuf::from) else {
        return;
    };
    let options = Options {
        controllers: test_cluster::Controllers::None,
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options).await.unwrap();
    let directory = control_plane.directory().to_str().unwrap();
    std::fs::write(told.with_extension("new"), directory).unwrap();
    std::fs::rename(told.with_extension("new"), told).unwrap();
    std::future::pending::<()>().await;
}

#[test]
fn a_directory_with_other_things_is_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("thesis.txt");
    std::fs::write(&file, "years of work").unwrap();
    let error = test_cluster::shut_down(directory.path()).unwrap_err();
    assert!(error.to_string().contains("something other"), "{error}");
    assert!(file.exists());
    assert!(test_cluster::find(Path::new("/does/not/exist")).is_none());
}
