//! What to do about one resource: all judgement of a reconcile in one pure function.
//!
//! [`decide`] is asked again after each step that changed what is known (a token was fetched, a name
//! turned out to be taken), until it says [`Action::Keep`], [`Action::Write`] or [`Action::Nothing`].

mod status;

use std::collections::BTreeMap;

use ecr_policy_model::{Decision, Refresh};
use jiff::{SignedDuration, Timestamp};

use crate::reason::Reason;
use crate::schedule::{Adjusted, Frequency, SHORTEST_INTERVAL, oldest_issue, schedule};
use crate::token::TokenWindow;
pub use status::{Links, Outcome, Written, next_status};

/// How far a forced refresh looks back: requests of the same moment share one token.
const FORCED_SLACK: SignedDuration = SignedDuration::from_secs(2);
/// The life of an ECR token while none has been seen: 12 h, Amazon ECR's `GetAuthorizationToken`.
const USUAL_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// How soon a name that is taken is tried again: nothing tells us when a stranger's Secret goes.
const CONFLICT_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// Why a resource is not, or not wholly, served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable word.
    pub reason: Reason,
    /// One line: the step, the object, the remedy.
    pub message: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// What the resource asks for.
#[derive(Clone)]
pub struct Asked<'a> {
    /// `metadata.uid`, the seed of its jitter.
    pub uid: &'a str,
    /// What `spec.frequency` means.
    pub frequency: &'a Frequency,
    /// `spec.suspend`.
    pub suspend: bool,
    /// The annotation that asks for one refresh.
    pub refresh_request: Option<&'a str>,
    /// Digest of everything that the Secret is rendered from but the token, for a Secret name.
    pub inputs: &'a (dyn Fn(&str) -> String + Sync),
}

/// A Secret that this resource controls, as its metadata tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedSecret {
    /// `metadata.name`.
    pub name: String,
    /// The life of the token in it, when its annotations tell.
    pub window: Option<TokenWindow>,
    /// What it was rendered for.
    pub inputs: Option<String>,
    /// The refresh request that it answers.
    pub refresh_request: Option<String>,
    /// The decision that it was written by.
    pub decision: Option<Decision>,
    /// Whether nobody has edited it since.
    pub intact: bool,
}

/// What is known of the world when the decision is made.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The Secrets that the resource controls and that are not being deleted.
    pub owned: Vec<OwnedSecret>,
    /// Names that cannot be used, each with whose they are and why that is final.
    pub taken: BTreeMap<String, Problem>,
    /// The [`last_good`] decision, if it is still allowed.
    pub last_good: Option<Decision>,
    /// When this process last changed the Secret for the same generation and the same policy.
    pub last_change: Option<Timestamp>,
    /// What is wrong with a newer version of the policy; the verdict is the one of the version before it.
    pub newer_policy: Option<Problem>,
    /// What the administrator's guardrail took away from the verdict.
    pub narrowed: Option<Adjusted>,
    /// The token that has been fetched for this reconcile.
    pub in_hand: Option<TokenWindow>,
}

/// How young a token has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// A token that was issued before this time, UTC, is not good enough. A time in the future means now.
    pub issued_after: Timestamp,
    /// Whether a user asked explicitly: then a wait after failures is cut short, once. The rate limit holds.
    pub force: bool,
}

impl Freshness {
    /// Any token that is alive and not near its end.
    pub const ANY: Self = Self {
        issued_after: Timestamp::MIN,
        force: false,
    };
}

/// The next effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Neither Secret nor token is touched, and no decision is in force.
    Nothing,
    /// The Secret is as it should be.
    Keep,
    /// A token is needed; ask again with it in hand.
    Fetch(Freshness),
    /// The token in hand is to be written.
    Write,
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The next effect.
    pub action: Action,
    /// The decision that counts: the policy's, or the last good one.
    pub in_force: Option<Decision>,
    /// What `Ready` complains about.
    pub problem: Option<Problem>,
    /// What was corrected.
    pub adjusted: Option<Adjusted>,
    /// When the token in the Secret, or in hand, is renewed.
    pub refresh_at: Option<Timestamp>,
    /// When to look again; none when only an event can change anything.
    pub look_at: Option<Timestamp>,
    /// Secrets of this resource to delete once the one in force is written and linked.
    pub remove: Vec<String>,
}

/// Decides. `verdict` is the validated decision of the policy, or of the default, or what was wrong.
pub fn decide(
    now: Timestamp,
    asked: &Asked<'_>,
    observed: &Observed,
    verdict: &Result<Decision, Problem>,
) -> Plan {
    let (in_force, problem, retry) = in_force(now, observed, verdict);
    let problem = if asked.suspend {
        Some(suspended())
    } else {
        problem.or_else(|| observed.newer_policy.clone())
    };
    let Some(decision) = in_force else {
        return Plan {
            action: Action::Nothing,
            in_force: None,
            problem,
            adjusted: None,
            refresh_at: None,
            look_at: retry,
            remove: Vec::new(),
        };
    };

    let target = observed
        .owned
        .iter()
        .find(|secret| secret.name == decision.secret_name);
    let current = target.and_then(|secret| secret.window);
    let planned =
        current.map(|window| schedule(window, asked.frequency, decision.refresh, asked.uid));
    let answered = target.and_then(|secret| secret.refresh_request.as_deref());
    let forced = asked.refresh_request.is_some() && answered != asked.refresh_request;
    let due = planned.as_ref().is_none_or(|plan| plan.refresh_at <= now);
    let stale = target.is_none_or(|secret| {
        !secret.intact
            || secret.inputs.as_deref() != Some((asked.inputs)(&decision.secret_name).as_str())
            || !same_metadata(secret, &decision)
    });
    let stopped = asked.suspend
        || problem
            .as_ref()
            .is_some_and(|problem| problem.reason.forbids());

    let mut plan = Plan {
        action: Action::Keep,
        problem,
        adjusted: planned.as_ref().and_then(|plan| plan.adjusted.clone()),
        refresh_at: planned.as_ref().map(|plan| plan.refresh_at),
        look_at: None,
        remove: Vec::new(),
        in_force: None,
    };
    if stopped {
        plan.refresh_at = None;
    } else if forced || due || stale {
        let freshness = freshness(now, asked, &decision, current, forced, due);
        plan.action = match observed.in_hand {
            Some(window) if window.issued_at >= freshness.issued_after => {
                let next = schedule(window, asked.frequency, decision.refresh, asked.uid);
                plan.adjusted = next.adjusted;
                plan.refresh_at = Some(next.refresh_at);
                Action::Write
            }
            _ => Action::Fetch(freshness),
        };
    }
    if !stopped && (target.is_some() || plan.action == Action::Write) {
        plan.remove = observed
            .owned
            .iter()
            .map(|secret| secret.name.clone())
            .filter(|name| *name != decision.secret_name)
            .collect();
    }
    plan.adjusted = both(observed.narrowed.clone(), plan.adjusted);
    plan.look_at = [plan.refresh_at, retry].into_iter().flatten().min();
    plan.in_force = Some(decision);
    plan
}

/// The decision that counts, the problem with the one that was asked for, and when to try that again.
fn in_force(
    now: Timestamp,
    observed: &Observed,
    verdict: &Result<Decision, Problem>,
) -> (Option<Decision>, Option<Problem>, Option<Timestamp>) {
    let last_good = observed.last_good.clone();
    match verdict {
        Err(problem) => (
            last_good.map(without_fixed_time),
            Some(problem.clone()),
            None,
        ),
        Ok(decision) => {
            if let Some(problem) = observed.taken.get(&decision.secret_name) {
                let usable =
                    last_good.filter(|good| !observed.taken.contains_key(&good.secret_name));
                return (
                    usable.map(without_fixed_time),
                    Some(problem.clone()),
                    Some(later(now, CONFLICT_RETRY)),
                );
            }
            // A policy that changes its mind at every look must not make us write at every look.
            let settled_at = observed
                .last_change
                .map(|change| later(change, SHORTEST_INTERVAL))
                .filter(|at| *at > now);
            match (settled_at, last_good) {
                (Some(at), Some(good)) if !same_but_time(&good, decision) => {
                    (Some(good), None, Some(at))
                }
                _ => (Some(decision.clone()), None, None),
            }
        }
    }
}

fn freshness(
    now: Timestamp,
    asked: &Asked<'_>,
    decision: &Decision,
    current: Option<TokenWindow>,
    forced: bool,
    due: bool,
) -> Freshness {
    // Without a token to replace any fresh one will do, as for a fleet that is created with the annotation.
    if forced && current.is_some() {
        return Freshness {
            issued_after: minus(now, FORCED_SLACK),
            force: true,
        };
    }
    let life = observed_life(current);
    let oldest = oldest_issue(now, asked.frequency, decision.refresh, life);
    // A Secret that is only repaired may keep a token as old as the one that it has.
    let issued_after = match current {
        Some(window) if !due => window.issued_at.min(oldest),
        _ => oldest,
    };
    Freshness {
        issued_after,
        force: forced,
    }
}

fn observed_life(current: Option<TokenWindow>) -> SignedDuration {
    current
        .map(TokenWindow::life)
        .filter(|life| *life > SignedDuration::ZERO)
        .unwrap_or(USUAL_LIFE)
}

/// The last good decision: what this process remembers, else what the newest of the resource's Secrets was written by. That
/// is told by an annotation which anybody may have edited, so it has to be checked before it counts.
pub fn last_good(owned: &[OwnedSecret], remembered: Option<Decision>) -> Option<Decision> {
    let stored = || {
        owned
            .iter()
            .filter(|secret| secret.decision.is_some())
            .max_by_key(|secret| secret.window.map(|window| window.issued_at))
            .and_then(|secret| secret.decision.clone())
    };
    remembered.or_else(stored)
}

/// Two corrections as one; the first gives the word.
fn both(first: Option<Adjusted>, second: Option<Adjusted>) -> Option<Adjusted> {
    match (first, second) {
        (Some(first), Some(second)) => Some(Adjusted {
            message: format!("{}; {}", first.message, second.message),
            ..first
        }),
        (first, second) => first.or(second),
    }
}

/// A decision of the past may not fix a time: once that is over, it would ask for renewal after renewal.
fn without_fixed_time(mut decision: Decision) -> Decision {
    if matches!(decision.refresh, Refresh::At(_)) {
        decision.refresh = Refresh::HostDefault;
    }
    decision
}

fn same_metadata(secret: &OwnedSecret, decision: &Decision) -> bool {
    secret
        .decision
        .as_ref()
        .is_some_and(|written| same_but_time(written, decision))
}

fn same_but_time(one: &Decision, other: &Decision) -> bool {
    (
        &one.secret_name,
        &one.labels,
        &one.annotations,
        &one.service_accounts,
    ) == (
        &other.secret_name,
        &other.labels,
        &other.annotations,
        &other.service_accounts,
    )
}

fn suspended() -> Problem {
    Problem::new(
        Reason::Suspended,
        "spec.suspend is true: nothing is renewed until it is false",
    )
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn minus(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
