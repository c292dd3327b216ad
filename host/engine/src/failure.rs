//! Turns what wasmtime says into a typed error.

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::{EvaluationError, Limits, text};

/// Where in an evaluation an error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// While the instance was made; start functions run here.
    Instantiate,
    /// While the function ran, or its arguments or its result were copied.
    Call,
}

/// The parts of wasmtime's messages for limits that have no type of their own. A test breaks each limit,
/// and so tells when one of them changes.
const RESULT_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";
const HANDLES: &str = "store handle limit exceeded";
const INSTANCES: &str = "resource limit exceeded: ";

/// The parts of wasmtime-wasi's messages for calls that break the rules of WASI.
const WASI_MISUSE: [&str; 4] = [
    // Of random bytes.
    "requested len",
    "Buffer too large",
    "cannot write more zeroes",
    "empty poll list",
];

/// The typed error for `error`. `log` is what the guest wrote, which holds the message of a panic.
pub(crate) fn classify(
    error: &wasmtime::Error,
    phase: Phase,
    limits: &Limits,
    log: &str,
) -> EvaluationError {
    if let Some(error) = error.downcast_ref::<EvaluationError>() {
        return error.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap, limits, log);
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        // The end of the process, which for a policy is a failure whatever the status.
        let how = if *status == 0 { "success" } else { "failure" };
        let message = format!("it ended the process with {how} in place of an answer");
        return EvaluationError::Trap { message };
    }
    let message = text::one_line(&format!("{error:#}"), text::MESSAGE_BYTES);
    if message.contains(RESULT_TOO_LARGE) {
        EvaluationError::ResultTooLarge {
            limit: limits.result_bytes,
        }
    } else if message.contains(HANDLES) {
        EvaluationError::HandleLimit {
            limit: limits.handles,
        }
    } else if let Some((_, what)) = message.split_once(INSTANCES) {
        EvaluationError::InstanceLimit {
            message: what.to_owned(),
        }
    } else if error.is::<PoolConcurrencyLimitError>() {
        // There is a place for every slot, so this is a component with more parts than its share.
        EvaluationError::InstanceLimit { message }
    } else if error.is::<ResourceTableError>()
        || WASI_MISUSE.iter().any(|part| message.contains(part))
    {
        let message = format!("a call of WASI failed: {message}");
        EvaluationError::Trap {
            message: text::one_line(&message, text::MESSAGE_BYTES),
        }
    } else if phase == Phase::Instantiate {
        EvaluationError::LinkFailed { message }
    } else {
        EvaluationError::InvalidResult { message }
    }
}

fn of_trap(trap: Trap, limits: &Limits, log: &str) -> EvaluationError {
    match trap {
        Trap::Interrupt => EvaluationError::DeadlineExceeded {
            limit: limits.wall_time,
        },
        Trap::OutOfFuel => EvaluationError::FuelExhausted { limit: limits.fuel },
        Trap::StackOverflow => EvaluationError::StackExhausted {
            limit: limits.stack_bytes,
        },
        // The guest's answer, or what its allocator gave for the request, is not what the interface demands.
        Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer => EvaluationError::InvalidResult {
            message: trap.to_string(),
        },
        Trap::UnreachableCodeReached => EvaluationError::Trap {
            message: text::last_words(log)
                .unwrap_or_else(|| "a panic or an abort (`unreachable`), without a message".into()),
        },
        trap => EvaluationError::Trap {
            message: text::last_words(log).map_or_else(
                || trap.to_string(),
                |said| text::one_line(&format!("{trap}: {said}"), text::MESSAGE_BYTES),
            ),
        },
    }
}
