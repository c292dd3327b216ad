//! The owned definitions, with a description of each field for the console's forms.

use ecr_secret_core::manifests::crds;
use serde_json::{Map, Value, json};

const UI: &str = "urn:alm:descriptor:com.tectonic.ui";
const CORE: &str = "urn:alm:descriptor:io.kubernetes";

/// Both kinds.
pub(super) fn owned() -> Vec<Value> {
    crds()
        .iter()
        .map(|crd| {
            let crd = serde_json::to_value(crd).unwrap_or_default(); // never fails: API objects are plain data
            one(&crd)
        })
        .collect()
}

fn one(crd: &Value) -> Value {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let (title, description) = match kind {
        "Secret" => (
            "ECR Secret",
            "A pull and push Secret for one ECR registry, kept fresh.",
        ),
        _ => (
            "Argo CD Helm Repository Secret",
            "An Argo CD repository Secret for Helm charts in ECR, kept fresh.",
        ),
    };
    json!({
        "kind": kind,
        "name": crd["metadata"]["name"],
        "version": version["name"],
        "displayName": title,
        "description": description,
        "resources": [
            { "kind": "Secret", "name": "", "version": "v1" },
            { "kind": "ServiceAccount", "name": "", "version": "v1" },
            { "kind": "ConfigMap", "name": "", "version": "v1" },
        ],
        "specDescriptors": described(&schema["properties"]["spec"], spec_widgets),
        "statusDescriptors": described(&schema["properties"]["status"], status_widgets),
    })
}

/// The fields of one level, and those of `policy`, which is a level of its own in the form.
fn described(schema: &Value, widgets: fn(&str) -> Vec<String>) -> Vec<Value> {
    let empty = Map::new();
    let mut descriptors = Vec::new();
    for (name, field) in schema["properties"].as_object().unwrap_or(&empty) {
        descriptors.push(descriptor(name, field, widgets));
        if name == "policy" {
            for (below, field) in field["properties"].as_object().unwrap_or(&empty) {
                descriptors.push(descriptor(&format!("policy.{below}"), field, widgets));
            }
        }
    }
    descriptors
}

fn descriptor(path: &str, field: &Value, widgets: fn(&str) -> Vec<String>) -> Value {
    let widgets = widgets(path);
    let mut descriptor = json!({
        "path": path,
        "displayName": title(path),
        "description": first_sentence(field["description"].as_str().unwrap_or_default()),
    });
    if !widgets.is_empty() {
        descriptor["x-descriptors"] = json!(widgets);
    }
    descriptor
}

fn spec_widgets(path: &str) -> Vec<String> {
    let ui = |widget: &str| vec![format!("{UI}:{widget}")];
    match path {
        "adopt" | "suspend" => vec![format!("{UI}:booleanSwitch"), format!("{UI}:advanced")],
        "policy.config_map" => vec![format!("{CORE}:ConfigMap")],
        "policy.pull_secret" => vec![format!("{CORE}:Secret"), format!("{UI}:advanced")],
        "policy.key" | "policy.sha256" | "policy.image" => {
            vec![format!("{UI}:text"), format!("{UI}:advanced")]
        }
        "policy" | "policy.settings" | "service_accounts" => ui("advanced"),
        _ => ui("text"),
    }
}

fn status_widgets(path: &str) -> Vec<String> {
    match path {
        "conditions" => vec!["urn:alm:descriptor:io.kubernetes.conditions".to_owned()],
        "phase" => vec!["urn:alm:descriptor:io.kubernetes.phase".to_owned()],
        "generatedSecretName" => vec![format!("{CORE}:Secret")],
        "expiresAt" | "nextRefreshTime" | "lastUpdatedTime" => vec![format!("{UI}:text")],
        _ => Vec::new(),
    }
}

/// `generated_secret_name` and `generatedSecretName` as words.
fn title(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    let mut words = String::new();
    let mut start = true;
    for character in name.chars() {
        if character == '_' {
            words.push(' ');
            start = true;
        } else if start {
            words.extend(character.to_uppercase());
            start = false;
        } else {
            if character.is_uppercase() {
                words.push(' ');
            }
            words.push(character);
        }
    }
    let words = words
        .replace("Ecr", "ECR")
        .replace("Url", "URL")
        .replace("Sha256", "SHA-256");
    if path.starts_with("policy.") {
        format!("Policy: {words}")
    } else {
        words
    }
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_titles() {
        assert_eq!(title("generated_secret_name"), "Generated Secret Name");
        assert_eq!(title("nextRefreshTime"), "Next Refresh Time");
        assert_eq!(title("ecr_registry"), "ECR Registry");
        assert_eq!(title("policy.sha256"), "Policy: SHA-256");
    }
}
