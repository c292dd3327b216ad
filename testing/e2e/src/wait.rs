//! Waiting for a condition, with a deadline.

use anyhow::{Result, anyhow};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const INTERVAL: Duration = Duration::from_millis(200);

/// Asks `probe` again and again until it succeeds. What it fails with is what was seen instead; a probe that hangs fails.
///
/// # Errors
/// The time is over; the error tells `what` was waited for and the last thing seen.
pub async fn until<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut seen = anyhow!("no answer");
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => seen = error,
            Err(_) => {}
        }
        if Instant::now() + INTERVAL >= deadline {
            return Err(seen.context(format!("waited {} s for {what}", limit.as_secs())));
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use anyhow::bail;

    #[tokio::test]
    async fn the_first_success_ends_the_wait() {
        let mut asked = 0;
        let probe = async || {
            asked += 1;
            if asked < 3 {
                bail!("only {asked}");
            }
            Ok(asked)
        };
        assert_eq!(
            until(Duration::from_mins(1), "three", probe).await.unwrap(),
            3
        );
    }

    #[tokio::test]
    async fn a_failed_wait_tells_what_was_seen_last() {
        let limit = Duration::from_millis(300);
        let result: Result<()> = until(limit, "a Secret", async || bail!("only a ConfigMap")).await;
        let message = format!("{:#}", result.unwrap_err());
        assert_eq!(message, "waited 0 s for a Secret: only a ConfigMap");
    }
}
