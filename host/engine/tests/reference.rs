//! `docs/reference/limits.md` says what the code says. `UPDATE_REFERENCE=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt::Write;
use std::path::Path;

use ecr_secret_engine::{Limits, Unit, Usage};

fn reference() -> String {
    let mut text = "<!-- Generated from host/engine/src/limits by its test `reference`. Do not edit. -->\n# Limits of a policy\n\n\
        The administrator changes them by `POLICY_LIMITS` of the operator, for instance \
        `POLICY_LIMITS=fuel=50000000,memory=32Mi,wall-time=500ms`. What a run used of each is in `status.policy.usage` of a \
        resource, and `kubectl ecr policy check` tells it before anybody uploads a module. The reasons begin with `Policy` in \
        a condition, see [the reasons](reasons.md).\n\n\
        | name | default | what it bounds | reason when it is reached |\n|---|---|---|---|\n".to_owned();
    let figures = Usage::default().figures(&Limits::default());
    for (limit, figure) in Limits::DESCRIBED.iter().zip(figures) {
        let default = match figure.unit {
            Unit::Micros if figure.limit < 1_000_000 => format!("{} ms", figure.limit / 1_000),
            Unit::Micros => format!("{} s", figure.limit / 1_000_000),
            Unit::Bytes if figure.limit < 1 << 20 => format!("{} KiB", figure.limit >> 10),
            Unit::Bytes => format!("{} MiB", figure.limit >> 20),
            Unit::Count => figure.limit.to_string(),
        };
        let reasons = limit
            .reasons
            .iter()
            .map(|reason| format!("`{reason}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let reasons = if reasons.is_empty() {
            "none".to_owned()
        } else {
            reasons
        };
        writeln!(
            text,
            "| `{}` | {default} | {} | {reasons} |",
            limit.name, limit.meaning
        )
        .unwrap();
    }
    text
}

#[test]
fn the_reference_of_the_limits_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/limits.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        reference(),
        "write it anew with UPDATE_REFERENCE=1"
    );
}
