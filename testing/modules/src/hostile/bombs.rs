//! What is meant to exhaust whoever loads it: the unpacker, the parser, the compiler.

use std::fmt::Write;

use super::files::gzip;
use super::{Hostile, hostile};
use crate::{NAMED, good, guest, with_sections};

/// The compiler may be ended by its limits, or may refuse; what it manages in time must do no harm.
const COMPILER: &[&str] = &["CompileLimit", "CompileFailed", "Harmless"];

pub(super) fn bombs() -> Vec<Hostile> {
    let zeroes = vec![0; 64 << 20];
    let zstd = ruzstd::encoding::compress_to_vec(
        zeroes.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let one = format!("{NAMED} (i32.const 1024)");
    let call = |name: &str| format!("(drop (call ${name} (i32.const 1))) {one}");
    vec![
        hostile("64 MiB of zeroes by gzip", gzip(&zeroes), &["CannotUnpack"]),
        hostile("64 MiB of zeroes by zstd", zstd, &["CannotUnpack"]),
        hostile(
            "a bomb in a bomb",
            gzip(&gzip(&zeroes)),
            &["NotAComponent", "CannotUnpack"],
        ),
        hostile(
            "one function of 200,000 steps",
            guest(&long_function(200_000), &call("f")),
            COMPILER,
        ),
        hostile(
            "functions full of jump tables",
            guest(&jump_tables(60, 1_000), &call("f0")),
            COMPILER,
        ),
        hostile(
            "a jump table of 60,000 targets",
            guest(&one_table(60_000), &call("f")),
            COMPILER,
        ),
        hostile(
            "40,000 functions",
            guest(&many_functions(40_000), &call("f0")),
            COMPILER,
        ),
        hostile(
            "5,000 blocks in blocks",
            guest(&nested_blocks(5_000), &call("f")),
            COMPILER,
        ),
        hostile(
            "a function of 40,000 locals",
            guest(&many_locals(40_000), &call("f")),
            COMPILER,
        ),
        hostile(
            "live values that no register holds",
            guest(&register_pressure(3_000), &call("f")),
            COMPILER,
        ),
    ]
}

pub(super) fn sizes() -> Vec<Hostile> {
    let with = |text: &str| with_sections(good(), text);
    let times = |count: usize, text: &str| {
        (0..count).fold(good(), |component, _| with_sections(component, text))
    };
    let twice = |inner: &str| {
        format!("(component {inner} (instance (instantiate 0)) (instance (instantiate 0)))")
    };
    let multiplied = (0..24).fold("(component)".to_owned(), |inner, _| twice(&inner));
    let deep_type = (1..200).fold("(type $t0 (list u8))".to_owned(), |types, level| {
        format!("{types} (type $t{level} (list $t{}))", level - 1)
    });
    let padded = with(&format!(
        "(component (@custom \"pad\" \"{}\"))",
        "x".repeat(5 << 20)
    ));
    vec![
        hostile("a module of 5 MiB", padded, &["ModuleTooLarge"]),
        hostile(
            "4 GiB of memory at the start",
            with("(component (core module (memory 65536)))"),
            &["MemoryLimit"],
        ),
        hostile(
            "four thousand million table elements",
            with("(component (core module (table 4294967295 funcref)))"),
            &["TableLimit"],
        ),
        hostile(
            "a hundred memories",
            times(100, "(component (core module (memory 0)))"),
            &["InstanceLimit"],
        ),
        hostile(
            "a hundred tables",
            times(100, "(component (core module (table 0 funcref)))"),
            &["InstanceLimit"],
        ),
        hostile(
            "a thousand instances",
            times(1_000, "(component (core instance (instantiate 0)))"),
            &["InstanceLimit"],
        ),
        hostile(
            "components that multiply to sixteen million",
            with(&multiplied),
            &["InstanceLimit"],
        ),
        hostile(
            "a type two hundred levels deep",
            with(&format!("(component {deep_type})")),
            &["CompileFailed"],
        ),
        hostile(
            "64-bit memory",
            with("(component (core module (memory i64 1)))"),
            &["CompileFailed"],
        ),
        hostile(
            "shared memory",
            with("(component (core module (memory 1 1 shared)))"),
            &["CompileFailed"],
        ),
        hostile(
            "vector instructions",
            with("(component (core module (func (drop (i32x4.splat (i32.const 1))))))"),
            &["CompileFailed"],
        ),
        hostile(
            "garbage-collected types",
            with("(component (core module (type (struct))))"),
            &["CompileFailed"],
        ),
        hostile(
            "exceptions",
            with("(component (core module (tag)))"),
            &["CompileFailed"],
        ),
    ]
}

fn long_function(steps: usize) -> String {
    let step = "(local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 31)) (local.get 0)))";
    format!(
        "(func $f (param i32) (result i32) (local i32) {} (local.get 1))",
        step.repeat(steps)
    )
}

fn jump_tables(functions: usize, branches: usize) -> String {
    let branch = "(block (block (block (br_table 0 1 2 0 1 2 (local.get 1))) (local.set 2 (local.get 3))) (local.set 3 (local.get 1)))";
    let mut items = String::new();
    for function in 0..functions {
        // Writing to a String does not fail.
        let _ = write!(
            items,
            "(func $f{function} (param i32) (result i32) (local i32 i32 i32) {} (local.get 1))",
            branch.repeat(branches)
        );
    }
    items
}

fn one_table(targets: usize) -> String {
    format!(
        "(func $f (param i32) (result i32) (block (block (br_table {} (local.get 0)))) (i32.const 1))",
        "0 1 ".repeat(targets / 2)
    )
}

fn many_functions(count: usize) -> String {
    (0..count).fold(String::new(), |mut items, number| {
        let _ = write!(items, "(func $f{number} (param i32) (result i32) (i32.add (local.get 0) (i32.const {number})))");
        items
    })
}

fn nested_blocks(depth: usize) -> String {
    format!(
        "(func $f (param i32) (result i32) {}{} i32.const 1)",
        "block local.get 0 br_if 0 ".repeat(depth),
        "end ".repeat(depth)
    )
}

fn many_locals(count: usize) -> String {
    let mut body = String::new();
    for local in (1..=count).step_by(7) {
        let _ = write!(
            body,
            "(local.set {local} (i32.add (local.get 0) (i32.const {local})))"
        );
    }
    format!(
        "(func $f (param i32) (result i32) (local {}) {body} (local.get 1))",
        "i32 ".repeat(count)
    )
}

fn register_pressure(values: usize) -> String {
    let loads = "(i32.load (local.get 0)) ".repeat(values);
    let adds = "i32.add ".repeat(values - 1);
    format!("(func $f (param i32) (result i32) {loads} {adds})")
}
