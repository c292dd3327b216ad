//! How a command ends: well, with an answer that is no, or with a mistake of its caller.

use std::fmt::Display;
use std::process::ExitCode;

/// What every command gives.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command does not end well. One line, with what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked cannot be done: exit code 2.
    Input(String),
    /// It was done, and the answer is no: exit code 1.
    No(String),
}

impl Failure {
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Input(message) | Self::No(message) => message,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::No(_) => ExitCode::FAILURE,
        }
    }
}

/// A mistake of the caller, or of what the caller named.
pub(crate) fn input(what: impl Display) -> Failure {
    Failure::Input(what.to_string())
}
