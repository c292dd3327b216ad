//! `policy replay`: what would change if this module decided, before anybody uploads it.

use std::path::Path;

use ecr_policy_model::{Request, default_decision};
use ecr_policy_verdict::{Failed, ask};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decision::{answer, changes};
use super::{Loaded, load, load_file, read, stem};
use crate::command_line::Replay;
use crate::live::Surroundings;
use crate::outcome::{Failure, Outcome, input};
use crate::resources::{block_on, connect};
use crate::screen;

/// A file of recorded requests.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recordings {
    recordings: Vec<Recording>,
}

/// What a resource asked, and what it was answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    name: String,
    request: Request,
    before: Value,
}

pub(super) fn run(arguments: &Replay) -> Outcome {
    let new = load_file(&arguments.module)?;
    let recordings = match &arguments.from {
        Some(path) => from_file(path)?,
        None => block_on(from_cluster(arguments))?,
    };
    if let Some(path) = &arguments.record {
        let text = serde_norway::to_string(&recordings).map_err(input)?;
        std::fs::write(path, text)
            .map_err(|error| input(format!("cannot write {}: {error}", path.display())))?;
    }
    let (mut changed, mut broken) = (0, 0);
    let all = &recordings.recordings;
    for recording in all {
        let judged = ask(
            &new.policy,
            &new.source,
            &recording.request,
            &DecisionLimits::default(),
        );
        let after = answer(judged.answer.as_ref().map(ValidDecision::get));
        let lines = changes(&recording.before, &after);
        if lines.is_empty() {
            println!("same     {}", recording.name);
            continue;
        }
        changed += 1;
        let fails = after.get("reason").is_some() && recording.before.get("reason").is_none();
        broken += usize::from(fails);
        let word = if fails {
            screen::bad("FAILS  ")
        } else {
            "changes".to_owned()
        };
        println!("{word}  {}", recording.name);
        for line in lines {
            println!("           {line}");
        }
    }
    println!("{changed} of {} would change", all.len());
    if broken > 0 {
        return Err(Failure::No(format!(
            "{broken} would have no decision any more; mend the module before you push it"
        )));
    }
    Ok(())
}

fn from_file(path: &Path) -> Outcome<Recordings> {
    serde_norway::from_slice(&read(path)?).map_err(|error| {
        input(format!(
            "{} holds no recordings: {error}; make them with --record",
            path.display()
        ))
    })
}

/// The requests of the resources that the `ConfigMap` decides about, with what it answers now.
async fn from_cluster(arguments: &Replay) -> Outcome<Recordings> {
    let (client, namespace) = connect(&arguments.place).await?;
    let name = arguments
        .config_map
        .clone()
        .unwrap_or_else(|| stem(&arguments.module.module));
    let surroundings = Surroundings::of(&client, &namespace).await?;
    let mut recordings = Vec::new();
    for live in surroundings.all().await? {
        let decides = surroundings.source(live.policy.as_ref());
        // A resource with an ambiguous policy has nobody who decides.
        let decides = decides.ok().flatten();
        let config_map = decides.as_ref().and_then(|source| source.config_map());
        if !arguments.all && config_map != Some(name.as_str()) {
            continue;
        }
        let limits = arguments.module.limits.limits.clone();
        let module = match decides {
            Some(_) => surroundings.module(live.policy.as_ref()).await,
            None => Ok(None),
        };
        let request = live.request.clone();
        let before = tokio::task::spawn_blocking(move || -> Value {
            let present = module.and_then(|module| {
                module
                    .map(|module| {
                        load(
                            &module.file,
                            format!("ConfigMap {}", module.config_map),
                            &limits,
                        )
                    })
                    .transpose()
            });
            match present {
                Ok(present) => now(present.as_ref(), &request),
                Err(failure) => serde_json::json!({ "reason": failure.message() }),
            }
        });
        recordings.push(Recording {
            name: live.name,
            request: live.request,
            before: before
                .await
                .map_err(|error| Failure::No(format!("the evaluation ended: {error}")))?,
        });
    }
    if recordings.is_empty() {
        return Err(input(format!(
            "no resource of namespace {namespace} is decided about by ConfigMap {name}; name another with --config-map, or take all resources with --all"
        )));
    }
    Ok(Recordings { recordings })
}

/// What is answered now: by a module, or by the operator itself.
fn now(present: Option<&Loaded>, request: &Request) -> Value {
    let rules = DecisionLimits::default();
    let Some(loaded) = present else {
        let decided = validate_decision(&default_decision(request), request, &rules);
        let decided = decided
            .map_err(|error| Failed::from(Problem::new(Reason::InvalidSpec, error.to_string())));
        return answer(decided.as_ref().map(ValidDecision::get));
    };
    let judged = ask(&loaded.policy, &loaded.source, request, &rules);
    answer(judged.answer.as_ref().map(ValidDecision::get))
}
