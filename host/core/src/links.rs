//! Which patch brings a service account's lists up to date.
//!
//! What a user linked by hand stays the user's: it is never removed, and never claimed. So that we
//! know what we may remove, an annotation of the service account holds a ledger of what we added.
//! The answer is an RFC 6902 patch that fails as a whole when the service account has changed since
//! it was read: read again, and ask again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::api::{AccountUse, LINKED};

/// Per name of a Secret, the lists of the service account that name it.
pub type Links = BTreeMap<String, BTreeSet<AccountUse>>;

const USES: [AccountUse; 2] = [AccountUse::ImagePull, AccountUse::Mount];

/// What we linked, as the service account's annotation tells; nothing when it is absent or garbled.
pub fn ledger(meta: &ObjectMeta) -> Links {
    let annotation = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(LINKED));
    annotation
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// The operations that make the service account name exactly the desired Secrets, beside those that
/// somebody else linked; none when it already does.
///
/// The first operation tests `metadata.resourceVersion`, so the rest meets the lists that were read.
pub fn link_patch(account: &ServiceAccount, desired: &Links) -> Option<Vec<Value>> {
    let before = ledger(&account.metadata);
    let mut after = Links::new();
    let mut operations = Vec::new();
    for use_ in USES {
        let entries = entries(account, use_);
        let wanted = |secret: &str| desired.get(secret).is_some_and(|uses| uses.contains(&use_));
        let claimed = |secret: &str| before.get(secret).is_some_and(|uses| uses.contains(&use_));
        let path = path(use_);

        let mut removals = BTreeSet::new();
        for secret in before
            .keys()
            .filter(|secret| claimed(secret) && !wanted(secret))
        {
            // We add the bare name. An entry with more in it has been changed by somebody: it is theirs now.
            removals.extend(
                entries
                    .iter()
                    .position(|entry| entry.bare && entry.name == Some(secret.as_str())),
            );
        }
        // From the end, so that no removal moves the next one.
        operations.extend(
            removals
                .iter()
                .rev()
                .map(|index| json!({ "op": "remove", "path": format!("{path}/{index}") })),
        );

        let mut missing = Vec::new();
        for secret in desired.keys().filter(|secret| wanted(secret)) {
            let present = entries
                .iter()
                .any(|entry| entry.name == Some(secret.as_str()));
            if !present {
                missing.push(json!({ "name": secret }));
            }
            if !present || claimed(secret) {
                after.entry(secret.clone()).or_default().insert(use_);
            }
        }
        if list_exists(account, use_) {
            operations.extend(
                missing.iter().map(
                    |entry| json!({ "op": "add", "path": format!("{path}/-"), "value": entry }),
                ),
            );
        } else if !missing.is_empty() {
            operations.push(json!({ "op": "add", "path": path, "value": missing }));
        }
    }
    operations.extend(ledger_operation(&account.metadata, &after));
    if operations.is_empty() {
        return None;
    }
    // A service account without a version was not read from a cluster: then the test fails there.
    operations.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": account.metadata.resource_version }));
    Some(operations)
}

fn ledger_operation(meta: &ObjectMeta, ledger: &Links) -> Option<Value> {
    let path = format!("/metadata/annotations/{}", escape(LINKED));
    let stored = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(LINKED));
    if ledger.is_empty() {
        return stored.map(|_| json!({ "op": "remove", "path": path }));
    }
    let text = serde_json::to_string(ledger).unwrap_or_default(); // never fails: text keys and unit variants
    if stored == Some(&text) {
        None
    } else if meta.annotations.as_ref().is_none_or(BTreeMap::is_empty) {
        // An empty map is not stored, so there may be nothing to add to.
        Some(json!({ "op": "add", "path": "/metadata/annotations", "value": { LINKED: text } }))
    } else {
        Some(json!({ "op": "add", "path": path, "value": text }))
    }
}

/// An entry of one of the lists.
struct Entry<'a> {
    name: Option<&'a str>,
    /// Whether it has a name and nothing else.
    bare: bool,
}

fn entries(account: &ServiceAccount, use_: AccountUse) -> Vec<Entry<'_>> {
    match use_ {
        AccountUse::ImagePull => account
            .image_pull_secrets
            .iter()
            .flatten()
            .map(|entry| Entry {
                name: Some(&entry.name),
                bare: true,
            })
            .collect(),
        AccountUse::Mount => account
            .secrets
            .iter()
            .flatten()
            .map(|entry| {
                let others = [
                    &entry.api_version,
                    &entry.field_path,
                    &entry.kind,
                    &entry.namespace,
                    &entry.resource_version,
                    &entry.uid,
                ];
                Entry {
                    name: entry.name.as_deref(),
                    bare: others.into_iter().all(Option::is_none),
                }
            })
            .collect(),
    }
}

/// Whether the list is in the stored object: an empty one is not.
fn list_exists(account: &ServiceAccount, use_: AccountUse) -> bool {
    !entries(account, use_).is_empty()
}

fn path(use_: AccountUse) -> &'static str {
    match use_ {
        AccountUse::ImagePull => "/imagePullSecrets",
        AccountUse::Mount => "/secrets",
    }
}

/// A key as part of a JSON pointer (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
