//! The API types of the group `ecr.mobb.redhat.com`, and one view on both kinds.
//!
//! Spec fields are `snake_case` and status fields are `camelCase`, as in the API that this one is
//! compatible with. The CRDs come from [`crate::manifests::crds`], which loosens what the derive
//! macros make too strict for stored resources; do not use `CustomResourceExt::crd` directly.

mod names;
mod spec;
mod status;
mod time;

pub use names::*;
pub use spec::*;
pub use status::*;
pub use time::Time;

use ecr_policy_model::{AccountLink, ResourceKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// What both kinds have in common, so that all judgement is written once.
pub trait CredentialResource:
    kube::Resource<DynamicType = ()>
    + Clone
    + DeserializeOwned
    + Serialize
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// The kind, as a policy and the renderer know it.
    fn model_kind() -> ResourceKind;
    /// The spec, with empty texts read as absent ones.
    fn view(&self) -> SpecView<'_>;
    /// The stored status.
    fn status(&self) -> Option<&Status>;
}

/// The spec of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpecView<'a> {
    /// `ecr_registry` or `url`, as the user wrote it; empty when the user wrote nothing.
    pub registry: &'a str,
    /// `region`.
    pub region: Option<&'a str>,
    /// `generated_secret_name`.
    pub generated_secret_name: Option<&'a str>,
    /// `frequency`, not yet parsed.
    pub frequency: Option<&'a str>,
    /// `policy`.
    pub policy: Option<&'a PolicyRef>,
    /// `service_accounts`.
    pub service_accounts: &'a [AccountRef],
    /// `adopt`.
    pub adopt: bool,
    /// `suspend`.
    pub suspend: bool,
}

impl SpecView<'_> {
    /// `service_accounts` as a policy and the default decision see them.
    pub fn account_links(&self) -> Vec<AccountLink> {
        self.service_accounts
            .iter()
            .map(AccountLink::from)
            .collect()
    }
}

impl From<&AccountRef> for AccountLink {
    fn from(account: &AccountRef) -> Self {
        Self {
            name: account.name.clone(),
            image_pull: account.uses.contains(&AccountUse::ImagePull),
            mount: account.uses.contains(&AccountUse::Mount),
        }
    }
}

impl From<&AccountLink> for AccountRef {
    fn from(link: &AccountLink) -> Self {
        let uses = [
            (link.image_pull, AccountUse::ImagePull),
            (link.mount, AccountUse::Mount),
        ];
        Self {
            name: link.name.clone(),
            uses: uses
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, use_)| use_)
                .collect(),
        }
    }
}

macro_rules! credential_resource {
    ($resource:ident, $kind:ident, $registry:ident) => {
        impl CredentialResource for $resource {
            fn model_kind() -> ResourceKind {
                ResourceKind::$kind
            }

            fn view(&self) -> SpecView<'_> {
                let spec = &self.spec;
                SpecView {
                    registry: spec.$registry.as_deref().unwrap_or_default(),
                    region: present(spec.region.as_deref()),
                    generated_secret_name: present(spec.generated_secret_name.as_deref()),
                    frequency: present(spec.frequency.as_deref()),
                    policy: spec.policy.as_ref(),
                    service_accounts: &spec.service_accounts,
                    adopt: spec.adopt,
                    suspend: spec.suspend,
                }
            }

            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        }
    };
}

credential_resource!(EcrSecret, Secret, ecr_registry);
credential_resource!(ArgoHelmRepoSecret, ArgoHelmRepoSecret, url);

fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Reads an explicit null as the field's default. The API server lets null pass where a field is nullable.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
