//! `policy bench`: what an evaluation takes on this machine. Fuel and memory are the same on every other.

use std::time::Duration;

use ecr_secret_engine::Unit;

use super::{load_file, request};
use crate::command_line::Bench;
use crate::outcome::{Failure, Outcome};
use crate::screen::{Progress, amount};

/// Runs before the clock counts.
const WARM_UP: u32 = 200;

pub(super) fn run(arguments: &Bench) -> Outcome {
    let request = request::of_file(arguments.request.as_deref())?;
    let loaded = load_file(&arguments.module)?;
    let progress = Progress::of("measuring");
    let mut times = Vec::new();
    let mut last = loaded.policy.run(&request);
    for number in 0..WARM_UP + arguments.runs {
        last = loaded.policy.run(&request);
        if let Err(error) = &last.outcome {
            return Err(Failure::No(format!("{}: {error}", error.reason())));
        }
        if number >= WARM_UP {
            times.push(last.usage.wall_time);
        }
    }
    drop(progress);
    times.sort_unstable();
    let at = |percent: usize| {
        let time: Duration = times[(times.len() - 1) * percent / 100];
        format!("{:.1} µs", time.as_secs_f64() * 1e6)
    };
    println!("runs        {}, a new instance each", arguments.runs);
    println!("fuel        {}", last.usage.fuel);
    println!("time        p50 {}, p99 {}", at(50), at(99));
    let bytes = |number: u64| amount(number, Unit::Bytes);
    println!(
        "memory      {}",
        bytes(u64::try_from(last.usage.memory_bytes).unwrap_or(u64::MAX))
    );
    let cost = loaded.policy.compile_cost();
    println!(
        "compile     {} ms, {}",
        cost.cpu.as_millis(),
        bytes(cost.memory_bytes)
    );
    Ok(())
}
