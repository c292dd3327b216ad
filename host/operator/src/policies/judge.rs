//! Asks policies off the threads that must not block.

use ecr_policy_model::Request;
use ecr_policy_verdict::{Failed, Judged};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::DecisionLimits;
use ecr_secret_engine::Policy;
use tokio::task::spawn_blocking;

/// As [`ecr_policy_verdict::ask`].
pub(super) async fn judge(
    policy: Policy,
    source: &str,
    request: &Request,
    limits: &DecisionLimits,
) -> Result<Judged, Failed> {
    let (name, asked, bounds) = (source.to_owned(), request.clone(), *limits);
    spawn_blocking(move || ecr_policy_verdict::ask(&policy, &name, &asked, &bounds))
        .await
        .map_err(|_| ended(source))
}

/// As [`ecr_policy_verdict::try_out`].
pub(super) async fn try_out(
    policy: Policy,
    source: &str,
    requests: Vec<Request>,
    limits: &DecisionLimits,
) -> Result<(), Failed> {
    let (name, bounds) = (source.to_owned(), *limits);
    spawn_blocking(move || ecr_policy_verdict::try_out(&policy, &name, &requests, &bounds))
        .await
        .unwrap_or_else(|_| Err(ended(source)))
}

/// The operator is stopping, or a library panicked, which is logged.
fn ended(source: &str) -> Failed {
    let message = format!("{source}: the evaluation ended unexpectedly; it is tried again");
    Failed {
        problem: Problem::new(Reason::PolicyTrap, message),
        passing: true,
    }
}
