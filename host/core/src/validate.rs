//! Is what a policy wants allowed.
//!
//! A policy's answer is read like hostile input: nothing of it reaches the cluster before it went
//! through [`validate_decision`]. The default decision and a decision that an annotation remembers
//! go the same way.

mod narrow;
mod rules;

use std::collections::BTreeMap;
use std::fmt;

use ecr_policy_model::{AccountLink, Decision, Request};

use crate::api::{ARGO_SECRET_TYPE, MANAGED_BY, MAX_ACCOUNTS, RESERVED_PREFIX};
pub use narrow::{Guarded, narrowed};
use rules::{is_label_value, is_qualified_name, is_subdomain};

/// How much a decision may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionLimits {
    /// The most labels.
    pub labels: usize,
    /// The most bytes of all annotations, keys and values.
    pub annotation_bytes: usize,
    /// The most service accounts.
    pub accounts: usize,
    /// The most bytes of the whole decision as JSON, which an annotation of the Secret remembers.
    /// Together with `annotation_bytes` it has to stay below the 256 KiB that Kubernetes allows.
    pub decision_bytes: usize,
}

impl Default for DecisionLimits {
    fn default() -> Self {
        Self {
            labels: 64,
            annotation_bytes: 64 * 1024,
            accounts: MAX_ACCOUNTS,
            decision_bytes: 128 * 1024,
        }
    }
}

/// A decision that breaks no rule: labels, annotations and accounts sorted, each key and name once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidDecision(Decision);

impl ValidDecision {
    /// The decision.
    pub fn get(&self) -> &Decision {
        &self.0
    }

    /// The decision, without the proof.
    pub fn into_inner(self) -> Decision {
        self.0
    }
}

impl AsRef<Decision> for ValidDecision {
    fn as_ref(&self) -> &Decision {
        &self.0
    }
}

/// The rule that a decision breaks, and where.
///
/// It prints as one line, for instance `secret_name "a/b": must be an RFC 1123 subdomain …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct InvalidDecision {
    /// The field, with the offending key or value, shortened and escaped.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
}

const SUBDOMAIN: &str = "must be an RFC 1123 subdomain: lower-case letters, digits, '-' and '.', at most 253 characters, \
     letters or digits at the ends of each part";
const QUALIFIED_NAME: &str = "the key must be a name of at most 63 letters, digits, '-', '_' and '.', with an optional DNS \
     subdomain and '/' before it";
const LABEL_VALUE: &str = "the value must be at most 63 letters, digits, '-', '_' and '.', with letters or digits at its ends";

/// Checks a decision against every rule that a Secret and a service account set, and against ours.
///
/// Equal duplicates are merged: of labels and annotations when the values agree, of service accounts
/// always. Accounts that do not exist are fine, because they may come later. The refresh time is not
/// looked at: any is allowed, and clamped later.
///
/// # Errors
/// The first rule that is broken.
pub fn validate_decision(
    decision: &Decision,
    request: &Request,
    limits: &DecisionLimits,
) -> Result<ValidDecision, InvalidDecision> {
    if decision.secret_name.is_empty() {
        let rule = if request.resource.generated_secret_name.is_none() {
            "must not be empty: set spec.generated_secret_name, or let a policy name the Secret"
        } else {
            "must not be empty"
        };
        return Err(invalid("secret_name", None, rule));
    }
    if !is_subdomain(&decision.secret_name) {
        return Err(invalid(
            "secret_name",
            Some(&decision.secret_name),
            SUBDOMAIN,
        ));
    }
    let valid = ValidDecision(Decision {
        secret_name: decision.secret_name.clone(),
        labels: labels(&decision.labels, limits)?,
        annotations: annotations(&decision.annotations, limits)?,
        service_accounts: accounts(&decision.service_accounts, limits)?,
        refresh: decision.refresh,
    });
    let size = serde_json::to_vec(valid.get()).map_or(usize::MAX, |json| json.len());
    if size > limits.decision_bytes {
        let rule = format!(
            "must be at most {} bytes as JSON, but is {size}",
            limits.decision_bytes
        );
        return Err(invalid("decision", None, rule));
    }
    Ok(valid)
}

fn labels(
    labels: &[(String, String)],
    limits: &DecisionLimits,
) -> Result<Vec<(String, String)>, InvalidDecision> {
    let distinct = distinct("labels", labels, limits.labels)?;
    for (key, value) in &distinct {
        allowed_key("labels", key)?;
        if !is_label_value(value) {
            return Err(invalid("labels", Some(key), LABEL_VALUE));
        }
    }
    Ok(distinct.into_iter().collect())
}

fn annotations(
    annotations: &[(String, String)],
    limits: &DecisionLimits,
) -> Result<Vec<(String, String)>, InvalidDecision> {
    let bytes: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > limits.annotation_bytes {
        let rule = format!(
            "must be at most {} bytes together, but are {bytes}",
            limits.annotation_bytes
        );
        return Err(invalid("annotations", None, rule));
    }
    let distinct = distinct("annotations", annotations, usize::MAX)?;
    for key in distinct.keys() {
        allowed_key("annotations", key)?;
    }
    Ok(distinct.into_iter().collect())
}

fn accounts(
    links: &[AccountLink],
    limits: &DecisionLimits,
) -> Result<Vec<AccountLink>, InvalidDecision> {
    const FIELD: &str = "service_accounts";
    let mut merged: BTreeMap<&str, AccountLink> = BTreeMap::new();
    if links.len() > limits.accounts {
        return Err(too_many(FIELD, limits.accounts, links.len()));
    }
    for link in links {
        if !is_subdomain(&link.name) {
            return Err(invalid(
                FIELD,
                Some(&link.name),
                format!("the name {SUBDOMAIN}"),
            ));
        }
        if !link.image_pull && !link.mount {
            return Err(invalid(
                FIELD,
                Some(&link.name),
                "must have at least one use: image-pull or mount",
            ));
        }
        merged
            .entry(&link.name)
            .and_modify(|known| {
                known.image_pull |= link.image_pull;
                known.mount |= link.mount;
            })
            .or_insert_with(|| link.clone());
    }
    Ok(merged.into_values().collect())
}

fn distinct(
    field: &str,
    pairs: &[(String, String)],
    limit: usize,
) -> Result<BTreeMap<String, String>, InvalidDecision> {
    if pairs.len() > limit {
        return Err(too_many(field, limit, pairs.len()));
    }
    let mut distinct = BTreeMap::new();
    for (key, value) in pairs {
        if distinct
            .insert(key.clone(), value.clone())
            .is_some_and(|before| before != *value)
        {
            return Err(invalid(
                field,
                Some(key),
                "the key is there twice, with different values",
            ));
        }
    }
    Ok(distinct)
}

/// Which keys a policy may set: well-formed ones that no part of the cluster takes orders from.
fn allowed_key(field: &str, key: &str) -> Result<(), InvalidDecision> {
    if !is_qualified_name(key) {
        return Err(invalid(field, Some(key), QUALIFIED_NAME));
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Err(invalid(
            field,
            Some(key),
            format!("the prefix {RESERVED_PREFIX} is the operator's"),
        ));
    }
    if key == MANAGED_BY || key == ARGO_SECRET_TYPE {
        return Err(invalid(field, Some(key), "the key is the operator's"));
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_of = |owner: &str| {
        domain
            .strip_suffix(owner)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if domain != "app.kubernetes.io" && (is_of("kubernetes.io") || is_of("k8s.io")) {
        return Err(invalid(
            field,
            Some(key),
            "the prefix is Kubernetes' own; only app.kubernetes.io/ may be used",
        ));
    }
    Ok(())
}

fn too_many(field: &str, limit: usize, found: usize) -> InvalidDecision {
    invalid(
        field,
        None,
        format!("must be at most {limit}, but are {found}"),
    )
}

fn invalid(field: &str, offender: Option<&str>, rule: impl Into<String>) -> InvalidDecision {
    let field = match offender {
        Some(text) => format!("{field} {}", Shortened(text)),
        None => field.to_owned(),
    };
    InvalidDecision {
        field,
        rule: rule.into(),
    }
}

/// A hostile text in one short line.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests;
