//! The policies in use, found by the digest of their module.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::Policy;

/// Loaded policies by digest. Holds machine code up to a number of bytes, and drops what was not used for the
/// longest time; who still has a clone of it can go on using it. A single policy that is larger is kept alone.
#[derive(Debug)]
pub struct PolicyCache {
    bytes: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<String, (u64, Policy)>,
    /// The machine code of all entries.
    bytes: usize,
    /// Counts the uses; an entry's number is that of its last use.
    uses: u64,
}

impl PolicyCache {
    /// An empty cache for so many bytes of machine code.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
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
        let mut guard = self.lock();
        let entries = &mut *guard;
        entries.uses += 1;
        let now = entries.uses;
        let digest = policy.digest().to_owned();
        let code_bytes = policy.code_bytes();
        match entries.by_digest.entry(digest) {
            Entry::Occupied(mut here) => here.get_mut().0 = now,
            Entry::Vacant(place) => {
                place.insert((now, policy));
                entries.bytes += code_bytes;
            }
        }
        while entries.bytes > self.bytes && entries.by_digest.len() > 1 {
            let oldest = entries.by_digest.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else {
                break;
            };
            if let Some((_, gone)) = entries.by_digest.remove(&oldest) {
                entries.bytes -= gone.code_bytes();
            }
        }
    }

    /// Drops the policy of a digest: nobody needs it any more.
    pub fn remove(&self, digest: &str) {
        let mut entries = self.lock();
        if let Some((_, gone)) = entries.by_digest.remove(digest) {
            entries.bytes -= gone.code_bytes();
        }
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
