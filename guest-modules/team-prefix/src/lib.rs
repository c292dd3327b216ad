//! Names a Secret `<prefix>-<namespace>-<name>` and labels it, so that many teams can share a convention.
//!
//! `<name>` is the resource's `generated_secret_name`, or the name of the resource when it sets none.
//! Settings:
//!
//! | field | meaning |
//! |---|---|
//! | `prefix` | required: the team, also the value of the label `team` |
//! | `labels` | more labels of the Secret, optional |
//! | `namespaces` | optional: the team's namespaces; resources elsewhere are denied |
//!
//! ```json
//! {"prefix": "team-a", "labels": {"cost-center": "1234"}, "namespaces": ["shop", "shop-staging"]}
//! ```

use ecr_policy::prelude::*;

/// Kubernetes' limit for a label value, and so for the prefix, which is one.
const LABEL_VALUE_MAX: usize = 63;
/// Kubernetes' limit for a Secret's name.
const NAME_MAX: usize = 253;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// The team, also the value of the label `team`.
    prefix: String,
    /// More labels of the Secret.
    #[setting(default)]
    labels: Vec<(String, String)>,
    /// The team's namespaces; resources elsewhere are denied.
    #[setting(default)]
    namespaces: Option<Vec<String>>,
}

/// The policy that names after a team.
#[derive(Debug)]
pub struct TeamPrefix;

impl Policy for TeamPrefix {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        check_prefix(&settings.prefix)
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let Settings {
            prefix,
            labels,
            namespaces,
        } = settings;
        let namespace = &request.resource.namespace;
        if namespaces.is_some_and(|allowed| !allowed.contains(namespace)) {
            let which = "namespace ".to_owned() + namespace + " is not one of team " + &prefix;
            return Err(Refusal::denied(
                which + ": add it to the setting `namespaces`",
            ));
        }
        let own = request.resource.generated_secret_name.as_ref();
        // Not `format!`, which would be a seventh of the module.
        let name = prefix.clone() + "-" + namespace + "-" + own.unwrap_or(&request.resource.name);
        if name.len() > NAME_MAX {
            let length = "the Secret's name would have ".to_owned() + &name.len().to_string();
            return Err(Refusal::denied(
                length + " characters of at most 253: use a shorter `generated_secret_name`",
            ));
        }
        let mut decision = request.default_decision().with_name(name);
        for (key, value) in labels {
            decision = decision.with_label(key, value);
        }
        Ok(decision.with_label("team", prefix))
    }
}

fn check_prefix(prefix: &str) -> Result<(), Refusal> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=LABEL_VALUE_MAX).contains(&prefix.len())
        && prefix.bytes().all(inner)
        && !prefix.starts_with('-')
        && !prefix.ends_with('-');
    if fits {
        return Ok(());
    }
    Err(Refusal::invalid_setting(
        "prefix",
        "must be 1 to 63 lower case letters, digits or `-`, and begin and end with a letter or digit",
    ))
}

ecr_policy::export!(TeamPrefix);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::{default_decision, test::request};

    fn decide(name: &str, settings: &str) -> Result<Decision, Refusal> {
        evaluate::<TeamPrefix>(&request("shop", name).with_settings(settings))
    }

    #[test]
    fn the_name_and_the_labels_come_from_the_namespace_and_the_settings() {
        let decision = decide(
            "ecr",
            r#"{"prefix": "team-a", "labels": {"tier": "web", "team": "x"}}"#,
        )
        .unwrap();
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(decision.secret_name, "team-a-shop-ecr");
        assert_eq!(
            decision.labels,
            [label("tier", "web"), label("team", "team-a")]
        );
    }

    #[test]
    fn all_else_is_the_default() {
        let decision = decide("ecr", r#"{"prefix": "team-a"}"#).unwrap();
        let default = default_decision(&request("shop", "ecr"));
        assert_eq!(decision.service_accounts, default.service_accounts);
        assert_eq!(decision.refresh, default.refresh);
    }

    #[test]
    fn a_resource_that_names_no_secret_lends_its_own_name() {
        let mut request = request("shop", "pull").with_settings(r#"{"prefix": "team-a"}"#);
        request.resource.generated_secret_name = None;
        assert_eq!(
            evaluate::<TeamPrefix>(&request).unwrap().secret_name,
            "team-a-shop-pull"
        );
    }

    #[test]
    fn a_foreign_namespace_is_denied_by_name() {
        let refusal =
            decide("ecr", r#"{"prefix": "team-a", "namespaces": ["other"]}"#).unwrap_err();
        let Refusal::Denied(why) = refusal else {
            panic!("{refusal:?}")
        };
        assert!(why.contains("namespace shop"), "{why}");
        assert!(decide("ecr", r#"{"prefix": "team-a", "namespaces": ["shop"]}"#).is_ok());
    }

    #[test]
    fn a_name_that_would_be_too_long_is_denied() {
        let refusal = decide(&"n".repeat(250), r#"{"prefix": "team-a"}"#).unwrap_err();
        let Refusal::Denied(why) = refusal else {
            panic!("{refusal:?}")
        };
        assert!(
            why.contains("would have 262 characters of at most 253"),
            "{why}"
        );
    }

    #[test]
    fn a_prefix_that_cannot_begin_a_name_is_an_invalid_setting() {
        for prefix in ["", "-a", "a-", "Team", "a.b", &"a".repeat(64)] {
            let refusal = decide("ecr", &format!(r#"{{"prefix": "{prefix}"}}"#)).unwrap_err();
            let Refusal::InvalidSettings(errors) = refusal else {
                panic!("{refusal:?}")
            };
            assert_eq!(errors[0].field, "prefix");
        }
    }

    #[test]
    fn missing_and_misspelt_settings_are_named() {
        for (settings, field) in [("{}", "prefix"), (r#"{"prefx": "a"}"#, "prefx")] {
            let refusal = decide("ecr", settings).unwrap_err();
            let Refusal::InvalidSettings(errors) = refusal else {
                panic!("{refusal:?}")
            };
            assert_eq!(errors[0].field, field);
        }
    }
}
