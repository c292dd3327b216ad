//! The commands for authors of policies. All of them ask as the operator asks: the same engine in the same child
//! process, the same limits, the same checks, the same words.

mod bench;
mod build;
mod cases;
mod check;
mod decision;
mod new;
mod push;
mod request;
mod run;

use std::path::Path;

use ecr_policy_verdict::load_problem;
use ecr_secret_engine::{Compilation, Engine, EngineOptions, Policy};

use crate::command_line::{self, Module};
use crate::outcome::{Failure, Outcome, input};

pub(crate) fn run(command: command_line::Policy) -> Outcome {
    use command_line::Policy as P;
    match command {
        P::New(arguments) => new::run(&arguments),
        P::Build(arguments) => build::run(&arguments),
        P::Check(arguments) => check::check(&arguments),
        P::Run(arguments) => run::run(&arguments),
        P::Test(arguments) => cases::run(&arguments),
        P::Bench(arguments) => bench::run(&arguments),
        P::Inspect(arguments) => check::inspect(&arguments),
        P::Push(arguments) => push::run(arguments),
    }
}

/// A loaded module, and how messages name it.
struct Loaded {
    engine: Engine,
    policy: Policy,
    source: String,
}

/// Loads a module as the operator does.
fn load(module: &Module) -> Outcome<Loaded> {
    let limits = module.limits.parse().map_err(input)?;
    let compilation = Compilation::isolated().map_err(|error| {
        input(format!(
            "this program cannot be found: {error}; mount /proc"
        ))
    })?;
    let engine = Engine::new(EngineOptions {
        limits,
        compilation,
        ..EngineOptions::default()
    })
    .map_err(input)?;
    let source = format!("file {}", module.module.display());
    let policy = engine.load(&read(&module.module)?).map_err(|error| {
        let problem = load_problem(&source, &error).problem;
        Failure::No(format!("{}: {}", problem.reason, problem.message))
    })?;
    Ok(Loaded {
        engine,
        policy,
        source,
    })
}

/// Reads a file, or says which one cannot be read.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        input(format!(
            "cannot read {}: {error}; name a file that is there",
            path.display()
        ))
    })
}
