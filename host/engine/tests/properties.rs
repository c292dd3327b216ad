//! Bytes that nobody thought of: a module is taken or refused, and nothing else happens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ecr_policy_model::{Request, Resource, ServiceAccount, TokenWindow};
use proptest::prelude::*;
use support::{assert_one_line, engine, good, load, request};

/// Loads and, if that works, runs: whatever comes out is typed and fits into a condition.
fn survives(bytes: &[u8]) {
    match engine().load(bytes) {
        Ok(policy) => {
            if let Err(error) = policy.run(&request()).outcome {
                assert_one_line(&error.to_string());
            }
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let pairs = prop::collection::vec((".{0,12}", ".{0,12}"), 0..5);
    let accounts = prop::collection::vec((".{0,12}", pairs.clone()), 0..20);
    (
        any::<[u64; 4]>(),
        ".{0,40}",
        ".{0,300}",
        pairs,
        accounts,
        any::<bool>(),
    )
        .prop_map(
            |(numbers, name, settings, labels, accounts, token)| Request {
                now: numbers[0],
                resource: Resource {
                    name,
                    labels: labels.clone(),
                    annotations: labels,
                    frequency_seconds: numbers[1],
                    ..Resource::default()
                },
                service_accounts: accounts
                    .into_iter()
                    .map(|(name, labels)| ServiceAccount { name, labels })
                    .collect(),
                token: token.then_some(TokenWindow {
                    issued_at: numbers[2],
                    expires_at: numbers[3],
                }),
                settings,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(&bytes);
    }

    #[test]
    fn random_bytes_after_the_head_of_a_component_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend(bytes);
        survives(&component);
    }

    #[test]
    fn a_module_with_flipped_bits_is_taken_or_refused(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let mut component = good();
        for (at, bit) in flips {
            let at = at.index(component.len());
            component[at] ^= 1 << bit;
        }
        survives(&component);
    }

    #[test]
    fn a_module_with_a_piece_cut_out_is_taken_or_refused(
        from in any::<prop::sample::Index>(),
        length in 1..60_usize,
    ) {
        let mut component = good();
        let from = from.index(component.len());
        let to = (from + length).min(component.len());
        component.drain(from..to);
        survives(&component);
    }

    #[test]
    fn any_request_gives_the_same_answer_and_the_same_fuel_twice(request in requests()) {
        let policy = load(&engine(), &good());
        let first = policy.evaluate(&request).unwrap();
        let second = policy.evaluate(&request).unwrap();
        prop_assert_eq!(first.verdict, second.verdict);
        prop_assert_eq!(first.usage.fuel, second.usage.fuel);
    }
}
