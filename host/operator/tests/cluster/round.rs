//! One resource with two linked service accounts, and how it looks when nothing was lost or doubled.

use ecr_secret_core::api::LINKED;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually, is_alive, lists, spec};

/// One resource and the two accounts that it links.
pub(crate) struct Round {
    pub(crate) resource: String,
    pub(crate) builder: String,
    pub(crate) deployer: String,
}

impl Round {
    pub(crate) async fn new(stage: &Stage, number: usize) -> Self {
        let round = Self {
            resource: format!("r{number}"),
            builder: format!("builder{number}"),
            deployer: format!("deployer{number}"),
        };
        stage.create_account(&round.builder, &[]).await;
        stage.create_account(&round.deployer, &[]).await;
        round
    }

    pub(crate) fn spec(&self, secret: &str) -> Value {
        let mut spec = spec(secret);
        spec["service_accounts"] = json!([
            { "name": self.builder, "use": ["ImagePull", "Mount"] },
            { "name": self.deployer, "use": ["ImagePull"] },
        ]);
        spec
    }

    /// Waits until everything is as it shall be: one Secret, linked once, told by the status.
    pub(crate) async fn is_settled(&self, stage: &Stage, secret: &str) {
        eventually(
            SOON,
            &format!("{} is settled with {secret}", self.resource),
            || async {
                let wrong = self.what_is_wrong(stage, secret).await?;
                if wrong.is_empty() {
                    Ok(())
                } else {
                    Err(wrong.join("; "))
                }
            },
        )
        .await;
    }

    async fn what_is_wrong(&self, stage: &Stage, secret: &str) -> Result<Vec<String>, String> {
        let text = |error: kube::Error| error.to_string();
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                wrong.push(what);
            }
        };
        let resource = stage.resources().get(&self.resource).await.map_err(text)?;
        let owned: Vec<_> = stage
            .secrets()
            .list(&ListParams::default())
            .await
            .map_err(text)?
            .items;
        let owned: Vec<_> = owned
            .into_iter()
            .filter(|candidate| {
                candidate
                    .owner_references()
                    .iter()
                    .any(|owner| Some(&owner.uid) == resource.metadata.uid.as_ref())
            })
            .collect();
        let names: Vec<String> = owned.iter().map(ResourceExt::name_any).collect();
        expect(names == [secret], format!("it owns {names:?}"));
        expect(
            owned.iter().all(is_alive),
            "its token is no living one".to_owned(),
        );

        let builder = stage.accounts().get(&self.builder).await.map_err(text)?;
        let deployer = stage.accounts().get(&self.deployer).await.map_err(text)?;
        let one = vec![secret.to_owned()];
        expect(
            lists(&builder) == (one.clone(), one.clone()),
            format!("builder names {:?}", lists(&builder)),
        );
        expect(
            lists(&deployer) == (one.clone(), Vec::new()),
            format!("deployer names {:?}", lists(&deployer)),
        );
        for (account, uses) in [
            (&builder, json!(["ImagePull", "Mount"])),
            (&deployer, json!(["ImagePull"])),
        ] {
            let ledger: Option<Value> = account
                .annotations()
                .get(LINKED)
                .and_then(|text| serde_json::from_str(text).ok());
            expect(
                ledger == Some(json!({ secret: uses })),
                format!("the ledger of {} is {ledger:?}", account.name_any()),
            );
        }

        let generation = resource.metadata.generation;
        let status = resource.status.unwrap_or_default();
        let seen = || serde_json::to_string(&status).unwrap();
        let ready = status.condition("Ready").map(|ready| {
            (
                ready.status.as_str() == "True",
                ready.reason.clone(),
                ready.observed_generation,
            )
        });
        expect(
            ready == Some((true, "Refreshed".to_owned(), generation)),
            format!("Ready is {ready:?}"),
        );
        expect(
            status
                .condition("Linked")
                .is_some_and(|linked| linked.status.as_str() == "True"),
            "Linked is not true".to_owned(),
        );
        expect(
            status.observed_generation == generation
                && status.generated_secret_name.as_deref() == Some(secret),
            format!("the status tells {}", seen()),
        );
        expect(
            status.phase.as_deref() == Some("Updated") && status.last_updated_time.is_some(),
            format!("phase or lastUpdatedTime is missing: {}", seen()),
        );
        expect(
            status.expires_at.is_some() && status.next_refresh_time < status.expires_at,
            format!("times are missing: {}", seen()),
        );
        expect(
            status.service_accounts.len() == 2,
            format!("the accounts are missing: {}", seen()),
        );
        Ok(wrong)
    }

    /// An event is written after the status that it tells of: a crash between both loses it, but never doubles it.
    pub(crate) async fn has_at_most_one_event(&self, stage: &Stage) {
        let events = stage.events(&self.resource).await;
        assert!(
            events.len() <= 1 && events.iter().all(|(_, count)| *count == 1),
            "{events:?}"
        );
    }

    /// Waits for the last effect of a creation.
    pub(crate) async fn is_told(&self, stage: &Stage, secret: &str) {
        self.is_settled(stage, secret).await;
        let told = || async { (!stage.events(&self.resource).await.is_empty()).then_some(()) };
        eventually(SOON, "an event", told).await;
    }
}
