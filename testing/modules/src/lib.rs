//! Policies written as text, for tests and benchmarks: good ones, and a corpus of hostile ones.
//!
//! A guest here is a core module in the text format with the interface's metadata embedded, made a component
//! as `wasm-tools component new` does it. So a hostile guest is three lines, and needs no compiler.
//!
//! What is wrong with a text here is a mistake in a test, so the functions panic.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "the texts are constants of tests"
)]

mod hostile;

use std::sync::LazyLock;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub use hostile::{Hostile, corpus};

/// The published interface.
pub const WIT: &str = include_str!("../../../wit/policy.wit");

/// A component of the world `world` in `wit` from a core module.
pub fn component(wit: &str, world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// The text of a core module: memory, an allocator, and `body` as the function `evaluate`, which has the
/// request's address in local 0 and returns the address of the answer. `items` go before it.
///
/// What it says of itself lies at 2048, and is empty. The answer lies at 1024 and the name of its Secret, `hello`, at 64. Set to zero it is the decision
/// without a name, `i32.const 1024` with [`NAMED`] before it is the decision with it.
pub fn module(items: &str, body: &str) -> String {
    format!(
        r#"(module
          {items}
          (memory (export "memory") 2)
          (global $heap (mut i32) (i32.const 4096))
          (data (i32.const 64) "hello")
          (func $realloc (export "cabi_realloc")
            (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and
              (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
            (global.set $heap (i32.add (local.get $at) (local.get $size)))
            (block $enough
              (br_if $enough (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
              (drop (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))))
            (local.get $at))
          (func (export "mobb:ecr-policy/about@1.0.0#describe") (result i32) (i32.const 2048))
          (func (export "mobb:ecr-policy/about@1.0.0#validate-settings") (param i32 i32) (result i32)
            (i32.const 2048))
          (func $evaluate (export "mobb:ecr-policy/decide@1.0.0#evaluate") (param i32) (result i32)
            {body}))"#
    )
}

/// Names the Secret `hello` in the answer at 1024.
pub const NAMED: &str =
    "(i32.store (i32.const 1032) (i32.const 64)) (i32.store (i32.const 1036) (i32.const 5))";

/// A policy from [`module`].
pub fn guest(items: &str, body: &str) -> Vec<u8> {
    component(WIT, "policy", &module(items, body))
}

/// A policy that names its Secret `hello`, after it did `what`.
pub fn guest_that(what: &str) -> Vec<u8> {
    guest("", &format!("{what} {NAMED} (i32.const 1024)"))
}

/// The policy that names its Secret `hello`.
pub fn good() -> Vec<u8> {
    static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| guest_that(""));
    GOOD.clone()
}

/// A good policy that differs from all others, by its number in a section that says nothing.
pub fn distinct(module: &[u8], number: usize) -> Vec<u8> {
    with_sections(
        module.to_vec(),
        &format!("(component (@custom \"number\" \"{number:08}\"))"),
    )
}

/// Appends the sections of a component in the text format to another component.
pub fn with_sections(mut component: Vec<u8>, text: &str) -> Vec<u8> {
    component.extend_from_slice(&wat::parse_str(text).unwrap()[8..]);
    component
}
