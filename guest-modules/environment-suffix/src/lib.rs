//! Names a Secret `<name>-<environment>` and labels it `environment=<environment>`.
//!
//! `<name>` is the resource's `generated_secret_name`, or the name of the resource when it sets none. The environment is
//! the one that the settings give the namespace, else the last part of the namespace's name: `shop-prod` is `prod`.
//! A namespace that tells none is denied. Settings:
//!
//! | field | meaning |
//! |---|---|
//! | `environments` | optional: the environments of namespaces, by the namespace's name |
//! | `known` | optional, `["dev", "test", "staging", "prod"]`: the last parts of names that are environments |
//!
//! ```json
//! {"environments": {"shop": "prod", "playground": "dev"}, "known": ["dev", "qa", "prod"]}
//! ```

use std::collections::BTreeMap;

use ecr_policy::prelude::*;

/// Kubernetes' limit for a label value, and so for an environment, which is one.
const LABEL_VALUE_MAX: usize = 63;
/// Kubernetes' limit for a Secret's name.
const NAME_MAX: usize = 253;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// The environments of namespaces, by the namespace's name.
    #[setting(default)]
    environments: BTreeMap<String, String>,
    /// The last parts of namespaces' names that are environments, `["dev", "test", "staging", "prod"]` by default.
    #[setting(default = "usual")]
    known: Vec<String>,
}

fn usual() -> Vec<String> {
    ["dev", "test", "staging", "prod"].map(String::from).into()
}

/// The policy that names after the environment.
#[derive(Debug)]
pub struct EnvironmentSuffix;

impl Policy for EnvironmentSuffix {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        for (namespace, environment) in &settings.environments {
            if !is_environment(environment) {
                return Err(Refusal::invalid_setting(
                    format!("environments.{namespace}"),
                    "must be 1 to 63 lower case letters, digits or `-`, and begin and end with a letter or digit",
                ));
            }
        }
        for (index, environment) in settings.known.iter().enumerate() {
            // The last part of a name has no `-` in it, so such an environment would never be found.
            if !is_environment(environment) || environment.contains('-') {
                return Err(Refusal::invalid_setting(
                    format!("known[{index}]"),
                    "must be 1 to 63 lower case letters or digits; \
                     an environment with `-` goes into `environments`, with its namespaces",
                ));
            }
        }
        Ok(())
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let environment = environment_of(&request.resource.namespace, &settings)?;
        let own = request.resource.generated_secret_name.as_ref();
        let name = format!("{}-{environment}", own.unwrap_or(&request.resource.name));
        if name.len() > NAME_MAX {
            return Err(Refusal::denied(format!(
                "the Secret's name would have {} characters of at most {NAME_MAX}: \
                 use a shorter `generated_secret_name`",
                name.len()
            )));
        }
        Ok(request
            .default_decision()
            .with_name(name)
            .with_label("environment", environment))
    }
}

fn environment_of<'a>(namespace: &'a str, settings: &'a Settings) -> Result<&'a str, Refusal> {
    if let Some(given) = settings.environments.get(namespace) {
        return Ok(given);
    }
    let last = namespace
        .rsplit_once('-')
        .map_or(namespace, |(_, last)| last);
    if settings.known.iter().any(|known| known == last) {
        return Ok(last);
    }
    Err(Refusal::denied(format!(
        "namespace {namespace} tells no environment: add it to the setting `environments`, \
         or the last part of its name to `known` ({})",
        settings.known.join(", ")
    )))
}

fn is_environment(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_VALUE_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

ecr_policy::export!(EnvironmentSuffix);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::request;

    fn decide(namespace: &str, settings: &str) -> Result<Decision, Refusal> {
        evaluate::<EnvironmentSuffix>(&request(namespace, "ecr").with_settings(settings))
    }

    fn name(namespace: &str, settings: &str) -> String {
        decide(namespace, settings).unwrap().secret_name
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = validate_settings::<EnvironmentSuffix>(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    fn why_denied(refusal: Refusal) -> String {
        let Refusal::Denied(why) = refusal else {
            panic!("{refusal:?}")
        };
        why
    }

    #[test]
    fn the_name_and_the_label_come_from_the_end_of_the_namespace() {
        let decision = decide("web-shop-prod", "{}").unwrap();
        assert_eq!(decision.secret_name, "ecr-prod");
        assert_eq!(
            decision.labels,
            [("environment".to_owned(), "prod".to_owned())]
        );
        assert_eq!(name("staging", "{}"), "ecr-staging");
    }

    #[test]
    fn what_the_settings_say_of_a_namespace_goes_first() {
        let settings = r#"{"environments": {"shop": "prod", "shop-dev": "pre-prod"}}"#;
        assert_eq!(name("shop", settings), "ecr-prod");
        assert_eq!(name("shop-dev", settings), "ecr-pre-prod");
        assert_eq!(name("other-dev", settings), "ecr-dev");
    }

    #[test]
    fn known_environments_take_the_place_of_the_usual_ones() {
        let settings = r#"{"known": ["qa"]}"#;
        assert_eq!(name("shop-qa", settings), "ecr-qa");
        assert!(decide("shop-prod", settings).is_err());
    }

    #[test]
    fn a_namespace_that_tells_no_environment_is_denied_and_told_what_to_do() {
        for namespace in ["shop", "prod-shop", "shop-prod2", "shopprod", "shop-", ""] {
            let why = why_denied(decide(namespace, "{}").unwrap_err());
            for part in [namespace, "`environments`", "(dev, test, staging, prod)"] {
                assert!(why.contains(part), "{why}");
            }
        }
    }

    #[test]
    fn a_resource_that_names_no_secret_lends_its_own_name() {
        let mut request = request("shop-test", "pull");
        request.resource.generated_secret_name = None;
        let decision = evaluate::<EnvironmentSuffix>(&request).unwrap();
        assert_eq!(decision.secret_name, "pull-test");
    }

    #[test]
    fn a_name_that_would_be_too_long_is_denied() {
        let decide = |length: usize| {
            evaluate::<EnvironmentSuffix>(&request("shop-dev", &"n".repeat(length)))
        };
        assert_eq!(decide(249).unwrap().secret_name.len(), 253);
        let why = why_denied(decide(250).unwrap_err());
        assert!(why.contains("254 characters of at most 253"), "{why}");
    }

    #[test]
    fn all_else_is_the_default() {
        let default = request("shop-dev", "ecr").default_decision();
        let decision = decide("shop-dev", "{}").unwrap();
        assert_eq!(decision.service_accounts, default.service_accounts);
        assert_eq!(decision.annotations, default.annotations);
        assert_eq!(decision.refresh, default.refresh);
    }

    #[test]
    fn wrong_settings_are_named() {
        let long = format!(r#"{{"known": ["{}"]}}"#, "a".repeat(64));
        for (settings, field) in [
            (
                r#"{"environments": {"a": "b", "shop": "Prod"}}"#,
                "environments.shop",
            ),
            (r#"{"environments": {"shop": ""}}"#, "environments.shop"),
            (r#"{"environments": {"shop": "-a"}}"#, "environments.shop"),
            (r#"{"environments": {"shop": "a.b"}}"#, "environments.shop"),
            (r#"{"environments": {"shop": 1}}"#, "environments.shop"),
            (r#"{"environments": ["shop"]}"#, "environments"),
            (r#"{"known": ["dev", ""]}"#, "known[1]"),
            (r#"{"known": ["pre-prod"]}"#, "known[0]"),
            (&long, "known[0]"),
            (r#"{"environment": {}}"#, "environment"),
        ] {
            assert_eq!(wrong_field(settings), field, "{settings}");
        }
    }
}
