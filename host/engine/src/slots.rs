//! How many evaluations run at a time.
//!
//! The pooling allocator has a fixed number of places, and refuses when they are taken. So callers
//! queue here first, which also bounds the memory that all policies together can hold.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// A counting semaphore for threads, first come, first served: a place that becomes free is handed to who
/// waits longest, so a busy caller cannot starve the others.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Zero as long as anybody waits.
    free: usize,
    queue: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    /// Set under the lock, by who hands over a place.
    served: AtomicBool,
    thread: Thread,
}

/// One taken place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(State {
                free: count,
                queue: VecDeque::new(),
            }),
        }
    }

    /// Waits for a place, but not longer than `wait`.
    pub(crate) fn take(&self, wait: Duration) -> Option<Slot<'_>> {
        let waiter = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Some(Slot(self));
            }
            let waiter = Arc::new(Waiter {
                served: AtomicBool::new(false),
                thread: thread::current(),
            });
            state.queue.push_back(Arc::clone(&waiter));
            waiter
        };
        let started = Instant::now();
        while !waiter.served.load(Ordering::Acquire) {
            let Some(left) = wait
                .checked_sub(started.elapsed())
                .filter(|left| !left.is_zero())
            else {
                return self.give_up(&waiter);
            };
            thread::park_timeout(left);
        }
        Some(Slot(self))
    }

    /// Leaves the queue, unless a place was handed over in the last moment.
    fn give_up(&self, waiter: &Arc<Waiter>) -> Option<Slot<'_>> {
        let mut state = self.lock();
        if waiter.served.load(Ordering::Acquire) {
            return Some(Slot(self));
        }
        state.queue.retain(|other| !Arc::ptr_eq(other, waiter));
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between the lock and its end can panic half way, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        match state.queue.pop_front() {
            Some(next) => {
                next.served.store(true, Ordering::Release);
                next.thread.unpark();
            }
            None => state.free += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_taken_place_is_refused_after_the_wait() {
        let slots = Slots::new(1);
        let taken = slots.take(Duration::ZERO);
        assert!(taken.is_some());
        assert!(slots.take(Duration::from_millis(1)).is_none());
        assert!(slots.lock().queue.is_empty());
        drop(taken);
        assert!(slots.take(Duration::ZERO).is_some());
    }

    #[test]
    fn a_free_place_goes_to_who_waits_and_not_to_who_comes() {
        let slots = Slots::new(1);
        let taken = slots.take(Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| slots.take(LONG).unwrap());
            while slots.lock().queue.is_empty() {
                thread::yield_now();
            }
            drop(taken);
            // Whether the other thread has noticed or not, the place is its own.
            assert!(slots.take(Duration::ZERO).is_none());
            drop(waiter.join().unwrap());
        });
        assert!(slots.take(Duration::ZERO).is_some());
    }

    #[test]
    fn no_place_is_lost_among_many_threads() {
        let slots = Slots::new(2);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for turn in 0..500_u64 {
                        drop(slots.take(Duration::from_micros(turn % 50)));
                    }
                });
            }
        });
        let state = slots.lock();
        assert_eq!((state.free, state.queue.len()), (2, 0));
    }
}
