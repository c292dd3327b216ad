//! Spreads the renewals of many resources over a window, so that a fleet does not ask AWS as one.
//!
//! Where in the window a resource stands follows from its `metadata.uid`, and so stays the same for its life.
//! Settings:
//!
//! | field | meaning |
//! |---|---|
//! | `window_seconds` | optional, 1 to 14400: how long the window is, 3600 by default |
//! | `before_expiry_seconds` | optional, 900 to 21600: how long before the token dies the window ends, 7200 by default |
//!
//! ```json
//! {"window_seconds": 7200, "before_expiry_seconds": 9000}
//! ```
//!
//! The operator renews after the resource's `frequency` at the latest, which is 10 h unless it says otherwise, and after
//! seven eighths of the token's life. What of the window comes later than that is lost: with tokens of 12 h and the usual
//! `frequency`, keep `before_expiry_seconds` at 7200 or more.
//! A token too short-lived for the settings would be renewed all the time. For it the operator's own time stands.

use ecr_policy::prelude::*;

/// The offset basis and the prime of FNV-1a with 64 bits, from RFC 9923, "The FNV Non-Cryptographic Hash Algorithm".
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
/// No token is renewed in the first sixth of its life. With 12 h that is what the largest settings leave.
const YOUNG_PART: u64 = 6;

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(default, deny_unknown_fields)]
pub struct Settings {
    /// 1 to 14400: how long the window is, 3600 by default.
    window_seconds: u64,
    /// 900 to 21600: how long before the token dies the window ends, 7200 by default.
    before_expiry_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window_seconds: 3600,
            before_expiry_seconds: 7200,
        }
    }
}

/// The policy that spreads renewals.
#[derive(Debug)]
pub struct Staggered;

impl Policy for Staggered {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), Refusal> {
        if !(1..=14_400).contains(&settings.window_seconds) {
            return Err(Refusal::invalid_setting(
                "window_seconds",
                "must be 1 to 14400",
            ));
        }
        if !(900..=21_600).contains(&settings.before_expiry_seconds) {
            return Err(Refusal::invalid_setting(
                "before_expiry_seconds",
                "must be 900 to 21600",
            ));
        }
        Ok(())
    }

    fn decide(request: &Request, settings: Settings) -> Result<Decision, Refusal> {
        let place = fnv1a(&request.resource.uid) % settings.window_seconds;
        let before = settings.before_expiry_seconds + place;
        let decision = request.default_decision();
        let too_early = |life: u64| before > life - life / YOUNG_PART;
        if request.token_life().is_some_and(too_early) {
            return Ok(decision);
        }
        Ok(decision.refresh_before_expiry(before))
    }
}

/// The hash FNV-1a: not for secrets, but short, and well spread for short texts.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(FNV_BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

ecr_policy::export!(Staggered);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::test::{NOW, request};

    fn refresh(uid: &str, settings: &str) -> Refresh {
        let mut request = request("shop", "ecr").with_settings(settings);
        request.resource.uid = uid.into();
        evaluate::<Staggered>(&request).unwrap().refresh
    }

    fn before(uid: &str, settings: &str) -> u64 {
        let Refresh::BeforeExpiry(seconds) = refresh(uid, settings) else {
            panic!("{uid}: {settings}")
        };
        seconds
    }

    fn wrong_field(settings: &str) -> String {
        let refusal = validate_settings::<Staggered>(settings).unwrap_err();
        let Refusal::InvalidSettings(errors) = refusal else {
            panic!("{refusal:?}")
        };
        errors[0].field.clone()
    }

    #[test]
    fn the_hash_is_the_one_of_the_rfc() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_resource_keeps_its_place() {
        let mut request = request("shop", "ecr");
        let first = evaluate::<Staggered>(&request).unwrap();
        request.now += 3600;
        request.resource.name = "renamed".into();
        assert_eq!(
            evaluate::<Staggered>(&request).unwrap().refresh,
            first.refresh
        );
    }

    #[test]
    fn a_fleet_is_spread_over_the_whole_window() {
        let mut tenths = [0; 10];
        for number in 0..1000 {
            let uid = format!("0f5f4f0e-5c1f-4b57-9d0e-{number:012x}");
            let place = before(&uid, "{}") - 7200;
            assert!(place < 3600, "{place}");
            tenths[usize::try_from(place / 360).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|count| (60..=140).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn the_window_comes_from_the_settings() {
        let one = r#"{"window_seconds": 1, "before_expiry_seconds": 900}"#;
        assert_eq!(refresh("any", one), Refresh::BeforeExpiry(900));
        let wide = r#"{"window_seconds": 14400, "before_expiry_seconds": 21600}"#;
        for number in 0..1000 {
            let seconds = before(&number.to_string(), wide);
            assert!((21_600..36_000).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn a_resource_without_a_uid_and_one_without_a_token_have_a_place_too() {
        assert!((7200..10_800).contains(&before("", "{}")));
        let mut request = request("shop", "ecr");
        request.token = None;
        let refresh = evaluate::<Staggered>(&request).unwrap().refresh;
        assert!(matches!(refresh, Refresh::BeforeExpiry(_)), "{refresh:?}");
    }

    #[test]
    fn a_token_too_short_lived_for_the_window_is_left_to_the_operator() {
        let mut request = request("shop", "ecr").with_settings(r#"{"window_seconds": 1}"#);
        let mut refresh = |life: u64| {
            request.token = Some(TokenWindow {
                issued_at: NOW,
                expires_at: NOW + life,
            });
            evaluate::<Staggered>(&request).unwrap().refresh
        };
        for life in [0, 3600, 7200, 8600] {
            assert_eq!(refresh(life), Refresh::HostDefault, "{life}");
        }
        assert_eq!(refresh(8640), Refresh::BeforeExpiry(7200));
    }

    #[test]
    fn all_else_is_the_default() {
        let request = request("shop", "ecr");
        let default = request.default_decision();
        let decision = evaluate::<Staggered>(&request).unwrap();
        assert_eq!(
            Decision {
                refresh: Refresh::HostDefault,
                ..decision
            },
            default
        );
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, field) in [
            (r#"{"window_seconds": 0}"#, "window_seconds"),
            (r#"{"window_seconds": 14401}"#, "window_seconds"),
            (r#"{"window_seconds": -1}"#, "window_seconds"),
            (r#"{"before_expiry_seconds": 899}"#, "before_expiry_seconds"),
            (
                r#"{"before_expiry_seconds": 21601}"#,
                "before_expiry_seconds",
            ),
            (
                r#"{"before_expiry_seconds": "2h"}"#,
                "before_expiry_seconds",
            ),
            (r#"{"window": 1}"#, "window"),
        ] {
            assert_eq!(wrong_field(settings), field, "{settings}");
        }
    }
}
