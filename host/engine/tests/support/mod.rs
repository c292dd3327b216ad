//! Guests written as text, and engines to run them.
//!
//! A guest here is a core module in the text format with the interface's metadata embedded, made a component
//! as `wasm-tools component new` does it. So a hostile guest is three lines, and needs no compiler.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file uses what it needs"
)]

use std::sync::LazyLock;

use ecr_policy_model::{Request, Resource};
use ecr_secret_engine::{Engine, EngineOptions, EvaluationError, Limits, Policy, Run};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The published interface.
pub const WIT: &str = include_str!("../../../../wit/policy.wit");

/// An engine of its own with these limits.
pub fn engine_with(limits: Limits) -> Engine {
    Engine::new(EngineOptions {
        limits,
        max_concurrent: 2,
        ..EngineOptions::default()
    })
    .unwrap()
}

/// An engine with the default limits, but a time limit that a loaded machine does not reach.
pub fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine_with(patient()));
    ENGINE.clone()
}

/// Default limits, except for the time, so that a slow machine changes no result.
pub fn patient() -> Limits {
    Limits {
        wall_time: std::time::Duration::from_mins(1),
        ..Limits::default()
    }
}

/// A request for a resource called `web`.
pub fn request() -> Request {
    let resource = Resource {
        name: "web".into(),
        namespace: "team-a".into(),
        uid: "0000-1111".into(),
        registry: "111111111111.dkr.ecr.eu-west-1.amazonaws.com".into(),
        frequency_seconds: 36_000,
        ..Resource::default()
    };
    Request {
        now: 1_800_000_000,
        resource,
        settings: "{}".into(),
        ..Request::default()
    }
}

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

/// Appends the sections of a component in the text format to another component.
pub fn with_sections(mut component: Vec<u8>, text: &str) -> Vec<u8> {
    component.extend_from_slice(&wat::parse_str(text).unwrap()[8..]);
    component
}

/// Loads and runs a policy.
pub fn run(engine: &Engine, component: &[u8]) -> Run {
    load(engine, component).run(&request())
}

/// Loads a policy that is good as far as loading goes.
pub fn load(engine: &Engine, component: &[u8]) -> Policy {
    engine.load(component).unwrap()
}

/// Runs a policy that is expected to fail, and checks that the engine is none the worse for it.
pub fn failure(engine: &Engine, component: &[u8]) -> EvaluationError {
    let error = run(engine, component).outcome.unwrap_err();
    assert_one_line(&error.to_string());
    assert_serves(engine);
    error
}

/// Runs a policy that is expected to name its Secret `hello`.
pub fn success(engine: &Engine, component: &[u8]) -> Run {
    let run = run(engine, component);
    let decision = run
        .outcome
        .as_ref()
        .expect("an answer")
        .as_ref()
        .expect("a decision");
    assert_eq!(decision.secret_name, "hello");
    run
}

/// The engine still evaluates a good policy.
pub fn assert_serves(engine: &Engine) {
    success(engine, &good());
}

/// A message that fits into a condition.
pub fn assert_one_line(message: &str) {
    assert!(message.len() < 2048, "{} bytes", message.len());
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    for word in ["internal error", "backtrace", "wasmtime"] {
        assert!(!message.contains(word), "{message}");
    }
}
