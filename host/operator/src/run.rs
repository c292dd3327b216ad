//! Puts the parts together and keeps them running until a signal comes.

use std::sync::Arc;
use std::time::Duration;

use ecr_secret_core::api::{LEASE_NAME, OPERATOR_NAME};
use ecr_secret_core::manifests::METRICS_SERVICE;
use ecr_secret_core::reason::Reason;
use ecr_secret_engine::Engine;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::aws::{Broker, BrokerMetrics, BrokerOptions, Environment, TokenKey};
use crate::config::Options;
use crate::leader::Candidate;
use crate::openshift;
use crate::policies::{Guard, Images, Policies};
use crate::scope::Common;
use crate::telemetry::access::Access;
use crate::telemetry::http::{self, Exposition};
use crate::telemetry::logging;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tls::Certificate;
use crate::turns::Turns;
use crate::world::World;

/// How long what is under way may take after a signal; kubelet kills after 30 s, users wait for 10 s.
const GRACE: Duration = Duration::from_secs(7);
/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// Why it cannot start, in one line with what to do.
pub async fn run(options: Options) -> Result<(), String> {
    let namespaces = options.namespaces()?;
    let engine = options.engine()?;
    let registries = options.registries()?;
    logging::init(options.log_format, &options.log_level)?;
    // For the client of the registries that policies come from; the others name theirs. It is set only here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (client, own_namespace) = connect(&options).await?;
    let identity = identity(&options);

    let metrics = Arc::new(Metrics::default());
    let (stop_sender, stop) = watch::channel(false);
    let turns = Arc::new(Turns::new(options.max_concurrent_reconciles));
    let broker = Broker::new(BrokerOptions {
        metrics: Arc::new(Counted(Arc::clone(&metrics))),
        ..BrokerOptions::new(Environment::of_process())
    });
    let engine =
        Engine::new(engine).map_err(|error| format!("the policy engine cannot start: {error}"))?;
    let guard = guard(options.policy_guardrail_dir.as_str(), &engine).await?;
    let images = Images::new(registries, broker.clone());
    let policies = Policies::new(client.clone(), engine, guard, images, Arc::clone(&metrics));
    let common = Common {
        client: client.clone(),
        broker,
        policies: Arc::new(policies),
        turns,
        metrics: Arc::clone(&metrics),
    };
    let scopes = common.scopes(&namespaces, &identity);

    let mut tasks = JoinSet::new();
    let worlds: Vec<Arc<World>> = scopes
        .iter()
        .map(|scope| Arc::clone(&scope.context.world))
        .collect();
    let readiness: http::Readiness =
        Arc::new(move || worlds.iter().try_for_each(|world| world.ready()));
    let health = http::listen(options.health_addr, "--health-addr").await?;
    let exposed = http::listen(options.metrics_addr, "--metrics-addr").await?;
    tasks.spawn(http::serve(health, http::health(readiness), stop.clone()));
    let names = names_of_metrics(&own_namespace);
    let exposition = exposition(&options, names, &client, &metrics)?;
    tasks.spawn(exposition.serve(exposed, stop.clone()));
    if let Ok(role) = std::env::var("ROLEARN") {
        let account = own_namespace.clone();
        tasks.spawn(openshift::request_credentials(
            client.clone(),
            account,
            role,
            stop.clone(),
        ));
    }

    let (leading_sender, leading) = watch::channel(!options.leader_elect);
    if options.leader_elect {
        let candidate =
            Candidate::new(client.clone(), &own_namespace, LEASE_NAME, identity.clone());
        tasks.spawn(candidate.run(leading_sender, stop.clone()));
    }
    let served = if namespaces.is_empty() {
        "all".to_owned()
    } else {
        namespaces.join(",")
    };
    info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces = served,
        identity,
        "started"
    );

    for scope in scopes {
        tasks.spawn(scope.run(leading.clone(), stop.clone()));
    }
    wait_for_signal().await?;
    info!("stopping: no new work is begun");
    stop_sender.send_replace(true);
    if timeout(GRACE, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        warn!("some work did not end in time; the next start takes it up");
    }
    if options.leader_elect {
        let released = timeout(
            Duration::from_secs(2),
            Candidate::release(client, &own_namespace, LEASE_NAME, &identity),
        )
        .await;
        if !matches!(released, Ok(Ok(()))) {
            warn!("the Lease could not be given back; it runs out by itself");
        }
    }
    info!("stopped");
    Ok(())
}

/// The client of the cluster, and the operator's own namespace.
async fn connect(options: &Options) -> Result<(Client, String), String> {
    let mut config = Config::infer().await.map_err(|error| {
        // Further lines would quote the file, and there may be a token in it.
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        format!("no cluster: {error}; set KUBECONFIG or run in a pod")
    })?;
    config.connect_timeout = Some(CONNECT);
    let own_namespace = if options.namespace.is_empty() {
        config.default_namespace.clone()
    } else {
        options.namespace.clone()
    };
    let client = Client::try_from(config).map_err(|error| {
        format!("the cluster's configuration cannot be used: {error}; check KUBECONFIG")
    })?;
    Ok((client, own_namespace))
}

/// The guardrail of a directory, looked at before anything is decided and from then on.
async fn guard(directory: &str, engine: &Engine) -> Result<Arc<Guard>, String> {
    let guard = Arc::new(Guard::new(directory.into()));
    let (first, own) = (Arc::clone(&guard), engine.clone());
    tokio::task::spawn_blocking(move || first.look(&own))
        .await
        .map_err(|error| format!("the guardrail cannot be looked at: {error}"))?;
    tokio::spawn(Arc::clone(&guard).follow(engine.clone()));
    Ok(guard)
}

/// The names under which Prometheus finds the metrics.
fn names_of_metrics(namespace: &str) -> Vec<String> {
    let service = METRICS_SERVICE;
    vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        "localhost".to_owned(),
    ]
}

/// How the metrics are served: in clear text on the loopback interface, and otherwise with TLS and for those who may read
/// them.
fn exposition(
    options: &Options,
    names: Vec<String>,
    client: &Client,
    metrics: &Arc<Metrics>,
) -> Result<Exposition, String> {
    if options.metrics_addr.ip().is_loopback() {
        return Ok(Exposition::Clear(http::metrics(Arc::clone(metrics))));
    }
    let certificate = match options.metrics_cert_dir.as_str() {
        "" => Certificate::self_signed(names)?,
        directory => Certificate::of_directory(directory.into())?,
    };
    let router = if options.metrics_auth {
        let access = Arc::new(Access::new(client.clone()));
        http::guarded(Arc::clone(metrics), access)
    } else {
        http::metrics(Arc::clone(metrics))
    };
    Ok(Exposition::Tls(router, Arc::new(certificate)))
}

fn identity(options: &Options) -> String {
    use std::hash::{BuildHasher, RandomState};
    if options.identity.is_empty() {
        format!(
            "{OPERATOR_NAME}-{:016x}",
            RandomState::new().hash_one(std::process::id())
        )
    } else {
        options.identity.clone()
    }
}

async fn wait_for_signal() -> Result<(), String> {
    let listen =
        |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Counts the broker's calls.
struct Counted(Arc<Metrics>);

impl BrokerMetrics for Counted {
    fn attempted(&self, _: &TokenKey, result: Result<(), Reason>, _: Duration) {
        self.0
            .aws_request(result.err().unwrap_or(Reason::Refreshed).as_str());
    }
}
