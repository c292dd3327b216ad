//! What was asked of the double: counters per (action, region, identity), and a bounded log of calls.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A call that the double answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// ECR, any region.
    #[serde(rename = "ecr:GetAuthorizationToken")]
    EcrGetAuthorizationToken,
    /// ECR Public, us-east-1 only.
    #[serde(rename = "ecr-public:GetAuthorizationToken")]
    EcrPublicGetAuthorizationToken,
    /// STS, signed.
    #[serde(rename = "sts:AssumeRole")]
    AssumeRole,
    /// STS, unsigned, with a JWT.
    #[serde(rename = "sts:AssumeRoleWithWebIdentity")]
    AssumeRoleWithWebIdentity,
    /// STS, signed.
    #[serde(rename = "sts:GetCallerIdentity")]
    GetCallerIdentity,
}

impl Action {
    /// The name in IAM policies, counters and the admin API, such as `ecr:GetAuthorizationToken`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcrGetAuthorizationToken => "ecr:GetAuthorizationToken",
            Self::EcrPublicGetAuthorizationToken => "ecr-public:GetAuthorizationToken",
            Self::AssumeRole => "sts:AssumeRole",
            Self::AssumeRoleWithWebIdentity => "sts:AssumeRoleWithWebIdentity",
            Self::GetCallerIdentity => "sts:GetCallerIdentity",
        }
    }

    /// The service of the credential scope.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::EcrGetAuthorizationToken => "ecr",
            Self::EcrPublicGetAuthorizationToken => "ecr-public",
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity | Self::GetCallerIdentity => "sts",
        }
    }

    /// True for the calls that issue authorization tokens.
    pub(crate) fn issues_tokens(self) -> bool {
        matches!(
            self,
            Self::EcrGetAuthorizationToken | Self::EcrPublicGetAuthorizationToken
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often one identity made one call in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What was called.
    pub action: Action,
    /// Region of the credential scope; `-` for unsigned calls, which carry none.
    pub region: String,
    /// ARN of the caller; for web identity the role that was asked for; the access key id when nobody is known behind it; else `-`.
    pub identity: String,
    /// Calls that arrived, whatever came of them.
    pub calls: u64,
    /// Calls that got a good answer.
    pub answered: u64,
}

/// All counters since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(
    /// One row per (action, region, identity), in that order.
    pub Vec<Count>,
);

impl Counts {
    /// Calls of one action, over all regions and identities.
    pub fn of(&self, action: Action) -> u64 {
        self.0
            .iter()
            .filter(|c| c.action == action)
            .map(|c| c.calls)
            .sum()
    }

    /// Good answers to one action, over all regions and identities.
    pub fn answered(&self, action: Action) -> u64 {
        self.0
            .iter()
            .filter(|c| c.action == action)
            .map(|c| c.answered)
            .sum()
    }

    /// Calls of one action in one region by one identity.
    pub fn exactly(&self, action: Action, region: &str, identity: &str) -> u64 {
        let same = |c: &&Count| c.action == action && c.region == region && c.identity == identity;
        self.0.iter().filter(same).map(|c| c.calls).sum()
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|c| c.calls).sum()
    }
}

/// One call in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Counts all calls from 1, also over resets.
    pub call: u64,
    /// When it arrived, by the double's clock.
    pub at: Timestamp,
    /// What was called.
    pub action: Action,
    /// As in [`Count::region`].
    pub region: String,
    /// As in [`Count::identity`].
    pub identity: String,
    /// `ok`, the error code, the name of the fault that spoilt the answer, or `unanswered` as long as there is no answer.
    pub outcome: String,
    /// Number of the authorization token that was issued, as in [`crate::Issued::number`].
    pub token: Option<u64>,
}

type Key = (Action, String, String);

/// A call under way.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    call: u64,
    generation: u64,
    key: Key,
}

/// Counters and log.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: u64,
    generation: u64,
    counters: BTreeMap<Key, (u64, u64)>,
    log: VecDeque<CallRecord>,
}

impl Ledger {
    /// Notes that a call arrived; the log forgets its oldest call when it holds more than `limit`.
    pub(crate) fn arrived(
        &mut self,
        at: Timestamp,
        action: Action,
        region: &str,
        identity: &str,
        limit: usize,
    ) -> Ticket {
        self.calls += 1;
        let key = (action, region.to_owned(), identity.to_owned());
        self.counters.entry(key.clone()).or_default().0 += 1;
        self.log.push_back(CallRecord {
            call: self.calls,
            at,
            action,
            region: region.to_owned(),
            identity: identity.to_owned(),
            outcome: "unanswered".into(),
            token: None,
        });
        while self.log.len() > limit {
            self.log.pop_front();
        }
        Ticket {
            call: self.calls,
            generation: self.generation,
            key,
        }
    }

    /// Notes what came of a call. A call that arrived before a reset stays forgotten.
    pub(crate) fn finished(&mut self, ticket: &Ticket, outcome: &str, token: Option<u64>) {
        if ticket.generation != self.generation {
            return;
        }
        if outcome == "ok"
            && let Some(counter) = self.counters.get_mut(&ticket.key)
        {
            counter.1 += 1;
        }
        let first = self.log.front().map_or(0, |r| r.call);
        let index = ticket
            .call
            .checked_sub(first)
            .and_then(|i| usize::try_from(i).ok());
        if let Some(record) = index.and_then(|i| self.log.get_mut(i)) {
            outcome.clone_into(&mut record.outcome);
            record.token = token;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let row = |((action, region, identity), &(calls, answered)): (&Key, &(u64, u64))| Count {
            action: *action,
            region: region.clone(),
            identity: identity.clone(),
            calls,
            answered,
        };
        Counts(self.counters.iter().map(row).collect())
    }

    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        self.log.iter().cloned().collect()
    }

    /// Forgets counters and log; numbers go on.
    pub(crate) fn reset(&mut self) {
        self.generation += 1;
        self.counters.clear();
        self.log.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ACTION: Action = Action::EcrGetAuthorizationToken;

    #[test]
    fn the_log_is_bounded_and_the_counters_are_not() {
        let mut ledger = Ledger::default();
        for _ in 0..5 {
            ledger.arrived(Timestamp::UNIX_EPOCH, ACTION, "eu-west-1", "me", 2);
        }
        assert_eq!(
            ledger.calls().iter().map(|c| c.call).collect::<Vec<_>>(),
            [4, 5]
        );
        assert_eq!(ledger.counts().exactly(ACTION, "eu-west-1", "me"), 5);
    }

    #[test]
    fn an_answer_after_a_reset_is_not_counted() {
        let mut ledger = Ledger::default();
        let call = ledger.arrived(Timestamp::UNIX_EPOCH, ACTION, "eu-west-1", "me", 9);
        ledger.reset();
        ledger.finished(&call, "ok", Some(1));
        let second = ledger.arrived(Timestamp::UNIX_EPOCH, ACTION, "eu-west-1", "me", 9);
        ledger.finished(&call, "ok", Some(1));
        assert_eq!(ledger.counts().answered(ACTION), 0);
        ledger.finished(&second, "ok", Some(2));
        assert_eq!(ledger.counts().answered(ACTION), 1);
        assert_eq!(ledger.calls().first().unwrap().token, Some(2));
    }

    #[test]
    fn an_action_has_one_name_in_json_and_in_text() {
        for action in [
            Action::EcrGetAuthorizationToken,
            Action::EcrPublicGetAuthorizationToken,
            Action::AssumeRole,
            Action::AssumeRoleWithWebIdentity,
            Action::GetCallerIdentity,
        ] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.to_string());
        }
    }
}
