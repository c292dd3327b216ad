//! The time of a warm policy evaluation: a new instance and a call.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ecr_policy_model::{Request, Resource};
use ecr_secret_engine::{Engine, EngineOptions};

const WARM_UP: usize = 1_000;
const RUNS: usize = 20_000;

/// Prints how long loading and evaluating the guest takes.
pub(crate) fn measure(guest: &Path) -> Result<()> {
    let bytes = std::fs::read(guest)
        .with_context(|| format!("{}: run cargo xtask guests", guest.display()))?;
    let engine = Engine::new(EngineOptions::default())?;
    let started = Instant::now();
    let policy = engine.load(&bytes)?;
    let loaded = started.elapsed();
    let request = Request {
        resource: Resource {
            name: "app".into(),
            namespace: "shop".into(),
            generated_secret_name: Some("ecr".into()),
            frequency_seconds: 36_000,
            ..Resource::default()
        },
        settings: "{}".into(),
        ..Request::default()
    };
    let mut times = Vec::with_capacity(RUNS);
    for run in 0..WARM_UP + RUNS {
        let started = Instant::now();
        let evaluation = policy.evaluate(&request)?;
        if run >= WARM_UP {
            times.push(started.elapsed());
        }
        ensure!(
            evaluation.verdict.is_ok(),
            "the default guest refuses: {:?}",
            evaluation.verdict
        );
    }
    times.sort_unstable();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "policy               {} bytes, load {:.1} ms, warm evaluation p50 {:.1} µs, p99 {:.1} µs",
        bytes.len(),
        loaded.as_secs_f64() * 1e3,
        micros(times[RUNS / 2]),
        micros(times[RUNS * 99 / 100]),
    );
    Ok(())
}
