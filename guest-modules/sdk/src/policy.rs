//! What a policy is, and the one entry that both the component and the tests use.

use ecr_policy_model::{Decision, Refusal, Request};

use crate::json;
use crate::setting::Setting;

/// A policy: a pure function from a request to a decision.
pub trait Policy {
    /// What `spec.policy.settings` of a resource means to this policy: a struct that derives [`Setting`]. The type says
    /// what is required (`#[setting(default)]` for what is not) and whether unknown fields are
    /// mistakes (`#[setting(deny_unknown_fields)]`, recommended: it finds the misspelt ones).
    /// [`NoSettings`] for a policy that has none.
    type Settings: Setting;

    /// Decides about one resource. Start from `request.default_decision()`, which is what the
    /// operator does without a policy.
    ///
    /// # Errors
    /// [`Refusal::Denied`] forbids credentials for this resource; [`Refusal::InvalidSettings`] is for
    /// settings that have the right form and the wrong content. Both reach the user as the status of the
    /// resource, so the text should name what to change. The last good Secret stays in either case.
    fn decide(request: &Request, settings: Self::Settings) -> Result<Decision, Refusal>;

    /// Checks of settings what their types cannot say: ranges, forms, what excludes each other. It is asked before every
    /// decision, and when settings are checked without a resource.
    ///
    /// # Errors
    /// [`Refusal::InvalidSettings`] with the fields that are wrong.
    fn check(_settings: &Self::Settings) -> Result<(), Refusal> {
        Ok(())
    }

    /// Reads the settings' JSON text. Override it only to take the text in a way of your own.
    ///
    /// # Errors
    /// [`Refusal::InvalidSettings`] with the path of the field that does not fit.
    fn settings(text: &str) -> Result<Self::Settings, Refusal> {
        parse_settings(text)
    }
}

/// Evaluates a policy: reads the settings, then decides. The exported component calls this, and so
/// should tests.
///
/// # Errors
/// The policy's refusal, or [`Refusal::InvalidSettings`] when the settings do not fit its type.
pub fn evaluate<P: Policy>(request: &Request) -> Result<Decision, Refusal> {
    P::decide(request, checked::<P>(&request.settings)?)
}

/// Checks settings as far as that can be done without a request.
///
/// # Errors
/// [`Refusal::InvalidSettings`] with what is wrong.
pub fn validate_settings<P: Policy>(text: &str) -> Result<(), Refusal> {
    checked::<P>(text).map(|_| ())
}

fn checked<P: Policy>(text: &str) -> Result<P::Settings, Refusal> {
    let settings = P::settings(text)?;
    P::check(&settings)?;
    Ok(settings)
}

/// Reads settings from JSON text. Empty text means `{}`.
///
/// # Errors
/// [`Refusal::InvalidSettings`] with one field error: the path of the first field that does not fit
/// (`labels.owner`, `teams[2]`; empty for the whole) and what is wrong with it.
pub fn parse_settings<T: Setting>(text: &str) -> Result<T, Refusal> {
    let text = if text.trim_ascii().is_empty() {
        "{}"
    } else {
        text
    };
    json::from_str(text).map_err(|error| Refusal::InvalidSettings(vec![error]))
}

/// The settings of a policy that has none: every field is refused as unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Setting)]
#[setting(deny_unknown_fields)]
pub struct NoSettings {}
