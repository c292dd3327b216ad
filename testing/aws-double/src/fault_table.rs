//! The fault rules in force, and what they do to a call.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::fault::{Fault, FaultId, FaultRule, InstalledFault};
use crate::ledger::Action;

/// What rules are compared with.
#[derive(Clone, Debug)]
pub(crate) struct FaultTarget<'a> {
    pub(crate) action: Action,
    pub(crate) region: &'a str,
    /// All names of the caller.
    pub(crate) names: Vec<&'a str>,
}

/// What is to happen to one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mishap {
    /// Sum of all latencies.
    pub(crate) latency: Duration,
    /// The one other fault; [`Fault::ThrottleAbove`] has become [`Fault::Throttle`].
    pub(crate) fault: Option<Fault>,
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    last: u64,
    rules: BTreeMap<FaultId, (FaultRule, Option<Bucket>)>,
}

impl FaultTable {
    pub(crate) fn add(&mut self, rule: FaultRule, now: Instant) -> FaultId {
        self.last += 1;
        let bucket = match rule.fault {
            Fault::ThrottleAbove { per_second, burst } => {
                Some(Bucket::full(per_second, burst, now))
            }
            _ => None,
        };
        self.rules.insert(FaultId(self.last), (rule, bucket));
        FaultId(self.last)
    }

    /// False when there is no such rule.
    pub(crate) fn remove(&mut self, id: FaultId) -> bool {
        self.rules.remove(&id).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn list(&self) -> Vec<InstalledFault> {
        self.rules
            .iter()
            .map(|(&id, (rule, _))| InstalledFault {
                id,
                rule: rule.clone(),
            })
            .collect()
    }

    /// Decides what happens to a call, and uses up what is limited. Latencies add up; of the other faults the oldest one wins,
    /// and a rate that is not exceeded lets the next rule have its say.
    pub(crate) fn judge(&mut self, call: &FaultTarget<'_>, now: Instant) -> Mishap {
        let mut mishap = Mishap::default();
        self.rules.retain(|_, (rule, bucket)| {
            if rule.times == Some(0) {
                return false;
            }
            let latency = if let Fault::Latency { ms } = rule.fault {
                Some(Duration::from_millis(ms))
            } else {
                None
            };
            if !rule.matches(call) || (latency.is_none() && mishap.fault.is_some()) {
                return true;
            }
            match (latency, bucket) {
                (Some(latency), _) => mishap.latency = mishap.latency.saturating_add(latency),
                (None, Some(bucket)) => {
                    mishap.fault = (!bucket.take(now)).then_some(Fault::Throttle);
                }
                (None, None) => mishap.fault = Some(rule.fault.clone()),
            }
            rule.times = rule.times.map(|n| n - 1);
            rule.times != Some(0)
        });
        mishap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target<'a>(region: &'a str, name: &'a str) -> FaultTarget<'a> {
        FaultTarget {
            action: Action::EcrGetAuthorizationToken,
            region,
            names: vec![name],
        }
    }

    #[test]
    fn latencies_add_up_and_the_oldest_other_fault_wins() {
        let now = Instant::now();
        let mut table = FaultTable::default();
        table.add(Fault::Latency { ms: 30 }.into(), now);
        table.add(FaultRule::from(Fault::Hang).times(1), now);
        table.add(Fault::Throttle.into(), now);
        table.add(Fault::Latency { ms: 12 }.into(), now);
        let latency = Duration::from_millis(42);
        assert_eq!(
            table.judge(&target("r", "me"), now),
            Mishap {
                latency,
                fault: Some(Fault::Hang)
            }
        );
        assert_eq!(
            table.judge(&target("r", "me"), now),
            Mishap {
                latency,
                fault: Some(Fault::Throttle)
            }
        );
        assert_eq!(table.list().len(), 3, "the rule that was used up is gone");
    }

    #[test]
    fn a_limited_rule_is_not_used_up_by_calls_that_it_does_not_match() {
        let now = Instant::now();
        let mut table = FaultTable::default();
        table.add(
            FaultRule::from(Fault::Reset)
                .region("eu-west-1")
                .identity("me")
                .times(1),
            now,
        );
        assert_eq!(table.judge(&target("us-east-1", "me"), now).fault, None);
        assert_eq!(table.judge(&target("eu-west-1", "you"), now).fault, None);
        assert_eq!(
            table.judge(&target("eu-west-1", "me"), now).fault,
            Some(Fault::Reset)
        );
        assert_eq!(table.judge(&target("eu-west-1", "me"), now).fault, None);
    }

    #[test]
    fn faults_of_tokens_do_not_touch_sts() {
        let now = Instant::now();
        let mut table = FaultTable::default();
        table.add(FaultRule::from(Fault::AlreadyExpired).times(1), now);
        let sts = FaultTarget {
            action: Action::AssumeRole,
            region: "r",
            names: vec![],
        };
        assert_eq!(table.judge(&sts, now).fault, None);
        assert_eq!(
            table.judge(&target("r", "me"), now).fault,
            Some(Fault::AlreadyExpired)
        );
    }
}
