//! Gives the Secret to every service account of the namespace that carries a label.
//!
//! The accounts of `spec.service_accounts` keep it as well. Settings:
//!
//! | field | meaning |
//! |---|---|
//! | `label` | required: the key of the label |
//! | `value` | optional: the label's value; without it every value will do |
//! | `use` | optional, `["ImagePull"]`: the lists that name the Secret, of `ImagePull` and `Mount` |
//!
//! ```json
//! {"label": "ecr-pull", "value": "true", "use": ["ImagePull", "Mount"]}
//! ```

use ecr_policy::prelude::*;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// The key of the label.
    label: String,
    /// The label's value; without it every value will do.
    #[setting(default)]
    value: Option<String>,
    /// The lists that name the Secret, `["ImagePull"]` by default.
    #[setting(default = "image_pull", rename = "use")]
    uses: Vec<Use>,
}

fn image_pull() -> Vec<Use> {
    vec![Use::ImagePull]
}

/// The policy that links by label.
#[derive(Debug)]
pub struct LabelSelectedAccounts;

impl Policy for LabelSelectedAccounts {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        if settings.label.is_empty() {
            return Err(Refusal::invalid_setting(
                "label",
                "must be the key of a label",
            ));
        }
        if settings.uses.is_empty() {
            return Err(Refusal::invalid_setting(
                "use",
                "must hold `ImagePull`, `Mount` or both",
            ));
        }
        Ok(())
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let selected = request.service_accounts.iter().filter(|account| {
            account
                .label(&settings.label)
                .is_some_and(|found| settings.value.as_ref().is_none_or(|wanted| wanted == found))
        });
        Ok(
            selected.fold(request.default_decision(), |decision, account| {
                decision.link(&account.name, &settings.uses)
            }),
        )
    }
}

ecr_policy::export!(LabelSelectedAccounts);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::request;

    fn decide(settings: &str) -> Result<Decision, Refusal> {
        let mut request = request("shop", "ecr")
            .with_account("web", &[("ecr-pull", "true")])
            .with_account("batch", &[("ecr-pull", "false"), ("tier", "back")])
            .with_settings(settings);
        request.resource.service_accounts = vec![AccountLink {
            name: "web".into(),
            image_pull: false,
            mount: true,
        }];
        evaluate::<LabelSelectedAccounts>(&request)
    }

    fn link(name: &str, image_pull: bool, mount: bool) -> AccountLink {
        AccountLink {
            name: name.into(),
            image_pull,
            mount,
        }
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = decide(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    #[test]
    fn accounts_with_the_label_and_its_value_are_linked_beside_those_of_the_resource() {
        let decision = decide(r#"{"label": "ecr-pull", "value": "true"}"#).unwrap();
        assert_eq!(decision.service_accounts, [link("web", true, true)]);
        assert_eq!(decision.secret_name, "ecr");
    }

    #[test]
    fn without_a_value_the_label_is_enough() {
        let decision = decide(r#"{"label": "ecr-pull"}"#).unwrap();
        assert_eq!(
            decision.service_accounts,
            [link("web", true, true), link("batch", true, false)]
        );
    }

    #[test]
    fn the_uses_come_from_the_settings() {
        let decision = decide(r#"{"label": "tier", "use": ["Mount", "ImagePull"]}"#).unwrap();
        assert_eq!(
            decision.service_accounts,
            [link("web", false, true), link("batch", true, true)]
        );
    }

    #[test]
    fn a_label_that_nobody_carries_changes_nothing() {
        let decision = decide(r#"{"label": "unknown"}"#).unwrap();
        assert_eq!(decision.service_accounts, [link("web", false, true)]);
    }

    #[test]
    fn wrong_settings_are_named() {
        assert_eq!(wrong_field("{}"), "label");
        assert_eq!(wrong_field(r#"{"label": ""}"#), "label");
        assert_eq!(wrong_field(r#"{"label": "a", "use": []}"#), "use");
        assert_eq!(wrong_field(r#"{"label": "a", "use": ["Pull"]}"#), "use[0]");
    }
}
