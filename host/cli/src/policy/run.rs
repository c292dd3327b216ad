//! `policy run`: one request, and what becomes of it.

use ecr_policy_model::Request;
use ecr_secret_core::validate::ValidDecision;
use serde_json::json;

use super::decision::{answer, shown};
use super::{guardrail, judge, load_file, no, request};
use crate::command_line::{Output, Run};
use crate::live::Surroundings;
use crate::outcome::Outcome;
use crate::resources::{block_on, connect, find};
use crate::screen;

pub(super) fn run(arguments: &Run) -> Outcome {
    let mut request = match &arguments.resource {
        Some(name) => block_on(live(arguments, name))?,
        None => request::of_file(arguments.request.as_deref())?,
    };
    if let Some(settings) = &arguments.settings {
        request.settings.clone_from(settings);
    }
    let loaded = load_file(&arguments.module)?;
    let guardrail = guardrail(&loaded, &arguments.guard)?;
    let judged = judge(&loaded, guardrail.as_ref(), &request);
    let limits = &loaded.engine.options().limits;
    if arguments.output == Output::Json {
        let answer = answer(judged.answer.as_ref().map(ValidDecision::get));
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
        Err(failed) => Err(no(&failed)),
    }
}

/// What the operator would ask about a resource now.
async fn live(arguments: &Run, name: &str) -> Outcome<Request> {
    let (client, namespace) = connect(&arguments.place).await?;
    let found = find(&client, &namespace, name).await?;
    let surroundings = Surroundings::of(&client, &namespace).await?;
    Ok(surroundings.live_of(&found).await.request)
}
