//! Answers that no host should take over: too much, not there, not a text, not a case.
//!
//! The answer at 1024 begins with its case in four bytes; at 1032 are address and length of the name, and after them those
//! of the labels, annotations and links.

use super::{Hostile, hostile};
use crate::guest_that;

const INVALID: &[&str] = &["InvalidResult"];
const LARGE: &[&str] = &["ResultTooLarge"];

pub(super) fn answers() -> Vec<Hostile> {
    let stored = |pairs: &[(u32, u32)]| {
        let stores = pairs
            .iter()
            .map(|(at, number)| format!("(i32.store (i32.const {at}) (i32.const {number}))"));
        stores.collect::<String>()
    };
    // What a guest says itself comes last, so the name is not overwritten.
    let answering = |before: &str, pairs: &[(u32, u32)]| {
        guest_that(&format!(
            "{before} {} (return (i32.const 1024))",
            stored(pairs)
        ))
    };
    let grown = "(drop (memory.grow (i32.const 200)))";
    vec![
        hostile(
            "a name of 10 MB",
            answering(grown, &[(1032, 65_536), (1036, 10_000_000)]),
            LARGE,
        ),
        hostile(
            "half a million labels",
            answering(grown, &[(1040, 65_536), (1044, 500_000)]),
            LARGE,
        ),
        hostile(
            "half a million service accounts",
            answering(grown, &[(1056, 65_536), (1060, 500_000)]),
            LARGE,
        ),
        hostile(
            "a refusal of 10 MB",
            answering(
                grown,
                &[(1024, 1), (1032, 1), (1036, 65_536), (1040, 10_000_000)],
            ),
            LARGE,
        ),
        hostile(
            "a name that is not there",
            answering("", &[(1032, 0xffff_0000), (1036, 5)]),
            INVALID,
        ),
        hostile(
            "a name that ends beyond the memory",
            answering("", &[(1032, 131_070), (1036, 50)]),
            INVALID,
        ),
        hostile(
            "labels of four thousand million",
            answering("", &[(1040, 64), (1044, 0xffff_ffff)]),
            &["InvalidResult", "ResultTooLarge"],
        ),
        hostile(
            "labels at an odd address",
            answering("", &[(1040, 65), (1044, 1)]),
            INVALID,
        ),
        hostile(
            "a name that is no text",
            answering(
                "(i32.store (i32.const 64) (i32.const -1))",
                &[(1032, 64), (1036, 4)],
            ),
            INVALID,
        ),
        hostile(
            "a case that is not one",
            answering("", &[(1024, 77)]),
            INVALID,
        ),
        hostile(
            "a refresh time that is no case",
            answering("", &[(1032, 64), (1036, 5), (1064, 99)]),
            INVALID,
        ),
        hostile(
            "an answer at an odd address",
            guest_that("(return (i32.const 1025))"),
            INVALID,
        ),
        hostile(
            "an answer that is not there",
            guest_that("(return (i32.const -8))"),
            INVALID,
        ),
    ]
}
