//! OLM installs the bundle that we ship in each install mode.

use crate::catalog::{self, Bundle};
use crate::container::Process;
use crate::credentials::{self, resource};
use crate::subscription::Subscription;
use crate::{World, objects, olm, random_user, until};
use anyhow::{Context, Result, ensure};
use ecr_secret_core::api::LEASE_NAME;
use ecr_secret_core::manifests::WORKLOAD_NAME;
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use std::time::Duration;

/// Where the operator is, in each mode.
const OPERATOR: &str = "operator";
/// Namespaces of a mode.
const PLACES: [&str; 4] = [OPERATOR, "one", "two", "three"];
const MODES: [Mode; 4] = [
    Mode::new("OwnNamespace", &[OPERATOR]),
    Mode::new("SingleNamespace", &["one"]),
    Mode::new("MultiNamespace", &["one", "two"]),
    Mode::new("AllNamespaces", &PLACES),
];
const RESOURCE: &str = "ecr-secret";
const GENERATED: &str = "pull";
const SOON: Duration = Duration::from_secs(30);
/// Far less than the 15 seconds after which a Lease that was not given back may be taken.
const HANDED_OVER: Duration = Duration::from_secs(5);

struct Mode {
    name: &'static str,
    /// Which of the places.
    served: &'static [&'static str],
}

impl Mode {
    const fn new(name: &'static str, served: &'static [&'static str]) -> Self {
        Self { name, served }
    }

    fn namespace(&self, place: &str) -> String {
        format!("{}-{place}", self.name.to_lowercase())
    }

    /// The group's namespaces; none stands for all.
    fn targets(&self) -> Vec<String> {
        if self.name == "AllNamespaces" {
            return Vec::new();
        }
        let served = self.served.iter();
        served.map(|place| self.namespace(place)).collect()
    }

    /// Whether the operator gets its environment later.
    fn is_rolled(&self) -> bool {
        self.name == "OwnNamespace"
    }
}

/// All proofs.
///
/// # Errors
/// The bundle cannot be read.
pub async fn run(world: &World) -> Result<()> {
    let bundle = Bundle::shipped()?;
    let sentence = "OLM runs as pods, and serves a catalog with our bundle";
    let prepared = world.prove(sentence, async {
        olm::install(world).await?;
        catalog::publish(world, &[&bundle]).await
    });
    if prepared.await.is_none() {
        return Ok(());
    }
    for mode in &MODES {
        let subscription = Subscription::new(world, &mode.namespace(OPERATOR));
        let sentence = format!(
            "OLM installs it for {}: Succeeded, and it serves {} and nothing else",
            mode.name,
            mode.served.join(", ")
        );
        let installed = world.prove(&sentence, install(world, &bundle, mode, &subscription));
        if installed.await.is_some() && mode.is_rolled() {
            let sentence = "OLM rolls it to another environment: ready and harmless before, the Lease handed over";
            world.prove(sentence, rolled(world, &subscription)).await;
            one_pod(world, &subscription).await;
        }
        let sentence = format!(
            "OLM takes it away again from {}, and no namespace is stuck",
            mode.name
        );
        let gone = world.prove(&sentence, async {
            subscription.remove().await?;
            let client = world.node.client();
            let names = PLACES.map(|place| mode.namespace(place));
            try_join_all(
                names
                    .iter()
                    .map(|name| objects::delete_namespace(&client, name)),
            )
            .await
        });
        if gone.await.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

async fn install(
    world: &World,
    bundle: &Bundle,
    mode: &Mode,
    subscription: &Subscription<'_>,
) -> Result<()> {
    let client = world.node.client();
    for place in PLACES {
        objects::restricted_namespace(&client, &mode.namespace(place)).await?;
    }
    let environment = if mode.is_rolled() {
        Vec::new()
    } else {
        world.aws_environment()
    };
    subscription
        .create(&mode.targets(), "stable", &environment)
        .await?;
    subscription.wait_for(&bundle.name).await?;
    subscription.wait_for_plans().await?;
    for place in PLACES {
        let resource = resource(&mode.namespace(place), RESOURCE, GENERATED);
        objects::apply(&client, resource).await?;
    }
    for place in mode.served {
        let namespace = mode.namespace(place);
        if mode.is_rolled() {
            let resource = ("Secret", namespace.as_str(), RESOURCE);
            credentials::wait_for_reason(world, resource, ("Ready", "CredentialsMissing")).await?;
        } else {
            credentials::wait_for(world, &namespace, GENERATED, SOON).await?;
        }
    }
    for place in PLACES {
        let namespace = mode.namespace(place);
        let served = mode.served.contains(&place);
        // OLM grants in the operator's own namespace, too.
        let granted = served || place == OPERATOR;
        let rights = may_write_secrets(world, &subscription.namespace, &namespace).await?;
        ensure!(
            rights == granted,
            "it may write Secrets in {namespace}: {rights}"
        );
        let written = credentials::check(world, &namespace, GENERATED)
            .await
            .is_ok();
        ensure!(
            written == (served && !mode.is_rolled()),
            "there is a Secret in {namespace}: {written}"
        );
    }
    Ok(())
}

/// OLM may make the Deployment before it knows the subscription's environment, and then rolls it. Here it does so for sure.
async fn rolled(world: &World, subscription: &Subscription<'_>) -> Result<()> {
    let namespace = subscription.namespace.as_str();
    let before = subscription.pod().await?;
    subscription
        .set_environment(&world.aws_environment())
        .await?;
    let after = until(SOON, "another pod in place of the first", async || {
        let pod = subscription.pod().await?;
        ensure!(
            pod.name_any() != before.name_any(),
            "the first pod is there"
        );
        Ok(pod)
    })
    .await?;
    credentials::wait_for(world, namespace, GENERATED, HANDED_OVER)
        .await
        .context("the Lease was not given back in time")?;
    let leases: Api<Lease> = Api::namespaced(world.node.client(), namespace);
    let lease = leases.get(LEASE_NAME).await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    ensure!(
        holder.as_deref() == Some(after.name_any().as_str()),
        "the Lease is held by {holder:?}"
    );
    Ok(())
}

/// What the machine says about the operator's process.
async fn one_pod(world: &World, subscription: &Subscription<'_>) {
    let user = random_user::user();
    let sentence = format!(
        "kubelet pulled the operator's image and runs it under the restricted profile as user {user}, group 0, without \
         capabilities"
    );
    world
        .prove(&sentence, async {
            let pod = subscription.pod().await?;
            let image = pod.data["status"]["containerStatuses"][0]["imageID"].clone();
            let digest = world.operator_image.rsplit('@').next().unwrap_or_default();
            ensure!(
                image.as_str().is_some_and(|image| image.ends_with(digest)),
                "it runs {image}"
            );
            let process = Process::of(&pod)?;
            let user = user.to_string();
            for (name, wanted) in [
                ("Uid", [user.as_str(); 4].join(" ")),
                ("Gid", "0 0 0 0".to_owned()),
                ("CapEff", "0000000000000000".to_owned()),
                ("NoNewPrivs", "1".to_owned()),
                ("Seccomp", "2".to_owned()),
            ] {
                let found = process.status(name)?;
                ensure!(found == wanted, "{name} is {found}, not {wanted}");
            }
            Ok(())
        })
        .await;
}

async fn may_write_secrets(world: &World, operator: &str, namespace: &str) -> Result<bool> {
    let review = SubjectAccessReview {
        metadata: ObjectMeta::default(),
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{operator}:{WORKLOAD_NAME}")),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("create".to_owned()),
                resource: Some("secrets".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        status: None,
    };
    let reviews: Api<SubjectAccessReview> = Api::all(world.node.client());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
