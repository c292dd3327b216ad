//! The settings of a guardrail.

use ecr_policy_model::Decision;
use serde::Deserialize;

use crate::schema::Schema;

/// The settings of a guardrail, which is a policy of the administrator that sees what was decided for a resource, by its
/// policy or by the operator itself, and refuses it or answers what is left of it.
///
/// ```
/// use ecr_policy::prelude::*;
///
/// /// Nobody mounts the Secret.
/// struct NoMounts;
///
/// impl Policy for NoMounts {
///     type Settings = Proposed<NoSettings>;
///
///     fn decide(_: &Request, proposed: Proposed<NoSettings>) -> Result<Decision, Refusal> {
///         let mut decision = proposed.decision;
///         decision.service_accounts.retain(|link| !link.mount);
///         Ok(decision)
///     }
/// }
/// ```
///
/// The answer must not be more than what was decided: the name stays, labels, annotations and links are some of those that
/// were. The operator takes nothing else. The resource's own settings are not read here.
#[derive(Debug, Deserialize)]
pub struct Proposed<S> {
    /// What was decided.
    pub decision: Decision,
    /// The guardrail's own settings.
    pub settings: S,
}

impl<S: Schema> Schema for Proposed<S> {
    fn members(out: &mut String) {
        out.push_str(r#""type":"object","properties":{"decision":{"type":"object"},"settings":{"#);
        S::members(out);
        out.push_str(r#"}},"required":["decision","settings"]"#);
    }
}
