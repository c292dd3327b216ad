//! A corpus of hostile modules: each gets its typed reason in bounded time, and what it took is given back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ecr_secret_engine::{Compilation, Engine, EngineOptions, Limits};
use support::{assert_one_line, assert_serves, request};
use test_modules::corpus;

/// What may be left of the memory that the whole corpus took, in bytes.
const LEFT: u64 = 20 << 20;
/// How long a module may take on a machine that does much else: four times the compiler's time, and some more.
const LONGEST: Duration = Duration::from_secs(30);

/// The bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// What the engine says to a module, in one word.
fn said(engine: &Engine, file: &[u8]) -> (&'static str, String) {
    let policy = match engine.load(file) {
        Ok(policy) => policy,
        Err(error) => return (error.reason(), error.to_string()),
    };
    match policy.run(&request()).outcome {
        Ok(_) => ("Harmless", String::new()),
        Err(error) => (error.reason(), error.to_string()),
    }
}

#[test]
fn every_hostile_module_gets_its_reason_in_time_and_leaves_no_memory_behind() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_policy-compiler"));
    let engine = Engine::new(EngineOptions {
        limits: Limits {
            compile_cpu: Duration::from_secs(2),
            ..Limits::default()
        },
        max_concurrent: 2,
        compilation: Compilation::Isolated { program },
        ..EngineOptions::default()
    })
    .unwrap();
    let corpus = corpus();
    assert!(corpus.len() >= 40, "{}", corpus.len());
    assert_serves(&engine);
    let before = resident();
    let mut wrong = Vec::new();
    for hostile in &corpus {
        let started = Instant::now();
        let (reason, message) = said(&engine, &hostile.file);
        let took = started.elapsed();
        assert_one_line(&message);
        if !hostile.reasons.contains(&reason) {
            wrong.push(format!(
                "{}: {reason}: {message}, expected one of {:?}",
                hostile.name, hostile.reasons
            ));
        }
        if took > LONGEST {
            wrong.push(format!("{}: took {took:?}", hostile.name));
        }
        println!(
            "{:>7.1} ms  {reason:18} {}",
            took.as_secs_f64() * 1e3,
            hostile.name
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_serves(&engine);
    let left = resident().saturating_sub(before);
    println!("{} modules, {} KiB left", corpus.len(), left >> 10);
    assert!(left <= LEFT, "{left} bytes are left");
}
