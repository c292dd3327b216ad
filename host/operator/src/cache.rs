//! What the watches have told, by namespace and name.
//!
//! Each cache holds a few facts an object, never the object: no Secret's data, no `managedFields`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

/// Objects by namespace, then by name.
type Objects<T> = HashMap<String, BTreeMap<String, Arc<T>>>;

/// Facts about the objects of one kind.
#[derive(Debug)]
pub struct Cache<T> {
    state: RwLock<State<T>>,
    filled: watch::Sender<bool>,
}

#[derive(Debug)]
struct State<T> {
    current: Objects<T>,
    /// What a new listing has brought so far; it replaces `current` when it is complete.
    incoming: Option<Objects<T>>,
}

/// An object of which the facts changed.
#[derive(Debug)]
pub struct Change<T> {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The facts before; none when it is new.
    pub before: Option<Arc<T>>,
    /// The facts now; none when it is gone.
    pub after: Option<Arc<T>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                current: HashMap::new(),
                incoming: None,
            }),
            filled: watch::channel(false).0,
        }
    }
}

impl<T: PartialEq> Cache<T> {
    /// Takes over what a watch tells, and says what changed by it.
    pub fn apply<K: Resource>(&self, event: Event<K>, facts: impl Fn(&K) -> T) -> Vec<Change<T>> {
        let mut state = self.write();
        match event {
            Event::Init => {
                state.incoming = Some(HashMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let facts = Arc::new(facts(&object));
                insert(
                    state.incoming.get_or_insert_with(HashMap::new),
                    &object,
                    facts,
                );
                Vec::new()
            }
            Event::InitDone => {
                let incoming = state.incoming.take().unwrap_or_default();
                let before = std::mem::replace(&mut state.current, incoming);
                let changes = differences(before, &state.current);
                drop(state);
                self.filled.send_replace(true);
                changes
            }
            Event::Apply(object) => {
                let after = Arc::new(facts(&object));
                let before = insert(&mut state.current, &object, Arc::clone(&after));
                change(&object, before, Some(after)).into_iter().collect()
            }
            Event::Delete(object) => {
                let namespace = object.namespace().unwrap_or_default();
                let before = state
                    .current
                    .get_mut(&namespace)
                    .and_then(|names| names.remove(&object.name_any()));
                if state
                    .current
                    .get(&namespace)
                    .is_some_and(BTreeMap::is_empty)
                {
                    state.current.remove(&namespace);
                }
                change(&object, before, None).into_iter().collect()
            }
        }
    }
}

impl<T> Cache<T> {
    /// The facts about one object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.read().current.get(namespace)?.get(name).cloned()
    }

    /// The facts about a namespace's objects, sorted by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<(String, Arc<T>)> {
        let state = self.read();
        let objects = state.current.get(namespace);
        objects
            .into_iter()
            .flatten()
            .map(|(name, facts)| (name.clone(), Arc::clone(facts)))
            .collect()
    }

    /// The facts about all objects.
    pub fn all(&self) -> Vec<(String, String, Arc<T>)> {
        let state = self.read();
        let objects = state.current.iter();
        objects
            .flat_map(|(namespace, names)| {
                names
                    .iter()
                    .map(move |(name, facts)| (namespace.clone(), name.clone(), Arc::clone(facts)))
            })
            .collect()
    }

    /// Whether a first listing has been complete.
    pub fn is_filled(&self) -> bool {
        *self.filled.borrow()
    }

    /// Waits for the first complete listing.
    pub async fn wait_until_filled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.filled.subscribe().wait_for(|filled| *filled).await;
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert<K: Resource, T>(objects: &mut Objects<T>, object: &K, facts: Arc<T>) -> Option<Arc<T>> {
    objects
        .entry(object.namespace().unwrap_or_default())
        .or_default()
        .insert(object.name_any(), facts)
}

fn change<K: Resource, T: PartialEq>(
    object: &K,
    before: Option<Arc<T>>,
    after: Option<Arc<T>>,
) -> Option<Change<T>> {
    let change = Change {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        before,
        after,
    };
    (change.before != change.after).then_some(change)
}

fn differences<T: PartialEq>(before: Objects<T>, after: &Objects<T>) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    for (namespace, names) in after {
        for (name, facts) in names {
            let old = before
                .get(namespace)
                .and_then(|names| names.get(name))
                .cloned();
            if old.as_ref() != Some(facts) {
                changes.push(Change {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    before: old,
                    after: Some(Arc::clone(facts)),
                });
            }
        }
    }
    for (namespace, names) in before {
        for (name, facts) in names {
            if after
                .get(&namespace)
                .is_none_or(|names| !names.contains_key(&name))
            {
                changes.push(Change {
                    namespace: namespace.clone(),
                    name,
                    before: Some(facts),
                    after: None,
                });
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("ns".into());
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    fn apply(cache: &Cache<String>, event: Event<ConfigMap>) -> Vec<String> {
        cache
            .apply(event, |object| object.resource_version().unwrap())
            .into_iter()
            .map(|change| change.name)
            .collect()
    }

    #[test]
    fn a_cache_is_filled_only_when_the_first_listing_is_complete() {
        let cache = Cache::default();
        apply(&cache, Event::Init);
        apply(&cache, Event::InitApply(object("a", "1")));
        assert!(!cache.is_filled());
        assert_eq!(cache.get("ns", "a"), None);
        assert_eq!(apply(&cache, Event::InitDone), ["a"]);
        assert!(cache.is_filled());
    }

    #[test]
    fn a_second_listing_tells_what_was_missed() {
        let cache = Cache::default();
        for event in [
            Event::Init,
            Event::InitApply(object("same", "1")),
            Event::InitApply(object("gone", "1")),
            Event::InitDone,
        ] {
            apply(&cache, event);
        }
        apply(&cache, Event::Init);
        apply(&cache, Event::InitApply(object("same", "1")));
        assert!(
            cache.get("ns", "gone").is_some(),
            "the old listing serves until the new one is complete"
        );
        apply(&cache, Event::InitApply(object("new", "2")));
        let mut changed = apply(&cache, Event::InitDone);
        changed.sort();
        assert_eq!(changed, ["gone", "new"]);
    }

    #[test]
    fn an_event_that_changes_no_fact_is_no_change() {
        let cache = Cache::default();
        assert_eq!(apply(&cache, Event::Apply(object("a", "1"))), ["a"]);
        assert!(apply(&cache, Event::Apply(object("a", "1"))).is_empty());
        assert_eq!(apply(&cache, Event::Delete(object("a", "1"))), ["a"]);
        assert!(apply(&cache, Event::Delete(object("a", "1"))).is_empty());
    }
}
