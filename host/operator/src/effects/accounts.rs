//! Links service accounts to Secrets, and unlinks them.
//!
//! What an account shall name is computed from all resources of its namespace, so a deletion that
//! nobody saw heals at the next look. Writers of one account take turns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ecr_policy_model::AccountLink;
use ecr_secret_core::api::{AccountUse, FIELD_MANAGER};
use ecr_secret_core::links::{Links, ledger, link_patch};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;

use crate::world::World;

/// How often a patch that met another writer is tried again at once.
const ATTEMPTS: usize = 5;

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// The account names what it shall.
    Done,
    /// There is no such account.
    Missing,
    /// The API server refused, with why.
    Failed(String),
}

/// The accounts that have been looked at.
#[derive(Debug, Default)]
pub struct Accounts {
    known: Mutex<HashMap<(String, String), Turn>>,
}

/// Writers of one account wait for it; it holds the last state that was seen to be right.
type Turn = Arc<tokio::sync::Mutex<Option<Verified>>>;

/// The last state of an account that was found or made right.
#[derive(Debug, PartialEq)]
struct Verified {
    resource_version: String,
    wanted: BTreeMap<String, AccountLink>,
}

impl Accounts {
    /// Brings one account up to date with what the namespace's resources want.
    pub async fn sync(
        &self,
        client: &Client,
        world: &World,
        namespace: &str,
        name: &str,
    ) -> Synced {
        let turn = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                known
                    .entry((namespace.to_owned(), name.to_owned()))
                    .or_default(),
            )
        };
        let mut verified = turn.lock().await;
        let Some(facts) = world.accounts.get(namespace, name) else {
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&(namespace.to_owned(), name.to_owned()));
            return Synced::Missing;
        };
        let wanted = world.wanted_links(namespace, name);
        let undecided = world.undecided(namespace);
        let nothing_ever = wanted.is_empty() && !facts.has_ledger;
        let unchanged = verified.as_ref().is_some_and(|verified| {
            verified.resource_version == facts.resource_version && verified.wanted == wanted
        });
        if nothing_ever || unchanged {
            return Synced::Done;
        }
        match bring_up_to_date(client, namespace, name, &wanted, &undecided).await {
            Ok(Some(resource_version)) => {
                *verified = undecided.is_empty().then_some(Verified {
                    resource_version,
                    wanted,
                });
                Synced::Done
            }
            Ok(None) => Synced::Missing,
            Err(error) => Synced::Failed(reason(&error)),
        }
    }
}

async fn bring_up_to_date(
    client: &Client,
    namespace: &str,
    name: &str,
    wanted: &BTreeMap<String, AccountLink>,
    undecided: &BTreeSet<String>,
) -> kube::Result<Option<String>> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let mut attempt = 0;
    loop {
        let Some(account) = api.get_opt(name).await? else {
            return Ok(None);
        };
        let mut desired: Links = ledger(&account.metadata);
        desired.retain(|secret, _| undecided.contains(secret));
        desired.extend(
            wanted
                .iter()
                .map(|(secret, link)| (secret.clone(), uses(link))),
        );
        let Some(operations) = link_patch(&account, &desired) else {
            return Ok(account.metadata.resource_version);
        };
        let operations =
            serde_json::from_value(Value::Array(operations)).map_err(kube::Error::SerdeError)?;
        let patch: Patch<ServiceAccount> = Patch::Json(operations);
        match api.patch(name, &params, &patch).await {
            Ok(patched) => return Ok(patched.metadata.resource_version),
            // The guard of the patch failed, or the object is gone: somebody else was faster.
            Err(kube::Error::Api(status))
                if matches!(status.code, 404 | 409 | 422) && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn uses(link: &AccountLink) -> std::collections::BTreeSet<AccountUse> {
    let uses = [
        (link.image_pull, AccountUse::ImagePull),
        (link.mount, AccountUse::Mount),
    ];
    uses.into_iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, use_)| use_)
        .collect()
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
