//! Policies: compiling, loading from the disk, evaluating, and the memory of up to a thousand of them.
//!
//! Each number of policies is measured in a process of its own, so that memory is what these policies take.

mod bare;
mod plot;
pub(crate) mod size;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ecr_policy_model::{Request, Resource};
use ecr_secret_engine::{Compilation, DiskOptions, Engine, EngineOptions};

const WARM_UP: usize = 1_000;
const RUNS: usize = 20_000;
/// The numbers of policies.
const SIZES: [usize; 3] = [1, 100, 1_000];

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The operator's binary, which compiles
    #[arg(long)]
    operator: PathBuf,
    /// A guest without imports that reads settings
    #[arg(long)]
    guest: PathBuf,
    /// The guest's settings
    #[arg(long, default_value = "{}")]
    settings: String,
    /// Where the plot goes
    #[arg(long)]
    plot: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let module = read(&arguments.guest)?;
    let request = request(&arguments.settings);
    println!(
        "guest                {} of {} bytes",
        name(&arguments.guest),
        module.len()
    );
    let bare = bare::measure(&module, &request)?;
    println!(
        "bare wasmtime        new instance and call p50 {:.1} µs, p99 {:.1} µs",
        micros(&bare, 50),
        micros(&bare, 99)
    );

    let disk = tempfile::tempdir()?;
    let compiled = compile(arguments, &module, disk.path())?;
    println!(
        "compile              p50 {:.1} ms, p99 {:.1} ms, in a child process each",
        millis(&compiled, 50),
        millis(&compiled, 99)
    );

    println!(
        "\npolicies   first evaluation from disk      warm evaluation          of bare   resident size"
    );
    let mut measured = Vec::new();
    for count in SIZES {
        let result = of_size(arguments, disk.path(), count)?;
        println!(
            "{count:>8}   p50 {:.2} ms  p99 {:.2} ms      p50 {:>5.1} µs  p99 {:>5.1} µs   {:.2}      {:.3} MB each, {:.1} MB in all",
            result.first_p50 / 1e3,
            result.first_p99 / 1e3,
            result.warm_p50,
            result.warm_p99,
            result.warm_p50 / micros(&bare, 50),
            result.resident_each,
            result.resident,
        );
        measured.push(result);
    }
    if let Some(last) = measured.last() {
        println!(
            "\nas in the operator, {} policies in turn within its {} MB of code: {:.1} MB in all, {:.1} MB after a million evaluations",
            last.count,
            size::LOADED >> 20,
            last.bounded_resident,
            last.flat_resident
        );
    }
    plot::draw(&arguments.plot, &measured)?;
    println!("plot                 {}", arguments.plot.display());
    Ok(())
}

/// Compiles all policies to the disk, and tells how long each took, sorted.
fn compile(arguments: &Arguments, module: &[u8], disk: &Path) -> Result<Vec<Duration>> {
    let engine = engine(arguments.operator.clone(), disk)?;
    let most = SIZES.into_iter().max().unwrap_or(1);
    let mut times = Vec::new();
    for number in 0..most {
        let module = test_modules::distinct(module, number);
        let started = Instant::now();
        engine.load(&module)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// An engine as the operator's.
fn engine(program: PathBuf, disk: &Path) -> Result<Engine> {
    Ok(Engine::new(EngineOptions {
        compilation: Compilation::Isolated { program },
        disk: Some(DiskOptions {
            directory: disk.to_owned(),
            bytes: 1 << 30,
        }),
        ..EngineOptions::default()
    })?)
}

fn of_size(arguments: &Arguments, disk: &Path, count: usize) -> Result<size::Measured> {
    let output = Command::new(std::env::current_exe()?)
        .arg("policy-of-size")
        .arg("--operator")
        .arg(&arguments.operator)
        .arg("--guest")
        .arg(&arguments.guest)
        .arg("--settings")
        .arg(&arguments.settings)
        .arg("--disk")
        .arg(disk)
        .arg("--count")
        .arg(count.to_string())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Prints how long loading and evaluating a guest takes, in this process.
pub(crate) fn warm(guest: &Path) -> Result<()> {
    let bytes = read(guest)?;
    let engine = Engine::new(EngineOptions::default())?;
    let started = Instant::now();
    let policy = engine.load(&bytes)?;
    let loaded = started.elapsed();
    let request = request("{}");
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
    println!(
        "policy               {} bytes, load {:.1} ms, warm evaluation p50 {:.1} µs, p99 {:.1} µs",
        bytes.len(),
        loaded.as_secs_f64() * 1e3,
        micros(&times, 50),
        micros(&times, 99),
    );
    Ok(())
}

fn read(guest: &Path) -> Result<Vec<u8>> {
    std::fs::read(guest).with_context(|| format!("{}: run cargo xtask guests", guest.display()))
}

fn name(guest: &Path) -> String {
    guest
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn request(settings: &str) -> Request {
    Request {
        resource: Resource {
            name: "app".into(),
            namespace: "shop".into(),
            generated_secret_name: Some("ecr".into()),
            frequency_seconds: 36_000,
            ..Resource::default()
        },
        settings: settings.to_owned(),
        ..Request::default()
    }
}

/// A share of sorted times, in percent.
fn at(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() - 1) * percent / 100]
}

fn micros(times: &[Duration], percent: usize) -> f64 {
    at(times, percent).as_secs_f64() * 1e6
}

fn millis(times: &[Duration], percent: usize) -> f64 {
    at(times, percent).as_secs_f64() * 1e3
}
