//! Faults: what can go wrong on purpose, for whom, and how often.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault_table::FaultTarget;
use crate::ledger::Action;

/// One way in which a call goes wrong. In JSON an object whose `kind` is the name in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The answer comes later, and is good unless another fault applies. Latencies of several rules add up.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// Every call is throttled: HTTP 400, `ThrottlingException` (STS: `Throttling`).
    Throttle,
    /// Calls above a rate are throttled, the rest goes through. The rate is measured on the monotonic clock.
    ThrottleAbove {
        /// Calls allowed per second in the long run; zero or less allows the burst only.
        per_second: f64,
        /// Calls allowed at once.
        burst: u32,
    },
    /// An error of the service.
    ServerError {
        /// 500 to 599; another number counts as 500.
        #[serde(default = "five_hundred")]
        status: u16,
    },
    /// Any error answer in the shape of the protocol.
    Error {
        /// HTTP status, 400 to 599; another number counts as 400.
        status: u16,
        /// The error code, such as `RegionDisabledException`.
        code: String,
        /// The message for people.
        message: String,
    },
    /// HTTP 400 `AccessDeniedException` as JSON (STS: HTTP 403 `AccessDenied` as XML).
    AccessDenied,
    /// No answer, ever; the connection stays open.
    Hang,
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// HTTP 200 with a body that is neither JSON nor XML.
    Garbage,
    /// HTTP 200 with only the first half of the good body.
    Truncated,
    /// The list of tokens is empty; ECR Public, which has no list, leaves its object out.
    EmptyAuthorizationData,
    /// The token decodes to a password without the `AWS:` before it.
    TokenWithoutColon,
    /// The token is not base64.
    TokenNotBase64,
    /// `expiresAt` was an hour ago.
    AlreadyExpired,
    /// There is no `expiresAt`.
    MissingExpiresAt,
}

fn five_hundred() -> u16 {
    500
}

impl Fault {
    /// True for faults that bend a good answer to `GetAuthorizationToken`; they do not apply to STS.
    pub(crate) fn bends_tokens(&self) -> bool {
        matches!(
            self,
            Self::EmptyAuthorizationData
                | Self::TokenWithoutColon
                | Self::TokenNotBase64
                | Self::AlreadyExpired
                | Self::MissingExpiresAt
        )
    }

    /// What the admin API refuses.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::ServerError { status } if !(500..600).contains(status) => Err(format!(
                "server_error: status {status} is not between 500 and 599"
            )),
            Self::Error { status, .. } if !(400..600).contains(status) => {
                Err(format!("error: status {status} is not between 400 and 599"))
            }
            Self::ThrottleAbove { per_second, .. }
                if !per_second.is_finite() || *per_second < 0.0 =>
            {
                Err(format!(
                    "throttle_above: per_second {per_second} must be a number from zero up"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A fault and the calls that it applies to: those that match everything that is set.
///
/// In JSON the fields of the fault and of the rule stand side by side: `{"kind":"throttle","times":2}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only for this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Only in this region; `-` for unsigned calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only for this identity: its ARN, its access key id, or the ARN of the role behind a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Only for the next so many matching calls; then the rule is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// Reads a rule. By hand, because serde lets unknown fields pass beside a flattened enum, and a mistyped `times` must not make a rule
/// of everlasting harm.
impl TryFrom<Map<String, Value>> for FaultRule {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        fn limit<T: DeserializeOwned>(
            fields: &mut Map<String, Value>,
            name: &str,
        ) -> Result<Option<T>, String> {
            let value = fields.remove(name).unwrap_or_default();
            serde_json::from_value(value).map_err(|e| format!("{name}: {e}"))
        }
        let (action, region) = (limit(&mut fields, "action")?, limit(&mut fields, "region")?);
        let (identity, times) = (
            limit(&mut fields, "identity")?,
            limit(&mut fields, "times")?,
        );
        let given: Vec<String> = fields.keys().cloned().collect();
        let fault: Fault = serde_json::from_value(fields.into()).map_err(|e| e.to_string())?;
        let known = serde_json::to_value(&fault).map_err(|e| e.to_string())?;
        match given.iter().find(|name| known.get(name).is_none()) {
            Some(unknown) => Err(format!("unknown field `{unknown}`")),
            None => Ok(Self {
                fault,
                action,
                region,
                identity,
                times,
            }),
        }
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            action: None,
            region: None,
            identity: None,
            times: None,
        }
    }
}

impl FaultRule {
    /// Limits the rule to one action.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Limits the rule to one region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Limits the rule to one identity: an ARN, an access key id, or the ARN of a role.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Limits the rule to the next `n` matching calls.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    pub(crate) fn matches(&self, call: &FaultTarget<'_>) -> bool {
        self.action.is_none_or(|a| a == call.action)
            && self.region.as_deref().is_none_or(|r| r == call.region)
            && self
                .identity
                .as_deref()
                .is_none_or(|i| call.names.contains(&i))
            && (!self.fault.bends_tokens() || call.action.issues_tokens())
    }
}

/// Names an installed rule, to take it out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(
    /// Counts from 1.
    pub u64,
);

/// A rule in force; `times` is what is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstalledFault {
    /// Its name.
    pub id: FaultId,
    /// What it does.
    #[serde(flatten)]
    pub rule: FaultRule,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_rule_reads_flat_in_json_and_a_mistyped_fault_is_refused() {
        let json = r#"{"kind":"throttle_above","per_second":20.0,"burst":200,"action":"ecr:GetAuthorizationToken","times":3}"#;
        let rule: FaultRule = serde_json::from_str(json).unwrap();
        let fault = Fault::ThrottleAbove {
            per_second: 20.0,
            burst: 200,
        };
        assert_eq!(
            rule,
            FaultRule::from(fault)
                .action(Action::EcrGetAuthorizationToken)
                .times(3)
        );
        assert_eq!(serde_json::to_string(&rule).unwrap(), json);
        for wrong in [
            r#"{"kind":"trottle"}"#,
            r#"{"kind":"hang","tmies":1}"#,
            r#"{"kind":"latency","ms":1,"tmies":1}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<FaultRule>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            serde_json::from_str::<FaultRule>(r#"{"kind":"server_error"}"#).unwrap(),
            Fault::ServerError { status: 500 }.into()
        );
    }
}
