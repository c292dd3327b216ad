//! `doctor`: is everything there that credentials need, from the API server to AWS.
//!
//! What this user may not look at is told as not seen, not as wrong.

mod operator;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ecr_secret_core::api::{ArgoHelmRepoSecret, EcrSecret};
use ecr_secret_core::manifests::crds;
use ecr_secret_core::reason::Reason;
use http::{Request, header::DATE};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::command_line::Doctor;
use crate::outcome::{Failure, Outcome};
use crate::resources::{Listed, connect, list_all};
use crate::screen;

/// More than this, and certificates and signatures get into trouble.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What came out of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Good,
    /// Works, but somebody should look.
    Attention,
    Bad,
    /// This user may not see it.
    Unseen,
}

/// One line.
pub(super) struct Check {
    state: State,
    what: &'static str,
    text: String,
}

pub(super) fn check(state: State, what: &'static str, text: impl Into<String>) -> Check {
    Check {
        state,
        what,
        text: text.into(),
    }
}

/// A check that the API server does not let this user make, or that failed otherwise.
pub(super) fn not_seen(what: &'static str, error: &kube::Error) -> Check {
    match error {
        kube::Error::Api(status) if status.code == 403 => check(
            State::Unseen,
            what,
            "this user may not look; ask an administrator to run this",
        ),
        kube::Error::Api(status) => check(State::Bad, what, status.message.clone()),
        other => check(State::Bad, what, other.to_string()),
    }
}

pub(crate) async fn doctor(arguments: Doctor) -> Outcome {
    let (client, namespace) = connect(&arguments.place).await?;
    let _progress = screen::Progress::of("asking the cluster, and the operator about AWS");
    let mut checks = vec![server(&client).await];
    if checks[0].state == State::Bad {
        return end(&checks);
    }
    checks.push(clock(&client).await);
    checks.extend(definitions(&client).await);
    let (resources, regions) = resources(&client, &namespace).await;
    let wanted = arguments.operator_namespace.as_deref();
    checks.extend(operator::checks(&client, wanted, &namespace, &regions).await);
    checks.extend(resources);
    end(&checks)
}

/// Prints the checks; a bad one is the answer no.
fn end(checks: &[Check]) -> Outcome {
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let word = match check.state {
                State::Good => "ok",
                State::Attention => "look",
                State::Bad => "BAD",
                State::Unseen => "-",
            };
            vec![word.to_owned(), check.what.to_owned(), check.text.clone()]
        })
        .collect();
    let table = screen::table(&rows);
    for (line, check) in table.lines().zip(checks) {
        println!(
            "{}",
            if check.state == State::Bad {
                screen::bad(line)
            } else {
                line.to_owned()
            }
        );
    }
    let bad = checks
        .iter()
        .filter(|check| check.state == State::Bad)
        .count();
    if bad > 0 {
        return Err(Failure::No(format!(
            "{bad} of {} checks are bad; each line says what to do",
            checks.len()
        )));
    }
    Ok(())
}

async fn server(client: &Client) -> Check {
    match client.apiserver_version().await {
        Ok(version) => check(
            State::Good,
            "API server",
            format!("{} answers", version.git_version),
        ),
        Err(error) => check(
            State::Bad,
            "API server",
            format!("{error}; check KUBECONFIG and the network"),
        ),
    }
}

/// Compares the clocks by the time of an answer.
async fn clock(client: &Client) -> Check {
    let what = "clock";
    let Ok(request) = Request::get("/version").body(Body::empty()) else {
        return check(State::Unseen, what, "the request cannot be made");
    };
    let answer = client.send(request).await;
    let date = answer.ok().and_then(|answer| {
        let text = answer
            .headers()
            .get(DATE)?
            .to_str()
            .ok()?
            .replace("GMT", "+0000");
        rfc2822::parse(&text).ok()
    });
    let Some(date) = date else {
        return check(State::Unseen, what, "the API server tells no time");
    };
    let skew = Timestamp::now().duration_since(date.timestamp()).abs();
    let seconds = skew.as_secs();
    if skew > SKEW {
        let text = format!(
            "this machine and the API server differ by {seconds} s; set both by NTP, AWS refuses 300 s"
        );
        return check(State::Bad, what, text);
    }
    check(
        State::Good,
        what,
        format!("this machine and the API server differ by {seconds} s"),
    )
}

/// Are the definitions there, and of this version.
async fn definitions(client: &Client) -> Vec<Check> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let what = "definitions";
    let mut checks = Vec::new();
    for ours in crds() {
        let name = ours.name_any();
        checks.push(match api.get_opt(&name).await {
            Err(error) => not_seen(what, &error),
            Ok(None) => check(State::Bad, what, format!("{name} is not installed; apply the operator's CRDs")),
            Ok(Some(theirs)) => {
                let (ours, theirs) = (fields(&ours), fields(&theirs));
                let lacks: Vec<&String> = ours.difference(&theirs).take(3).collect();
                let has: Vec<&String> = theirs.difference(&ours).take(3).collect();
                match (lacks.as_slice(), has.as_slice()) {
                    ([], []) => check(State::Good, what, format!("{name} is of this tool's version")),
                    ([first, ..], _) => check(State::Bad, what, format!("{name} is older than this tool: it lacks {first}; apply the operator's CRDs")),
                    ([], [first, ..]) => check(State::Attention, what, format!("{name} is newer than this tool: it has {first}; update kubectl-ecr")),
                }
            }
        });
    }
    checks
}

/// The paths of all fields of a definition.
fn fields(definition: &CustomResourceDefinition) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for version in &definition.spec.versions {
        let schema = serde_json::to_value(&version.schema).unwrap_or_default();
        walk(&schema["openAPIV3Schema"], "", &mut paths);
    }
    paths
}

fn walk(schema: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        walk(below, &path, paths);
        walk(&below["items"], &path, paths);
        paths.insert(path);
    }
}

/// How the resources are, and which regions they need.
async fn resources(client: &Client, namespace: &str) -> (Vec<Check>, BTreeSet<String>) {
    let (mut found, mut regions) = (Vec::new(), BTreeSet::new());
    let mut checks = Vec::new();
    let everywhere = [
        survey::<EcrSecret>(client, None, &mut found, &mut regions).await,
        survey::<ArgoHelmRepoSecret>(client, None, &mut found, &mut regions).await,
    ];
    if everywhere.iter().any(Result::is_err) {
        found.clear();
        // Not everywhere, then here.
        let here = Some(namespace);
        for surveyed in [
            survey::<EcrSecret>(client, here, &mut found, &mut regions).await,
            survey::<ArgoHelmRepoSecret>(client, here, &mut found, &mut regions).await,
        ] {
            if let Err(failure) = surveyed {
                let text = failure.message().to_owned();
                checks.push(check(State::Unseen, "resources", text));
            }
        }
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, reason) in &found {
        reasons.entry(reason).or_default().push(name);
    }
    if found.is_empty() && checks.is_empty() {
        checks.push(check(
            State::Attention,
            "resources",
            "there is none yet; create one",
        ));
    }
    for (reason, names) in reasons {
        let known = Reason::of_word(reason);
        let mut text = format!("{} are {reason}", names.len());
        match known {
            Some(Reason::Refreshed) => checks.push(check(State::Good, "resources", text)),
            Some(known) => {
                // Writing to a String does not fail.
                let _ = write!(text, ", {} among them: {}", names[0], known.remedy());
                let state = if known == Reason::Suspended {
                    State::Attention
                } else {
                    State::Bad
                };
                checks.push(check(state, "resources", text));
            }
            None => {
                let _ = write!(
                    text,
                    ", {} among them: has the operator looked at it?",
                    names[0]
                );
                checks.push(check(State::Attention, "resources", text));
            }
        }
    }
    (checks, regions)
}

type Names = Vec<(String, String)>;

/// Looks at the resources of a kind, in a namespace or everywhere.
async fn survey<K: Listed>(
    client: &Client,
    namespace: Option<&str>,
    found: &mut Names,
    regions: &mut BTreeSet<String>,
) -> Outcome {
    for resource in list_all::<K>(client, namespace).await? {
        let status = resource.status().cloned().unwrap_or_default();
        let ready = status.condition("Ready");
        let reason = ready
            .map_or("not looked at", |ready| ready.reason.as_str())
            .to_owned();
        let name = format!(
            "{}/{}",
            resource.namespace().unwrap_or_default(),
            resource.name_any()
        );
        found.push((name, reason));
        if let Ok(target) = ecr_secret_core::registry::resolve(&resource.view()) {
            regions.insert(target.region.to_string());
        }
    }
    Ok(())
}
