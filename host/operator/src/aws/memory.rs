//! What the broker remembers of a key, and a call that is under way.

use std::sync::Arc;

use ecr_secret_core::token::Token;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Failure;

/// How long a failure is remembered after its wait, so that a key's waits keep growing.
const FAILURE_MEMORY: SignedDuration = SignedDuration::from_mins(15);

/// What is known of one key.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) token: Option<Arc<Token>>,
    pub(super) failures: u32,
    pub(super) failure: Option<Failure>,
    pub(super) flight: Option<Flight>,
}

/// A call that is under way. It belongs to nobody: askers come and go.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) started: Timestamp,
    pub(super) landed: watch::Receiver<Option<Landing>>,
}

#[derive(Clone)]
pub(super) enum Landing {
    Done(Result<Arc<Token>, Failure>),
    /// The identity changed meanwhile: the result is nobody's.
    Superseded,
}

impl Memory {
    /// Whether anybody may still want to know it.
    pub(super) fn is_of_use(&self, now: Timestamp) -> bool {
        let remembered = |failure: &Failure| {
            failure
                .retry_at
                .saturating_add(FAILURE_MEMORY)
                .is_ok_and(|until| until > now)
        };
        self.flight.is_some()
            || self
                .token
                .as_ref()
                .is_some_and(|token| token.expires_at() > now)
            || self.failure.as_ref().is_some_and(remembered)
    }
}

impl Flight {
    /// Whether there is or will be a landing. Not when the task was dropped with its runtime.
    pub(super) fn is_up(&self) -> bool {
        self.landed.borrow().is_some() || self.landed.has_changed().is_ok()
    }
}

/// Whether less than a fifth of the token's life is left.
pub(super) fn is_near_end(token: &Token, now: Timestamp) -> bool {
    let life = token.expires_at().duration_since(token.issued_at());
    let left = token.expires_at().duration_since(now);
    left <= life / 5
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{Memory, is_near_end};
    use crate::aws::Failure;
    use ecr_secret_core::reason::Reason;
    use ecr_secret_core::token::Token;
    use jiff::Timestamp;
    use std::sync::Arc;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token() -> Token {
        Token::new("x", at(1000), at(2000))
    }

    #[test]
    fn the_last_fifth_of_a_life_is_near_its_end() {
        assert!(!is_near_end(&token(), at(1799)));
        assert!(is_near_end(&token(), at(1800)));
        assert!(is_near_end(&token(), at(3000)));
    }

    #[test]
    fn dead_tokens_and_old_failures_are_forgotten() {
        let with_token = Memory {
            token: Some(Arc::new(token())),
            ..Memory::default()
        };
        assert!(with_token.is_of_use(at(1999)));
        assert!(!with_token.is_of_use(at(2000)));
        let failure = Failure {
            reason: Reason::InvalidRegion,
            message: String::new(),
            retry_at: at(1000),
            waiting_helps: false,
        };
        let with_failure = Memory {
            failure: Some(failure),
            ..Memory::default()
        };
        assert!(with_failure.is_of_use(at(1000 + 15 * 60 - 1)));
        assert!(!with_failure.is_of_use(at(1000 + 15 * 60)));
    }
}
