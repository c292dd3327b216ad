//! The steps of the demo. Each waits for what it promises, and none for a fixed time.

use super::screen::Screen;
use super::stage::{SOON, Stage};
use super::wait::ready;
use super::witness::{Record, Witness};
use crate::workspace::{self, shown};
use anyhow::{Context, Result, bail, ensure};
use aws_double::{Action, Issued};
use ecr_secret_core::api::{EcrSecret, REFRESH_REQUESTED_AT};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;
use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

/// How long a token lives while its renewal is shown. Its last eighth must suffice for the renewal on a busy machine.
const SHORT_LIFE: Duration = Duration::from_secs(24);
/// A request for a refresh is answered with a token that is younger than two seconds.
const SURELY_OLD: SignedDuration = SignedDuration::from_secs(3);

const SAMPLE: &str = "ecr-secret";
const SAMPLE_SECRET: &str = "ecr-docker-secret";
const LINKED_SECRET: &str = "ecr-linked";
const WITH_POLICY: &str = "with-policy";
const POLICY: &str = "ecr-policy";
const LABELLED: &str = "build-robot";
const MOVED_SECRET: &str = "ecr-by-label";

/// Samples that have a step of their own, or need what only OpenShift has.
const NAMESPACE_SAMPLE: &str = "namespace.yaml";
const POLICY_SAMPLE: &str = "policy.yaml";
const BUILD_SAMPLE: &str = "build-config.yaml";
const BUILD_GROUP: &str = "build.openshift.io";

/// Shows all steps; what is worth to be said again at the end.
pub(super) async fn tell(stage: &Stage, screen: &mut Screen) -> Result<String> {
    let mut facts = String::new();
    // Writing to a String does not fail.
    let seconds = secret_appears(stage, screen).await?;
    let _ = writeln!(
        facts,
        "Secret there          {seconds:.1} s after kubectl was started"
    );
    accounts_are_linked(stage, screen).await?;
    status_and_events(stage, screen).await?;
    let margin = token_is_renewed(stage, screen).await?;
    let _ = writeln!(
        facts,
        "token renewed         {margin:.1} s before its end, without a request"
    );
    let former = policy_decides(stage, screen).await?;
    let record = policy_is_replaced(stage, screen, &former).await?;
    let _ = writeln!(
        facts,
        "Secret moved          valid at {} looks and around {} changes, no gap",
        record.looks,
        record.changes.len()
    );
    let resources = stage.count_resources().await?;
    let calls = stage.aws.counts().of(Action::EcrGetAuthorizationToken);
    let total = stage.aws.counts().total();
    let _ = writeln!(
        facts,
        "calls to AWS          {total}, of them {calls} GetAuthorizationToken, for {resources} resources"
    );
    Ok(facts)
}

async fn secret_appears(stage: &Stage, screen: &mut Screen) -> Result<f64> {
    screen.step("1. The Secret appears");
    screen.say("A tenant applies the samples; each names a registry, a region and a Secret.");
    let samples = samples(stage.has_group(BUILD_GROUP).await?)?;
    let mut words = vec!["apply"];
    for sample in &samples {
        words.extend(["-f", sample]);
    }
    let started = Instant::now();
    stage.kubectl(screen, &words).await?;
    stage
        .token(screen, SAMPLE_SECRET, "a token", |_| true)
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    screen.say(format!("The Secret {SAMPLE_SECRET} is there."));
    let words = ["get", "secret", SAMPLE_SECRET];
    stage.kubectl(screen, &words).await?;
    Ok(seconds)
}

/// The sample manifests that are applied at once.
fn samples(openshift: bool) -> Result<Vec<String>> {
    let directory = workspace::root().join("samples");
    let files = fs::read_dir(&directory)
        .with_context(|| format!("cannot read {}", shown(&directory)))?
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = files
        .iter()
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| ![NAMESPACE_SAMPLE, POLICY_SAMPLE].contains(&name.as_str()))
        .filter(|name| openshift || name != BUILD_SAMPLE)
        .map(|name| format!("samples/{name}"))
        .collect();
    names.sort();
    Ok(names)
}

async fn accounts_are_linked(stage: &Stage, screen: &mut Screen) -> Result<()> {
    screen.step("2. The Secret is linked to service accounts");
    screen.say("samples/linked-accounts.yaml names `default` and OpenShift's `builder`.");
    if stage
        .api::<ServiceAccount>()
        .get_opt("builder")
        .await?
        .is_none()
    {
        screen.say("`builder` is not there yet; it is linked when it appears.");
        let words = ["create", "serviceaccount", "builder"];
        stage.kubectl(screen, &words).await?;
    }
    stage
        .linked(screen, "default", LINKED_SECRET, false)
        .await?;
    stage.linked(screen, "builder", LINKED_SECRET, true).await?;
    stage.show_accounts(screen, &["default", "builder"]).await
}

async fn status_and_events(stage: &Stage, screen: &mut Screen) -> Result<()> {
    screen.step("3. The status and the events");
    let words = [
        "wait",
        "ecr",
        "--all",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    stage.kubectl(screen, &words).await?;
    stage.kubectl(screen, &["get", "ecr"]).await?;
    stage.conditions(screen, "linked").await?;
    let events = stage.api::<Event>();
    let probe = async || {
        let list = events.list(&ListParams::default()).await?;
        let about = |event: &Event| {
            let object = event.regarding.as_ref();
            object.and_then(|object| object.name.as_deref()) == Some(SAMPLE)
        };
        ensure!(list.items.iter().any(about), "{} others", list.items.len());
        Ok(())
    };
    screen.wait_for("an event", SOON, probe).await?;
    stage
        .kubectl(screen, &["get", "events.events.k8s.io"])
        .await
}

/// Shows a renewal; how many seconds before the former token's end.
async fn token_is_renewed(stage: &Stage, screen: &mut Screen) -> Result<f64> {
    screen.step("4. The token nears its end and is renewed");
    let life = stage.aws.settings().token_life;
    stage.aws.set_token_life(SHORT_LIFE);
    screen.say(format!(
        "From now on AWS gives out tokens that live {} s instead of {} h. A request fetches the first one:",
        SHORT_LIFE.as_secs(),
        life.as_secs() / 3600
    ));
    let old = |token: &Issued| Timestamp::now().duration_since(token.issued_at) > SURELY_OLD;
    stage
        .token(
            screen,
            SAMPLE_SECRET,
            "a token old enough to be refreshed",
            old,
        )
        .await?;
    let request = format!("{REFRESH_REQUESTED_AT}={}", Timestamp::now());
    let words = ["annotate", "ecrsec", SAMPLE, &request];
    stage.kubectl(screen, &words).await?;
    let limit = SignedDuration::try_from(SHORT_LIFE)?;
    let short = |token: &Issued| token.expires_at.duration_since(token.issued_at) <= limit;
    let first = stage
        .token(screen, SAMPLE_SECRET, "a token of short life", short)
        .await?;
    stage.status_tells(screen, SAMPLE, &first).await?;
    stage.kubectl(screen, &["get", "ecrsec", SAMPLE]).await?;
    screen
        .say("Nobody asks again. The operator renews it by itself, before the last eighth of its life is over:");
    let other = |token: &Issued| token.number != first.number;
    let second = stage
        .token(screen, SAMPLE_SECRET, "the next token", other)
        .await?;
    // What is fetched from here on is for the day.
    stage.aws.set_token_life(life);
    stage.status_tells(screen, SAMPLE, &second).await?;
    stage.kubectl(screen, &["get", "ecrsec", SAMPLE]).await?;
    for (name, token) in [("old", &first), ("new", &second)] {
        screen.output(&format!(
            "{name} token: number {}, issued {:.0}, expires {:.0}",
            token.number, token.issued_at, token.expires_at
        ));
    }
    let margin = first.expires_at.duration_since(second.issued_at);
    ensure!(
        margin.is_positive(),
        "the token was renewed after its end, at {}",
        second.issued_at
    );
    Ok(margin.as_secs_f64())
}

/// Shows a policy at work; the name that it chose.
async fn policy_decides(stage: &Stage, screen: &mut Screen) -> Result<String> {
    screen.step("5. A WebAssembly policy chooses the name");
    screen.say("The module team-prefix goes into a ConfigMap; samples/policy.yaml names the ConfigMap and no Secret.");
    let module = module("team-prefix");
    let words = ["create", "configmap", POLICY, &module];
    stage.kubectl(screen, &words).await?;
    let sample = format!("samples/{POLICY_SAMPLE}");
    stage.kubectl(screen, &["apply", "-f", &sample]).await?;
    let probe = async || {
        let resource = stage.api::<EcrSecret>().get(WITH_POLICY).await?;
        ready(&resource)?;
        let status = resource.status.unwrap_or_default();
        status.generated_secret_name.context("no Secret yet")
    };
    let name = screen.wait_for("the policy's Secret", SOON, probe).await?;
    stage.token(screen, &name, "a token", |_| true).await?;
    stage
        .kubectl(screen, &["get", "ecrsec", WITH_POLICY])
        .await?;
    let words = ["get", "secret", &name, "--show-labels"];
    stage.kubectl(screen, &words).await?;
    Ok(name)
}

async fn policy_is_replaced(stage: &Stage, screen: &mut Screen, former: &str) -> Result<Record> {
    screen.step("6. Another policy moves the Secret, without a gap");
    let resource = stage.api::<EcrSecret>().get(WITH_POLICY).await?;
    let owner = resource.uid().context("the resource has no uid")?;
    let witness = Witness::begin(stage.api::<Secret>(), owner).await?;
    screen.say("From here on a watch and a reader observe the Secrets of the resource.");
    screen.say("The module is replaced by label-selected-accounts, which links every account with a label:");
    let words = ["create", "serviceaccount", LABELLED];
    stage.kubectl(screen, &words).await?;
    let words = ["label", "serviceaccount", LABELLED, "ecr-pull=true"];
    stage.kubectl(screen, &words).await?;
    let module = module("label-selected-accounts");
    let create = [
        "create",
        "configmap",
        POLICY,
        &module,
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    stage
        .kubectl_pipe(screen, &create, &["replace", "-f", "-"])
        .await?;
    screen.say(
        "The settings are still those of the former policy. The new one refuses them, and the Secret stays as it is:",
    );
    let probe = async || match ready(&stage.api::<EcrSecret>().get(WITH_POLICY).await?) {
        Err(error) if error.to_string().contains("Policy") => Ok(()),
        Err(error) => Err(error),
        Ok(()) => bail!("ready"),
    };
    screen
        .wait_for("the policy to refuse the settings", SOON, probe)
        .await?;
    stage.conditions(screen, WITH_POLICY).await?;
    stage.kubectl(screen, &["get", "secret", former]).await?;
    screen.say("With a name and the settings that it knows, the new policy decides:");
    let patch = format!(
        r#"{{"spec":{{"generated_secret_name":"{MOVED_SECRET}","policy":{{"settings":{{"prefix":null,"label":"ecr-pull"}}}}}}}}"#
    );
    let words = ["patch", "ecrsec", WITH_POLICY, "--type=merge", "-p", &patch];
    stage.kubectl(screen, &words).await?;
    let probe = async || {
        ensure!(witness.names() == [MOVED_SECRET], "{:?}", witness.names());
        ready(&stage.api::<EcrSecret>().get(WITH_POLICY).await?)
    };
    screen.wait_for("the Secret to move", SOON, probe).await?;
    let record = witness.end()?;
    for (time, change) in &record.changes {
        screen.output(&format!("{time:.3}  {change}"));
    }
    screen.say(format!(
        "{} looks and {} changes: a Secret with a living token was there at each of them.",
        record.looks,
        record.changes.len()
    ));
    stage.kubectl(screen, &["get", "secrets"]).await?;
    stage.linked(screen, LABELLED, MOVED_SECRET, false).await?;
    stage.show_accounts(screen, &[LABELLED]).await?;
    Ok(record)
}

/// The flag that puts a guest module into a `ConfigMap`.
fn module(name: &str) -> String {
    let path = workspace::guests().join(format!("{name}.wasm"));
    format!("--from-file=policy.wasm={}", shown(&path))
}
