//! A queue that is fair between namespaces: whoever uploads a thousand modules delays only itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Gives out a fixed number of turns. Who waits is served namespace by namespace, one of each, and within a
/// namespace in the order of coming.
#[derive(Clone, Debug)]
pub(super) struct FairQueue {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Zero as long as anybody waits.
    free: usize,
    /// The namespaces in which somebody waits, the next one first.
    order: VecDeque<String>,
    waiting: HashMap<String, VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn; the next one begins when this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Turn {
    queue: Option<FairQueue>,
}

impl FairQueue {
    /// This many turns at a time.
    pub(super) fn new(turns: usize) -> Self {
        let state = State {
            free: turns,
            order: VecDeque::new(),
            waiting: HashMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for a turn of a namespace. Giving up harms nobody.
    pub(super) async fn turn(&self, namespace: &str) -> Turn {
        let waiter = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return self.a_turn();
            }
            let (sender, waiter) = oneshot::channel();
            if !state.waiting.contains_key(namespace) {
                state.order.push_back(namespace.to_owned());
            }
            let queue = state.waiting.entry(namespace.to_owned()).or_default();
            queue.push_back(sender);
            waiter
        };
        // The sender is dropped only with the queue, which lives in `self`.
        waiter.await.unwrap_or(Turn { queue: None })
    }

    fn a_turn(&self) -> Turn {
        Turn {
            queue: Some(self.clone()),
        }
    }

    /// Hands a turn that has ended to the next who waits.
    fn ended(&self) {
        let mut state = self.lock();
        while let Some(namespace) = state.order.pop_front() {
            let Some(queue) = state.waiting.get_mut(&namespace) else {
                continue;
            };
            let next = queue.pop_front();
            if queue.is_empty() {
                state.waiting.remove(&namespace);
            } else {
                state.order.push_back(namespace);
            }
            match next.map(|next| next.send(self.a_turn())) {
                Some(Ok(())) => return,
                // Gave up. The turn that comes back must not end here, where the lock is held.
                Some(Err(mut turn)) => turn.queue = None,
                None => {}
            }
        }
        state.free += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between the lock and its end can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use futures::FutureExt;
    use std::pin::Pin;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Turn> + 'a>>;

    fn wait<'a>(queue: &'a FairQueue, namespace: &'a str) -> Waiting<'a> {
        let mut waiting: Waiting<'a> = Box::pin(queue.turn(namespace));
        assert!(waiting.as_mut().now_or_never().is_none(), "{namespace}");
        waiting
    }

    #[tokio::test]
    async fn a_namespace_with_many_modules_delays_only_itself() {
        let queue = FairQueue::new(1);
        let mut turn = queue.turn("greedy").await;
        let mut greedy: Vec<_> = (0..100).map(|_| wait(&queue, "greedy")).collect();
        let mut modest = wait(&queue, "modest");
        let mut other = wait(&queue, "other");
        drop(turn);
        turn = greedy.remove(0).as_mut().now_or_never().unwrap();
        assert!(modest.as_mut().now_or_never().is_none());
        drop(turn);
        turn = modest.as_mut().now_or_never().unwrap();
        drop(turn);
        turn = other.as_mut().now_or_never().unwrap();
        drop(turn);
        for next in &mut greedy {
            drop(next.as_mut().now_or_never().unwrap());
        }
        drop(queue.turn("anybody").now_or_never().unwrap());
    }

    #[tokio::test]
    async fn who_gives_up_while_waiting_or_while_being_served_costs_no_turn() {
        let queue = FairQueue::new(2);
        let first = queue.turn("a").await;
        let second = queue.turn("a").await;
        let gone = wait(&queue, "a");
        let patient = wait(&queue, "b");
        let served = wait(&queue, "c");
        drop(gone);
        drop(first);
        let third = patient.await;
        drop(second);
        // It has a turn, and never looks.
        drop(served);
        let fourth = queue.turn("d").now_or_never().unwrap();
        assert!(queue.turn("e").now_or_never().is_none());
        drop((third, fourth));
        assert_eq!(queue.lock().free, 2);
    }
}
