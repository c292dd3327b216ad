//! The guests of this repository, as they are shipped: built by `cargo xtask guests`.
//!
//! They are looked for in `ECR_GUESTS_DIR`, or else in `target/guests`. Where the variable is set they have to
//! be there; where neither is, there is nothing to test, and the tests say so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use std::path::{Path, PathBuf};

use ecr_policy_model::{Request, Resource, ServiceAccount, TokenWindow, default_decision};
use ecr_secret_engine::{Allocation, Engine, EngineOptions, EvaluationError, LoadError, Policy};
use support::{assert_one_line, assert_serves, engine, request};

/// The bytes of a guest, or none when the guests are not built.
fn guest(name: &str) -> Option<Vec<u8>> {
    let given = std::env::var_os("ECR_GUESTS_DIR").map(PathBuf::from);
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests");
    let must_exist = given.is_some();
    let path = given.unwrap_or_else(usual).join(format!("{name}.wasm"));
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if must_exist => panic!("{}: {error}", path.display()),
        Err(_) => {
            eprintln!("not tested: {name} is not built; run `cargo xtask guests`");
            None
        }
    }
}

/// A guest in both builds: as a component of a core module, and as the compiler makes it for `wasm32-wasip2`.
fn builds(name: &str) -> Vec<Policy> {
    let names = [name.to_owned(), format!("{name}.wasip2")];
    let bytes = names.iter().filter_map(|name| guest(name));
    bytes.map(|bytes| engine().load(&bytes).unwrap()).collect()
}

/// A request to the hostile guest.
fn misdeed(what: &str) -> Request {
    Request {
        settings: format!("{{\"do\":\"{what}\"}}"),
        ..request()
    }
}

#[test]
fn the_default_policy_decides_as_the_host_does_without_one() {
    let named = Request {
        resource: Resource {
            generated_secret_name: Some("ecr".into()),
            ..request().resource
        },
        ..request()
    };
    for policy in builds("default") {
        let evaluation = policy.evaluate(&named).unwrap();
        assert_eq!(evaluation.verdict, Ok(default_decision(&named)));
    }
}

#[test]
fn a_policy_tells_what_its_last_run_took_of_a_processor() {
    for policy in builds("hostile") {
        assert_eq!(policy.last_run(), None);
        policy.evaluate(&misdeed("loop")).unwrap_err();
        let long = policy.last_run().unwrap();
        policy.evaluate(&misdeed("nothing")).unwrap();
        let short = policy.last_run().unwrap();
        assert!(
            short < long,
            "nothing took {short:?}, all of the fuel {long:?}"
        );
    }
}

#[test]
fn the_hostile_policy_is_contained_whatever_it_does() {
    let expected: [(&str, &[&str]); 10] = [
        ("loop", &["FuelExhausted"]),
        ("eat-memory", &["MemoryLimit"]),
        ("trap", &["Trap"]),
        ("recurse", &["StackExhausted"]),
        // Which limit is the first to be reached is the guest's affair.
        (
            "million-labels",
            &["MemoryLimit", "FuelExhausted", "ResultTooLarge"],
        ),
        (
            "million-accounts",
            &["MemoryLimit", "FuelExhausted", "ResultTooLarge"],
        ),
        (
            "million-errors",
            &["MemoryLimit", "FuelExhausted", "ResultTooLarge"],
        ),
        ("huge-name", &["ResultTooLarge"]),
        ("huge-label", &["ResultTooLarge"]),
        ("huge-refusal", &["ResultTooLarge"]),
    ];
    for policy in builds("hostile") {
        for (what, reasons) in expected {
            let error = policy.evaluate(&misdeed(what)).unwrap_err();
            assert_one_line(&error.to_string());
            assert!(reasons.contains(&error.reason()), "{what}: {error:?}");
            assert!(policy.evaluate(&misdeed("nothing")).is_ok(), "after {what}");
            assert_serves(&engine());
        }
    }
}

#[test]
fn a_panic_of_a_standard_guest_tells_its_message() {
    let Some(bytes) = guest("hostile.wasip2") else {
        return;
    };
    let policy = engine().load(&bytes).unwrap();
    let error = policy.evaluate(&misdeed("trap")).unwrap_err();
    let EvaluationError::Trap { message } = &error else {
        panic!("{error:?}")
    };
    assert!(message.contains("src/"), "{message}");
    let settings = "{\"do\":\"huge-log\",\"count\":1000}".into();
    let talkative = policy
        .evaluate(&Request {
            settings,
            ..request()
        })
        .unwrap();
    assert_eq!(talkative.log.len(), engine().options().limits.log_bytes);
}

#[test]
fn a_policy_describes_itself_and_checks_settings_without_a_resource() {
    for policy in builds("early-refresh") {
        let about = policy.describe().unwrap();
        assert_eq!(
            (about.name.as_str(), about.version.as_str()),
            ("early-refresh", "1.0.0")
        );
        assert!(!about.summary.is_empty());
        for part in [
            "before_expiry_percent",
            "1 to 90",
            "\"additionalProperties\":false",
        ] {
            assert!(
                about.settings_schema.contains(part),
                "{}",
                about.settings_schema
            );
        }
        let wrong = |settings: &str| policy.validate_settings(settings).unwrap().unwrap_err();
        policy.validate_settings("{}").unwrap().unwrap();
        assert_eq!(
            wrong(r#"{"before_expiry_percent": 91}"#)[0].field,
            "before_expiry_percent"
        );
        assert_eq!(wrong(r#"{"before_expiry": 9}"#)[0].field, "before_expiry");
        assert_eq!(wrong("[")[0].field, "");
    }
}

/// These files are never built anew: a policy that was built for a released interface runs for ever.
#[test]
fn the_guests_of_every_release_run() {
    let released: [(&str, &[u8]); 2] = [
        ("default", include_bytes!("released/default-1.0.0.wasm")),
        (
            "early-refresh",
            include_bytes!("released/early-refresh-1.0.0.wasm"),
        ),
    ];
    for (name, bytes) in released {
        let policy = engine().load(bytes).unwrap();
        assert_eq!(policy.interface().to_string(), "mobb:ecr-policy@1.0.0");
        assert_eq!(policy.describe().unwrap().name, name);
        policy.validate_settings("{}").unwrap().unwrap();
        let decision = policy.evaluate(&request()).unwrap().verdict.unwrap();
        assert_eq!(
            decision.secret_name,
            default_decision(&request()).secret_name
        );
    }
}

#[test]
fn ten_thousand_requests_get_the_same_answers_for_the_same_fuel_on_another_engine() {
    let other = Engine::new(EngineOptions {
        limits: support::patient(),
        allocation: Allocation::OnDemand,
        ..EngineOptions::default()
    })
    .unwrap();
    let names = [
        "default",
        "team-prefix",
        "label-selected-accounts",
        "early-refresh",
    ];
    let policies: Vec<(Policy, Policy)> = names
        .iter()
        .filter_map(|name| guest(name))
        .map(|bytes| (engine().load(&bytes).unwrap(), other.load(&bytes).unwrap()))
        .collect();
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let settings = [
        "{}",
        r#"{"prefix":"a"}"#,
        r#"{"label":"l"}"#,
        r#"{"after_seconds":9}"#,
        "[",
        "",
    ];
    for _ in 0..10_000 {
        let word = |number: u64| {
            "aé-Z.0"[..]
                .chars()
                .cycle()
                .take(number as usize)
                .collect::<String>()
        };
        let mut asked = request();
        asked.now = next(u64::MAX);
        asked.resource.name = word(next(60));
        asked.resource.generated_secret_name = (next(2) == 0).then(|| word(next(20)));
        asked.resource.labels = (0..next(4))
            .map(|number| (word(number), word(next(9))))
            .collect();
        asked.service_accounts = (0..next(6))
            .map(|number| ServiceAccount {
                name: word(number),
                labels: vec![("l".into(), word(next(3)))],
            })
            .collect();
        asked.token = (next(2) == 0).then(|| TokenWindow {
            issued_at: next(1 << 40),
            expires_at: next(1 << 40),
        });
        settings[next(6) as usize].clone_into(&mut asked.settings);
        for (one, two) in &policies {
            let (one, two) = (one.run(&asked), two.run(&asked));
            assert_eq!(one.outcome, two.outcome, "{asked:?}");
            assert_eq!(one.usage.fuel, two.usage.fuel, "{asked:?}");
            assert_eq!(one.usage.memory_bytes, two.usage.memory_bytes, "{asked:?}");
        }
    }
}

#[test]
fn a_policy_for_another_interface_is_refused() {
    let Some(bytes) = guest("wrong-interface") else {
        return;
    };
    let error = engine().load(&bytes).unwrap_err();
    assert!(
        matches!(error, LoadError::InterfaceMismatch { .. }),
        "{error:?}"
    );
}
