//! One question to one policy, with all checks of the answer, in the words of a resource's status.
//!
//! The operator and the command line tool both ask through here, so that a policy's author sees on a laptop what the
//! cluster will say. Everything here blocks, and knows no cluster.

mod guardrail;
mod problems;

use ecr_policy_model::{Decision, Request};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, ValidDecision, validate_decision};
use ecr_secret_engine::{Policy, Run, Usage};

pub use guardrail::{Guardrail, failed as guardrail_failed};
pub use problems::load_problem;
use problems::{evaluation_problem, refused, refused_settings};

/// Why a policy gives no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The stable word, and one line with what to do.
    pub problem: Problem,
    /// Whether it may pass by itself, so that asking again is worth it.
    pub passing: bool,
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            passing: false,
        }
    }
}

/// A policy's answer to one request.
#[derive(Debug)]
pub struct Judged {
    /// The decision, valid, or what is wrong.
    pub answer: Result<ValidDecision, Failed>,
    /// What the run took.
    pub usage: Usage,
    /// What the policy wrote.
    pub log: String,
}

/// Asks a policy about one request. `source` names where the module comes from, for messages: `ConfigMap x`.
pub fn ask(policy: &Policy, source: &str, request: &Request, limits: &DecisionLimits) -> Judged {
    let Run {
        outcome,
        usage,
        log,
    } = policy.run(request);
    let answer = match outcome {
        Err(error) => Err(evaluation_problem(source, &error)),
        Ok(Err(refusal)) => Err(refused(source, refusal).into()),
        Ok(Ok(decision)) => check(&decision, source, request, limits).map_err(Failed::from),
    };
    Judged { answer, usage, log }
}

/// Asks a policy whether it takes these settings, as JSON text.
///
/// # Errors
/// It does not, or it gives no answer.
pub fn check_settings(policy: &Policy, source: &str, settings: &str) -> Result<(), Failed> {
    let checked = policy
        .validate_settings(settings)
        .map_err(|error| evaluation_problem(source, &error))?;
    checked.map_err(|errors| refused_settings(source, &errors).into())
}

/// Tries a policy on requests that another version of it answers.
///
/// # Errors
/// What is wrong with the first that it does not answer, and the place of that one. To deny is an answer.
pub fn try_out(
    policy: &Policy,
    source: &str,
    requests: &[Request],
    limits: &DecisionLimits,
) -> Result<(), (Failed, usize)> {
    for (number, request) in requests.iter().enumerate() {
        let of_whom = |failed: Failed| (failed, number);
        check_settings(policy, source, &request.settings).map_err(of_whom)?;
        match ask(policy, source, request, limits).answer {
            Ok(_) => {}
            Err(failed) if failed.problem.reason == Reason::PolicyDenied => {}
            Err(failed) => return Err(of_whom(failed)),
        }
    }
    Ok(())
}

fn check(
    decision: &Decision,
    source: &str,
    request: &Request,
    limits: &DecisionLimits,
) -> Result<ValidDecision, Problem> {
    validate_decision(decision, request, limits).map_err(|error| {
        let message = format!("the decision of the policy in {source} is not valid: {error}");
        Problem::new(Reason::PolicyInvalidDecision, message)
    })
}
