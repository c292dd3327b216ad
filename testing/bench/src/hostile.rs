//! What a hostile tenant costs the others: the time from a change of a resource to its status, while another tenant uploads
//! one hostile module after the other. In the quiet windows it uploads the same files as ConfigMaps that no resource names,
//! so that what is compared is what the operator does with them; both by turns in the same run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_double::AwsDouble;
use clap::Args;
use ecr_secret_core::api::EcrSecret;
use ecr_secret_core::manifests::{Installation, WORKLOAD_NAME};
use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use test_cluster::{ControlPlane, Options, print_progress};
use test_modules::Hostile;
use test_stage::{Operator, Setup};
use tokio::sync::{Mutex, oneshot};

use crate::process;

/// The tenants that mean no harm.
const TENANTS: usize = 20;
/// The resources of each of them.
const RESOURCES: usize = 5;
/// The hostile tenant's policies, all uploaded again and again.
const POLICIES: usize = 4;
/// A change is made so often.
const PACE: Duration = Duration::from_millis(40);
/// The longest that a change may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The operator's binary, built in release mode
    #[arg(long)]
    operator: PathBuf,
    /// A guest that behaves
    #[arg(long)]
    guest: PathBuf,
    /// How many pairs of a quiet and a hostile window
    #[arg(long, default_value_t = 12)]
    pairs: usize,
    /// Seconds of a window
    #[arg(long, default_value_t = 12)]
    window: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let plane = ControlPlane::start(Options {
        progress: print_progress,
        ..Options::default()
    })
    .await?;
    let client = plane.client()?;
    let installation = Installation::default();
    test_stage::install(&client, &installation).await?;
    let aws = AwsDouble::start().await;
    let logs = tempfile::tempdir()?;
    let cache = tempfile::tempdir()?;
    let mut environment: Vec<(String, String)> = aws
        .environment()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let cache_directory = cache.path().to_str().context("a path of text")?.to_owned();
    environment.push(("POLICY_CACHE_DIR".to_owned(), cache_directory));
    let setup = Setup {
        binary: arguments.operator.clone(),
        kubeconfig: plane
            .service_account_kubeconfig(&installation.namespace, WORKLOAD_NAME)
            .await?,
        watch_namespace: String::new(),
        namespace: installation.namespace.clone(),
        leader_elect: true,
        environment,
        log: logs.path().join("operator.log"),
    };
    let mut operator = Operator::start(&setup)?;
    operator.wait_until_ready().await?;

    let guest = std::fs::read(&arguments.guest)?;
    let tenants = Tenants::prepare(&client, &guest).await?;
    let villain = Villain::prepare(&client).await?;
    let window = Duration::from_secs(arguments.window);
    // One of each that does not count: everything is loaded, and every hostile module compiled once.
    tenants.measure(window).await?;
    let before = process::resident_mb_of(operator.pid())?;
    let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
    for pair in 1..=arguments.pairs {
        let uploads = villain.begin("unused");
        quiet.push(tenants.measure(window).await?);
        uploads.end().await?;
        let uploads = villain.begin("policy");
        disturbed.extend(tenants.measure(window).await?);
        let count = uploads.end().await?;
        println!("pair {pair}: {count} hostile uploads in each window");
    }
    let chance = chance(&quiet);
    let mut quiet = quiet.concat();
    quiet.sort_unstable();
    disturbed.sort_unstable();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = process::resident_mb_of(operator.pid())?;
    let ((quiet_p50, quiet_p99), (disturbed_p50, disturbed_p99)) =
        (percentiles(&quiet), percentiles(&disturbed));
    println!(
        "quiet      {} changes, p50 {quiet_p50:.1} ms, p99 {quiet_p99:.1} ms",
        quiet.len()
    );
    println!(
        "hostile    {} changes, p50 {disturbed_p50:.1} ms, p99 {disturbed_p99:.1} ms",
        disturbed.len()
    );
    println!(
        "ratio      p50 {:.2}, p99 {:.2}",
        disturbed_p50 / quiet_p50,
        disturbed_p99 / quiet_p99
    );
    println!(
        "chance     p50 {:.2}, p99 {:.2}, between every other quiet window",
        chance.0, chance.1
    );
    println!("operator   {before:.1} MB before, {after:.1} MB after");
    plane.stop();
    Ok(())
}

/// The 50th and the 99th of a hundred, in milliseconds.
fn percentiles(sorted: &[Duration]) -> (f64, f64) {
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}

/// The ratios that chance alone gives: every other window against those between.
fn chance(windows: &[Vec<Duration>]) -> (f64, f64) {
    let half = |first: usize| {
        let mut times: Vec<_> = windows
            .iter()
            .skip(first)
            .step_by(2)
            .flatten()
            .copied()
            .collect();
        times.sort_unstable();
        percentiles(&times)
    };
    let (some, others) = (half(0), half(1));
    (others.0 / some.0, others.1 / some.1)
}

async fn namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let api: Api<Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &namespace).await?;
    Ok(())
}

async fn upload(client: &Client, namespace: &str, name: &str, file: Vec<u8>) -> Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        binary_data: Some([("policy.wasm".to_owned(), ByteString(file))].into()),
        ..ConfigMap::default()
    };
    api.patch(
        name,
        &PatchParams::apply("bench").force(),
        &Patch::Apply(&map),
    )
    .await?;
    Ok(())
}

async fn resource(client: &Client, namespace: &str, name: &str, policy: &str) -> Result<()> {
    let api: Api<EcrSecret> = Api::namespaced(client.clone(), namespace);
    let object = json!({
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret", "metadata": { "name": name },
        "spec": {
            "generated_secret_name": format!("generated-{name}"), "region": "us-east-2",
            "ecr_registry": "123456789012.dkr.ecr.us-east-2.amazonaws.com", "frequency": "10h", "policy": { "config_map": policy },
        },
    });
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

type Waiting = Arc<Mutex<HashMap<(String, String), (i64, oneshot::Sender<()>)>>>;

/// Those who mean no harm.
struct Tenants {
    client: Client,
    names: Vec<(String, String)>,
    waiting: Waiting,
    next: AtomicUsize,
}

impl Tenants {
    async fn prepare(client: &Client, guest: &[u8]) -> Result<Self> {
        let mut names = Vec::new();
        for tenant in 0..TENANTS {
            let own = format!("tenant-{tenant}");
            namespace(client, &own).await?;
            upload(
                client,
                &own,
                "policy",
                test_modules::distinct(guest, tenant),
            )
            .await?;
            for number in 0..RESOURCES {
                let name = format!("r{number}");
                resource(client, &own, &name, "policy").await?;
                names.push((own.clone(), name));
            }
        }
        let waiting = Waiting::default();
        tokio::spawn(watch(client.clone(), Arc::clone(&waiting)));
        Ok(Self {
            client: client.clone(),
            names,
            waiting,
            next: AtomicUsize::new(0),
        })
    }

    /// Changes one resource after the other for so long, and tells how long each took until its status said so.
    async fn measure(&self, window: Duration) -> Result<Vec<Duration>> {
        let end = Instant::now() + window;
        let mut pace = tokio::time::interval(PACE);
        let mut changes = futures::stream::FuturesUnordered::new();
        let mut times = Vec::new();
        while Instant::now() < end {
            tokio::select! {
                _ = pace.tick() => changes.push(self.change()),
                Some(took) = changes.next(), if !changes.is_empty() => times.push(took?),
            }
        }
        times.extend(changes.try_collect::<Vec<_>>().await?);
        Ok(times)
    }

    async fn change(&self) -> Result<Duration> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (namespace, name) = &self.names[number % self.names.len()];
        let api: Api<EcrSecret> = Api::namespaced(self.client.clone(), namespace);
        let frequency = format!("{}m", 500 + number / self.names.len() % 90);
        let patch = json!({ "spec": { "frequency": frequency } });
        let started = Instant::now();
        let changed = api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        let generation = changed.metadata.generation.unwrap_or(0);
        let (sender, told) = oneshot::channel();
        let key = (namespace.clone(), name.clone());
        if observed(&changed) < generation {
            self.waiting.lock().await.insert(key, (generation, sender));
            // The watch may have been faster.
            let now = api.get(name).await?;
            if observed(&now) < generation {
                tokio::time::timeout(LIMIT, told)
                    .await
                    .with_context(|| format!("{namespace}/{name} is not told of in time"))??;
            }
        }
        Ok(started.elapsed())
    }
}

fn observed(resource: &EcrSecret) -> i64 {
    let status = resource.status.as_ref();
    status
        .and_then(|status| status.observed_generation)
        .unwrap_or(0)
}

async fn watch(client: Client, waiting: Waiting) {
    let events = watcher(Api::<EcrSecret>::all(client), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let Ok(resource) = event else { continue };
        let key = (
            resource.namespace().unwrap_or_default(),
            resource.name_any(),
        );
        let mut waiting = waiting.lock().await;
        if waiting
            .get(&key)
            .is_some_and(|(generation, _)| observed(&resource) >= *generation)
            && let Some((_, sender)) = waiting.remove(&key)
        {
            let _ = sender.send(());
        }
    }
}

/// The tenant that means harm.
struct Villain {
    client: Client,
    corpus: Arc<Vec<Hostile>>,
    next: Arc<AtomicUsize>,
}

impl Villain {
    async fn prepare(client: &Client) -> Result<Self> {
        namespace(client, "villain").await?;
        let mut corpus = test_modules::corpus();
        // What fits into a ConfigMap.
        corpus.retain(|hostile| hostile.file.len() < 900_000);
        for (policy, hostile) in corpus.iter().enumerate().take(POLICIES) {
            let name = format!("policy-{policy}");
            upload(client, "villain", &name, hostile.file.clone()).await?;
            for number in 0..RESOURCES {
                resource(client, "villain", &format!("r{policy}-{number}"), &name).await?;
            }
        }
        Ok(Self {
            client: client.clone(),
            corpus: Arc::new(corpus),
            next: Arc::default(),
        })
    }

    /// Uploads to ConfigMaps of these names until told to end.
    fn begin(&self, names: &'static str) -> Uploads {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, corpus, next, stopped) = (
            self.client.clone(),
            Arc::clone(&self.corpus),
            Arc::clone(&self.next),
            Arc::clone(&stop),
        );
        let task = tokio::spawn(async move {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let hostile = &corpus[number % corpus.len()];
                // Another one each time, as far as it can be, so that nothing is remembered of it.
                let file = if hostile.file.starts_with(b"\0asm") && hostile.file.len() > 8 {
                    test_modules::distinct(&hostile.file, number)
                } else {
                    hostile.file.clone()
                };
                upload(
                    &client,
                    "villain",
                    &format!("{names}-{}", number % POLICIES),
                    file,
                )
                .await?;
                count += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(count)
        });
        Uploads { stop, task }
    }
}

struct Uploads {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<usize>>,
}

impl Uploads {
    async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}
