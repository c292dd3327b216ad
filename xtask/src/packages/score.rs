//! What kube-score has to say, and why some of it does not hold here.

use super::chart::{EVERYTHING, template};
use super::here;
use crate::process::output;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The grade of a check that has nothing to say.
const GOOD: u64 = 10;

/// Checks that do not hold for every installation, and why.
const EXPLAINED: [(&str, &str); 3] = [
    (
        "container-image-pull-policy",
        "a released tag never moves, and a node that has the image can start the operator without the registry",
    ),
    (
        "container-security-context-user-group-id",
        "OpenShift chooses the user of a namespace and refuses any other; the image names one that is not root",
    ),
    (
        "container-ephemeral-storage-request-and-limit",
        "the root is read-only, and each emptyDir has a sizeLimit, so that what the pod can write is bounded",
    ),
];
/// Those of the single manifest, which has one replica and asks nothing of the network.
const EXPLAINED_OF_MANIFEST: [(&str, &str); 2] = [
    (
        "deployment-replicas",
        "tokens are renewed more than an hour before they expire, and a pod is back within a minute",
    ),
    (
        "pod-networkpolicy",
        "whether there is a network that knows policies, and where the API server and a proxy are, the administrator knows; the chart has one",
    ),
];
/// Those of the chart with two replicas.
const EXPLAINED_OF_CHART: [(&str, &str); 1] = [(
    "deployment-has-host-podantiaffinity",
    "where replicas run is a value, and the chart's README shows topologySpreadConstraints, which do not block a drain",
)];
/// A limit of the processor would delay renewals and the compiler of policies on a node that has nothing else to do; the
/// compiler has limits of its own.
const NO_LIMIT: &str = "--ignore-container-cpu-limit";

/// Judges the single manifest, and the chart with everything that can be switched on.
pub(super) async fn check(kube_score: &Path, helm: &Path) -> Result<()> {
    let rendered = workspace::target().join("packages/chart.yaml");
    super::write(&rendered, &output(template(helm, EVERYTHING)).await?)?;
    let manifest = workspace::root().join("deploy/install.yaml");
    judge(kube_score, &manifest, &EXPLAINED_OF_MANIFEST).await?;
    judge(kube_score, &rendered, &EXPLAINED_OF_CHART).await
}

async fn judge(kube_score: &Path, manifests: &Path, more: &[(&str, &str)]) -> Result<()> {
    let mut command = here(kube_score);
    command.args(["score", "--output-format", "json", NO_LIMIT]);
    // It fails whenever it has something to say.
    let told = command.arg(manifests).output().await?;
    let told: Value = serde_json::from_slice(&told.stdout)
        .with_context(|| format!("kube-score: {}", String::from_utf8_lossy(&told.stderr)))?;
    let found = findings(&told);
    let explained: BTreeSet<&str> = EXPLAINED.iter().chain(more).map(|(id, _)| *id).collect();
    let shown = workspace::shown(manifests);
    if let Some(new) = found.iter().find(|(id, _)| !explained.contains(id)) {
        bail!("{shown}: {}: {}", new.0, new.1);
    }
    let ids: BTreeSet<&str> = found.iter().map(|(id, _)| *id).collect();
    if let Some(idle) = explained.difference(&ids).next() {
        bail!("{shown}: {idle} is explained, but kube-score does not say it any more");
    }
    Ok(())
}

/// What it has to say: the check, and its words about an object.
fn findings(told: &Value) -> Vec<(&str, String)> {
    let mut findings = Vec::new();
    for object in told.as_array().into_iter().flatten() {
        for check in object["checks"].as_array().into_iter().flatten() {
            if check["skipped"] == true || check["grade"].as_u64() >= Some(GOOD) {
                continue;
            }
            let words = check["comments"].as_array().into_iter().flatten();
            let words: Vec<&str> = words.filter_map(|one| one["summary"].as_str()).collect();
            let text = format!("{}: {}", object["object_name"], words.join(", "));
            findings.push((check["check"]["id"].as_str().unwrap_or_default(), text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_neither_good_nor_skipped_is_a_finding() {
        let check = |id: &str, grade: u64, skipped: bool| json!({ "check": { "id": id }, "grade": grade, "skipped": skipped, "comments": [{ "summary": "why" }] });
        let told = json!([{ "object_name": "d", "checks": [check("a", 10, false), check("b", 1, true), check("c", 5, false)] }]);
        assert_eq!(findings(&told), [("c", "\"d\": why".to_owned())]);
    }
}
