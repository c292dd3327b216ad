//! Whether two streams of manifests say the same, but for what Helm adds.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

/// What Helm's conventions add to metadata.
const ADDED: [&str; 5] = [
    "helm.sh/chart",
    "helm.sh/resource-policy",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
];

/// The objects that only one has, and the paths at which they differ.
pub(super) fn differences(installed: &str, rendered: &str) -> Result<Vec<String>> {
    let (installed, rendered) = (objects(installed)?, objects(rendered)?);
    let mut differences = Vec::new();
    for (name, object) in &installed {
        match rendered.get(name) {
            None => differences.push(format!("{name} is not in the chart")),
            Some(other) => compare(name, object, other, &mut differences),
        }
    }
    let more = rendered
        .keys()
        .filter(|name| !installed.contains_key(*name));
    differences.extend(more.map(|name| format!("{name} is only in the chart")));
    Ok(differences)
}

/// The objects by kind and name. Helm makes no namespace for itself.
fn objects(yaml: &str) -> Result<BTreeMap<String, Value>> {
    let mut objects = BTreeMap::new();
    for document in serde_norway::Deserializer::from_str(yaml) {
        let mut object = Value::deserialize(document)?;
        if object.is_null() || object["kind"] == "Namespace" {
            continue;
        }
        without_additions(&mut object["metadata"]);
        without_additions(&mut object["spec"]["template"]["metadata"]);
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        objects.insert(name, object);
    }
    Ok(objects)
}

fn without_additions(metadata: &mut Value) {
    for part in ["labels", "annotations"] {
        let Some(pairs) = metadata[part].as_object_mut() else {
            continue;
        };
        pairs.retain(|key, _| !ADDED.contains(&key.as_str()));
        if pairs.is_empty() {
            metadata[part] = Value::Null;
        }
    }
}

fn compare(path: &str, one: &Value, other: &Value, differences: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or_default()
                };
                compare(&format!("{path}.{key}"), &of(one), &of(other), differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}[{number}]"), one, other, differences);
            }
        }
        _ if one == other => {}
        _ => differences.push(format!("{path}: {one} and {other}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_helm_adds_is_no_difference_and_all_else_is() {
        let ours = "kind: A\nmetadata: {name: x}\nspec: {replicas: 1}\n---\nkind: Namespace\nmetadata: {name: n}\n";
        let theirs =
            "kind: A\nmetadata: {name: x, labels: {helm.sh/chart: c}}\nspec: {replicas: 1}\n";
        assert_eq!(differences(ours, theirs).unwrap(), Vec::<String>::new());
        let other = theirs.replace("replicas: 1", "replicas: 2");
        assert_eq!(
            differences(ours, &other).unwrap(),
            ["A x.spec.replicas: 1 and 2"]
        );
        let renamed = theirs.replace("name: x", "name: y");
        assert_eq!(
            differences(ours, &renamed).unwrap(),
            ["A x is not in the chart", "A y is only in the chart"]
        );
    }
}
