//! How many evaluations run at a time.
//!
//! The pooling allocator has a fixed number of places, and refuses when they are taken. So callers
//! queue here first, which also bounds the memory that all policies together can hold.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A counting semaphore for threads.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One taken place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a place, but not longer than `wait`.
    pub(crate) fn take(&self, wait: Duration) -> Option<Slot<'_>> {
        // A count cannot be left half changed, so a poisoned lock is as good as any.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            let until = Instant::now() + wait;
            while *free == 0 {
                let left = until.checked_duration_since(Instant::now())?;
                (free, _) =
                    self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner);
            }
        }
        *free -= 1;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::thread;

    use super::*;

    #[test]
    fn a_taken_place_is_refused_after_the_wait() {
        let slots = Slots::new(1);
        let taken = slots.take(Duration::ZERO);
        assert!(taken.is_some());
        assert!(slots.take(Duration::from_millis(1)).is_none());
        drop(taken);
        assert!(slots.take(Duration::ZERO).is_some());
    }

    #[test]
    fn a_waiting_thread_gets_the_place_that_becomes_free() {
        let slots = Slots::new(1);
        let taken = slots.take(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| slots.take(Duration::from_secs(60)).is_some());
            drop(taken);
            assert!(waiter.join().unwrap());
        });
    }
}
