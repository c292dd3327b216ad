//! What the engine says, in the words of a resource's status.

use ecr_policy_model::{FieldError, Refusal};
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use ecr_secret_engine::{EvaluationError, LoadError};

use crate::Failed;

/// Why a module is not taken, in the words of a status.
pub fn load_problem(source: &str, error: &LoadError) -> Failed {
    let reason = match error {
        LoadError::ModuleTooLarge { .. } => Reason::PolicyTooLarge,
        LoadError::NotAComponent { .. } | LoadError::CannotUnpack { .. } => {
            Reason::PolicyNotAComponent
        }
        LoadError::CompileLimit { .. } => Reason::PolicyCompileLimit,
        LoadError::CompilerUnavailable { .. } => Reason::PolicyCompilerUnavailable,
        LoadError::ImportDenied { .. } => Reason::PolicyImportDenied,
        LoadError::InterfaceMismatch { .. } => Reason::PolicyInterfaceMismatch,
        LoadError::MemoryLimit { .. } => Reason::PolicyMemoryLimit,
        LoadError::TableLimit { .. } | LoadError::InstanceLimit { .. } | LoadError::Busy { .. } => {
            Reason::PolicyResourceLimit
        }
        _ => Reason::PolicyCompileFailed,
    };
    Failed {
        problem: Problem::new(reason, format!("{source}: {error}")),
        passing: error.is_transient(),
    }
}

pub(crate) fn evaluation_problem(source: &str, error: &EvaluationError) -> Failed {
    let reason = match error {
        EvaluationError::DeadlineExceeded { .. } => Reason::PolicyDeadlineExceeded,
        EvaluationError::FuelExhausted { .. } => Reason::PolicyFuelExhausted,
        EvaluationError::MemoryLimit { .. } => Reason::PolicyMemoryLimit,
        EvaluationError::StackExhausted { .. } => Reason::PolicyStackExhausted,
        EvaluationError::ResultTooLarge { .. } => Reason::PolicyResultTooLarge,
        EvaluationError::InvalidResult { .. } => Reason::PolicyInvalidDecision,
        EvaluationError::Trap { .. } => Reason::PolicyTrap,
        EvaluationError::LinkFailed { .. } => Reason::PolicyInterfaceMismatch,
        _ => Reason::PolicyResourceLimit,
    };
    Failed {
        problem: Problem::new(reason, format!("{source}: {error}")),
        passing: error.is_transient(),
    }
}

pub(crate) fn refused(source: &str, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Denied(why) => Problem::new(
            Reason::PolicyDenied,
            format!("the policy in {source} denies: {}", line(&why)),
        ),
        Refusal::InvalidSettings(errors) => refused_settings(source, &errors),
    }
}

pub(crate) fn refused_settings(source: &str, errors: &[FieldError]) -> Problem {
    let told = errors.iter().take(5).map(|error| {
        if error.field.is_empty() {
            line(&error.message)
        } else {
            format!("{}: {}", line(&error.field), line(&error.message))
        }
    });
    let told = told.collect::<Vec<_>>().join("; ");
    Problem::new(
        Reason::PolicyInvalidSettings,
        format!("the policy in {source} refuses spec.policy.settings: {told}"),
    )
}

/// A guest's text as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(500)
        .collect()
}
