//! Modules that are not taken, and the reason of each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ecr_secret_engine::{Found, LoadError};
use support::{
    WIT, assert_one_line, assert_serves, component, engine, good, module, with_sections,
};

/// Loads a module that is expected to be refused, and checks that the engine is none the worse for it.
fn refused(bytes: &[u8]) -> LoadError {
    let engine = engine();
    let error = engine.load(bytes).expect_err("a refusal");
    assert_one_line(&error.to_string());
    assert!(!error.is_transient());
    assert_serves(&engine);
    error
}

fn refused_text(text: &str) -> LoadError {
    refused(&wat::parse_str(text).unwrap())
}

#[test]
fn a_file_that_is_no_component_is_named_with_the_way_to_make_one() {
    let core = wat::parse_str(module("", "(i32.const 1024)")).unwrap();
    let cases = [
        (Vec::new(), Found::Empty, "is empty"),
        (core, Found::CoreModule, "wasm-tools component new"),
        (
            module("", "(i32.const 1024)").into_bytes(),
            Found::Text,
            "wasm-tools parse",
        ),
        (b"(component)".to_vec(), Found::Text, "wasm-tools parse"),
        (
            b"PK\x03\x04\0\0\0\0".to_vec(),
            Found::Archive,
            "zip archive",
        ),
        (b"hello".to_vec(), Found::Other, "binaryData"),
    ];
    for (bytes, found, remedy) in cases {
        let error = refused(&bytes);
        assert_eq!(error, LoadError::NotAComponent { found });
        assert_eq!(error.reason(), "NotAComponent");
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[test]
fn a_truncated_module_is_refused_wherever_it_ends() {
    let bytes = good();
    for end in [9, 20, bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
        let error = refused(&bytes[..end]);
        assert!(
            matches!(
                error,
                LoadError::CompileFailed { .. } | LoadError::InterfaceMismatch { .. }
            ),
            "{end}: {error:?}"
        );
    }
}

#[test]
fn each_import_of_the_outside_world_is_refused_by_its_name() {
    for name in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:sockets/instance-network@0.2.0",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:io/streams@0.3.0",
        "wasi:cli/environment@0.1.0",
        "kubernetes:api/secrets@1.0.0",
        "mobb:ecr-policy/secrets@1.0.0",
    ] {
        let error = refused_text(&format!("(component (import \"{name}\" (instance)))"));
        assert_eq!(error, LoadError::ImportDenied { name: name.into() });
        assert_eq!(error.reason(), "ImportDenied");
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = refused_text("(component (import \"f\" (func)))");
    assert_eq!(error, LoadError::ImportDenied { name: "f".into() });
    let error = refused_text("(component (import \"m\" (core module)))");
    assert_eq!(error, LoadError::ImportDenied { name: "m".into() });
}

#[test]
fn one_forbidden_import_spoils_a_good_policy() {
    let bytes = with_sections(
        good(),
        "(component (import \"wasi:sockets/udp@0.2.6\" (instance)))",
    );
    assert_eq!(refused(&bytes).reason(), "ImportDenied");
}

#[test]
fn another_version_of_the_interface_is_a_mismatch_that_names_both() {
    for version in ["2.0.0", "1.1.0", "0.9.0"] {
        let wit = WIT
            .replace(
                "package mobb:ecr-policy@1.0.0;",
                &format!("package mobb:ecr-policy@{version};"),
            )
            .replace("@since(version = 1.0.0)", "");
        let module = module("", "(i32.const 1024)").replace("@1.0.0#", &format!("@{version}#"));
        let error = refused(&component(&wit, "policy", &module));
        let LoadError::InterfaceMismatch { expected, found } = &error else {
            panic!("{version}: {error:?}")
        };
        assert_eq!(expected, "mobb:ecr-policy/decide@1.0.0");
        assert!(found.ends_with(&format!("@{version}")), "{found}");
        assert_eq!(error.reason(), "InterfaceMismatch");
    }
}

#[test]
fn a_later_patch_of_the_interface_is_taken() {
    let wit = WIT.replace(
        "package mobb:ecr-policy@1.0.0;",
        "package mobb:ecr-policy@1.0.3;",
    );
    let module =
        module("", &format!("{} (i32.const 1024)", support::NAMED)).replace("@1.0.0#", "@1.0.3#");
    support::success(&engine(), &component(&wit, "policy", &module));
}

#[test]
fn a_component_that_is_no_policy_is_told_what_it_has_instead() {
    let error = refused_text("(component)");
    assert!(error.to_string().contains("found no exports"), "{error}");
    let error =
        refused_text("(component (instance $i) (export \"wasi:cli/run@0.2.6\" (instance $i)))");
    assert!(
        error.to_string().contains("found wasi:cli/run@0.2.6"),
        "{error}"
    );
    let error = refused_text(
        "(component (instance $i) (export \"mobb:ecr-policy/types@1.0.0\" (instance $i)))",
    );
    assert_eq!(error.reason(), "InterfaceMismatch");
}

#[test]
fn the_right_name_without_the_function_is_a_mismatch() {
    let error = refused_text(
        "(component (instance $i) (export \"mobb:ecr-policy/decide@1.0.0\" (instance $i))
           (export \"mobb:ecr-policy/about@1.0.0\" (instance $i)))",
    );
    assert_eq!(error.reason(), "InterfaceMismatch");
    let told = error.to_string();
    assert!(
        told.contains("evaluate") || told.contains("describe"),
        "{told}"
    );
}

#[test]
fn a_policy_that_does_not_describe_itself_is_told_what_it_lacks() {
    let error = refused_text(
        "(component (instance $i) (export \"mobb:ecr-policy/decide@1.0.0\" (instance $i)))",
    );
    assert_eq!(error.reason(), "InterfaceMismatch");
    let told = error.to_string();
    assert!(
        told.contains("expected mobb:ecr-policy/about@1.0.0"),
        "{told}"
    );
}

#[test]
fn the_right_names_with_other_types_are_a_mismatch() {
    let cases = [
        ("refresh: refresh-time,", "refresh: timestamp,"),
        ("denied(string),", "denied(string), later(u64),"),
        ("now: timestamp,", "now: timestamp, later: u64,"),
        ("secret-name: string,", "secret-title: string,"),
    ];
    for (ours, theirs) in cases {
        assert!(WIT.contains(ours), "{ours}");
        let wit = WIT.replace(ours, theirs);
        let error = refused(&component(&wit, "policy", &module("", "(i32.const 1024)")));
        assert_eq!(error.reason(), "InterfaceMismatch", "{theirs}: {error}");
    }
}

#[test]
fn our_types_with_a_function_in_them_are_not_linked() {
    let error = refused_text(
        "(component
           (import \"mobb:ecr-policy/types@1.0.0\" (instance $types (export \"secrets\" (func))))
           (core func $secrets (canon lower (func $types \"secrets\")))
           (core module $m (import \"\" \"f\" (func)))
           (core instance (instantiate $m (with \"\" (instance (export \"f\" (func $secrets))))))
           (instance $i) (export \"mobb:ecr-policy/decide@1.0.0\" (instance $i))
           (export \"mobb:ecr-policy/about@1.0.0\" (instance $i)))",
    );
    assert_eq!(error.reason(), "InterfaceMismatch");
    assert!(
        error.to_string().contains("mobb:ecr-policy/types"),
        "{error}"
    );
}

#[test]
fn code_that_needs_a_switched_off_proposal_is_refused() {
    let cases = [
        ("multi-memory", "(memory $other 1)", ""),
        ("simd", "", "(drop (i32x4.splat (i32.const 1)))"),
        ("threads", "", "(drop (i32.atomic.load (i32.const 0)))"),
        ("tail calls", "(func $f (result i32) (return_call $f))", ""),
        ("exceptions", "(tag $t)", "(throw $t)"),
        ("gc", "(type $s (struct))", "(drop (struct.new $s))"),
        (
            "function references",
            "(func $f) (elem declare func $f)",
            "(call_ref $void (ref.func $f))",
        ),
    ];
    for (proposal, items, body) in cases {
        let void = if body.contains("$void") {
            "(type $void (func))"
        } else {
            ""
        };
        let text = module(
            &format!("{void} {items}"),
            &format!("{body} (i32.const 1024)"),
        );
        // The encoder would refuse some of these itself, so the module is put into the good component as it is.
        let text = text.replace("(memory (export \"memory\") 2)", "(memory 2)");
        let core = text.replacen("(module", "(component (core module", 1) + ")";
        let error = refused(&with_sections(good(), &core));
        assert!(
            matches!(error, LoadError::CompileFailed { .. }),
            "{proposal}: {error:?}"
        );
    }
    let wide = with_sections(good(), "(component (core module (memory i64 1)))");
    assert_eq!(refused(&wide).reason(), "CompileFailed");
    let shared = with_sections(good(), "(component (core module (memory 1 1 shared)))");
    assert_eq!(refused(&shared).reason(), "CompileFailed");
}

#[test]
fn a_name_in_a_message_cannot_forge_the_message() {
    let long = "a".repeat(5_000);
    let error = refused_text(&format!("(component (import \"{long}\" (func)))"));
    assert!(error.to_string().len() < 600, "{}", error.to_string().len());
}
