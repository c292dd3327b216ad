//! How many parts a module may have: instances, memories, tables, components in components.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ecr_secret_engine::{EvaluationError, Limits, LoadError};
use support::{engine, engine_with, failure, good, patient, success, with_sections};

#[test]
fn the_parts_of_a_module_are_counted_before_it_is_compiled() {
    let engine = engine_with(Limits {
        instances: 4,
        memories: 3,
        tables: 2,
        ..patient()
    });
    let times = |count: usize, text: &str| {
        (0..count).fold(good(), |component, _| with_sections(component, text))
    };
    let cases = [
        (
            "core instances",
            3,
            4,
            5,
            "(component (core instance (instantiate 0)))",
        ),
        ("memories", 2, 3, 4, "(component (core module (memory 0)))"),
        (
            "tables",
            2,
            2,
            3,
            "(component (core module (table 0 funcref)))",
        ),
    ];
    for (parts, keeps, limit, needed, text) in cases {
        // An instance of the policy's module has its memory, which is none of the declared ones.
        if parts != "core instances" {
            success(&engine, &times(keeps, text));
        }
        let error = engine.load(&times(keeps + 1, text)).unwrap_err();
        assert_eq!(
            error,
            LoadError::InstanceLimit {
                parts,
                needed,
                limit
            }
        );
        assert_eq!(error.reason(), "InstanceLimit");
    }
}

#[test]
fn parts_that_show_only_when_they_are_made_are_counted_too() {
    let engine = engine_with(Limits {
        memories: 3,
        ..patient()
    });
    let nested = "(component (component (core module (memory 0)) (core instance (instantiate 0))))";
    // The components that the encoder nests, one for each interface, come first.
    let instance = "(component (instance (instantiate 2)))";
    let one = with_sections(with_sections(good(), nested), instance);
    let two = with_sections(one, instance);
    success(&engine, &two);
    let error = failure(&engine, &with_sections(two, instance));
    assert!(
        matches!(error, EvaluationError::InstanceLimit { .. }),
        "{error:?}"
    );
}

#[test]
fn components_that_multiply_are_refused_before_they_are_compiled() {
    let twice = |inner: &str| {
        format!("(component {inner} (instance (instantiate 0)) (instance (instantiate 0)))")
    };
    let deep = (0..6).fold("(component)".to_owned(), |inner, _| twice(&inner));
    let error = engine().load(&with_sections(good(), &deep)).unwrap_err();
    assert_eq!(error.reason(), "InstanceLimit");
    let wide = format!(
        "(component (component) {})",
        "(instance (instantiate 1))".repeat(17)
    );
    let error = engine().load(&with_sections(good(), &wide)).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::InstanceLimit {
                parts: "component instances",
                ..
            }
        ),
        "{error:?}"
    );
}
