//! What the steps wait for and look at.

use super::screen::Screen;
use super::stage::{SOON, Stage};
use super::tokens;
use anyhow::{Context, Result, bail, ensure};
use aws_double::Issued;
use ecr_secret_core::api::{ArgoHelmRepoSecret, CONDITION_READY, ConditionStatus, EcrSecret};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::ListParams;

/// Fails unless the resource is ready as it is now, with the condition.
pub(super) fn ready(resource: &EcrSecret) -> Result<()> {
    let status = resource.status.clone().unwrap_or_default();
    ensure!(
        status.observed_generation == resource.metadata.generation,
        "no status yet of the present spec"
    );
    let Some(condition) = status.condition(CONDITION_READY) else {
        bail!("no condition Ready");
    };
    ensure!(
        condition.status == ConditionStatus::True,
        "{}: {}",
        condition.reason,
        condition.message
    );
    Ok(())
}

impl Stage {
    /// Waits until a Secret holds a token that is wanted.
    pub(super) async fn token(
        &self,
        screen: &Screen,
        secret: &str,
        what: &str,
        wanted: impl Fn(&Issued) -> bool,
    ) -> Result<Issued> {
        let api = self.api::<Secret>();
        let probe = async || {
            let found = api.get(secret).await?;
            let token = tokens::token(&found).context("no token of AWS")?;
            ensure!(wanted(&token), "token number {}", token.number);
            Ok(token)
        };
        let what = format!("{what} in the Secret {secret}");
        screen.wait_for(&what, SOON, probe).await
    }

    /// Waits until a resource's status tells the end of this token.
    pub(super) async fn status_tells(
        &self,
        screen: &Screen,
        resource: &str,
        token: &Issued,
    ) -> Result<()> {
        let probe = async || {
            let status = self.api::<EcrSecret>().get(resource).await?.status;
            let told = status.and_then(|status| status.expires_at);
            let told = told.context("no expiry in the status")?.to_string();
            let end: Timestamp = told.parse()?;
            // The status has whole seconds.
            let difference = end.duration_since(token.expires_at).abs();
            ensure!(difference < SignedDuration::from_secs(1), "{told}");
            Ok(())
        };
        screen.wait_for("the status", SOON, probe).await
    }

    /// Waits until a service account names a Secret.
    pub(super) async fn linked(
        &self,
        screen: &Screen,
        account: &str,
        secret: &str,
        mounted: bool,
    ) -> Result<()> {
        let probe = async || {
            let found = self.api::<ServiceAccount>().get(account).await?;
            let mut pull = found.image_pull_secrets.iter().flatten();
            ensure!(pull.any(|one| one.name == secret), "not to pull with");
            let mut mount = found.secrets.iter().flatten();
            let is_mounted = mount.any(|one| one.name.as_deref() == Some(secret));
            ensure!(is_mounted || !mounted, "not to mount");
            Ok(())
        };
        let what = format!("service account {account} to name {secret}");
        screen.wait_for(&what, SOON, probe).await
    }

    pub(super) async fn show_accounts(&self, screen: &Screen, names: &[&str]) -> Result<()> {
        let columns = "custom-columns=NAME:.metadata.name,PULL:.imagePullSecrets[*].name,MOUNT:.secrets[*].name";
        let words = [&["get", "serviceaccounts"], names, &["-o", columns]].concat();
        self.kubectl(screen, &words).await
    }

    pub(super) async fn conditions(&self, screen: &Screen, name: &str) -> Result<()> {
        let path = r#"jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}"#;
        let words = ["get", "ecrsec", name, "-o", path];
        self.kubectl(screen, &words).await
    }

    /// How many resources there are.
    pub(super) async fn count_resources(&self) -> Result<usize> {
        let registries = self.api::<EcrSecret>().list(&ListParams::default()).await?;
        let argo = self.api::<ArgoHelmRepoSecret>();
        let charts = argo.list(&ListParams::default()).await?;
        Ok(registries.items.len() + charts.items.len())
    }
}
