//! One number of policies.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ecr_secret_engine::{Policy, PolicyCache};
use serde::{Deserialize, Serialize};

use super::{WARM_UP, engine, micros, read, request};
use crate::process;

/// Bytes of machine code that the operator keeps loaded.
pub(crate) const LOADED: usize = 64 << 20;
/// Evaluations for the times of warm ones.
const WARM: usize = 100_000;
/// Evaluations over which the memory has to stay as it is.
const MANY: usize = 1_000_000;

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    operator: PathBuf,
    #[arg(long)]
    guest: PathBuf,
    #[arg(long)]
    settings: String,
    #[arg(long)]
    disk: PathBuf,
    #[arg(long)]
    count: usize,
}

/// What came out. Times in microseconds, sizes in MB (10^6 bytes).
#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) count: usize,
    pub(crate) first_p50: f64,
    pub(crate) first_p99: f64,
    pub(crate) warm_p50: f64,
    pub(crate) warm_p99: f64,
    /// With all policies loaded.
    pub(crate) resident: f64,
    pub(crate) resident_each: f64,
    /// With as many loaded as the operator keeps.
    pub(crate) bounded_resident: f64,
    /// The same after many more evaluations.
    pub(crate) flat_resident: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let module = read(&arguments.guest)?;
    let request = request(&arguments.settings);
    let engine = engine(arguments.operator.clone(), &arguments.disk)?;
    // The engine's own memory, and that of a first policy, is no policy's.
    let warm_up = engine.load(&test_modules::distinct(&module, 0))?;
    for _ in 0..WARM_UP {
        ensure!(
            warm_up.evaluate(&request)?.verdict.is_ok(),
            "the guest refuses"
        );
    }
    drop(warm_up);
    let digests: Vec<String> = (0..arguments.count)
        .map(|number| ecr_secret_engine::digest(&test_modules::distinct(&module, number)))
        .collect();
    let before = process::resident_mb()?;
    let mut first = Vec::new();
    let mut policies: Vec<Policy> = Vec::new();
    for digest in &digests {
        let started = Instant::now();
        let policy = engine
            .load_kept(digest)
            .context("a policy is not on the disk")?;
        policy.evaluate(&request)?;
        first.push(started.elapsed());
        policies.push(policy);
    }
    let mut warm: Vec<Duration> = Vec::with_capacity(WARM);
    for run in 0..WARM_UP + WARM {
        let policy = &policies[run % policies.len()];
        let started = Instant::now();
        policy.evaluate(&request)?;
        if run >= WARM_UP {
            warm.push(started.elapsed());
        }
    }
    let resident = process::resident_mb()?;
    first.sort_unstable();
    warm.sort_unstable();
    drop(policies);

    let cache = PolicyCache::new(LOADED);
    let evaluate = |times: usize| -> Result<()> {
        for run in 0..times {
            // A hundred evaluations in a row, as resources of one namespace come.
            let digest = &digests[run / 100 % digests.len()];
            let policy = if let Some(policy) = cache.get(digest) {
                policy
            } else {
                let policy = engine
                    .load_kept(digest)
                    .context("a policy is not on the disk")?;
                cache.insert(policy.clone());
                policy
            };
            policy.evaluate(&request)?;
        }
        Ok(())
    };
    evaluate(digests.len() * 100)?;
    let bounded_resident = process::resident_mb()?;
    evaluate(MANY)?;
    let flat_resident = process::resident_mb()?;

    #[expect(clippy::cast_precision_loss, reason = "at most thousands")]
    let each = (resident - before) / arguments.count as f64;
    let measured = Measured {
        count: arguments.count,
        first_p50: micros(&first, 50),
        first_p99: micros(&first, 99),
        warm_p50: micros(&warm, 50),
        warm_p99: micros(&warm, 99),
        resident,
        resident_each: each,
        bounded_resident,
        flat_resident,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
