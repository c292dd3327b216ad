//! The commands for authors of policies. All of them ask as the operator asks: the same engine in the same child
//! process, the same limits, the same checks, the same words.

mod bench;
mod build;
mod cases;
mod check;
pub(crate) mod decision;
mod new;
mod push;
mod replay;
mod request;
mod run;

use std::path::Path;

use ecr_policy_model::Request;
use ecr_policy_verdict::{Failed, Guardrail, Judged, ask, load_problem};
use ecr_secret_core::validate::DecisionLimits;
use ecr_secret_engine::{Compilation, Engine, EngineOptions, Policy};

use crate::command_line::{self, Guard, Module};
use crate::outcome::{Failure, Outcome, input};
use crate::screen::Progress;

pub(crate) fn run(command: command_line::Policy) -> Outcome {
    use command_line::Policy as P;
    match command {
        P::New(arguments) => new::run(&arguments),
        P::Build(arguments) => build::run(&arguments),
        P::Check(arguments) => check::check(&arguments),
        P::Run(arguments) => run::run(&arguments),
        P::Test(arguments) => cases::run(&arguments),
        P::Bench(arguments) => bench::run(&arguments),
        P::Replay(arguments) => replay::run(&arguments),
        P::Inspect(arguments) => check::inspect(&arguments),
        P::Push(arguments) => push::run(arguments),
    }
}

/// A loaded module, and how messages name it.
pub(crate) struct Loaded {
    engine: Engine,
    pub(crate) policy: Policy,
    pub(crate) source: String,
}

/// Loads the module in a file.
fn load_file(module: &Module) -> Outcome<Loaded> {
    let source = format!("file {}", module.module.display());
    load(&read(&module.module)?, source, &module.limits.limits)
}

/// Loads a module as the operator does.
pub(crate) fn load(file: &[u8], source: String, limits: &str) -> Outcome<Loaded> {
    let limits = limits.parse().map_err(input)?;
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
    let progress = Progress::of("compiling the module");
    let policy = engine
        .load(file)
        .map_err(|error| no(&load_problem(&source, &error)))?;
    drop(progress);
    Ok(Loaded {
        engine,
        policy,
        source,
    })
}

/// The guardrail that is asked for, on the same engine.
fn guardrail(loaded: &Loaded, guard: &Guard) -> Outcome<Option<Guardrail>> {
    let Some(path) = &guard.guardrail else {
        return Ok(None);
    };
    let named = |why: String| Failure::No(format!("guardrail {}: {why}", path.display()));
    let policy = loaded
        .engine
        .load(&read(path)?)
        .map_err(|error| named(error.to_string()))?;
    Guardrail::new(policy, &guard.guardrail_settings)
        .map(Some)
        .map_err(named)
}

/// Asks a module, and then the guardrail, as the operator does.
fn judge(loaded: &Loaded, guardrail: Option<&Guardrail>, request: &Request) -> Judged {
    let limits = DecisionLimits::default();
    let mut judged = ask(&loaded.policy, &loaded.source, request, &limits);
    if let Some(guardrail) = guardrail {
        judged.answer = judged.answer.and_then(|decision| {
            let guarded = guardrail.guard(request, &decision, &limits)?;
            Ok(guarded.decision)
        });
    }
    judged
}

/// The answer no, in the words of a status.
pub(crate) fn no(failed: &Failed) -> Failure {
    let problem = &failed.problem;
    Failure::No(format!("{}: {}", problem.reason, problem.message))
}

/// A file's name up to its first dot, as a name in the cluster.
fn stem(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split('.').next().unwrap_or_default();
    stem.replace('_', "-")
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
