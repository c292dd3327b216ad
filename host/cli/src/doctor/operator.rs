//! The operator: is it there, does one replica lead, may it do its work, and what does AWS say to it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use ecr_secret_core::api::{LEASE_NAME, OPERATOR_NAME};
use ecr_secret_core::manifests::tenant_rules;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::{Check, State, check, not_seen};

/// A Lease that nobody renewed for so long is nobody's.
const STALE_SECONDS: i64 = 60;

pub(super) async fn checks(
    client: &Client,
    wanted: Option<&str>,
    namespace: &str,
    regions: &BTreeSet<String>,
) -> Vec<Check> {
    let what = "operator";
    let labelled = ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR_NAME}"));
    let api: Api<Deployment> = match wanted {
        Some(wanted) => Api::namespaced(client.clone(), wanted),
        None => Api::all(client.clone()),
    };
    let deployments = match api.list(&labelled).await {
        Ok(deployments) => deployments.items,
        Err(error) => return vec![not_seen(what, &error)],
    };
    let Some(deployment) = deployments.first() else {
        return vec![check(
            State::Bad,
            what,
            format!(
                "no Deployment has the label app.kubernetes.io/name={OPERATOR_NAME}; install the operator, or name its namespace"
            ),
        )];
    };
    let own = deployment.namespace().unwrap_or_default();
    let mut checks = vec![running(deployment, deployments.len())];
    checks.push(leader(client, &own).await);
    checks.extend(permissions(client, deployment, namespace).await);
    checks.push(aws(deployment, regions).await);
    checks
}

fn running(deployment: &Deployment, count: usize) -> Check {
    let what = "operator";
    let (namespace, name) = (
        deployment.namespace().unwrap_or_default(),
        deployment.name_any(),
    );
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let text = format!("{namespace}/{name}: {ready} of {wanted} replicas are ready");
    if count > 1 {
        return check(
            State::Attention,
            what,
            format!(
                "{text}; there are {count} operators, which must not watch the same namespaces"
            ),
        );
    }
    if ready == 0 {
        return check(
            State::Bad,
            what,
            format!("{text}; look at its pods and their logs"),
        );
    }
    check(State::Good, what, text)
}

async fn leader(client: &Client, namespace: &str) -> Check {
    let what = "leader";
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let lease = match api.get_opt(LEASE_NAME).await {
        Err(error) => return not_seen(what, &error),
        Ok(lease) => lease.and_then(|lease| lease.spec),
    };
    let held = lease.and_then(|spec| {
        Some((
            spec.holder_identity.filter(|holder| !holder.is_empty())?,
            spec.renew_time?.0,
        ))
    });
    let Some((holder, renewed)) = held else {
        return check(
            State::Bad,
            what,
            format!("nobody holds the Lease {namespace}/{LEASE_NAME}; look at the operator's logs"),
        );
    };
    let age = Timestamp::now().duration_since(renewed).as_secs();
    if age > STALE_SECONDS {
        return check(
            State::Bad,
            what,
            format!("{holder} renewed the Lease {age} s ago and not since; look at its logs"),
        );
    }
    check(State::Good, what, format!("{holder}, renewed {age} s ago"))
}

/// Whether the operator's service account may do in a namespace what it has to do there.
async fn permissions(client: &Client, deployment: &Deployment, namespace: &str) -> Vec<Check> {
    let what = "permissions";
    let account = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref()?.service_account_name.clone())
        .unwrap_or_else(|| "default".to_owned());
    let own = deployment.namespace().unwrap_or_default();
    let user = format!("system:serviceaccount:{own}:{account}");
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let mut denied = Vec::new();
    for (group, resource, verb) in asked_for() {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, below)) => (resource.to_owned(), Some(below.to_owned())),
            None => (resource, None),
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.clone()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.clone()),
                    resource: Some(resource.clone()),
                    subresource,
                    verb: Some(verb.clone()),
                    namespace: Some(namespace.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        match api.create(&PostParams::default(), &review).await {
            Err(error) => return vec![not_seen(what, &error)],
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {}
            Ok(_) => denied.push(
                format!("{verb} {resource}.{group}")
                    .trim_end_matches('.')
                    .to_owned(),
            ),
        }
    }
    if denied.is_empty() {
        return vec![check(
            State::Good,
            what,
            format!("{user} may do all that it has to in namespace {namespace}"),
        )];
    }
    vec![check(
        State::Bad,
        what,
        format!(
            "{user} may not {} in namespace {namespace}; apply the operator's roles, or let it watch this namespace",
            shortened(&denied)
        ),
    )]
}

/// Group, resource and verb of all that the operator does in a namespace.
fn asked_for() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for rule in tenant_rules() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    all.push((group.clone(), resource.clone(), verb.clone()));
                }
            }
        }
    }
    all
}

/// What AWS says to the operator, which only it can ask: its own `doctor` runs in its pod.
async fn aws(deployment: &Deployment, regions: &BTreeSet<String>) -> Check {
    let what = "AWS";
    let (namespace, name) = (
        deployment.namespace().unwrap_or_default(),
        deployment.name_any(),
    );
    let mut words = vec![
        "exec".to_owned(),
        "--pod-running-timeout=5s".to_owned(),
        "-n".to_owned(),
        namespace,
        format!("deploy/{name}"),
        "--".to_owned(),
    ];
    words.extend([OPERATOR_NAME.to_owned(), "doctor".to_owned()]);
    words.extend(regions.iter().cloned());
    let command = format!("kubectl {}", words.join(" "));
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("kubectl")
            .args(words)
            .stdin(Stdio::null())
            .output()
    })
    .await;
    let Ok(Ok(output)) = ran else {
        return check(
            State::Unseen,
            what,
            format!("kubectl cannot be started here; run: {command}"),
        );
    };
    let told = String::from_utf8_lossy(&output.stdout);
    let told = told.lines().collect::<Vec<_>>().join("; ");
    match (output.status.code(), told.is_empty()) {
        (Some(0), false) => check(State::Good, what, told),
        (_, false) => check(State::Bad, what, told),
        // kubectl had no way into the pod.
        (_, true) => check(
            State::Unseen,
            what,
            format!("its pod cannot be entered; run: {command}"),
        ),
    }
}

/// The first few of many.
fn shortened(texts: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = texts
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match texts.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
