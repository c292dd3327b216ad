//! A decision in a form that people read and write, and how it differs from an expected one.

use ecr_policy_model::{AccountLink, Decision, Refresh};
use serde_json::{Map, Value, json};

/// The decision with its labels as a map and its links as `spec.service_accounts` has them.
pub(super) fn shown(decision: &Decision) -> Value {
    let map = |pairs: &[(String, String)]| {
        let pairs = pairs.iter().map(|(key, value)| (key.clone(), json!(value)));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let accounts: Vec<Value> = decision.service_accounts.iter().map(link).collect();
    json!({
        "secretName": decision.secret_name,
        "labels": map(&decision.labels),
        "annotations": map(&decision.annotations),
        "serviceAccounts": accounts,
        "refresh": refresh(decision.refresh),
    })
}

fn link(link: &AccountLink) -> Value {
    let uses = [(link.image_pull, "ImagePull"), (link.mount, "Mount")];
    let uses = uses.iter().filter(|(wanted, _)| *wanted);
    json!({ "name": link.name, "use": uses.map(|(_, word)| *word).collect::<Vec<_>>() })
}

fn refresh(refresh: Refresh) -> Value {
    match refresh {
        Refresh::HostDefault => json!("hostDefault"),
        Refresh::At(time) => json!({ "at": time }),
        Refresh::AfterIssue(seconds) => json!({ "afterIssue": seconds }),
        Refresh::BeforeExpiry(seconds) => json!({ "beforeExpiry": seconds }),
    }
}

/// Where `found` is not as expected. Only what is expected counts: keys that it does not name may be anything.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    if let (Value::Object(expected), Value::Object(found)) = (expected, found) {
        for (key, expected) in expected {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match found.get(key) {
                Some(found) => compare(&path, expected, found, lines),
                None if expected.is_null() => {}
                None => lines.push(format!("{path}: expected {expected}, is not there")),
            }
        }
    } else if expected != found {
        lines.push(format!("{path}: expected {expected}, is {found}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_compared() {
        let decision = Decision {
            secret_name: "a".into(),
            labels: vec![("team".into(), "x".into()), ("tier".into(), "y".into())],
            service_accounts: vec![AccountLink {
                name: "builder".into(),
                image_pull: false,
                mount: true,
            }],
            refresh: Refresh::AfterIssue(9),
            ..Decision::default()
        };
        let found = shown(&decision);
        let good = json!({
            "secretName": "a", "labels": { "team": "x", "none": null }, "refresh": { "afterIssue": 9 },
            "serviceAccounts": [{ "name": "builder", "use": ["Mount"] }],
        });
        assert_eq!(differences(&good, &found), Vec::<String>::new());
        let bad = json!({ "labels": { "team": "z", "other": "" }, "refresh": "hostDefault" });
        assert_eq!(
            differences(&bad, &found),
            [
                r#"labels.other: expected "", is not there"#,
                r#"labels.team: expected "z", is "x""#,
                r#"refresh: expected "hostDefault", is {"afterIssue":9}"#,
            ]
        );
    }
}
