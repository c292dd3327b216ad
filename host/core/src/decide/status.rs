//! The status that tells what a reconcile found and did.

use jiff::Timestamp;

use super::{Plan, Problem};
use crate::api::{
    AccountRef, CONDITION_ADJUSTED, CONDITION_LINKED, CONDITION_READY, Condition, ConditionStatus,
    PHASE_UPDATED, PolicyStatus, Status, Time,
};
use crate::reason::Reason;
use crate::token::TokenWindow;

/// What became of the links to service accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Wanted service accounts that do not exist (yet).
    pub missing: Vec<String>,
    /// Wanted service accounts that could not be patched, each with why.
    pub failed: Vec<(String, String)>,
}

/// The Secret that the resource has after the reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// The life of the token in it.
    pub window: Option<TokenWindow>,
    /// Whether this reconcile wrote it.
    pub now: bool,
}

/// What came out of a reconcile.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The Secret, when there is one.
    pub secret: Option<Written>,
    /// What went wrong while the plan was carried out; it outweighs the plan's own problem.
    pub problem: Option<Problem>,
    /// What became of the links.
    pub links: Links,
    /// The policy that was asked, when there is one.
    pub policy: Option<PolicyStatus>,
    /// The refresh request that has been obeyed.
    pub handled_refresh_request: Option<String>,
}

/// The status after a reconcile. Equal to `previous` when nothing changed, conditions' times included; what a run of the
/// policy used is no change by itself.
pub fn next_status(
    now: Timestamp,
    generation: Option<i64>,
    previous: Option<&Status>,
    plan: &Plan,
    outcome: &Outcome,
) -> Status {
    let problem = outcome.problem.as_ref().or(plan.problem.as_ref());
    let mut conditions = vec![ready(problem, outcome)];
    conditions.extend(linked(plan, outcome));
    conditions.extend(plan.adjusted.as_ref().map(|adjusted| {
        draft(
            CONDITION_ADJUSTED,
            ConditionStatus::True,
            adjusted.reason,
            adjusted.message.clone(),
        )
    }));
    for condition in &mut conditions {
        condition.observed_generation = generation;
        condition.last_transition_time = previous
            .and_then(|status| status.condition(&condition.type_))
            .filter(|before| before.status == condition.status)
            .map_or_else(|| now.into(), |before| before.last_transition_time);
    }

    let expires_at = outcome
        .secret
        .as_ref()
        .and_then(|secret| secret.window)
        .map(|window| window.expires_at.into());
    let mut status = Status {
        phase: outcome.secret.as_ref().map(|_| PHASE_UPDATED.to_owned()),
        last_updated_time: last_updated(now, previous, outcome),
        observed_generation: generation,
        conditions,
        generated_secret_name: outcome.secret.as_ref().map(|secret| secret.name.clone()),
        expires_at,
        next_refresh_time: plan
            .refresh_at
            .filter(|_| outcome.secret.is_some())
            .map(Into::into),
        service_accounts: linked_accounts(previous, plan, outcome),
        policy: outcome.policy.clone(),
        handled_refresh_request: outcome.handled_refresh_request.clone(),
    };
    if let (Some(policy), Some(before)) = (&mut status.policy, previous)
        && let Some(asked_before) = &before.policy
    {
        let usage = std::mem::replace(&mut policy.usage, asked_before.usage.clone());
        if status != *before
            && let Some(policy) = &mut status.policy
        {
            policy.usage = usage;
        }
    }
    status
}

/// When the Secret got its token. A Secret cannot be older than its token, so a write that a crash kept
/// from the status is told by the next one.
fn last_updated(now: Timestamp, previous: Option<&Status>, outcome: &Outcome) -> Option<Time> {
    let written = outcome.secret.as_ref().filter(|secret| secret.now);
    let issued = outcome.secret.as_ref().and_then(|secret| secret.window);
    let issued = issued.map(|window| Time::from(window.issued_at));
    match written {
        Some(_) => issued.max(Some(now.into())),
        None => issued
            .min(Some(now.into()))
            .max(previous.and_then(|status| status.last_updated_time)),
    }
}

fn ready(problem: Option<&Problem>, outcome: &Outcome) -> Condition {
    match (problem, &outcome.secret) {
        (None, Some(secret)) => draft(
            CONDITION_READY,
            ConditionStatus::True,
            Reason::Refreshed,
            format!("Secret {} holds a valid token", secret.name),
        ),
        (None, None) => draft(
            CONDITION_READY,
            ConditionStatus::Unknown,
            Reason::Pending,
            "no Secret has been written yet".to_owned(),
        ),
        (Some(problem), secret) => {
            let still_valid = secret
                .as_ref()
                .and_then(|secret| Some((&secret.name, secret.window?.expires_at)));
            let message = match still_valid {
                Some((name, until)) => format!(
                    "{}; Secret {name} stays valid until {until:.0}",
                    problem.message
                ),
                None => problem.message.clone(),
            };
            draft(
                CONDITION_READY,
                ConditionStatus::False,
                problem.reason,
                message,
            )
        }
    }
}

fn linked(plan: &Plan, outcome: &Outcome) -> Option<Condition> {
    let wanted = plan
        .in_force
        .as_ref()
        .filter(|decision| !decision.service_accounts.is_empty())?;
    outcome.secret.as_ref()?;
    let Links { missing, failed } = &outcome.links;
    let condition = if let Some((name, why)) = failed.first() {
        let more = if failed.len() > 1 {
            format!(" (and {} more)", failed.len() - 1)
        } else {
            String::new()
        };
        (
            ConditionStatus::False,
            Reason::LinkFailed,
            format!("service account {name}{more}: {why}"),
        )
    } else if !missing.is_empty() {
        let message = format!(
            "service accounts that do not exist (yet) will be linked when they appear: {}",
            abbreviated(missing)
        );
        (
            ConditionStatus::False,
            Reason::ServiceAccountMissing,
            message,
        )
    } else {
        (
            ConditionStatus::True,
            Reason::Linked,
            format!(
                "{} service accounts name the Secret",
                wanted.service_accounts.len()
            ),
        )
    };
    Some(draft(
        CONDITION_LINKED,
        condition.0,
        condition.1,
        condition.2,
    ))
}

fn abbreviated(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        format!("{shown} and {} more", names.len() - SHOWN)
    } else {
        shown
    }
}

fn linked_accounts(previous: Option<&Status>, plan: &Plan, outcome: &Outcome) -> Vec<AccountRef> {
    let Some(decision) = plan.in_force.as_ref().filter(|_| outcome.secret.is_some()) else {
        // Without a decision nothing is linked and nothing unlinked.
        let before = previous.filter(|_| outcome.secret.is_some());
        return before.map_or_else(Vec::new, |status| status.service_accounts.clone());
    };
    let Links { missing, failed } = &outcome.links;
    let mut accounts: Vec<AccountRef> = decision
        .service_accounts
        .iter()
        .filter(|link| {
            !missing.contains(&link.name) && !failed.iter().any(|(name, _)| *name == link.name)
        })
        .map(AccountRef::from)
        .collect();
    accounts.sort();
    accounts
}

fn draft(type_: &str, status: ConditionStatus, reason: Reason, message: String) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status,
        reason: reason.as_str().to_owned(),
        message,
        last_transition_time: Timestamp::UNIX_EPOCH.into(),
        observed_generation: None,
    }
}
