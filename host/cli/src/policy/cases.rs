//! `policy test`: cases from YAML files, each a request and what is expected of the answer.

use std::path::Path;

use ecr_policy_verdict::Guardrail;
use serde::Deserialize;
use serde_json::Value;

use super::decision::{differences, shown};
use super::{Loaded, guardrail, judge, load_file, read, request};
use crate::command_line::Test;
use crate::outcome::{Failure, Outcome, input};
use crate::screen;

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    cases: Vec<Case>,
}

/// One case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A sentence.
    name: String,
    /// The request, as `policy run` takes it.
    #[serde(default)]
    request: Value,
    expect: Expectation,
}

/// What is expected: a decision, or no decision for a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expectation {
    /// A part of the decision.
    decision: Option<Value>,
    /// The reason why there is none.
    reason: Option<String>,
    /// A part of the message that goes with the reason.
    message: Option<String>,
}

pub(super) fn run(arguments: &Test) -> Outcome {
    let mut files = Vec::new();
    for path in &arguments.cases {
        files.push((path, parse(path)?));
    }
    let loaded = load_file(&arguments.module)?;
    let guardrail = guardrail(&loaded, &arguments.guard)?;
    let (mut passed, mut failed) = (0, 0);
    for (path, cases) in files {
        for case in cases.cases {
            let differences = check(&loaded, guardrail.as_ref(), &case).map_err(|failure| {
                input(format!(
                    "{}: {}: {}",
                    path.display(),
                    case.name,
                    failure.message()
                ))
            })?;
            if differences.is_empty() {
                passed += 1;
                println!("{}  {}", screen::good("ok    "), case.name);
            } else {
                failed += 1;
                println!("{}  {}", screen::bad("FAILED"), case.name);
                for line in differences {
                    println!("        {line}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::No(
            "cases failed; correct the policy or what they expect".to_owned(),
        ))
    }
}

fn parse(path: &Path) -> Outcome<Cases> {
    let cases: Cases = serde_norway::from_slice(&read(path)?)
        .map_err(|error| input(format!("{} holds no cases: {error}", path.display())))?;
    if cases.cases.is_empty() {
        return Err(input(format!(
            "{} holds no case; write one",
            path.display()
        )));
    }
    for case in &cases.cases {
        let expect = &case.expect;
        if expect.decision.is_some() == expect.reason.is_some() {
            return Err(input(format!(
                "{}: {}: expect either a decision or a reason",
                path.display(),
                case.name
            )));
        }
    }
    Ok(cases)
}

/// Where the answer is not as expected.
fn check(loaded: &Loaded, guardrail: Option<&Guardrail>, case: &Case) -> Outcome<Vec<String>> {
    let request = request::of_value(case.request.clone())?;
    let answer = judge(loaded, guardrail, &request).answer;
    let expect = &case.expect;
    Ok(match (&expect.decision, answer) {
        (Some(expected), Ok(decision)) => differences(expected, &shown(decision.get())),
        (Some(_), Err(failed)) => {
            vec![format!(
                "expected a decision, got {}: {}",
                failed.problem.reason, failed.problem.message
            )]
        }
        (None, Ok(decision)) => {
            let reason = expect.reason.as_deref().unwrap_or_default();
            vec![format!(
                "expected {reason}, got the decision {}",
                shown(decision.get())
            )]
        }
        (None, Err(failed)) => {
            let problem = failed.problem;
            let mut lines = Vec::new();
            if expect.reason.as_deref() != Some(problem.reason.as_str()) {
                let reason = expect.reason.as_deref().unwrap_or_default();
                lines.push(format!(
                    "expected {reason}, got {}: {}",
                    problem.reason, problem.message
                ));
            }
            if let Some(part) = expect
                .message
                .as_ref()
                .filter(|part| !problem.message.contains(*part))
            {
                lines.push(format!(
                    "message: expected {part:?} in it, is {:?}",
                    problem.message
                ));
            }
            lines
        }
    })
}
