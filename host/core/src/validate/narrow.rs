//! What a guardrail may make of a decision: less.

use ecr_policy_model::{AccountLink, Decision, Request};

use super::{DecisionLimits, InvalidDecision, ValidDecision, invalid, validate_decision};

/// A decision after the guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// What is left.
    pub decision: ValidDecision,
    /// What was taken away, for people: `label tier`, `service account builder`.
    pub taken: Vec<String>,
}

/// Checks that `after`, a guardrail's answer, allows nothing that `before` does not: the name is the same, and labels,
/// annotations and links are some of those before. The refresh time may be another; any is safe.
///
/// # Errors
/// The rule that is broken, a decision's own rules included.
pub fn narrowed(
    before: &ValidDecision,
    after: &Decision,
    request: &Request,
    limits: &DecisionLimits,
) -> Result<Guarded, InvalidDecision> {
    let decision = validate_decision(after, request, limits)?;
    let (old, new) = (before.get(), decision.get());
    if new.secret_name != old.secret_name {
        let rule = format!("must stay {:?}", old.secret_name);
        return Err(invalid("secret_name", Some(&new.secret_name), rule));
    }
    let mut taken = Vec::new();
    subset("labels", "label", &old.labels, &new.labels, &mut taken)?;
    let (old_annotations, new_annotations) = (&old.annotations, &new.annotations);
    subset(
        "annotations",
        "annotation",
        old_annotations,
        new_annotations,
        &mut taken,
    )?;
    links(&old.service_accounts, &new.service_accounts, &mut taken)?;
    if new.refresh != old.refresh {
        taken.push("the refresh time".to_owned());
    }
    Ok(Guarded { decision, taken })
}

const ADDED: &str = "must not be more than what was decided; a guardrail takes away only";

fn subset(
    field: &str,
    what: &str,
    before: &[(String, String)],
    after: &[(String, String)],
    taken: &mut Vec<String>,
) -> Result<(), InvalidDecision> {
    if let Some((key, _)) = after.iter().find(|pair| !before.contains(pair)) {
        return Err(invalid(field, Some(key), ADDED));
    }
    let gone = before.iter().filter(|pair| !after.contains(pair));
    taken.extend(gone.map(|(key, _)| format!("{what} {key}")));
    Ok(())
}

fn links(
    before: &[AccountLink],
    after: &[AccountLink],
    taken: &mut Vec<String>,
) -> Result<(), InvalidDecision> {
    let of = |links: &[AccountLink], name: &str| {
        links
            .iter()
            .find(|link| link.name == name)
            .map_or((false, false), |link| (link.image_pull, link.mount))
    };
    for link in after {
        let (image_pull, mount) = of(before, &link.name);
        if link.image_pull && !image_pull || link.mount && !mount {
            return Err(invalid("service_accounts", Some(&link.name), ADDED));
        }
    }
    for link in before {
        let (image_pull, mount) = of(after, &link.name);
        let name = &link.name;
        if !image_pull && !mount {
            taken.push(format!("service account {name}"));
        } else if (image_pull, mount) != (link.image_pull, link.mount) {
            taken.push(format!("a use of service account {name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ecr_policy_model::Refresh;

    use super::*;

    fn link(name: &str, image_pull: bool, mount: bool) -> AccountLink {
        AccountLink {
            name: name.into(),
            image_pull,
            mount,
        }
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    fn before() -> Decision {
        Decision {
            secret_name: "ecr".into(),
            labels: vec![pair("team", "web"), pair("tier", "1")],
            annotations: vec![pair("note", "x")],
            service_accounts: vec![link("builder", true, true), link("default", true, false)],
            refresh: Refresh::HostDefault,
        }
    }

    fn answer(after: &Decision) -> Result<Vec<String>, String> {
        let (request, limits) = (Request::default(), DecisionLimits::default());
        let before = validate_decision(&before(), &request, &limits).unwrap();
        let guarded = narrowed(&before, after, &request, &limits);
        guarded
            .map(|guarded| guarded.taken)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_unchanged_decision_is_not_narrowed() {
        assert_eq!(answer(&before()), Ok(vec![]));
    }

    #[test]
    fn all_that_is_taken_away_is_told() {
        let after = Decision {
            labels: vec![pair("team", "web")],
            annotations: vec![],
            service_accounts: vec![link("builder", true, false)],
            refresh: Refresh::BeforeExpiry(60),
            ..before()
        };
        let taken = [
            "label tier",
            "annotation note",
            "a use of service account builder",
            "service account default",
            "the refresh time",
        ];
        assert_eq!(answer(&after), Ok(taken.map(str::to_owned).to_vec()));
    }

    #[test]
    fn whatever_is_more_is_refused_by_its_name() {
        let changed = |change: fn(&mut Decision)| {
            let mut after = before();
            change(&mut after);
            answer(&after).unwrap_err()
        };
        let cases = [
            (
                changed(|after| after.secret_name = "other".into()),
                "secret_name \"other\"",
            ),
            (
                changed(|after| after.labels.push(pair("more", ""))),
                "labels \"more\"",
            ),
            (
                changed(|after| after.labels[0].1 = "ops".into()),
                "labels \"team\"",
            ),
            (
                changed(|after| after.annotations.push(pair("more", ""))),
                "annotations \"more\"",
            ),
            (
                changed(|after| after.service_accounts.push(link("x", true, false))),
                "service_accounts \"x\"",
            ),
            (
                changed(|after| after.service_accounts[1].mount = true),
                "service_accounts \"default\"",
            ),
            (
                changed(|after| after.secret_name = "No!".into()),
                "secret_name \"No!\"",
            ),
        ];
        for (error, field) in cases {
            assert!(error.starts_with(field), "{error}");
        }
    }
}
