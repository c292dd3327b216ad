//! The guests of this repository, as they are shipped: built by `cargo xtask guests`.
//!
//! They are looked for in `ECR_GUESTS_DIR`, or else in `target/guests`. Where the variable is set they have to
//! be there; where neither is, there is nothing to test, and the tests say so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use ecr_policy_model::{Request, Resource, default_decision};
use ecr_secret_engine::{EvaluationError, LoadError, Policy};
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
