//! A decision in a form that people read and write, and how it differs from an expected one.

use ecr_policy_model::{AccountLink, Decision, Refresh};
use ecr_policy_verdict::Failed;
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

/// An answer: the decision, or why there is none.
pub(crate) fn answer(answer: Result<&Decision, &Failed>) -> Value {
    match answer {
        Ok(decision) => json!({ "decision": shown(decision) }),
        Err(failed) => {
            json!({ "reason": failed.problem.reason.as_str(), "message": failed.problem.message })
        }
    }
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

/// What is another in `after` than in `before`, whatever key it has.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    change("", Some(before), Some(after), &mut lines);
    lines
}

fn change(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            change(&below(path, key), old.get(key), new.get(key), lines);
        }
        return;
    }
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    lines.push(format!("{path}: {} -> {}", shown(before), shown(after)));
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    if let (Value::Object(expected), Value::Object(found)) = (expected, found) {
        for (key, expected) in expected {
            let path = below(path, key);
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
    fn every_change_is_told_whichever_side_has_the_key() {
        let before = json!({ "decision": { "secretName": "a", "labels": { "x": "1", "y": "2" } } });
        let after = json!({ "decision": { "secretName": "a", "labels": { "x": "3", "z": "4" } } });
        assert_eq!(changes(&before, &before), Vec::<String>::new());
        assert_eq!(
            changes(&before, &after),
            [
                r#"decision.labels.x: "1" -> "3""#,
                r#"decision.labels.y: "2" -> nothing"#,
                r#"decision.labels.z: nothing -> "4""#,
            ]
        );
        let refused = json!({ "reason": "PolicyDenied" });
        assert_eq!(changes(&before, &refused).len(), 2);
    }

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
