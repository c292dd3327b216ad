//! What a guest is asked and what it may answer, good and bad.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ecr_policy_model::{AccountLink, Decision, FieldError, Refresh, Refusal, Request};
use ecr_secret_engine::EvaluationError;
use support::{NAMED, engine, failure, good, guest, guest_that, load, request, run, success};

#[test]
fn a_good_policy_decides_with_little_fuel_and_no_log() {
    let run = success(&engine(), &good());
    let expected = Decision {
        secret_name: "hello".into(),
        ..Decision::default()
    };
    assert_eq!(run.outcome, Ok(Ok(expected)));
    assert!((1..10_000).contains(&run.usage.fuel), "{}", run.usage.fuel);
    assert_eq!(run.usage.memory_bytes, 2 << 16);
    assert_eq!((run.log.as_str(), run.usage.log_bytes), ("", 0));
}

#[test]
fn a_policy_knows_its_digest_its_interface_and_its_size() {
    let bytes = good();
    let policy = load(&engine(), &bytes);
    assert_eq!(policy.digest(), ecr_secret_engine::digest(&bytes));
    assert_eq!(policy.digest().len(), 64);
    assert_eq!(policy.interface().to_string(), "mobb:ecr-policy@1.0.0");
    assert_eq!(policy.module_bytes(), bytes.len());
}

#[test]
fn every_field_of_the_request_arrives() {
    // The addresses follow from the records in policy.wit; the answer's name is the text at that place.
    let request = Request {
        settings: "{\"prefix\":\"x\"}".into(),
        token: Some(ecr_policy_model::TokenWindow {
            issued_at: 17,
            expires_at: 23,
        }),
        resource: ecr_policy_model::Resource {
            region: Some("eu-west-1".into()),
            generated_secret_name: Some("chosen".into()),
            ..request().resource
        },
        ..request()
    };
    let texts = [
        (12, "web"),
        (20, "team-a"),
        (28, "0000-1111"),
        (52, "111111111111.dkr.ecr.eu-west-1.amazonaws.com"),
        (64, "eu-west-1"),
        (76, "chosen"),
        (136, "{\"prefix\":\"x\"}"),
    ];
    for (at, text) in texts {
        let echo = format!(
            "(i64.store (i32.const 1032) (i64.load offset={at} (local.get 0))) (i32.const 1024)"
        );
        let answer = load(&engine(), &guest("", &echo))
            .evaluate(&request)
            .unwrap();
        assert_eq!(answer.verdict.unwrap().secret_name, text, "at {at}");
    }
    let numbers = [(0, request.now), (88, 36_000), (120, 17), (128, 23)];
    for (at, number) in numbers {
        let echo = format!(
            "(i32.store8 (i32.const 1064) (i32.const 1))
             (i64.store (i32.const 1072) (i64.load offset={at} (local.get 0))) (i32.const 1024)"
        );
        let answer = load(&engine(), &guest("", &echo))
            .evaluate(&request)
            .unwrap();
        assert_eq!(
            answer.verdict.unwrap().refresh,
            Refresh::At(number),
            "at {at}"
        );
    }
}

#[test]
fn every_kind_of_refresh_time_comes_back() {
    let expected = [
        Refresh::HostDefault,
        Refresh::At(9),
        Refresh::AfterIssue(9),
        Refresh::BeforeExpiry(9),
    ];
    for (tag, expected) in expected.into_iter().enumerate() {
        let set = format!(
            "(i32.store8 (i32.const 1064) (i32.const {tag})) (i64.store (i32.const 1072) (i64.const 9))"
        );
        let decision = success(&engine(), &guest_that(&set))
            .outcome
            .unwrap()
            .unwrap();
        assert_eq!(decision.refresh, expected);
    }
}

#[test]
fn account_links_and_labels_come_back() {
    // One link at 2048, and one label at 2064, all of them called `hello`.
    let set =
        "(i32.store (i32.const 1056) (i32.const 2048)) (i32.store (i32.const 1060) (i32.const 1))
        (i32.store (i32.const 2048) (i32.const 64)) (i32.store (i32.const 2052) (i32.const 5))
        (i32.store8 (i32.const 2057) (i32.const 1))
        (i32.store (i32.const 1040) (i32.const 2064)) (i32.store (i32.const 1044) (i32.const 1))
        (i32.store (i32.const 2064) (i32.const 64)) (i32.store (i32.const 2068) (i32.const 5))
        (i32.store (i32.const 2072) (i32.const 64)) (i32.store (i32.const 2076) (i32.const 4))";
    let decision = success(&engine(), &guest_that(set))
        .outcome
        .unwrap()
        .unwrap();
    let link = AccountLink {
        name: "hello".into(),
        image_pull: false,
        mount: true,
    };
    assert_eq!(decision.service_accounts, [link]);
    assert_eq!(decision.labels, [("hello".to_owned(), "hell".to_owned())]);
    assert_eq!(decision.annotations, []);
}

#[test]
fn a_refusal_is_an_answer() {
    let denied =
        "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1032) (i32.const 1))
        (i32.store (i32.const 1036) (i32.const 64)) (i32.store (i32.const 1040) (i32.const 5))
        (i32.const 1024)";
    let run_denied = run(&engine(), &guest("", denied));
    assert_eq!(run_denied.outcome, Ok(Err(Refusal::Denied("hello".into()))));
    let invalid = "(i32.store8 (i32.const 1024) (i32.const 1))
        (i32.store (i32.const 1036) (i32.const 2048)) (i32.store (i32.const 1040) (i32.const 1))
        (i32.store (i32.const 2048) (i32.const 64)) (i32.store (i32.const 2052) (i32.const 1))
        (i32.store (i32.const 2056) (i32.const 65)) (i32.store (i32.const 2060) (i32.const 4))
        (i32.const 1024)";
    let errors = vec![FieldError {
        field: "h".into(),
        message: "ello".into(),
    }];
    let run_invalid = run(&engine(), &guest("", invalid));
    assert_eq!(
        run_invalid.outcome,
        Ok(Err(Refusal::InvalidSettings(errors)))
    );
}

#[test]
fn an_answer_that_breaks_the_interface_is_an_invalid_result() {
    let name = |at: u32, length: u32| {
        format!(
            "(i32.store (i32.const 1032) (i32.const {at})) (i32.store (i32.const 1036) (i32.const {length})) (i32.const 1024)"
        )
    };
    let cases = [
        ("an address beyond the memory", "(i32.const 0x7ffffff8)".to_owned()),
        ("an address that is not aligned", "(i32.const 1025)".to_owned()),
        ("a text that begins beyond the memory", name(0x7fff_0000, 5)),
        ("a text that ends beyond the memory", name(64, 0x7fff_ffff)),
        ("a text whose end wraps around", name(0xffff_fff0, 0x20)),
        ("a list that ends beyond the memory", format!("(i32.store (i32.const 1040) (i32.const 64)) (i32.store (i32.const 1044) (i32.const 0x0fffffff)) {NAMED} (i32.const 1024)")),
        ("a list whose size overflows", format!("(i32.store (i32.const 1044) (i32.const 0xffffffff)) {NAMED} (i32.const 1024)")),
        ("a text that is not UTF-8", format!("(i32.store8 (i32.const 65) (i32.const 0xff)) {NAMED} (i32.const 1024)")),
        ("neither decision nor refusal", "(i32.store8 (i32.const 1024) (i32.const 2)) (i32.const 1024)".to_owned()),
        ("a refresh time that does not exist", format!("(i32.store8 (i32.const 1064) (i32.const 4)) {NAMED} (i32.const 1024)")),
        ("a refusal that does not exist", "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1032) (i32.const 7)) (i32.const 1024)".to_owned()),
    ];
    for (what, body) in cases {
        let error = failure(&engine(), &guest("", &body));
        assert!(
            matches!(error, EvaluationError::InvalidResult { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.reason(), "InvalidResult");
    }
}

#[test]
fn an_allocator_that_lies_is_the_guests_failure() {
    let module = support::module("", &format!("{NAMED} (i32.const 1024)"))
        .replace("(local.get $at))", "(i32.const 0x7ffffff0))");
    let error = failure(
        &engine(),
        &support::component(support::WIT, "policy", &module),
    );
    assert!(
        matches!(
            error,
            EvaluationError::InvalidResult { .. } | EvaluationError::Trap { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn each_kind_of_trap_tells_its_kind() {
    let cases = [
        ("unreachable", "without a message"),
        (
            "(drop (i32.load (i32.const -4)))",
            "out of bounds memory access",
        ),
        (
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            "divide by zero",
        ),
        (
            "(drop (i32.trunc_f32_s (f32.const nan)))",
            "invalid conversion",
        ),
    ];
    for (what, message) in cases {
        let error = failure(&engine(), &guest_that(what));
        assert_eq!(error.reason(), "Trap");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn nothing_stays_from_one_evaluation_to_the_next() {
    // It adds one to a number in its memory, and answers with it.
    let count = "(i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
        (i32.store8 (i32.const 1064) (i32.const 1))
        (i64.store (i32.const 1072) (i64.extend_i32_u (i32.load (i32.const 512))))
        (i32.const 1024)";
    let policy = load(&engine(), &guest("", count));
    for _ in 0..50 {
        let decision = policy.evaluate(&request()).unwrap().verdict.unwrap();
        assert_eq!(decision.refresh, Refresh::At(1));
    }
}
