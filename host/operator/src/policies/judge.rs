//! One question to one policy, with all checks of the answer. It blocks, and knows no cluster.

use ecr_policy_model::{Decision, Request};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use ecr_secret_engine::{Policy, Usage};
use tokio::task::spawn_blocking;

use super::Failed;
use super::problems::{evaluation_problem, refused, refused_settings};

/// A policy's answer to one request.
pub(super) struct Judged {
    pub(super) answer: Result<ValidDecision, Failed>,
    /// None when the policy was not even started.
    pub(super) usage: Option<Usage>,
}

/// Asks a policy, off the threads that must not block.
pub(super) async fn judge(
    policy: Policy,
    config_map: &str,
    request: &Request,
    limits: &DecisionLimits,
) -> Judged {
    let (name, asked, bounds) = (config_map.to_owned(), request.clone(), *limits);
    let judged = spawn_blocking(move || ask(&policy, &name, &asked, &bounds)).await;
    judged.unwrap_or_else(|_| Judged {
        answer: Err(ended(config_map)),
        usage: None,
    })
}

/// Tries a policy on requests that another version answers. What is wrong with the first that it fails on.
pub(super) async fn try_out(
    policy: Policy,
    config_map: &str,
    requests: Vec<Request>,
    limits: &DecisionLimits,
) -> Result<(), Failed> {
    let (name, bounds) = (config_map.to_owned(), *limits);
    let tried = spawn_blocking(move || {
        for (number, request) in requests.iter().enumerate() {
            let of_whom = |mut failed: Failed| {
                if number > 0 {
                    let resource = &request.resource.name;
                    failed.problem.message = format!("{} (for {resource})", failed.problem.message);
                }
                failed
            };
            let settings = policy.validate_settings(&request.settings);
            settings
                .map_err(|error| evaluation_problem(&name, &error))
                .and_then(|good| good.map_err(|errors| refused_settings(&name, &errors).into()))
                .map_err(of_whom)?;
            match ask(&policy, &name, request, &bounds).answer {
                // To deny is an answer.
                Ok(_) => {}
                Err(failed) if failed.problem.reason == Reason::PolicyDenied => {}
                Err(failed) => return Err(of_whom(failed)),
            }
        }
        Ok(())
    });
    tried.await.unwrap_or_else(|_| Err(ended(config_map)))
}

fn ask(policy: &Policy, config_map: &str, request: &Request, limits: &DecisionLimits) -> Judged {
    let run = policy.run(request);
    let answer = match run.outcome {
        Err(error) => Err(evaluation_problem(config_map, &error)),
        Ok(Err(refusal)) => Err(refused(config_map, refusal).into()),
        Ok(Ok(decision)) => check(&decision, config_map, request, limits).map_err(Failed::from),
    };
    Judged {
        answer,
        usage: Some(run.usage),
    }
}

fn check(
    decision: &Decision,
    config_map: &str,
    request: &Request,
    limits: &DecisionLimits,
) -> Result<ValidDecision, Problem> {
    validate_decision(decision, request, limits).map_err(|error| {
        let message =
            format!("the decision of the policy in ConfigMap {config_map} is not valid: {error}");
        Problem::new(Reason::PolicyInvalidDecision, message)
    })
}

fn ended(config_map: &str) -> Failed {
    let message =
        format!("ConfigMap {config_map}: the evaluation ended unexpectedly; it is tried again");
    Failed {
        problem: Problem::new(Reason::PolicyTrap, message),
        passing: true,
    }
}
