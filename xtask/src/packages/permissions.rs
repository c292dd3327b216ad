//! The document about permissions against the roles that are shipped.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../../docs/reference/permissions.md");
const INSTALL: &str = include_str!("../../../deploy/install.yaml");
const CSV: &str =
    include_str!("../../../bundle/manifests/ecr-secret-operator.clusterserviceversion.yaml");
/// The section of what only the bundle grants.
const OLM: &str = "Under OLM only";
/// The roles that are granted to others.
const OTHERS: [&str; 3] = [
    "ecr-secret-operator-metrics-reader",
    "ecr-secret-operator-edit",
    "ecr-secret-operator-view",
];

/// `group/resource named name verb`, one for each verb.
type Grants = BTreeSet<String>;

fn grants(rules: &Value) -> Grants {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut grants = Grants::new();
    for rule in rules.as_array().unwrap() {
        let verbs = texts(&rule["verbs"]);
        let mut objects = texts(&rule["nonResourceURLs"]);
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let limits = texts(&rule["resourceNames"]);
                if limits.is_empty() {
                    objects.push(format!("{group}/{resource}"));
                }
                let of = |name| format!("{group}/{resource} named {name}");
                objects.extend(limits.into_iter().map(of));
            }
        }
        for object in objects {
            grants.extend(verbs.iter().map(|verb| format!("{object} {verb}")));
        }
    }
    grants
}

/// What a table's row grants: group, resources, verbs, reason.
fn row(line: &str) -> Option<Grants> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let &[group, resources, verbs, why] = cells.as_slice() else {
        return None;
    };
    if group == "API group" || group.starts_with("---") {
        return None;
    }
    assert!(why.len() > 10, "no reason: {line}");
    let code = |text: &str| text.trim().trim_matches('`').to_owned();
    let (resources, name) = match resources.split_once(" named ") {
        Some((resources, name)) => (resources, format!(" named {}", code(name))),
        None => (resources, String::new()),
    };
    let mut grants = Grants::new();
    for resource in resources.split(',') {
        let object = match (group, resource.strip_prefix("path ")) {
            ("none", Some(path)) => code(path),
            ("core", _) => format!("/{}{name}", code(resource)),
            _ => format!("{}/{}{name}", code(group), code(resource)),
        };
        grants.extend(
            verbs
                .split(',')
                .map(|verb| format!("{object} {}", code(verb))),
        );
    }
    Some(grants)
}

/// The grants of each section of the document that has some.
fn documented() -> BTreeMap<String, Grants> {
    let mut sections: BTreeMap<String, Grants> = BTreeMap::new();
    let mut section = String::new();
    for line in DOCUMENT.lines() {
        let heading = line.strip_prefix("## ").or(line.strip_prefix("### "));
        if let Some(heading) = heading {
            heading.trim_matches('`').clone_into(&mut section);
        } else if line.starts_with('|')
            && let Some(grants) = row(line)
        {
            for grant in grants {
                let first = sections
                    .entry(section.clone())
                    .or_default()
                    .insert(grant.clone());
                assert!(first, "{grant} is explained twice");
            }
        }
    }
    sections
}

#[test]
fn every_permission_is_explained_and_no_other() {
    let mut expected = BTreeMap::new();
    for document in serde_norway::Deserializer::from_str(INSTALL) {
        let object = Value::deserialize(document).unwrap();
        if ["ClusterRole", "Role"].contains(&object["kind"].as_str().unwrap()) {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            expected.insert(name, grants(&object["rules"]));
        }
    }
    let csv: Value = serde_norway::from_str(CSV).unwrap();
    let install = &csv["spec"]["install"]["spec"];
    let mut bundled = Grants::new();
    for part in ["permissions", "clusterPermissions"] {
        bundled.extend(grants(&install[part][0]["rules"]));
    }
    let operators = expected
        .iter()
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()));
    let everywhere: Grants = operators.flat_map(|(_, grants)| grants.clone()).collect();
    assert!(bundled.is_superset(&everywhere), "the bundle grants less");
    expected.insert(OLM.to_owned(), &bundled - &everywhere);
    assert_eq!(documented(), expected);
}
