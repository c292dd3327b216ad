//! Compilation in a child process: what it gives, what it may take, and what is kept on the disk.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ecr_secret_engine::{
    Compilation, DiskOptions, Engine, EngineOptions, Limits, LoadError, Policy, digest,
};
use support::{assert_one_line, engine, good, guest_that, patient, request};

/// A module whose functions are large and many.
fn bomb(functions: usize, branches: usize) -> Vec<u8> {
    let mut items = String::new();
    for function in 0..functions {
        write!(
            items,
            "(func $f{function} (param i32) (result i32) (local i32 i32 i32)"
        )
        .unwrap();
        for number in 0..branches {
            write!(
                items,
                "(local.set 1 (i32.add (i32.mul (local.get 0) (i32.const {number})) (local.get 2)))
                 (block (block (block (br_table 0 1 2 0 1 2 (local.get 1))) (local.set 2 (local.get 3))) (local.set 3 (local.get 1)))"
            )
            .unwrap();
        }
        items.push_str("(local.get 1))");
    }
    let call = "(drop (call $f0 (i32.const 1)))";
    support::guest(
        &items,
        &format!("{call} {} (i32.const 1024)", support::NAMED),
    )
}

fn isolated(limits: Limits, disk: Option<&Path>) -> Engine {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_policy-compiler"));
    Engine::new(EngineOptions {
        limits,
        max_concurrent: 2,
        compilation: Compilation::Isolated { program },
        disk: disk.map(|directory| DiskOptions {
            directory: directory.to_owned(),
            bytes: 64 << 20,
        }),
        ..EngineOptions::default()
    })
    .unwrap()
}

fn answer(policy: &Policy) -> (String, u64) {
    let evaluation = policy.evaluate(&request()).unwrap();
    (
        evaluation.verdict.unwrap().secret_name,
        evaluation.usage.fuel,
    )
}

#[test]
fn a_child_gives_the_same_code_as_this_process_and_tells_what_it_took() {
    let theirs = isolated(patient(), None).load(&good()).unwrap();
    let ours = engine().load(&good()).unwrap();
    assert_eq!(answer(&theirs), answer(&ours));
    assert_eq!(theirs.code_bytes(), ours.code_bytes());
    let cost = theirs.compile_cost();
    assert!(
        cost.cpu > Duration::ZERO && cost.memory_bytes > 0,
        "{cost:?}"
    );
    let usage = theirs.run(&request()).usage;
    let figure = |name: &str| {
        let figures = usage.figures(&patient());
        figures
            .into_iter()
            .find(|figure| figure.name == name)
            .unwrap()
    };
    for name in [
        "compile-cpu",
        "compile-memory",
        "module",
        "result",
        "fuel",
        "memory",
        "instances",
    ] {
        let figure = figure(name);
        assert!(
            figure.used.unwrap() > 0 && figure.used.unwrap() <= figure.limit,
            "{figure:?}"
        );
    }
}

#[test]
fn a_module_that_does_not_compile_is_told_as_in_this_process() {
    let module = support::with_sections(good(), "(component (core module (func (result i32))))");
    let theirs = isolated(patient(), None).load(&module).unwrap_err();
    assert_eq!(theirs, engine().load(&module).unwrap_err());
    assert!(
        matches!(theirs, LoadError::CompileFailed { .. }),
        "{theirs}"
    );
}

#[test]
fn a_compilation_may_have_its_time_and_no_more() {
    let module = bomb(600, 60);
    let limits = |seconds| Limits {
        compile_cpu: Duration::from_secs(seconds),
        compile_memory_bytes: 4 << 30,
        ..patient()
    };
    let error = isolated(limits(1), None).load(&module).unwrap_err();
    assert_eq!(error.reason(), "CompileLimit", "{error}");
    assert!(error.to_string().contains("1 s"), "{error}");
    assert_one_line(&error.to_string());
    let policy = isolated(limits(300), None).load(&module).unwrap();
    assert!(policy.compile_cost().cpu > Duration::from_secs(1));
}

#[test]
fn a_compilation_may_have_its_memory_and_no_more() {
    let module = bomb(1, 6_000);
    let limits = |bytes| Limits {
        compile_cpu: Duration::from_mins(5),
        compile_memory_bytes: bytes,
        ..patient()
    };
    let small = isolated(limits(48 << 20), None);
    let error = small.load(&module).unwrap_err();
    assert_eq!(error.reason(), "CompileLimit", "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(answer(&small.load(&good()).unwrap()).0, "hello");
    let policy = isolated(limits(4 << 30), None).load(&module).unwrap();
    assert!(policy.compile_cost().memory_bytes > 48 << 20);
}

#[test]
fn a_program_that_is_no_compiler_is_no_fault_of_the_module() {
    for program in ["/bin/true", "/bin/false", "/nonexistent"] {
        let engine = Engine::new(EngineOptions {
            compilation: Compilation::Isolated {
                program: program.into(),
            },
            ..EngineOptions::default()
        })
        .unwrap();
        let error = engine.load(&good()).unwrap_err();
        assert_eq!(error.reason(), "CompilerUnavailable", "{program}: {error}");
        assert!(error.is_transient());
        assert_one_line(&error.to_string());
    }
}

#[test]
fn after_a_restart_nothing_is_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let first = isolated(patient(), Some(directory.path()));
    assert!(first.load_kept(&digest(&good())).is_none());
    let policy = first.load(&good()).unwrap();
    // An engine that has no compiler shows that none is needed.
    let second = Engine::new(EngineOptions {
        limits: patient(),
        compilation: Compilation::Isolated {
            program: "/nonexistent".into(),
        },
        disk: Some(DiskOptions {
            directory: directory.path().to_owned(),
            bytes: 64 << 20,
        }),
        ..EngineOptions::default()
    })
    .unwrap();
    let again = second.load_kept(&digest(&good())).unwrap();
    assert_eq!(answer(&again), answer(&policy));
    assert_eq!(again.compile_cost(), policy.compile_cost());
    assert_eq!(again.digest(), policy.digest());
    // A file of another name is not even looked for; what is looked for and not whole would be removed.
    let elsewhere = format!("../policies/{}", digest(&good()));
    assert!(second.load_kept(&elsewhere).is_none());
    assert!(second.load(&good()).is_ok());
    assert!(second.load(&guest_that("nop")).is_err());
}

#[test]
fn a_damaged_file_on_the_disk_is_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    let engine = isolated(patient(), Some(directory.path()));
    engine.load(&good()).unwrap();
    let file = fs::read_dir(directory.path().join("policies"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, &bytes).unwrap();
    assert!(engine.load_kept(&digest(&good())).is_none());
    assert_eq!(answer(&engine.load(&good()).unwrap()).0, "hello");
    assert!(engine.load_kept(&digest(&good())).is_some());
}

#[test]
fn a_directory_that_cannot_be_used_costs_compilations_and_nothing_else() {
    let engine = isolated(patient(), Some(Path::new("/proc/nonexistent")));
    assert_eq!(answer(&engine.load(&good()).unwrap()).0, "hello");
    assert!(engine.load_kept(&digest(&good())).is_none());
}

#[test]
fn a_compressed_module_is_the_module_itself() {
    use std::io::Write as _;
    let plain = engine().load(&good()).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&good()).unwrap();
    let gzip = encoder.finish().unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(&good()[..], level);
    for file in [gzip, zstd] {
        let policy = engine().load(&file).unwrap();
        assert_eq!(policy.digest(), plain.digest());
        assert_eq!(policy.module_bytes(), good().len());
        assert_eq!(answer(&policy), answer(&plain));
    }
}
