//! `policy run`: one request, and what becomes of it.

use ecr_policy_verdict::ask;
use ecr_secret_core::validate::DecisionLimits;
use serde_json::json;

use super::decision::shown;
use super::{Loaded, load, request};
use crate::command_line::{Output, Run};
use crate::outcome::{Failure, Outcome};
use crate::screen;

pub(super) fn run(arguments: &Run) -> Outcome {
    let mut request = request::of_file(arguments.request.as_deref())?;
    if let Some(settings) = &arguments.settings {
        request.settings.clone_from(settings);
    }
    let Loaded {
        engine,
        policy,
        source,
    } = load(&arguments.module)?;
    let judged = ask(&policy, &source, &request, &DecisionLimits::default());
    let limits = &engine.options().limits;
    if arguments.output == Output::Json {
        let answer = match &judged.answer {
            Ok(decision) => json!({ "decision": shown(decision.get()) }),
            Err(failed) => {
                json!({ "reason": failed.problem.reason.as_str(), "message": failed.problem.message })
            }
        };
        let usage = judged.usage.figures(limits);
        let usage: serde_json::Map<_, _> = usage
            .iter()
            .map(|figure| {
                (
                    figure.name.to_owned(),
                    json!({ "used": figure.used, "limit": figure.limit }),
                )
            })
            .collect();
        let whole = json!({ "answer": answer, "usage": usage, "log": judged.log });
        println!("{whole:#}");
    } else {
        if let Ok(decision) = &judged.answer {
            println!("{:#}", shown(decision.get()));
        }
        if !judged.log.is_empty() {
            println!("log:\n{}", judged.log.trim_end());
        }
        print!("used:\n{}", screen::usage(&judged.usage, limits));
    }
    match judged.answer {
        Ok(_) => Ok(()),
        Err(failed) => {
            let problem = failed.problem;
            Err(Failure::No(format!(
                "{}: {}",
                problem.reason, problem.message
            )))
        }
    }
}
