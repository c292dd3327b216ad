//! The policies in use, found by the digest of their module.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Engine, LoadError, Policy, digest};

/// Loaded policies by digest. Holds at most a fixed number, and drops the one that was not used for the
/// longest time; who still has a clone of it can go on using it.
///
/// Two threads that load the same module at the same time both compile it; one result is kept.
#[derive(Debug)]
pub struct PolicyCache {
    capacity: NonZeroUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<String, (u64, Policy)>,
    /// Counts the uses; an entry's number is that of its last use.
    uses: u64,
}

impl PolicyCache {
    /// An empty cache for `capacity` policies.
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            entries: Mutex::default(),
        }
    }

    /// The policy of a digest in lower-case hex, if it is here.
    pub fn get(&self, digest: &str) -> Option<Policy> {
        let mut entries = self.lock();
        entries.uses += 1;
        let now = entries.uses;
        let (used, policy) = entries.by_digest.get_mut(digest)?;
        *used = now;
        Some(policy.clone())
    }

    /// Adds a policy. If it is here already, the one that is here stays.
    pub fn insert(&self, policy: Policy) {
        let mut entries = self.lock();
        entries.uses += 1;
        let now = entries.uses;
        let digest = policy.digest().to_owned();
        entries.by_digest.entry(digest).or_insert((now, policy)).0 = now;
        while entries.by_digest.len() > self.capacity.get() {
            let oldest = entries.by_digest.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else {
                break;
            };
            entries.by_digest.remove(&oldest);
        }
    }

    /// The policy of a module, loaded if it is not here. Blocks as [`Engine::load`] does when it is not.
    ///
    /// # Errors
    /// As [`Engine::load`]. A failure is not kept.
    pub fn get_or_load(&self, engine: &Engine, bytes: &[u8]) -> Result<Policy, LoadError> {
        if let Some(policy) = self.get(&digest(bytes)) {
            return Ok(policy);
        }
        // Not under the lock: one tenant's compilation must not hold up the others.
        let policy = engine.load(bytes)?;
        self.insert(policy.clone());
        Ok(policy)
    }

    /// How many policies are here.
    pub fn len(&self) -> usize {
        self.lock().by_digest.len()
    }

    /// Whether none is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // The map is whole between any two statements, so a poisoned lock is as good as any.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
