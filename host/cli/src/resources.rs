//! The everyday commands on resources of a cluster.

use std::fmt::Debug;

use ecr_secret_core::api::{
    ArgoHelmRepoSecret, CredentialResource, EcrSecret, REFRESH_REQUESTED_AT,
};
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::command_line::{Listing, One, Output, Place};
use crate::outcome::{Outcome, input};
use crate::screen;

/// Runs a command that speaks to the cluster.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| input(format!("no connection can be made: {error}")))?;
    runtime.block_on(work)
}

/// The cluster of the kubeconfig, and the namespace.
pub(crate) async fn connect(place: &Place) -> Outcome<(Client, String)> {
    let config = Config::infer().await.map_err(|error| {
        // Further lines would quote the file, and there may be a token in it.
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default().to_owned();
        input(format!("no cluster: {error}; set KUBECONFIG"))
    })?;
    let namespace = place
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)
        .map_err(|error| input(format!("the kubeconfig cannot be used: {error}")))?;
    Ok((client, namespace))
}

/// What the API server said, and what to do.
pub(crate) fn refused(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!(
                "{what}: not found; check the name and the namespace, and that the CRDs are installed"
            )
        }
        kube::Error::Api(status) => format!("{what}: {}", status.message),
        other => format!("{what}: {other}; check that the cluster can be reached"),
    }
}

/// `status`: a table of all resources.
pub(crate) async fn status(arguments: Listing) -> Outcome {
    let (client, namespace) = connect(&arguments.place).await?;
    let namespace = (!arguments.all_namespaces).then_some(namespace);
    let mut rows = list::<EcrSecret>(&client, namespace.as_deref()).await?;
    rows.extend(list::<ArgoHelmRepoSecret>(&client, namespace.as_deref()).await?);
    rows.sort_by_key(|row| (text(row, "namespace"), text(row, "name")));
    if arguments.output == Output::Json {
        println!("{:#}", Value::Array(rows));
        return Ok(());
    }
    if rows.is_empty() {
        let place = namespace.map_or_else(
            || "the cluster".to_owned(),
            |name| format!("namespace {name}"),
        );
        println!("no resources in {place}");
        return Ok(());
    }
    let columns = [
        "namespace",
        "kind",
        "name",
        "secret",
        "ready",
        "reason",
        "expiresAt",
        "nextRefreshTime",
        "policy",
    ];
    let head = [
        "NAMESPACE",
        "KIND",
        "NAME",
        "SECRET",
        "READY",
        "REASON",
        "EXPIRES",
        "NEXT REFRESH",
        "POLICY",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(
        rows.iter()
            .map(|row| columns.map(|column| text(row, column)).to_vec()),
    );
    print!("{}", screen::table(&table));
    for row in rows.iter().filter(|row| row["ready"] != "True") {
        println!(
            "{}/{}: {}",
            text(row, "namespace"),
            text(row, "name"),
            text(row, "message")
        );
    }
    Ok(())
}

fn text(row: &Value, key: &str) -> String {
    match row[key].as_str() {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    }
}

pub(crate) trait Listed:
    CredentialResource
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + DeserializeOwned
    + Debug
{
}
impl Listed for EcrSecret {}
impl Listed for ArgoHelmRepoSecret {}

async fn list<K: Listed>(client: &Client, namespace: Option<&str>) -> Outcome<Vec<Value>> {
    let resources = list_all::<K>(client, namespace).await?;
    Ok(resources.iter().map(row).collect())
}

/// All resources of a kind, in a namespace or everywhere.
pub(crate) async fn list_all<K: Listed>(
    client: &Client,
    namespace: Option<&str>,
) -> Outcome<Vec<K>> {
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let plural = K::plural(&());
    let resources = api
        .list(&ListParams::default())
        .await
        .map_err(|error| input(refused(&plural, &error)))?;
    Ok(resources.items)
}

fn row<K: Listed>(resource: &K) -> Value {
    let status = resource.status().cloned().unwrap_or_default();
    let ready = status.condition("Ready");
    json!({
        "namespace": resource.namespace(),
        "kind": K::kind(&()),
        "name": resource.name_any(),
        "secret": status.generated_secret_name,
        "ready": ready.map_or("Unknown", |ready| ready.status.as_str()),
        "reason": ready.map(|ready| ready.reason.clone()),
        "message": ready.map_or("the operator has not looked at it yet", |ready| ready.message.as_str()),
        "expiresAt": status.expires_at,
        "nextRefreshTime": status.next_refresh_time,
        "policy": status.policy.map(|policy| policy.source),
    })
}

/// `refresh`: asks for one refresh.
pub(crate) async fn refresh(arguments: One) -> Outcome {
    let request = Timestamp::now().to_string();
    let change = json!({ "metadata": { "annotations": { REFRESH_REQUESTED_AT: request } } });
    let name = patch(&arguments, &change).await?;
    println!("{name}: a refresh is requested");
    Ok(())
}

/// `suspend` and `resume`.
pub(crate) async fn suspend(arguments: One, suspend: bool) -> Outcome {
    let name = patch(&arguments, &json!({ "spec": { "suspend": suspend } })).await?;
    println!(
        "{name}: {}",
        if suspend {
            "suspended"
        } else {
            "renewed again"
        }
    );
    Ok(())
}

/// Changes the resource of that name, of either kind if the kind is not told. Its kind and name.
async fn patch(arguments: &One, change: &Value) -> Outcome<String> {
    let (client, namespace) = connect(&arguments.place).await?;
    match find(&client, &namespace, &arguments.name).await? {
        Found::Ecr(found) => change_one(&client, &namespace, &*found, change).await,
        Found::Argo(found) => change_one(&client, &namespace, &*found, change).await,
    }
}

/// A resource of either kind.
pub(crate) enum Found {
    Ecr(Box<EcrSecret>),
    Argo(Box<ArgoHelmRepoSecret>),
}

/// The resource that is meant by `NAME` or `KIND/NAME`.
pub(crate) async fn find(client: &Client, namespace: &str, asked_for: &str) -> Outcome<Found> {
    let (kind, name) = match asked_for.split_once('/') {
        Some((kind, name)) => (Some(kind.to_lowercase()), name),
        None => (None, asked_for),
    };
    let asked = |names: &[&str]| kind.as_deref().is_none_or(|kind| names.contains(&kind));
    let (ecr, argo) = (
        asked(&["secret", "secrets", "ecrsec"]),
        asked(&["argohelmreposecret", "argohelmreposecrets", "argoecr"]),
    );
    if !ecr && !argo {
        return Err(input(format!(
            "{asked_for} is neither secret/NAME nor argohelmreposecret/NAME"
        )));
    }
    let found_ecr = get::<EcrSecret>(client, namespace, name, ecr).await?;
    let found_argo = get::<ArgoHelmRepoSecret>(client, namespace, name, argo).await?;
    match (found_ecr, found_argo) {
        (Some(_), Some(_)) => Err(input(format!(
            "there are two resources {name}; say secret/{name} or argohelmreposecret/{name}"
        ))),
        (Some(found), None) => Ok(Found::Ecr(Box::new(found))),
        (None, Some(found)) => Ok(Found::Argo(Box::new(found))),
        (None, None) => Err(input(format!(
            "no resource {asked_for} in namespace {namespace}; `kubectl ecr status -A` lists all"
        ))),
    }
}

async fn get<K: Listed>(
    client: &Client,
    namespace: &str,
    name: &str,
    wanted: bool,
) -> Outcome<Option<K>> {
    if !wanted {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await;
    found.map_err(|error| input(refused(name, &error)))
}

async fn change_one<K: Listed>(
    client: &Client,
    namespace: &str,
    resource: &K,
    change: &Value,
) -> Outcome<String> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = &resource.name_any();
    api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(change))
        .await
        .map_err(|error| input(refused(name, &error)))?;
    Ok(format!("{}/{name}", K::kind(&()).to_lowercase()))
}
