//! The administrator's guardrail: a policy of the same interface that sees what was decided, and may refuse or narrow it.
//!
//! It is asked the same question, with the decision in place of the settings:
//!
//! ```json
//! {"decision": {…}, "requestSettings": {…}, "settings": {…}}
//! ```
//!
//! `decision` has the form of the model, `requestSettings` are those of the resource, `settings` the guardrail's own. What it
//! answers is the decision that counts, which must not allow more than the one that it was shown. It fails closed: without a
//! usable answer nothing is decided.

use ecr_policy_model::{Decision, Refusal, Request};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_core::validate::{DecisionLimits, Guarded, ValidDecision, narrowed};
use ecr_secret_engine::Policy;
use serde_json::{Value, json};

use crate::Failed;
use crate::problems::{line, refused_settings};

/// A loaded guardrail.
#[derive(Clone, Debug)]
pub struct Guardrail {
    policy: Policy,
    settings: Value,
}

impl Guardrail {
    /// A guardrail of this module, with settings of its own as JSON text. It is asked whether it takes them, with an
    /// empty decision.
    ///
    /// # Errors
    /// The settings are no JSON, or the module does not take them.
    pub fn new(policy: Policy, settings: &str) -> Result<Self, String> {
        let settings = serde_json::from_str(settings)
            .map_err(|error| format!("its settings are no JSON: {error}"))?;
        let guardrail = Self { policy, settings };
        let sample = guardrail.question(
            &Request::default(),
            &json!(Decision {
                secret_name: "sample".into(),
                ..Decision::default()
            }),
        );
        match guardrail.policy.validate_settings(&sample) {
            Ok(Ok(())) => Ok(guardrail),
            Ok(Err(errors)) => Err(refused_settings("the guardrail", &errors).message),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The module.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Shows the guardrail a decision. Blocks as an evaluation does.
    ///
    /// # Errors
    /// It refuses, or gives no usable answer.
    pub fn guard(
        &self,
        request: &Request,
        decision: &ValidDecision,
        limits: &DecisionLimits,
    ) -> Result<Guarded, Failed> {
        let shown = serde_json::to_value(decision.get()).unwrap_or_default();
        let question = Request {
            settings: self.question(request, &shown),
            ..request.clone()
        };
        match self.policy.run(&question).outcome {
            Err(error) => Err(Failed {
                passing: error.is_transient(),
                ..failed(&error.to_string())
            }),
            Ok(Err(Refusal::InvalidSettings(errors))) => {
                Err(failed(&refused_settings("the guardrail", &errors).message))
            }
            Ok(Err(Refusal::Denied(why))) => {
                let message = format!("the administrator's guardrail denies: {}", line(&why));
                Err(Problem::new(Reason::GuardrailDenied, message).into())
            }
            Ok(Ok(answer)) => narrowed(decision, &answer, request, limits)
                .map_err(|error| failed(&format!("its answer is not allowed: {error}"))),
        }
    }

    fn question(&self, request: &Request, decision: &Value) -> String {
        let own = serde_json::from_str(&request.settings).unwrap_or_else(|_| json!({}));
        json!({ "decision": decision, "requestSettings": own, "settings": self.settings })
            .to_string()
    }
}

/// No usable answer of the guardrail.
pub fn failed(why: &str) -> Failed {
    let message = format!(
        "the administrator's guardrail gives no usable answer, so nothing is renewed: {why}"
    );
    Problem::new(Reason::GuardrailFailed, message).into()
}
