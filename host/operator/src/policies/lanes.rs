//! On which threads policies run.
//!
//! A policy that was quick the last time runs at once, beside everything else. One that has not run yet, or was slow,
//! waits for its namespace's turn and runs alone of its kind, on a thread that lets all others go first. So whatever a
//! tenant uploads takes one core at most, and only while nobody else wants it.

use std::thread;
use std::time::Duration;

use ecr_secret_engine::Policy;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::queue::{FairQueue, Turn};

/// A run that takes longer than this of a processor is slow. Policies of our SDK take some 20 microseconds.
const QUICK: Duration = Duration::from_millis(2);

/// The two ways to run.
#[derive(Debug)]
pub(super) struct Lanes {
    slow: FairQueue,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            slow: FairQueue::new(1),
        }
    }
}

impl Lanes {
    /// Does work that runs this policy, of this namespace. None if it did not come to an end: the operator is stopping, or a
    /// library panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        policy: &Policy,
        namespace: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if is_quick(policy) {
            return spawn_blocking(work).await.ok();
        }
        let turn = self.slow.turn(namespace).await;
        // It may have run while this waited.
        if is_quick(policy) {
            drop(turn);
            return spawn_blocking(work).await.ok();
        }
        behind_all_others(Some(turn), work).await
    }
}

fn is_quick(policy: &Policy) -> bool {
    policy.last_run().is_some_and(|took| took <= QUICK)
}

/// Does work on a thread of the lowest priority, which holds the turn until its end.
pub(super) async fn behind_all_others<T: Send + 'static>(
    turn: Option<Turn>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = oneshot::channel();
    // A thread of its own, since without privileges a priority cannot be raised again.
    let thread = thread::Builder::new().name("policy".to_owned());
    let started = thread.spawn(move || {
        let _turn = turn;
        // On Linux this is about the thread that calls, see nptl(7). It may not be allowed, and is no limit.
        let _ = rustix::process::nice(19);
        // Nobody may wait any more.
        let _ = sender.send(work());
    });
    started.ok()?;
    result.await.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    /// The nice value of this thread; field 19 of `proc_pid_stat(5)`, counted after the name in parentheses.
    fn niceness() -> i32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn work_behind_all_others_lowers_the_priority_of_its_own_thread_only() {
        let before = niceness();
        assert_eq!(behind_all_others(None, niceness).await, Some(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_turn_back() {
        let queue = FairQueue::new(1);
        let turn = queue.turn("a").await;
        let none: Option<()> = behind_all_others(Some(turn), || panic!("as told")).await;
        assert_eq!(none, None);
        drop(queue.turn("b").await);
    }
}
