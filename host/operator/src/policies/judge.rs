//! Asks policies off the threads that must not block.

use std::sync::Arc;

use ecr_policy_model::Request;
use ecr_policy_verdict::{Failed, Judged};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::DecisionLimits;
use ecr_secret_engine::Policy;

use super::lanes::Lanes;

/// Asks policies, and validates what they answer.
#[derive(Debug)]
pub(super) struct Judge {
    lanes: Lanes,
    limits: DecisionLimits,
}

impl Judge {
    /// Decisions have to keep these limits.
    pub(super) fn new(limits: DecisionLimits) -> Self {
        Self {
            lanes: Lanes::default(),
            limits,
        }
    }

    /// What decisions have to keep.
    pub(super) fn limits(&self) -> DecisionLimits {
        self.limits
    }

    /// As [`ecr_policy_verdict::ask`].
    pub(super) async fn ask(
        &self,
        policy: Policy,
        source: &str,
        request: &Request,
    ) -> Result<Judged, Failed> {
        let (name, asked, limits) = (source.to_owned(), request.clone(), self.limits);
        let runs = policy.clone();
        let work = move || ecr_policy_verdict::ask(&runs, &name, &asked, &limits);
        let judged = self.lanes.run(&policy, &request.resource.namespace, work);
        judged.await.ok_or_else(|| ended(source))
    }

    /// As [`ecr_policy_verdict::try_out`], with the place of the request that failed. `requests` are of one namespace, and
    /// there is at least one.
    pub(super) async fn try_out(
        &self,
        policy: &Policy,
        source: &str,
        requests: &Arc<[Request]>,
    ) -> Result<(), (Failed, usize)> {
        let (name, asked, limits) = (source.to_owned(), Arc::clone(requests), self.limits);
        let runs = policy.clone();
        let work = move || ecr_policy_verdict::try_out(&runs, &name, &asked, &limits);
        let tried = self
            .lanes
            .run(policy, &requests[0].resource.namespace, work);
        tried.await.unwrap_or_else(|| Err((ended(source), 0)))
    }
}

/// The operator is stopping, or a library panicked, which is logged.
fn ended(source: &str) -> Failed {
    let message = format!("{source}: the evaluation ended unexpectedly; it is tried again");
    Failed {
        problem: Problem::new(Reason::PolicyTrap, message),
        passing: true,
    }
}
