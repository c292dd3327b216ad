//! Holds back a namespace whose modules keep failing.
//!
//! Each upload of a module wakes the resources that use it, and each of them is told what is wrong. A tenant that uploads
//! broken modules without end would keep the operator and the API server busy with that. So the resources of a namespace
//! that brought many of them are woken later. A module that works costs nothing, and neither does one broken now and then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a namespace may bring a broken module in the long run.
const EACH: Duration = Duration::from_secs(3);
/// How many it may bring at once.
const AT_ONCE: u32 = 10;
/// How many namespaces are remembered before those are forgotten that have made up for it.
const REMEMBERED: usize = 256;

/// What namespaces have done.
#[derive(Debug, Default)]
pub struct Patience {
    /// When a namespace has made up for all of its broken modules.
    clean: Mutex<HashMap<String, Instant>>,
}

impl Patience {
    /// A namespace brought a broken module.
    pub(super) fn failed(&self, namespace: &str, now: Instant) {
        let mut clean = self.lock();
        if clean.len() >= REMEMBERED {
            clean.retain(|_, at| *at > now);
        }
        let at = clean.entry(namespace.to_owned()).or_insert(now);
        *at = (*at).max(now) + EACH;
    }

    /// For how long a namespace is held back.
    pub fn wait(&self, namespace: &str, now: Instant) -> Duration {
        let clean = self.lock().get(namespace).copied();
        let debt = clean.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        debt.saturating_sub(EACH * AT_ONCE)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        // Nothing between the lock and its end can panic half way.
        self.clean.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_broken_modules_are_free_and_each_further_one_costs_three_seconds() {
        let (patience, now) = (Patience::default(), Instant::now());
        for _ in 0..AT_ONCE {
            patience.failed("hostile", now);
            assert_eq!(patience.wait("hostile", now), Duration::ZERO);
        }
        patience.failed("hostile", now);
        patience.failed("hostile", now);
        assert_eq!(patience.wait("hostile", now), 2 * EACH);
        assert_eq!(patience.wait("modest", now), Duration::ZERO);
        assert_eq!(patience.wait("hostile", now + EACH), EACH);
        assert_eq!(patience.wait("hostile", now + 2 * EACH), Duration::ZERO);
    }

    #[test]
    fn time_that_passes_in_peace_is_not_saved_for_later() {
        let (patience, now) = (Patience::default(), Instant::now());
        patience.failed("hostile", now);
        let later = now + Duration::from_hours(1);
        for _ in 0..=AT_ONCE {
            patience.failed("hostile", later);
        }
        assert_eq!(patience.wait("hostile", later), EACH);
    }

    #[test]
    fn who_has_made_up_for_it_is_forgotten() {
        let (patience, now) = (Patience::default(), Instant::now());
        for number in 0..REMEMBERED {
            patience.failed(&format!("namespace-{number}"), now);
        }
        patience.failed("another", now + EACH);
        assert_eq!(patience.lock().len(), 1);
    }
}
