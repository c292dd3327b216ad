//! Misbehaves as its settings say, so that tests of the host need one module for all that a policy can do wrong.
//!
//! Settings: `{"do": "<misdeed>", "count": <number>}`. `count` sizes the misdeeds that have a size and
//! defaults to a million. Not for use outside of tests.
//!
//! | `do` | what happens |
//! |---|---|
//! | `nothing` | the default decision: the module behaves |
//! | `loop` | computes for ever |
//! | `eat-memory` | allocates 1 MiB again and again, for ever |
//! | `trap` | executes `unreachable` by a panic |
//! | `recurse` | calls itself until the host's stack for WebAssembly ends (`count` calls deep) |
//! | `recurse-in-memory` | the same with large frames, which fill the stack that the guest has in its own memory |
//! | `million-labels`, `million-accounts` | a decision with `count` different labels, links |
//! | `huge-name`, `huge-label` | a Secret name, a label value of `count` bytes |
//! | `invalid-name` | a Secret name that is no RFC 1123 subdomain |
//! | `empty-name` | an empty Secret name |
//! | `foreign-namespace-name` | a Secret name with another namespace in it, `other-ns/secret` |
//! | `invalid-label` | a label whose key and value break the syntax |
//! | `reserved-label`, `reserved-annotation` | a key with the prefix that is the host's |
//! | `duplicate-labels`, `duplicate-accounts` | the same key, the same account twice |
//! | `invalid-account` | a link of a service account with a foreign namespace in its name |
//! | `unknown-account` | a link of a service account that does not exist |
//! | `past-time`, `year-9999`, `end-of-time` | a refresh a day ago, on 9999-12-31, at the largest number |
//! | `far-after-issue`, `far-before-expiry` | a refresh the largest number of seconds after issue, before expiry |
//! | `deny` | a refusal with a reason |
//! | `deny-control-characters` | a refusal whose text has line breaks, escapes and NUL |
//! | `huge-refusal` | a refusal with a text of `count` bytes |
//! | `million-errors` | invalid settings with `count` field errors |
//! | `huge-log` | `count` lines on standard error (nothing on wasm32-unknown-unknown, which has none), then the default |

use ecr_policy::prelude::*;

/// What to do wrong; the head of the module describes each.
#[derive(Clone, Copy, Debug, Default, Setting)]
#[setting(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "described once, in the head of the module")]
pub enum Misdeed {
    #[default]
    Nothing,
    Loop,
    EatMemory,
    Trap,
    Recurse,
    RecurseInMemory,
    MillionLabels,
    MillionAccounts,
    HugeName,
    HugeLabel,
    InvalidName,
    EmptyName,
    ForeignNamespaceName,
    InvalidLabel,
    ReservedLabel,
    ReservedAnnotation,
    DuplicateLabels,
    DuplicateAccounts,
    InvalidAccount,
    UnknownAccount,
    PastTime,
    #[setting(rename = "year-9999")]
    Year9999,
    EndOfTime,
    FarAfterIssue,
    FarBeforeExpiry,
    Deny,
    DenyControlCharacters,
    HugeRefusal,
    MillionErrors,
    HugeLog,
}

/// The settings, see the head of the module.
#[derive(Debug, Setting)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    #[setting(default, rename = "do")]
    misdeed: Misdeed,
    #[setting(default = "million")]
    count: usize,
}

fn million() -> usize {
    1_000_000
}

/// 9999-12-31T23:59:59Z, in seconds since the Unix epoch.
const YEAR_9999: u64 = 253_402_300_799;

/// The policy that misbehaves.
#[derive(Debug)]
pub struct Hostile;

impl Policy for Hostile {
    type Settings = Settings;

    fn decide(
        request: &Request,
        Settings { misdeed, count }: Settings,
    ) -> Result<Decision, Refusal> {
        let mut decision = request.default_decision();
        let link = |name: String| AccountLink {
            name,
            image_pull: true,
            mount: false,
        };
        Ok(match misdeed {
            Misdeed::Nothing => decision,
            Misdeed::Loop => compute_for_ever(),
            Misdeed::EatMemory => eat_memory(),
            Misdeed::Trap => panic!("the hostile policy traps as its settings say"),
            Misdeed::Recurse => decision.refresh_at(recurse(count)),
            Misdeed::RecurseInMemory => decision.refresh_at(recurse_in_memory(count)),
            // Pushed, not set: `with_label` looks for the key each time.
            Misdeed::MillionLabels => {
                decision.labels = (0..count)
                    .map(|n| (format!("l{n}"), String::new()))
                    .collect();
                decision
            }
            Misdeed::MillionAccounts => {
                decision.service_accounts = (0..count).map(|n| link(format!("a{n}"))).collect();
                decision
            }
            Misdeed::HugeName => decision.with_name("n".repeat(count)),
            Misdeed::HugeLabel => decision.with_label("huge", "v".repeat(count)),
            Misdeed::InvalidName => decision.with_name("Not_A Name!"),
            Misdeed::EmptyName => decision.with_name(""),
            Misdeed::ForeignNamespaceName => decision.with_name("other-ns/secret"),
            Misdeed::InvalidLabel => decision.with_label("not a key", "not\na value"),
            Misdeed::ReservedLabel => decision.with_label("ecr.mobb.redhat.com/owner", "me"),
            Misdeed::ReservedAnnotation => {
                decision.with_annotation("ecr.mobb.redhat.com/adopt", "true")
            }
            Misdeed::DuplicateLabels => {
                decision.labels = ["a", "b"]
                    .map(|value| ("twice".into(), value.into()))
                    .into();
                decision
            }
            Misdeed::DuplicateAccounts => {
                decision.service_accounts = ["builder", "builder"].map(|n| link(n.into())).into();
                decision
            }
            Misdeed::InvalidAccount => decision.link("other-ns/default", Use::Mount),
            Misdeed::UnknownAccount => decision.link("no-such-account", Use::ImagePull),
            Misdeed::PastTime => decision.refresh_at(request.now.saturating_sub(24 * 3600)),
            Misdeed::Year9999 => decision.refresh_at(YEAR_9999),
            Misdeed::EndOfTime => decision.refresh_at(u64::MAX),
            Misdeed::FarAfterIssue => decision.refresh_after_issue(u64::MAX),
            Misdeed::FarBeforeExpiry => decision.refresh_before_expiry(u64::MAX),
            Misdeed::Deny => return Err(Refusal::denied("the settings say that it is denied")),
            Misdeed::DenyControlCharacters => {
                return Err(Refusal::denied("first\nsecond\r\u{1b}[31mred\0end"));
            }
            Misdeed::HugeRefusal => return Err(Refusal::denied("w".repeat(count))),
            Misdeed::MillionErrors => {
                let error = |n| FieldError {
                    field: format!("f{n}"),
                    message: "is wrong".into(),
                };
                return Err(Refusal::InvalidSettings((0..count).map(error).collect()));
            }
            Misdeed::HugeLog => {
                (0..count).for_each(|n| eprintln!("line {n} of a log that nobody wants to keep"));
                decision
            }
        })
    }
}

fn compute_for_ever() -> ! {
    let mut state = 1_u32;
    loop {
        state = core::hint::black_box(state.wrapping_mul(31));
    }
}

/// Touches one byte of each MiB only, so that memory and not fuel is what ends.
fn eat_memory() -> ! {
    let mut meals = Vec::new();
    loop {
        let mut meal = Vec::with_capacity(1 << 20);
        meal.push(1_u8);
        meals.push(core::hint::black_box(meal));
    }
}

/// Not a loop after optimization, because the work after the call is not associative.
fn recurse(depth: usize) -> u64 {
    if depth == 0 {
        return 1;
    }
    recurse(depth - 1).rotate_left(7).wrapping_mul(depth as u64)
}

/// Keeps an array in every frame; an array lives in linear memory, unlike `recurse`'s numbers.
fn recurse_in_memory(depth: usize) -> u64 {
    let frame = core::hint::black_box([depth as u64; 16]);
    if depth == 0 {
        return frame[0];
    }
    recurse_in_memory(depth - 1).wrapping_mul(core::hint::black_box(frame)[3])
}

ecr_policy::export!(Hostile);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ecr_policy::{default_decision, test::request};

    fn decide(settings: &str) -> Result<Decision, Refusal> {
        evaluate::<Hostile>(&request("shop", "ecr").with_settings(settings))
    }

    #[test]
    fn without_a_misdeed_it_behaves() {
        let default = default_decision(&request("shop", "ecr"));
        assert_eq!(decide("{}").unwrap(), default);
        assert_eq!(decide(r#"{"do": "nothing"}"#).unwrap(), default);
    }

    #[test]
    fn sizes_come_from_the_settings() {
        assert!(decide(r#"{"do": "recurse", "count": 9}"#).is_ok());
        assert!(decide(r#"{"do": "recurse-in-memory", "count": 9}"#).is_ok());
        assert_eq!(
            decide(r#"{"do": "million-labels", "count": 7}"#)
                .unwrap()
                .labels
                .len(),
            7
        );
        assert_eq!(
            decide(r#"{"do": "huge-name"}"#).unwrap().secret_name.len(),
            1_000_000
        );
    }

    #[test]
    fn misdeeds_are_what_their_names_say() {
        let past = decide(r#"{"do": "past-time"}"#).unwrap().refresh;
        assert!(matches!(past, Refresh::At(time) if time < ecr_policy::test::NOW));
        assert_eq!(
            decide(r#"{"do": "year-9999"}"#).unwrap().refresh,
            Refresh::At(YEAR_9999)
        );
        assert!(
            decide(r#"{"do": "foreign-namespace-name"}"#)
                .unwrap()
                .secret_name
                .contains('/')
        );
        assert_eq!(
            decide(r#"{"do": "duplicate-labels"}"#)
                .unwrap()
                .labels
                .len(),
            2
        );
        assert!(matches!(
            decide(r#"{"do": "deny"}"#),
            Err(Refusal::Denied(_))
        ));
    }

    #[test]
    #[should_panic(expected = "traps")]
    fn a_trap_is_a_panic() {
        let _ = decide(r#"{"do": "trap"}"#);
    }

    #[test]
    fn an_unknown_misdeed_is_an_invalid_setting() {
        let Err(Refusal::InvalidSettings(errors)) = decide(r#"{"do": "good"}"#) else {
            panic!("accepted");
        };
        assert_eq!(errors[0].field, "do");
    }
}
