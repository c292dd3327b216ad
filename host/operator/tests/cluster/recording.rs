//! What the cluster's watchers saw, in the order in which it happened.
//!
//! Secrets and service accounts come in watches of their own. The resource versions of one control plane
//! are the revisions of one etcd, so sorting by them gives the one true order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::support::{SOON, Stage, eventually, is_alive, lists};

/// Records from the moment it is made.
pub(crate) struct Recording {
    seen: Arc<Mutex<BTreeMap<u64, Seen>>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// A Secret is there; whether its password is a token of AWS that lives.
    Secret {
        name: String,
        valid: bool,
    },
    SecretGone {
        name: String,
    },
    /// What the lists of an account name.
    Account {
        name: String,
        pull: Vec<String>,
        mount: Vec<String>,
    },
}

impl Recording {
    pub(crate) async fn start(stage: &Stage) -> Self {
        let seen: Arc<Mutex<BTreeMap<u64, Seen>>> = Arc::default();
        let secrets = record(
            stage.secrets(),
            Arc::clone(&seen),
            |secret: &Secret, gone| {
                if secret.type_.as_deref() != Some("kubernetes.io/dockerconfigjson") {
                    return None;
                }
                let name = secret.name_any();
                Some(if gone {
                    Seen::SecretGone { name }
                } else {
                    Seen::Secret {
                        name,
                        valid: is_alive(secret),
                    }
                })
            },
        );
        let accounts = record(
            stage.accounts(),
            Arc::clone(&seen),
            |account: &ServiceAccount, _| {
                let (pull, mount) = lists(account);
                Some(Seen::Account {
                    name: account.name_any(),
                    pull,
                    mount,
                })
            },
        );
        let tasks = vec![secrets.await, accounts.await];
        Self { seen, tasks }
    }

    /// Waits until this has been seen.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Seen) -> bool) {
        eventually(SOON, what, || async {
            self.all().iter().any(&wanted).then_some(())
        })
        .await;
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().values().cloned().collect()
    }

    /// Asserts that from the first valid Secret on there always was one, and that from its first link on
    /// the account always named a valid one, in both lists if `mounted`.
    pub(crate) fn assert_no_gap(&self, account: &str, mounted: bool) {
        let (mut valid, mut had_one, mut linked) = (BTreeSet::new(), false, false);
        let mut named: (Vec<String>, Vec<String>) = Default::default();
        for (step, seen) in self.all().into_iter().enumerate() {
            match &seen {
                Seen::Secret { name, valid: true } => {
                    valid.insert(name.clone());
                }
                Seen::Secret { name, valid: false } | Seen::SecretGone { name } => {
                    valid.remove(name);
                }
                Seen::Account { name, pull, mount } if name == account => {
                    named = (pull.clone(), mount.clone());
                }
                Seen::Account { .. } => {}
            }
            had_one |= !valid.is_empty();
            assert!(
                !had_one || !valid.is_empty(),
                "step {step}, {seen:?}: no valid Secret any more\n{:#?}",
                self.all()
            );
            let good = |list: &[String]| list.iter().any(|name| valid.contains(name));
            let now = good(&named.0) && (good(&named.1) || !mounted);
            linked |= now;
            assert!(
                !linked || now,
                "step {step}, {seen:?}: {account} names no valid Secret\n{:#?}",
                self.all()
            );
        }
        assert!(
            had_one && (linked || account.is_empty()),
            "the recording saw nothing to judge: {:#?}",
            self.all()
        );
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn record<K>(
    api: Api<K>,
    seen: Arc<Mutex<BTreeMap<u64, Seen>>>,
    read: impl Fn(&K, bool) -> Option<Seen> + Send + 'static,
) -> JoinHandle<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let note = move |object: &K, gone: bool| {
        if let Some(entry) = read(object, gone) {
            let version = object.resource_version().unwrap().parse().unwrap();
            seen.lock().unwrap().insert(version, entry);
        }
    };
    let list = api.list(&ListParams::default()).await.unwrap();
    for object in &list {
        note(object, false);
    }
    let version = list.metadata.resource_version.unwrap();
    let mut events = api
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event.expect("the watch goes on") {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => note(&object, false),
                WatchEvent::Deleted(object) => note(&object, true),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(error) => panic!("the watch ended: {error}"),
            }
        }
    })
}
