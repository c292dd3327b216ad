//! Engines to run the guests of `test-modules` in.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file uses what it needs"
)]

use std::sync::LazyLock;

use ecr_policy_model::{Request, Resource};
use ecr_secret_engine::{Engine, EngineOptions, EvaluationError, Limits, Policy, Run};
pub use test_modules::{NAMED, WIT, component, good, guest, guest_that, module, with_sections};

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
