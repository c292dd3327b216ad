//! An administrator's guardrail: allows Secrets whose names begin with a prefix, and takes away the links of service
//! accounts that are not on a list.
//!
//! A guardrail is a policy whose settings hold the decision that it may narrow, see [`Proposed`]. Its own settings come from
//! `settings.json` beside the module:
//!
//! | field | meaning |
//! |---|---|
//! | `name_prefix` | required: how the name of every generated Secret begins; empty for any |
//! | `accounts` | optional: the service accounts that may get a Secret; all of them otherwise |
//! | `widen` | for tests: answer more than was decided, which the operator does not take |
//!
//! ```json
//! {"name_prefix": "ecr-", "accounts": ["default", "builder"]}
//! ```

use ecr_policy::prelude::*;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// How the name of every generated Secret begins.
    name_prefix: String,
    /// The service accounts that may get a Secret; all of them without this list.
    #[setting(default)]
    accounts: Option<Vec<String>>,
    /// For tests: answer more than was decided.
    #[setting(default)]
    widen: bool,
}

/// The guardrail.
#[derive(Debug)]
pub struct Guardrail;

impl Policy for Guardrail {
    type Settings = Proposed<Settings>;

    fn decide(_request: &Request, proposed: Proposed<Settings>) -> Result<Decision, Refusal> {
        let Proposed {
            mut decision,
            settings,
        } = proposed;
        if !decision.secret_name.starts_with(&settings.name_prefix) {
            return Err(Refusal::denied(
                [
                    "the Secret's name ",
                    &decision.secret_name,
                    " has to begin with ",
                    &settings.name_prefix,
                ]
                .concat(),
            ));
        }
        if let Some(allowed) = settings.accounts {
            decision
                .service_accounts
                .retain(|link| allowed.contains(&link.name));
        }
        if settings.widen {
            decision = decision.link("one-more", Use::Mount);
        }
        Ok(decision)
    }
}

ecr_policy::export!(Guardrail);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::request;

    fn guard(decision: &str, settings: &str) -> Result<Decision, Refusal> {
        let text = format!(
            r#"{{"decision": {decision}, "requestSettings": {{"any": 1}}, "settings": {settings}}}"#
        );
        evaluate::<Guardrail>(&request("shop", "ecr").with_settings(&text))
    }

    const DECISION: &str = r#"{
        "secretName": "ecr-web",
        "labels": [["team", "web"]],
        "annotations": [],
        "serviceAccounts": [
            {"name": "default", "imagePull": true, "mount": false},
            {"name": "deployer", "imagePull": true, "mount": true}
        ],
        "refresh": {"beforeExpiry": 3600}
    }"#;

    #[test]
    fn what_is_allowed_stays_as_it_is() {
        let decision = guard(DECISION, r#"{"name_prefix": "ecr-"}"#).unwrap();
        assert_eq!(decision.secret_name, "ecr-web");
        assert_eq!(decision.labels, [("team".to_owned(), "web".to_owned())]);
        assert_eq!(decision.service_accounts.len(), 2);
        assert_eq!(decision.refresh, Refresh::BeforeExpiry(3600));
    }

    #[test]
    fn links_of_other_accounts_are_taken_away() {
        let decision = guard(DECISION, r#"{"name_prefix": "", "accounts": ["default"]}"#).unwrap();
        assert_eq!(decision.service_accounts.len(), 1);
        assert_eq!(decision.service_accounts[0].name, "default");
    }

    #[test]
    fn another_name_is_denied() {
        let refusal = guard(DECISION, r#"{"name_prefix": "team-"}"#).unwrap_err();
        let Refusal::Denied(why) = refusal else {
            panic!("{refusal:?}")
        };
        assert!(why.contains("ecr-web") && why.contains("team-"), "{why}");
    }

    #[test]
    fn every_form_of_a_refresh_time_is_read() {
        for (text, refresh) in [
            (r#""hostDefault""#, Refresh::HostDefault),
            (r#"{"at": 5}"#, Refresh::At(5)),
            (r#"{"afterIssue": 6}"#, Refresh::AfterIssue(6)),
        ] {
            let decision = format!(r#"{{"secretName": "a", "refresh": {text}}}"#);
            let decision = guard(&decision, r#"{"name_prefix": ""}"#).unwrap();
            assert_eq!(decision.refresh, refresh);
        }
    }

    #[test]
    fn its_own_settings_are_checked_by_their_path() {
        let refusal = guard(DECISION, r#"{"name_prefix": 5}"#).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        assert_eq!(errors[0].field, "settings.name_prefix");
    }
}
