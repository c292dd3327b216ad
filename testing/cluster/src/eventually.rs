//! Waiting for a condition.

use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const INTERVAL: Duration = Duration::from_millis(50);

/// What a probe of [`eventually`] may answer: `Option<T>`, or `Result<T, E>` where the error says what
/// was seen instead, which is what the reader of a failed test needs.
pub trait Probe {
    /// What is waited for.
    type Value;
    /// The value, or what was seen instead of it.
    ///
    /// # Errors
    /// The condition does not hold yet.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl<T> Probe for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Display> Probe for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Asks `probe` again and again until it gives a value. A probe that hangs counts as one that fails.
///
/// # Panics
/// When `timeout` is over, with `what` and the last thing seen.
pub async fn eventually<P, F, R>(timeout: Duration, what: &str, mut probe: F) -> R::Value
where
    F: FnMut() -> P,
    P: Future<Output = R>,
    R: Probe,
{
    let deadline = Instant::now() + timeout;
    let mut last = "no answer".to_owned();
    loop {
        if let Ok(answer) = timeout_at(deadline, probe()).await {
            match answer.outcome() {
                Ok(value) => return value,
                Err(seen) => last = seen,
            }
        }
        assert!(
            Instant::now() + INTERVAL < deadline,
            "waited {timeout:?} for {what}; last seen: {last}"
        );
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn the_first_value_ends_the_wait() {
        let mut asked = 0;
        let value = eventually(Duration::from_mins(1), "the third answer", || {
            asked += 1;
            ready((asked == 3).then_some(asked))
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for a Secret; last seen: only a ConfigMap")]
    async fn a_failed_wait_tells_what_was_seen_last() {
        let () = eventually(Duration::from_millis(120), "a Secret", || {
            ready(Err("only a ConfigMap"))
        })
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "last seen: no answer")]
    async fn a_probe_that_hangs_does_not_hang_the_test() {
        let () = eventually(
            Duration::from_millis(120),
            "anything",
            pending::<Option<()>>,
        )
        .await;
    }
}
