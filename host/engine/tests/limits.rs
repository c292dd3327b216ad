//! Every limit: a guest that keeps it, and one that breaks it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use ecr_secret_engine::{EvaluationError, Limits, LoadError};
use support::{
    NAMED, engine, engine_with, failure, good, guest, guest_that, load, patient, request, success,
    with_sections,
};

const PAGE: u64 = 64 << 10;
const ENDLESS: &str = "(loop $again (br $again))";

/// A loop that runs `times` times.
fn counted(times: u32) -> String {
    format!(
        "(local $i i32) (loop $again
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))"
    )
}

#[test]
fn an_endless_loop_ends_when_its_fuel_is_used_up() {
    let error = failure(&engine(), &guest_that(ENDLESS));
    assert_eq!(error, EvaluationError::FuelExhausted { limit: 20_000_000 });
    assert_eq!(error.reason(), "FuelExhausted");
}

#[test]
fn a_loop_within_the_fuel_gets_its_answer_and_the_fuel_is_counted() {
    let engine = engine_with(Limits {
        fuel: 100_000,
        ..patient()
    });
    let run = success(&engine, &guest_that(&counted(10_000)));
    assert!(
        (60_000..100_000).contains(&run.usage.fuel),
        "{}",
        run.usage.fuel
    );
    let error = failure(&engine, &guest_that(&counted(20_000)));
    assert_eq!(error, EvaluationError::FuelExhausted { limit: 100_000 });
}

#[test]
fn an_endless_loop_in_a_start_function_is_bounded_too() {
    let items = format!("(func $start {ENDLESS}) (start $start)");
    let error = failure(&engine(), &guest(&items, "(i32.const 1024)"));
    assert_eq!(error.reason(), "FuelExhausted");
}

#[test]
fn an_endless_loop_in_the_allocator_is_bounded_too() {
    let module = support::module("", &format!("{NAMED} (i32.const 1024)"))
        .replace("(local $at i32)", &format!("(local $at i32) {ENDLESS}"));
    let error = failure(
        &engine(),
        &support::component(support::WIT, "policy", &module),
    );
    assert_eq!(error.reason(), "FuelExhausted");
}

#[test]
fn a_guest_with_much_fuel_ends_when_its_time_is_over() {
    let limit = Duration::from_millis(50);
    let engine = engine_with(Limits {
        fuel: u64::MAX,
        wall_time: limit,
        ..Limits::default()
    });
    let run = support::run(&engine, &guest_that(ENDLESS));
    assert_eq!(
        run.outcome,
        Err(EvaluationError::DeadlineExceeded { limit })
    );
    assert!(run.usage.wall_time >= limit, "{:?}", run.usage.wall_time);
    support::assert_serves(&engine);
}

#[test]
fn instructions_that_do_much_for_little_fuel_end_when_their_time_is_over() {
    let limit = Duration::from_millis(50);
    let engine = engine_with(Limits {
        fuel: u64::MAX,
        wall_time: limit,
        ..Limits::default()
    });
    let fill = "(drop (memory.grow (i32.const 200)))
        (loop $again
          (memory.fill (i32.const 65536) (i32.const 0) (i32.const 13000000))
          (br $again))";
    assert_eq!(
        failure(&engine, &guest_that(fill)).reason(),
        "DeadlineExceeded"
    );
}

#[test]
fn a_guest_within_its_time_is_not_ended_by_ticks() {
    let engine = engine_with(Limits {
        fuel: u64::MAX,
        ..patient()
    });
    // Some hundred milliseconds, so many ticks.
    success(&engine, &guest_that(&counted(200_000_000)));
}

#[test]
fn memory_grows_up_to_the_limit_and_not_beyond() {
    let limits = Limits {
        memory_bytes: 100 << 16,
        ..patient()
    };
    let engine = engine_with(limits);
    let run = success(&engine, &guest_that("(drop (memory.grow (i32.const 98)))"));
    assert_eq!(run.usage.memory_bytes, 100 << 16);
    let error = failure(&engine, &guest_that("(drop (memory.grow (i32.const 99)))"));
    assert_eq!(
        error,
        EvaluationError::MemoryLimit {
            needed: 101 * PAGE,
            limit: 100 * PAGE
        }
    );
}

#[test]
fn a_guest_that_grows_its_memory_for_ever_is_ended() {
    let grow = "(loop $again (drop (memory.grow (i32.const 1))) (br $again))";
    assert_eq!(
        failure(&engine(), &guest_that(grow)).reason(),
        "MemoryLimit"
    );
}

#[test]
fn a_memory_with_a_maximum_of_its_own_just_does_not_grow() {
    let module = support::module("", &format!(
        "(if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) {NAMED} (i32.const 1024)"
    ))
    .replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") 2 2)");
    let run = success(
        &engine(),
        &support::component(support::WIT, "policy", &module),
    );
    assert_eq!(run.usage.memory_bytes, 2 << 16);
}

#[test]
fn memory_is_summed_over_all_memories_of_a_module() {
    let engine = engine_with(Limits {
        memory_bytes: 100 << 16,
        ..patient()
    });
    let grower = "(component (core module
        (memory 1) (func $grow (drop (memory.grow (i32.const 47)))) (start $grow)))";
    let one = with_sections(good(), grower);
    let one = with_sections(one, "(component (core instance (instantiate 1)))");
    let run = success(&engine, &one);
    assert_eq!(run.usage.memory_bytes, (2 + 48) << 16);
    let two = with_sections(one, "(component (core instance (instantiate 1)))");
    success(&engine, &two);
    let three = with_sections(two, "(component (core instance (instantiate 1)))");
    let error = failure(&engine, &three);
    assert_eq!(
        error,
        EvaluationError::MemoryLimit {
            needed: 99 * PAGE + 47 * PAGE,
            limit: 100 * PAGE
        }
    );
}

#[test]
fn memory_that_a_module_declares_is_checked_before_it_is_compiled() {
    let engine = engine_with(Limits {
        memory_bytes: 100 << 16,
        ..patient()
    });
    let keeps = with_sections(good(), "(component (core module (memory 98)))");
    success(&engine, &keeps);
    let breaks = with_sections(good(), "(component (core module (memory 99)))");
    let error = engine.load(&breaks).unwrap_err();
    assert_eq!(
        error,
        LoadError::MemoryLimit {
            needed: 101 * PAGE,
            limit: 100 * PAGE
        }
    );
}

#[test]
fn tables_grow_up_to_the_limit_and_not_beyond() {
    let table = |grow: u32| {
        guest(
            "(table $a 10 funcref) (table $b 10 funcref)",
            &format!(
                "(drop (table.grow $a (ref.null func) (i32.const 4990)))
                 (drop (table.grow $b (ref.null func) (i32.const {grow})))
                 {NAMED} (i32.const 1024)"
            ),
        )
    };
    let run = success(&engine(), &table(4990));
    assert_eq!(run.usage.table_elements, 10_000);
    let error = failure(&engine(), &table(4991));
    assert_eq!(
        error,
        EvaluationError::TableLimit {
            needed: 10_001,
            limit: 10_000
        }
    );
}

#[test]
fn table_elements_that_a_module_declares_are_checked_before_it_is_compiled() {
    let table = |count: u32| guest(&format!("(table {count} funcref)"), "(i32.const 1024)");
    engine().load(&table(10_000)).unwrap();
    let error = engine().load(&table(10_001)).unwrap_err();
    assert_eq!(
        error,
        LoadError::TableLimit {
            needed: 10_001,
            limit: 10_000
        }
    );
}

#[test]
fn a_recursion_may_use_its_stack_and_no_more() {
    let recursion = |depth: u32| {
        guest(
            "(func $down (param i32) (result i32)
               (if (result i32) (i32.eqz (local.get 0))
                 (then (i32.const 0))
                 (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))",
            &format!("(drop (call $down (i32.const {depth}))) {NAMED} (i32.const 1024)"),
        )
    };
    success(&engine(), &recursion(1_000));
    let error = failure(&engine(), &recursion(1_000_000));
    assert_eq!(error, EvaluationError::StackExhausted { limit: 256 << 10 });
    let deeper = engine_with(Limits {
        stack_bytes: 512 << 10,
        ..patient()
    });
    success(&deeper, &recursion(7_000));
    let flatter = engine_with(Limits {
        stack_bytes: 64 << 10,
        ..patient()
    });
    assert_eq!(
        failure(&flatter, &recursion(7_000)).reason(),
        "StackExhausted"
    );
}

/// A policy that answers with `count` empty labels, which need no memory of their own.
fn labels(count: u32) -> Vec<u8> {
    guest_that(&format!(
        "(drop (memory.grow (i32.const 200)))
         (i32.store (i32.const 1040) (i32.const 65536)) (i32.store (i32.const 1044) (i32.const {count}))"
    ))
}

#[test]
fn an_answer_may_have_its_bytes_and_no_more() {
    let run = success(&engine(), &labels(5_000));
    assert_eq!(run.outcome.unwrap().unwrap().labels.len(), 5_000);
    for count in [6_000, 800_000] {
        let error = failure(&engine(), &labels(count));
        assert_eq!(error, EvaluationError::ResultTooLarge { limit: 256 << 10 });
    }
}

#[test]
fn a_long_text_counts_as_what_it_is() {
    let named = |length: u32| {
        guest("", &format!(
            "(drop (memory.grow (i32.const 10)))
             (i32.store (i32.const 1032) (i32.const 65536)) (i32.store (i32.const 1036) (i32.const {length}))
             (i32.const 1024)"
        ))
    };
    let run = support::run(&engine(), &named(250_000));
    assert_eq!(run.outcome.unwrap().unwrap().secret_name.len(), 250_000);
    assert_eq!(
        failure(&engine(), &named(300_000)).reason(),
        "ResultTooLarge"
    );
}

#[test]
fn a_module_may_have_its_bytes_and_no_more() {
    let bytes = good();
    let size = bytes.len();
    support::success(
        &engine_with(Limits {
            module_bytes: size,
            ..patient()
        }),
        &bytes,
    );
    let small = engine_with(Limits {
        module_bytes: size - 1,
        ..patient()
    });
    let error = small.load(&bytes).unwrap_err();
    assert_eq!(
        error,
        LoadError::ModuleTooLarge {
            bytes: size,
            limit: size - 1
        }
    );
    assert_eq!(error.reason(), "ModuleTooLarge");
    // The size is looked at first: what a too large file is else does not matter.
    let error = small.load(&vec![0; size]).unwrap_err();
    assert_eq!(error.reason(), "ModuleTooLarge");
}

#[test]
fn a_failed_run_tells_what_it_used() {
    let policy = load(
        &engine(),
        &guest_that("(drop (memory.grow (i32.const 3))) unreachable"),
    );
    let run = policy.run(&request());
    assert_eq!(run.outcome.unwrap_err().reason(), "Trap");
    assert!(run.usage.fuel > 0);
    assert_eq!(run.usage.memory_bytes, 5 << 16);
    assert_eq!(policy.evaluate(&request()).unwrap_err().reason(), "Trap");
}
