//! Proof that a resource has a valid Secret at every moment, while its Secret moves to another name.
//!
//! Two observers, independent of each other and of the operator. A watch gets every change in its order: between
//! two changes nothing differs, so it is enough that a token lives right before and right after each. And a bare
//! reader lists the Secrets as fast as it can, which is what a pod's kubelet would find at these moments.

use super::tokens;
use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// The pause between two looks: short beside any change, without keeping the API server busy.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the watch may last, in seconds; the API server's own limit is 5 minutes or more.
const WATCH_SECONDS: u32 = 290;

/// Observers at work, until this is dropped.
pub(super) struct Witness {
    record: Arc<Mutex<Record>>,
    observers: JoinSet<()>,
}

/// What was observed.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The Secrets of the resource, each with the end of its token.
    secrets: BTreeMap<String, Timestamp>,
    /// Each change, with its time, as the watch told it.
    pub(super) changes: Vec<(Timestamp, String)>,
    /// How often the reader looked.
    pub(super) looks: u64,
    /// The first thing that speaks against the proof.
    problem: Option<String>,
}

impl Witness {
    /// Begins to observe the Secrets that the resource of this uid owns.
    ///
    /// # Errors
    /// The Secrets cannot be listed, or none of them is valid now.
    pub(super) async fn begin(api: Api<Secret>, owner: String) -> Result<Self> {
        let list = api.list(&ListParams::default()).await;
        let list = list.context("cannot list the Secrets")?;
        let version = list.metadata.resource_version.clone().unwrap_or_default();
        let mut record = Record {
            secrets: owned(&list.items, &owner),
            ..Record::default()
        };
        record.check(Timestamp::now(), "before the change");
        record.problem()?;
        let record = Arc::new(Mutex::new(record));
        let mut observers = JoinSet::new();
        observers.spawn(watch(
            api.clone(),
            owner.clone(),
            version,
            Arc::clone(&record),
        ));
        observers.spawn(look(api, owner, Arc::clone(&record)));
        Ok(Self { record, observers })
    }

    /// The names of the Secrets, as far as the watch has come.
    pub(super) fn names(&self) -> Vec<String> {
        lock(&self.record).secrets.keys().cloned().collect()
    }

    /// Ends the observation.
    ///
    /// # Errors
    /// There was a moment without a valid Secret, or an observer was cut off.
    pub(super) fn end(mut self) -> Result<Record> {
        self.observers.abort_all();
        let record = lock(&self.record).clone();
        record.problem()?;
        if record.looks == 0 || record.changes.is_empty() {
            bail!("the observers of the Secrets saw nothing");
        }
        Ok(record)
    }
}

impl Record {
    fn change(&mut self, now: Timestamp, verb: &str, name: String, token: Option<Timestamp>) {
        self.check(now, "before a change");
        self.changes.push((now, format!("{name} {verb}")));
        match token {
            Some(end) => self.secrets.insert(name, end),
            None => self.secrets.remove(&name),
        };
        self.check(now, "after a change");
    }

    fn check(&mut self, now: Timestamp, when: &str) {
        let valid = is_valid(&self.secrets, now);
        self.note(valid, now, when);
    }

    fn look(&mut self, now: Timestamp, found: &BTreeMap<String, Timestamp>) {
        self.looks += 1;
        self.note(is_valid(found, now), now, "at a look");
    }

    fn note(&mut self, valid: bool, now: Timestamp, when: &str) {
        if !valid {
            self.fail(format!(
                "no Secret of the resource was valid at {now}, {when}"
            ));
        }
    }

    fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn problem(&self) -> Result<()> {
        match &self.problem {
            Some(problem) => bail!("{problem}"),
            None => Ok(()),
        }
    }
}

fn is_valid(secrets: &BTreeMap<String, Timestamp>, now: Timestamp) -> bool {
    secrets.values().any(|end| *end > now)
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Secrets of the owner, each with the end of its token.
fn owned(secrets: &[Secret], owner: &str) -> BTreeMap<String, Timestamp> {
    let found = secrets
        .iter()
        .filter_map(|secret| Some((secret.name_any(), end(secret, owner)?)));
    found.collect()
}

/// When the token in a Secret of the owner ends; none for other Secrets and those without a token of AWS.
fn end(secret: &Secret, owner: &str) -> Option<Timestamp> {
    let mut owners = secret.owner_references().iter();
    owners.find(|reference| reference.uid == owner)?;
    Some(tokens::token(secret)?.expires_at)
}

async fn watch(api: Api<Secret>, owner: String, version: String, record: Arc<Mutex<Record>>) {
    let result = follow(&api, &owner, &version, &record).await;
    let reason = result.err().map_or_else(
        || "the API server ended it".to_owned(),
        |error| error.to_string(),
    );
    lock(&record).fail(format!("the watch on the Secrets was cut off: {reason}"));
}

async fn follow(
    api: &Api<Secret>,
    owner: &str,
    version: &str,
    record: &Mutex<Record>,
) -> Result<()> {
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    let mut events = Box::pin(api.watch(&params, version).await?);
    while let Some(event) = events.try_next().await? {
        let (secret, verb) = match event {
            WatchEvent::Added(secret) => (secret, "created"),
            WatchEvent::Modified(secret) => (secret, "written"),
            WatchEvent::Deleted(secret) => (secret, "deleted"),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(error) => bail!("{}", error.message),
        };
        let token = end(&secret, owner).filter(|_| verb != "deleted");
        let name = secret.name_any();
        let mut record = lock(record);
        if token.is_some() || record.secrets.contains_key(&name) {
            record.change(Timestamp::now(), verb, name, token);
        }
    }
    Ok(())
}

async fn look(api: Api<Secret>, owner: String, record: Arc<Mutex<Record>>) {
    loop {
        match api.list(&ListParams::default()).await {
            // The time after the answer: a token that lives then has lived all the while.
            Ok(list) => lock(&record).look(Timestamp::now(), &owned(&list.items, &owner)),
            Err(error) => lock(&record).fail(format!("cannot list the Secrets: {error}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn with(name: &str, end: i64) -> Record {
        Record {
            secrets: BTreeMap::from([(name.to_owned(), at(end))]),
            ..Record::default()
        }
    }

    #[test]
    fn a_new_secret_before_the_old_one_goes_is_no_gap() {
        let mut record = with("old", 100);
        record.change(at(1), "created", "new".into(), Some(at(200)));
        record.change(at(2), "deleted", "old".into(), None);
        record.look(at(150), &record.secrets.clone());
        assert!(record.problem().is_ok());
        assert_eq!((record.changes.len(), record.looks), (2, 1));
    }

    #[test]
    fn a_deletion_before_the_creation_is_a_gap() {
        let mut record = with("old", 100);
        record.change(at(1), "deleted", "old".into(), None);
        record.change(at(2), "created", "new".into(), Some(at(200)));
        assert!(record.problem().is_err());
    }

    #[test]
    fn a_token_that_died_before_its_renewal_is_a_gap() {
        let mut record = with("old", 100);
        record.change(at(101), "written", "old".into(), Some(at(200)));
        assert!(record.problem().is_err());
    }

    #[test]
    fn a_look_that_finds_nothing_alive_is_a_gap() {
        let mut record = with("old", 100);
        record.look(at(1), &BTreeMap::from([("old".to_owned(), at(1))]));
        assert!(record.problem().is_err());
    }
}
