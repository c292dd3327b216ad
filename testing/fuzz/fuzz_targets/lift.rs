//! The bytes of an answer in a guest's memory are whatever the input says: addresses, lengths, cases, texts. The host reads
//! a decision of them or says that it cannot.
//!
//! The guest is compiled once. It finds the bytes as hexadecimal digits in the settings, and puts them where its answer is.
#![no_main]
#![allow(missing_docs, reason = "a program")]

use std::fmt::Write;
use std::sync::LazyLock;

use ecr_policy_model::Request;
use ecr_secret_core::validate::{DecisionLimits, validate_decision};
use ecr_secret_engine::{Limits, Policy};
use libfuzzer_sys::fuzz_target;
use policy_fuzz::{assert_one_line, engine};
use test_modules::{WIT, guest};
use wit_parser::{Resolve, SizeAlign, TypeDefKind};

/// The answer's place, the same as in the other guests that are written as text.
const ANSWER: u32 = 1024;
/// As much as fits between the answer and the allocator's first byte.
const MOST: usize = 3072;

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let settings = offset_of_settings();
    let nibble =
        |at: &str| format!("(i32.and (i32.sub (i32.load8_u {at}) (i32.const 97)) (i32.const 15))");
    // Digits are the letters a to p, so that a digit is its distance from a.
    let body = format!(
        "(local $from i32) (local $to i32) (local $end i32)
         (local.set $from (i32.load offset={settings} (local.get 0)))
         (local.set $end (i32.add (local.get $from) (i32.load offset={} (local.get 0))))
         (local.set $to (i32.const {ANSWER}))
         (block $done (loop $next
           (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
           (i32.store8 (local.get $to) (i32.or
             (i32.shl {} (i32.const 4)) {}))
           (local.set $from (i32.add (local.get $from) (i32.const 2)))
           (local.set $to (i32.add (local.get $to) (i32.const 1)))
           (br $next)))
         (i32.const {ANSWER})",
        settings + 4,
        nibble("(local.get $from)"),
        nibble("offset=1 (local.get $from)"),
    );
    let policy = engine(Limits::default()).load(&guest("", &body));
    policy.unwrap_or_else(|error| panic!("{error}"))
});

/// Where the settings lie in a request, by the canonical ABI.
fn offset_of_settings() -> usize {
    let mut resolve = Resolve::default();
    resolve
        .push_str("policy.wit", WIT)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut sizes = SizeAlign::default();
    sizes
        .fill(&resolve)
        .unwrap_or_else(|error| panic!("{error}"));
    let (_, request) = resolve
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some("request"))
        .unwrap_or_else(|| panic!("no request in the interface"));
    let TypeDefKind::Record(record) = &request.kind else {
        panic!("a request is a record")
    };
    let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
    let place = record
        .fields
        .iter()
        .position(|field| field.name == "settings");
    place
        .and_then(|place| offsets.get(place))
        .map(|(offset, _)| offset.size_wasm32())
        .unwrap_or_else(|| panic!("no settings in a request"))
}

fuzz_target!(|answer: &[u8]| {
    let answer = &answer[..answer.len().min(MOST)];
    let mut settings = String::with_capacity(answer.len() * 2);
    for byte in answer {
        for nibble in [byte >> 4, byte & 15] {
            // Writing to a String does not fail.
            let _ = write!(settings, "{}", char::from(b'a' + nibble));
        }
    }
    let request = Request {
        settings,
        ..Request::default()
    };
    match POLICY.run(&request).outcome {
        Err(error) => {
            assert_one_line(&error.to_string());
            let expected = ["InvalidResult", "ResultTooLarge"];
            assert!(
                expected.contains(&error.reason()),
                "{}: {error}",
                error.reason()
            );
        }
        Ok(Ok(decision)) => {
            let _ = validate_decision(&decision, &request, &DecisionLimits::default());
        }
        Ok(Err(_)) => {}
    }
});
