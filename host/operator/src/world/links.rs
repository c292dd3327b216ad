//! Which Secrets the service accounts shall name, by what is known of all resources.

use std::collections::{BTreeMap, BTreeSet};

use ecr_policy_model::AccountLink;

use super::{Linked, ResourceFacts, World, newest, secrets_of};

impl World {
    /// The Secrets that a service account shall name, by all resources of its namespace.
    pub fn wanted_links(&self, namespace: &str, account: &str) -> BTreeMap<String, AccountLink> {
        let mut wanted: BTreeMap<String, AccountLink> = BTreeMap::new();
        let resources = [&self.ecr_secrets, &self.argo_secrets]
            .into_iter()
            .flat_map(|cache| cache.in_namespace(namespace));
        for (_, facts) in resources {
            if !self.is_decided(&facts) {
                continue;
            }
            let linked = self.linked(namespace, &facts);
            if linked.secret.is_empty() {
                continue;
            }
            for link in linked.accounts.iter().filter(|link| link.name == account) {
                let entry = wanted
                    .entry(linked.secret.clone())
                    .or_insert_with(|| AccountLink {
                        name: link.name.clone(),
                        ..AccountLink::default()
                    });
                entry.image_pull |= link.image_pull;
                entry.mount |= link.mount;
            }
        }
        wanted
    }

    /// The Secrets of resources that have not been looked at since the start. Their status may be older
    /// than a crash, so nobody knows yet who shall name them: what does, stays.
    pub fn undecided(&self, namespace: &str) -> BTreeSet<String> {
        let resources = [&self.ecr_secrets, &self.argo_secrets]
            .into_iter()
            .flat_map(|cache| cache.in_namespace(namespace));
        let mut secrets = BTreeSet::new();
        for (_, facts) in resources.filter(|(_, facts)| !self.is_decided(facts)) {
            let (owned, _) = secrets_of(self, namespace, &facts.uid);
            secrets.extend(owned.into_iter().map(|secret| secret.name));
            secrets.extend(facts.linked.clone().map(|linked| linked.secret));
        }
        secrets.remove("");
        secrets
    }

    fn is_decided(&self, facts: &ResourceFacts) -> bool {
        let memories = self.lock();
        let memory = memories.get(&facts.uid);
        memory.is_some_and(|memory| memory.linked.is_some() || memory.status.is_some())
    }

    /// The links of a resource: as last decided, else as its status tells, else, when nobody can read
    /// it, as its Secret tells.
    pub fn linked(&self, namespace: &str, facts: &ResourceFacts) -> Linked {
        let memories = self.lock();
        let remembered = memories
            .get(&facts.uid)
            .and_then(|memory| memory.linked.clone());
        drop(memories);
        remembered
            .or_else(|| facts.linked.clone())
            .or_else(|| {
                let secret = newest(secrets_of(self, namespace, &facts.uid).0)?;
                Some(Linked {
                    secret: secret.name,
                    accounts: secret.decision?.service_accounts,
                })
            })
            .unwrap_or_default()
    }
}
