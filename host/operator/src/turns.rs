//! Whose turn it is: what a Secret needs goes before what is told of it.
//!
//! When many resources come at once, the API server is the bottleneck. If each wrote its status and its event
//! right after its Secret, the last resource would wait for its credentials until all others have told
//! of theirs. So a reconcile takes a turn to work, gives it back, and takes another one to tell.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A fixed number of turns, with a queue for the work and a side door for the telling.
#[derive(Debug)]
pub struct Turns {
    /// First come, first served.
    queue: Semaphore,
    /// Whoever wants to tell waits here first, and enters the queue alone. So however many wait, only every so
    /// many-th turn goes to telling while work queues up, and it never starves.
    door: Semaphore,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    // None only if a semaphore were closed, and nobody closes them.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Turns {
    /// This many turns at a time.
    pub fn new(count: u16) -> Self {
        Self {
            queue: Semaphore::new(count.into()),
            door: Semaphore::new(1),
        }
    }

    /// Waits for a turn to work.
    pub async fn to_work(&self) -> Turn<'_> {
        Turn {
            _permit: self.queue.acquire().await.ok(),
        }
    }

    /// Waits for a turn to tell.
    pub async fn to_tell(&self) -> Turn<'_> {
        let _door = self.door.acquire().await;
        self.to_work().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::pin::pin;

    #[tokio::test]
    async fn work_that_comes_later_goes_before_most_of_the_telling() {
        let turns = Turns::new(1);
        let busy = turns.to_work().await;
        let mut first_tale = pin!(turns.to_tell());
        let mut second_tale = pin!(turns.to_tell());
        assert!(first_tale.as_mut().now_or_never().is_none());
        assert!(second_tale.as_mut().now_or_never().is_none());
        let mut work = pin!(turns.to_work());
        assert!(work.as_mut().now_or_never().is_none());

        drop(busy);
        // The first one was in the queue already; the second one still stands at the door.
        drop(first_tale.as_mut().now_or_never().expect("the first tale"));
        assert!(second_tale.as_mut().now_or_never().is_none());
        drop(work.as_mut().now_or_never().expect("the work"));
        drop(second_tale.now_or_never().expect("the second tale"));
    }

    #[tokio::test]
    async fn whoever_gives_up_at_the_door_blocks_nobody() {
        let turns = Turns::new(1);
        let busy = turns.to_work().await;
        {
            let mut tale = pin!(turns.to_tell());
            assert!(tale.as_mut().now_or_never().is_none());
        }
        drop(busy);
        assert!(turns.to_tell().now_or_never().is_some());
    }
}
