//! On which threads policies run.
//!
//! A policy that was quick the last time runs at once, beside everything else. One that has not run yet, or was slow,
//! waits for its namespace's turn and runs alone of its kind, on a thread of low priority. So whatever a tenant uploads takes
//! one core at most, and little of it while somebody else wants it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ecr_secret_engine::Policy;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::queue::{FairQueue, Turn};

/// A run that takes longer than this of a processor is slow. Policies of our SDK take some 20 microseconds.
const QUICK: Duration = Duration::from_millis(5);

/// By how much its priority is lowered. A thread at 10 gets a tenth of what another one gets while there is not enough for
/// both, see sched(7): little enough for what is hostile, and enough for a renewal that waits for it on a busy machine.
const BEHIND: i32 = 10;

/// How many policies are known to be quick before all are forgotten, which costs each of them one slow run.
const KNOWN: usize = 4_096;

/// The two ways to run.
#[derive(Debug)]
pub(super) struct Lanes {
    slow: FairQueue,
    /// The digests of policies that were quick the last time. A policy that is loaded again is still known here.
    quick: Mutex<HashSet<String>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            slow: FairQueue::new(1),
            quick: Mutex::default(),
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
        let is_quick = || self.quick().contains(policy.digest());
        let turn = if is_quick() {
            None
        } else {
            Some(self.slow.turn(namespace).await)
        };
        // It may have run while this waited.
        let result = match turn.filter(|_| !is_quick()) {
            None => spawn_blocking(work).await.ok(),
            Some(turn) => behind_all_others(turn, work).await,
        };
        self.learn(policy.digest(), policy.last_run());
        result
    }

    /// Takes notice of how long the last run took.
    fn learn(&self, digest: &str, last_run: Option<Duration>) {
        let mut quick = self.quick();
        if last_run.is_none_or(|took| took > QUICK) {
            quick.remove(digest);
        } else if !quick.contains(digest) {
            if quick.len() >= KNOWN {
                quick.clear();
            }
            quick.insert(digest.to_owned());
        }
    }

    fn quick(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing between the lock and its end can panic half way.
        self.quick.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does work on a thread of low priority, which holds the turn until its end.
async fn behind_all_others<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = oneshot::channel();
    // A thread of its own, since without privileges a priority cannot be raised again.
    let thread = thread::Builder::new().name("policy".to_owned());
    let started = thread.spawn(move || {
        let _turn = turn;
        // On Linux this is about the thread that calls, see nptl(7). It may not be allowed, and is no limit.
        let _ = rustix::process::nice(BEHIND);
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

    #[test]
    fn a_policy_is_quick_as_long_as_its_last_run_was_and_the_memory_for_that_is_bounded() {
        let lanes = Lanes::default();
        lanes.learn("a", Some(QUICK));
        assert!(lanes.quick().contains("a"));
        lanes.learn("a", Some(QUICK + Duration::from_nanos(1)));
        assert!(!lanes.quick().contains("a"));
        for number in 0..=KNOWN {
            lanes.learn(&number.to_string(), Some(Duration::ZERO));
        }
        assert_eq!(lanes.quick().len(), 1);
        lanes.learn("unloaded before it ran", None);
        assert_eq!(lanes.quick().len(), 1);
    }

    #[tokio::test]
    async fn work_behind_all_others_lowers_the_priority_of_its_own_thread_only() {
        let before = niceness();
        assert_eq!(
            behind_all_others(FairQueue::new(1).turn("a").await, niceness).await,
            Some(before + BEHIND)
        );
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_turn_back() {
        let queue = FairQueue::new(1);
        let turn = queue.turn("a").await;
        let none: Option<()> = behind_all_others(turn, || panic!("as told")).await;
        assert_eq!(none, None);
        drop(queue.turn("b").await);
    }
}
