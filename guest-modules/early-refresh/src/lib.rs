//! Renews a token earlier than the operator would, by a share of its life or after a fixed time.
//!
//! Settings, at most one of:
//!
//! | field | meaning |
//! |---|---|
//! | `before_expiry_percent` | 1 to 90: renew when this share of the token's life is left; 25 without settings |
//! | `after_seconds` | at least 1: renew this many seconds after the token was issued |
//!
//! ```json
//! {"before_expiry_percent": 40}
//! ```
//!
//! A share needs a token to be a share of: before the first one the operator's own time stands. The operator
//! never renews later than is safe and never more often than it allows, whatever a policy says.

use ecr_policy::prelude::*;

/// The share of a token's life that is left when it is renewed, without settings.
const DEFAULT_PERCENT: u8 = 25;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// 1 to 90: renew when this share of the token's life is left; 25 without settings.
    #[setting(default)]
    before_expiry_percent: Option<u8>,
    /// At least 1: renew this many seconds after the token was issued.
    #[setting(default)]
    after_seconds: Option<u64>,
}

/// The policy that renews early.
#[derive(Debug)]
pub struct EarlyRefresh;

impl Policy for EarlyRefresh {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        match (settings.before_expiry_percent, settings.after_seconds) {
            (Some(_), Some(_)) => Err(Refusal::invalid_setting(
                "after_seconds",
                "must not stand beside `before_expiry_percent`: remove one of them",
            )),
            (None, Some(0)) => Err(Refusal::invalid_setting(
                "after_seconds",
                "must be at least 1",
            )),
            (Some(percent), None) if !(1..=90).contains(&percent) => Err(Refusal::invalid_setting(
                "before_expiry_percent",
                "must be 1 to 90",
            )),
            _ => Ok(()),
        }
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let decision = request.default_decision();
        if let Some(seconds) = settings.after_seconds {
            return Ok(decision.refresh_after_issue(seconds));
        }
        let percent = settings.before_expiry_percent.unwrap_or(DEFAULT_PERCENT);
        Ok(match request.token_life() {
            Some(life) => decision.refresh_before_expiry(share(life, percent)),
            None => decision,
        })
    }
}

/// `percent` of `life` in seconds, at least one second, without an overflow for any life.
fn share(life: u64, percent: u8) -> u64 {
    let percent = u64::from(percent);
    (life / 100 * percent + life % 100 * percent / 100).max(1)
}

ecr_policy::export!(EarlyRefresh);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::{NOW, request};

    fn refresh(settings: &str) -> Result<Refresh, Refusal> {
        let request = request("shop", "ecr").with_settings(settings);
        evaluate::<EarlyRefresh>(&request).map(|decision| decision.refresh)
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = refresh(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    #[test]
    fn a_quarter_of_the_life_is_left_without_settings() {
        assert_eq!(refresh("{}").unwrap(), Refresh::BeforeExpiry(3 * 3600));
    }

    #[test]
    fn the_share_and_the_fixed_time_come_from_the_settings() {
        let share = refresh(r#"{"before_expiry_percent": 50}"#).unwrap();
        assert_eq!(share, Refresh::BeforeExpiry(6 * 3600));
        assert_eq!(
            refresh(r#"{"after_seconds": 60}"#).unwrap(),
            Refresh::AfterIssue(60)
        );
    }

    #[test]
    fn before_the_first_token_the_operators_time_stands() {
        let mut request = request("shop", "ecr");
        request.token = None;
        assert_eq!(
            evaluate::<EarlyRefresh>(&request).unwrap().refresh,
            Refresh::HostDefault
        );
    }

    #[test]
    fn any_token_window_gives_a_time() {
        for (issued_at, expires_at) in [(NOW, NOW), (NOW, NOW + 3), (NOW, 0), (0, u64::MAX)] {
            let mut request =
                request("shop", "ecr").with_settings(r#"{"before_expiry_percent": 90}"#);
            request.token = Some(TokenWindow {
                issued_at,
                expires_at,
            });
            let refresh = evaluate::<EarlyRefresh>(&request).unwrap().refresh;
            assert!(matches!(refresh, Refresh::BeforeExpiry(1..)), "{refresh:?}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        assert_eq!(
            wrong_field(r#"{"before_expiry_percent": 0}"#),
            "before_expiry_percent"
        );
        assert_eq!(
            wrong_field(r#"{"before_expiry_percent": 91}"#),
            "before_expiry_percent"
        );
        assert_eq!(
            wrong_field(r#"{"before_expiry_percent": "x"}"#),
            "before_expiry_percent"
        );
        assert_eq!(wrong_field(r#"{"after_seconds": 0}"#), "after_seconds");
        assert_eq!(wrong_field(r#"{"after_seconds": -1}"#), "after_seconds");
        assert_eq!(
            wrong_field(r#"{"after_seconds": 1, "before_expiry_percent": 1}"#),
            "after_seconds"
        );
        assert_eq!(wrong_field(r#"{"after": 1}"#), "after");
    }
}
