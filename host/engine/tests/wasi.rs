//! Guests that import WASI, as those that are built with `std` for `wasm32-wasip2` do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ecr_policy_model::{Refresh, Request};
use ecr_secret_engine::{Allocation, Engine, EngineOptions, EvaluationError, Limits, Run};
use support::{
    NAMED, WIT, component, engine, engine_with, failure, load, patient, request, success,
};

/// The interfaces of WASI that the guests here use, in the version that Rust's standard library has.
const WASI: &str = r"
package wasi:io@0.2.6 {
  interface error { resource error { to-debug-string: func() -> string; } }
  interface poll { 
    resource pollable { ready: func() -> bool; block: func(); }
    poll: func(in: list<borrow<pollable>>) -> list<u32>;
  }
  interface streams {
    use error.{error};
    use poll.{pollable};
    variant stream-error { last-operation-failed(error), closed }
    resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
    resource output-stream {
      check-write: func() -> result<u64, stream-error>;
      blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
      write-zeroes: func(len: u64) -> result<_, stream-error>;
      subscribe: func() -> pollable;
    }
  }
}
package wasi:cli@0.2.6 {
  interface environment { get-environment: func() -> list<tuple<string, string>>; }
  interface exit { exit: func(status: result); }
  interface stdin { use wasi:io/streams@0.2.6.{input-stream}; get-stdin: func() -> input-stream; }
  interface stderr { use wasi:io/streams@0.2.6.{output-stream}; get-stderr: func() -> output-stream; }
}
package wasi:clocks@0.2.6 {
  interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
  interface monotonic-clock {
    use wasi:io/poll@0.2.6.{pollable};
    now: func() -> u64;
    subscribe-duration: func(when: u64) -> pollable;
  }
}
package wasi:random@0.2.6 {
  interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }
}
package wasi:filesystem@0.2.6 {
  interface types {
    resource descriptor { sync: func(); }
    flags path-flags { symlink-follow }
    temporary: func(f: path-flags) -> u32;
  }
  interface preopens {
    use types.{descriptor};
    get-directories: func() -> list<tuple<descriptor, string>>;
  }
}
";

/// All functions of [`WASI`], as imports of a core module.
const IMPORTS: &str = r#"
  (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdin@0.2.6" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stderr@0.2.6" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.6" "[method]input-stream.blocking-read"
    (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.check-write" (func $check (param i32 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.write-zeroes"
    (func $zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:io/streams@0.2.6" "[resource-drop]output-stream" (func $drop (param i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $wall (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
    (func $sleep (param i64) (result i32)))
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
  (import "wasi:random/random@0.2.6" "get-random-bytes" (func $random_bytes (param i64 i32)))
  (import "wasi:filesystem/types@0.2.6" "temporary" (func $temporary (param i32) (result i32)))
  (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
"#;

/// A policy that may call all of [`IMPORTS`].
fn guest(body: &str) -> Vec<u8> {
    let world = "world standard {
        import wasi:cli/environment@0.2.6; import wasi:cli/exit@0.2.6; import wasi:cli/stdin@0.2.6;
        import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6; import wasi:io/poll@0.2.6;
        import wasi:clocks/wall-clock@0.2.6; import wasi:clocks/monotonic-clock@0.2.6;
        import wasi:random/random@0.2.6; import wasi:filesystem/types@0.2.6;
        import wasi:filesystem/preopens@0.2.6;
        export decide; export about; }";
    let body = format!("(local $handle i32) (local $i i32) {body} {NAMED} (i32.const 1024)");
    let text = TEXT.replace('\n', "\\0a");
    let module = support::module(
        &format!("{IMPORTS} (data (i32.const 128) \"{text}\")"),
        &body,
    );
    component(&format!("{WIT}{world}{WASI}"), "standard", &module)
}

const TEXT: &str = "thread 'x' panicked at src/lib.rs:1:2:\nno team\nnote: run with\n";

/// Writes the panic message to standard error.
fn panic_message() -> String {
    let length = TEXT.len();
    format!("(call $write (call $stderr) (i32.const 128) (i32.const {length}) (i32.const 512))")
}

/// Answers with a number as the time of the refresh.
fn number(number: &str) -> String {
    format!("(i32.store8 (i32.const 1064) (i32.const 1)) (i64.store (i32.const 1072) {number})")
}

fn answered(run: Run) -> u64 {
    match run.outcome.unwrap().unwrap().refresh {
        Refresh::At(number) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_standard_guest_is_taken_and_evaluated() {
    success(&engine(), &guest(""));
}

#[test]
fn what_a_guest_writes_is_its_log() {
    let run = success(&engine(), &guest(&panic_message()));
    assert_eq!(run.log, TEXT);
    assert_eq!(usize::try_from(run.usage.log_bytes), Ok(TEXT.len()));
}

#[test]
fn a_log_that_is_too_long_is_cut_and_the_policy_still_decides() {
    let write = "(loop $again
        (call $write (call $stderr) (i32.const 128) (i32.const 64) (i32.const 512))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 10))))";
    let engine = engine_with(Limits {
        log_bytes: 640,
        ..patient()
    });
    let run = success(&engine, &guest(write));
    assert_eq!((run.log.len(), run.usage.log_bytes), (640, 640));
    let engine = engine_with(Limits {
        log_bytes: 100,
        ..patient()
    });
    let run = success(&engine, &guest(write));
    assert_eq!((run.log.len(), run.usage.log_bytes), (100, 640));
    let engine = engine_with(Limits {
        log_bytes: 0,
        ..patient()
    });
    assert_eq!(success(&engine, &guest(write)).log, "");
}

#[test]
fn the_message_of_a_panic_is_the_message_of_the_trap() {
    let bytes = guest(&format!("{} unreachable", panic_message()));
    let error = failure(&engine(), &bytes);
    assert_eq!(
        error,
        EvaluationError::Trap {
            message: "src/lib.rs:1:2: no team".into()
        }
    );
    // It is in the log of the failed run, too.
    assert!(support::run(&engine(), &bytes).log.contains("no team"));
}

#[test]
fn handles_are_counted() {
    let streams = |count: u32| {
        guest(&format!(
            "(loop $again (drop (call $stderr))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))"
        ))
    };
    success(&engine(), &streams(64));
    let error = failure(&engine(), &streams(65));
    assert_eq!(error, EvaluationError::HandleLimit { limit: 64 });
    assert_eq!(error.reason(), "HandleLimit");
    let dropped = "(loop $again (call $drop (call $stderr))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))";
    success(&engine(), &guest(dropped));
}

#[test]
fn the_clock_stands_at_the_time_of_the_request() {
    let wall = format!(
        "(call $wall (i32.const 512)) {}",
        number("(i64.load (i32.const 512))")
    );
    assert_eq!(answered(success(&engine(), &guest(&wall))), request().now);
}

#[test]
fn a_sleep_is_over_at_once_and_afterwards_it_is_later() {
    let hour = 3_600_000_000_000_u64;
    let body = format!(
        "(call $block (call $sleep (i64.const {hour}))) {}",
        number("(call $now)")
    );
    let run = success(&engine(), &guest(&body));
    assert!(answered(run) > hour);
}

#[test]
fn what_is_waited_for_is_ready_and_nothing_waits_for_the_hosts_clock() {
    // One of the two is a sleep of an hour, which would be the longest wait of the list.
    let hour = 3_600_000_000_000_u64;
    let body = format!(
        "(i32.store (i32.const 600) (call $subscribe (call $stderr)))
         (i32.store (i32.const 604) (call $sleep (i64.const {hour})))
         (call $block (i32.load (i32.const 604)))
         (call $poll (i32.const 600) (i32.const 2) (i32.const 512)) {}",
        number("(i64.extend_i32_u (i32.load (i32.const 516)))")
    );
    assert_eq!(answered(success(&engine(), &guest(&body))), 2);
}

#[test]
fn random_numbers_follow_from_the_request() {
    let policy = load(&engine(), &guest(&number("(call $random)")));
    let draw = |request: &Request| answered(policy.run(request));
    assert_eq!(draw(&request()), draw(&request()));
    let later = Request {
        now: request().now + 1,
        ..request()
    };
    assert_ne!(draw(&request()), draw(&later));
}

#[test]
fn random_bytes_come_in_a_bounded_number() {
    let bytes = |count: u64| {
        guest(&format!(
            "(call $random_bytes (i64.const {count}) (i32.const 512))"
        ))
    };
    success(&engine(), &bytes(4096));
    for count in [4097, u64::from(u32::MAX)] {
        let error = failure(&engine(), &bytes(count));
        let message = format!("requested len {count} exceeds limit 4096");
        assert!(error.to_string().contains(&message), "{error}");
        assert_eq!(error.reason(), "Trap");
    }
}

#[test]
fn there_is_no_environment_no_input_and_no_directory() {
    let body = format!(
        "(call $environment (i32.const 512)) (call $directories (i32.const 520))
         (call $read (call $stdin) (i64.const 100) (i32.const 528))
         {}",
        // The lengths of both lists, and the tag of the error: 1 for an error, which is `closed`.
        number(
            "(i64.extend_i32_u (i32.add
               (i32.add (i32.load (i32.const 516)) (i32.load (i32.const 524)))
               (i32.add (i32.load8_u (i32.const 528)) (i32.load8_u (i32.const 532)))))"
        )
    );
    assert_eq!(answered(success(&engine(), &guest(&body))), 2);
}

#[test]
fn an_output_that_is_waited_for_is_ready() {
    let body =
        "(local.set $handle (call $stderr)) (call $check (local.get $handle) (i32.const 512))
        (call $block (call $subscribe (local.get $handle)))";
    success(&engine(), &guest(body));
}

#[test]
fn a_function_that_is_not_granted_ends_the_policy_with_its_name() {
    let error = failure(&engine(), &guest("(drop (call $temporary (i32.const 0)))"));
    assert_eq!(error.reason(), "Trap");
    assert!(
        error
            .to_string()
            .contains("wasi:filesystem/types@0.2.6#temporary"),
        "{error}"
    );
}

#[test]
fn a_call_that_breaks_the_rules_of_wasi_ends_the_policy() {
    let cases = [
        (
            "(call $write (call $stderr) (i32.const 0) (i32.const 5000) (i32.const 512))",
            "Buffer too large",
        ),
        (
            "(call $zeroes (call $stderr) (i64.const 5000) (i32.const 512))",
            "cannot write more zeroes",
        ),
        (
            "(call $poll (i32.const 0) (i32.const 0) (i32.const 512))",
            "empty poll list",
        ),
        (
            "(local.set $handle (call $stderr)) (drop (call $subscribe (local.get $handle)))
             (call $drop (local.get $handle))",
            "resource has children",
        ),
    ];
    for (what, message) in cases {
        let error = failure(&engine(), &guest(what));
        assert_eq!(error.reason(), "Trap");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn zeroes_are_counted_like_other_bytes() {
    let body = "(call $zeroes (call $stderr) (i64.const 4096) (i32.const 512))";
    let engine = engine_with(Limits {
        log_bytes: 3,
        ..patient()
    });
    let run = success(&engine, &guest(body));
    assert_eq!((run.log.as_str(), run.usage.log_bytes), ("\0\0\0", 4096));
}

#[test]
fn the_same_request_gives_the_same_answer_log_and_fuel_on_another_engine() {
    let body = format!(
        "(call $wall (i32.const 512)) {} {}",
        panic_message(),
        number("(i64.add (call $random) (i64.add (call $now) (i64.load (i32.const 512))))")
    );
    let (bytes, requests) = (guest(&body), [request(), Request::default()]);
    let mapped = Engine::new(EngineOptions {
        limits: patient(),
        allocation: Allocation::OnDemand,
        ..EngineOptions::default()
    });
    let policies = [load(&engine(), &bytes), load(&mapped.unwrap(), &bytes)];
    let results = |request: &Request| {
        policies.each_ref().map(|policy| {
            let run = policy.run(request);
            (run.outcome.unwrap(), run.log, run.usage.fuel)
        })
    };
    for request in requests {
        let [one, other] = results(&request);
        assert_eq!(one, other);
        assert_eq!(results(&request), [one, other]);
    }
}

#[test]
fn a_standard_guest_runs_in_a_blocking_task_of_a_runtime_without_timers() {
    let policy = load(&engine(), &guest(&panic_message()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let run = runtime
        .block_on(runtime.spawn_blocking(move || policy.run(&request())))
        .unwrap();
    assert!(run.outcome.is_ok());
    assert_eq!(run.log, TEXT);
}

#[test]
fn an_exit_is_no_answer() {
    for (status, how) in [(0, "success"), (1, "failure")] {
        let error = failure(
            &engine(),
            &guest(&format!("(call $exit (i32.const {status}))")),
        );
        assert!(error.to_string().contains(how), "{error}");
    }
}

#[test]
fn a_write_that_is_larger_than_an_answer_may_be_is_refused() {
    let body = "(drop (memory.grow (i32.const 10)))
        (call $write (call $stderr) (i32.const 65536) (i32.const 300000) (i32.const 512))";
    assert_eq!(failure(&engine(), &guest(body)).reason(), "ResultTooLarge");
}

#[test]
fn any_release_of_wasi_0_2_is_served() {
    let world = "world standard { import wasi:cli/stderr@0.2.0; export decide; export about; }";
    let imports = r#"(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))"#;
    let module = support::module(
        imports,
        &format!("(drop (call $stderr)) {NAMED} (i32.const 1024)"),
    );
    let wit = format!("{WIT}{world}{}", WASI.replace("0.2.6", "0.2.0"));
    success(&engine(), &component(&wit, "standard", &module));
}
