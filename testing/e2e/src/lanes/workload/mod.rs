//! Workloads: what pods, builds, Helm and Argo CD do with generated Secrets, and how one manifest and Helm install the operator
//! and take it away. Commands are those of the documents, wherever a document has them.

mod argo;
mod build;
mod charts;
mod checkup;
mod door;
mod helm;
mod identity;
mod installation;
mod manifest;
mod pods;
mod pull;
mod tenant;
mod user;

use crate::World;
use anyhow::Result;
use user::User;

/// Programs that only these lanes need.
pub const PROGRAMS: &[&str] = &["argo-repository", "helm", "openshift-check"];

/// A document, and the words in it after which there are commands.
type Place = (&'static str, &'static str);

const INSTALL: Place = ("README.md", "## For the administrator: install");
const IAM_USER: Place = ("README.md", "**An IAM user.**");
const STS_ROLE: Place = ("README.md", "**A role by STS web identity.**");
const IS_IT_WELL: Place = ("docs/install/README.md", "## Is it well?");
const SAMPLE: Place = ("README.md", "## For the tenant: use");
const LINK: Place = ("README.md", "**Link it.**");
const ARGO: Place = ("README.md", "**Argo CD.**");
const POLICY: Place = ("README.md", "Build the ones that are there");
const HELM_INSTALL: Place = ("deploy/chart/README.md", "## Install");
const HELM_UNINSTALL: Place = ("docs/uninstall.md", "**Helm:**");
const MANIFEST_UNINSTALL: Place = ("docs/uninstall.md", "**One manifest.**");
const DELETE_CRDS: Place = ("docs/uninstall.md", "## 3. The CRDs");

/// All lanes of this folder.
///
/// # Errors
/// Something went wrong outside of a proof.
pub async fn run(world: &World) -> Result<()> {
    let user = User::new(world).await?;
    let before = installation::clear(&user).await?;
    if manifest::install(&user).await.is_some() && pull::sample(&user).await.is_some() {
        checkup::is_well(&user).await;
        checkup::who_may_use_it(&user).await;
        pull::policy(&user).await;
        pull::pods(&user).await;
        build::run(&user).await;
        if charts::run(&user).await.is_some() {
            argo::run(&user).await;
        }
        identity::run(&user).await;
    }
    manifest::uninstall(&user, &before).await?;
    helm::run(&user, &before).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_place_that_the_lanes_name_has_commands() {
        for place in [
            INSTALL,
            IAM_USER,
            STS_ROLE,
            IS_IT_WELL,
            SAMPLE,
            LINK,
            ARGO,
            POLICY,
            HELM_INSTALL,
            HELM_UNINSTALL,
            MANIFEST_UNINSTALL,
            DELETE_CRDS,
        ] {
            let commands = user::commands(place).unwrap();
            assert!(
                commands.contains("kubectl") || commands.contains("helm"),
                "{place:?}"
            );
        }
    }
}
