//! What the fuzz targets share.

use std::time::Duration;

use ecr_secret_engine::{Allocation, Engine, EngineOptions, Limits};

/// An engine with small limits, so that an input takes little time, that compiles in this process.
///
/// # Panics
/// The engine cannot be started.
#[must_use]
pub fn engine(limits: Limits) -> Engine {
    let options = EngineOptions {
        limits: Limits {
            fuel: 200_000,
            wall_time: Duration::from_secs(10),
            memory_bytes: 4 << 20,
            ..limits
        },
        allocation: Allocation::OnDemand,
        max_concurrent: 1,
        ..EngineOptions::default()
    };
    Engine::new(options).unwrap_or_else(|error| panic!("{error}"))
}

/// A message fits into a condition, and says nothing that a tenant cannot use.
///
/// # Panics
/// It does not.
pub fn assert_one_line(message: &str) {
    assert!(message.len() < 4096, "{} bytes", message.len());
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    assert!(!message.contains("internal error"), "{message}");
}
