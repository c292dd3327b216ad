//! The engine as a whole: the same answers everywhere, many callers, the cache.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{thread, time::Duration};

use ecr_secret_engine::{
    Allocation, Engine, EngineError, EngineOptions, EvaluationError, Limits, Policy, PolicyCache,
};
use support::{engine, engine_with, good, guest_that, load, patient, request};

#[test]
fn engines_and_policies_can_go_to_other_threads() {
    fn can<T: Send + Sync + Clone + 'static>() {}
    can::<Engine>();
    can::<Policy>();
    can::<EvaluationError>();
    can::<ecr_secret_engine::LoadError>();
    can::<EngineError>();
}

#[test]
fn options_with_which_nothing_runs_are_refused() {
    let options = EngineOptions {
        max_concurrent: 0,
        ..EngineOptions::default()
    };
    assert!(matches!(
        Engine::new(options),
        Err(EngineError::LimitTooSmall { .. })
    ));
    let limits = Limits {
        memory_bytes: 0,
        ..Limits::default()
    };
    let options = EngineOptions {
        limits,
        ..EngineOptions::default()
    };
    let error = Engine::new(options).unwrap_err();
    assert!(error.to_string().contains("memory_bytes"), "{error}");
}

#[test]
fn an_engine_without_a_pool_gives_the_same_answers_for_the_same_fuel() {
    let options = EngineOptions {
        limits: patient(),
        allocation: Allocation::OnDemand,
        ..EngineOptions::default()
    };
    let on_demand = Engine::new(options).unwrap();
    assert!(!on_demand.is_pooled());
    for bytes in [
        good(),
        guest_that("unreachable"),
        guest_that("(drop (memory.grow (i32.const 999)))"),
    ] {
        let ours = support::run(&engine(), &bytes);
        let theirs = support::run(&on_demand, &bytes);
        assert_eq!(ours.outcome, theirs.outcome);
        assert_eq!(ours.usage.fuel, theirs.usage.fuel);
        assert_eq!(ours.usage.memory_bytes, theirs.usage.memory_bytes);
    }
}

#[test]
fn the_same_request_gives_the_same_answer_and_the_same_fuel() {
    let policy = load(&engine(), &good());
    let first = policy.evaluate(&request()).unwrap();
    let again = load(&engine_with(patient()), &good());
    for policy in [&policy, &again] {
        for _ in 0..20 {
            let next = policy.evaluate(&request()).unwrap();
            assert_eq!(
                (next.verdict, next.usage.fuel),
                (first.verdict.clone(), first.usage.fuel)
            );
        }
    }
}

#[test]
fn many_callers_share_few_places_and_none_fails() {
    let engine = engine_with(Limits {
        fuel: 1_000_000,
        ..patient()
    });
    let good = load(&engine, &good());
    let bad = load(&engine, &guest_that("(loop $again (br $again))"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(
                        bad.evaluate(&request()).unwrap_err().reason(),
                        "FuelExhausted"
                    );
                }
            });
            scope.spawn(|| {
                for _ in 0..50 {
                    good.evaluate(&request()).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_caller_that_waits_too_long_is_told_that_it_is_not_the_policys_fault() {
    let options = EngineOptions {
        limits: Limits {
            fuel: u64::MAX,
            wall_time: Duration::from_secs(3),
            ..Limits::default()
        },
        max_concurrent: 1,
        max_wait: Duration::from_millis(300),
        ..EngineOptions::default()
    };
    let engine = Engine::new(options).unwrap();
    let bad = load(&engine, &guest_that("(loop $again (br $again))"));
    let good = load(&engine, &good());
    thread::scope(|scope| {
        let other = scope.spawn(|| bad.evaluate(&request()).unwrap_err());
        // It gets its turn after the next of these, and then has the one place for seconds.
        let busy = loop {
            if let Err(error) = good.evaluate(&request()) {
                break error;
            }
            assert!(!other.is_finished(), "the other was never met");
        };
        assert_eq!(busy.reason(), "Busy");
        assert!(busy.is_transient());
        assert_eq!(other.join().unwrap().reason(), "DeadlineExceeded");
    });
    support::assert_serves(&engine);
}

#[test]
fn a_policy_outlives_its_engine() {
    let engine = engine_with(Limits {
        fuel: u64::MAX,
        wall_time: Duration::from_millis(50),
        ..Limits::default()
    });
    let policy = load(&engine, &guest_that("(loop $again (br $again))"));
    drop(engine);
    // The ticker, too, is still there.
    assert_eq!(
        policy.evaluate(&request()).unwrap_err().reason(),
        "DeadlineExceeded"
    );
}

#[test]
fn a_cache_holds_so_many_bytes_and_forgets_the_least_used() {
    let engine = engine();
    let policies = [good(), guest_that("nop"), guest_that("nop nop")].map(|m| load(&engine, &m));
    let [first, second, third] = policies.each_ref().map(Policy::digest);
    // The three differ by next to nothing, so there is room for two of them.
    let cache = PolicyCache::new(policies[0].code_bytes() * 5 / 2);
    assert!(cache.is_empty());
    cache.insert(policies[0].clone());
    cache.insert(policies[1].clone());
    cache.insert(policies[1].clone());
    assert_eq!(cache.len(), 2);
    // The first is used again, so the second has to go for the third.
    assert_eq!(cache.get(first).unwrap().digest(), first);
    cache.insert(policies[2].clone());
    assert_eq!(cache.len(), 2);
    assert!(cache.get(second).is_none());
    assert!(cache.get(first).is_some() && cache.get(third).is_some());
    // One that is larger than all is kept alone.
    let small = PolicyCache::new(1);
    small.insert(policies[0].clone());
    small.insert(policies[1].clone());
    assert!(small.get(first).is_none() && small.get(second).is_some());
}
