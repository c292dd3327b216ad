//! Puts the parts together and keeps them running until a signal comes.

use std::sync::Arc;
use std::time::Duration;

use ecr_secret_core::api::{ArgoHelmRepoSecret, EcrSecret, LEASE_NAME, OPERATOR_NAME};
use ecr_secret_core::reason::Reason;
use ecr_secret_engine::Engine;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::runtime::controller::{self, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::aws::{Broker, BrokerMetrics, BrokerOptions, Environment, TokenKey};
use crate::config::Options;
use crate::context::Context;
use crate::effects::accounts::{Accounts, Synced};
use crate::leader::Candidate;
use crate::policies::{Guard, Policies};
use crate::reconcile::{Kind, back_off, reconcile};
use crate::telemetry::metrics::{Metrics, ResourceLabels};
use crate::telemetry::{http, logging};
use crate::turns::Turns;
use crate::watch::{Guarded, Watches};
use crate::world::World;

/// How long what is under way may take after a signal; kubelet kills after 30 s, users wait for 10 s.
const GRACE: Duration = Duration::from_secs(7);
/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How many resources of a kind may wait for a turn, each with its state in memory; the rest wait in a queue of names.
const IN_PROGRESS: u16 = 1024;
/// A link that failed is tried again after this time.
const LINK_RETRY: Duration = Duration::from_secs(10);
/// An account waits so long for resources of its namespace that have not been looked at yet.
const UNDECIDED_RETRY: Duration = Duration::from_secs(1);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// Why it cannot start, in one line with what to do.
pub async fn run(options: Options) -> Result<(), String> {
    let namespaces = options.namespaces()?;
    let engine = options.engine()?;
    logging::init(options.log_format, &options.log_level)?;
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
    let identity = identity(&options);

    let metrics = Arc::new(Metrics::default());
    let (stop_sender, stop) = watch::channel(false);
    let turns = Arc::new(Turns::new(options.max_concurrent_reconciles));
    let engine =
        Engine::new(engine).map_err(|error| format!("the policy engine cannot start: {error}"))?;
    let guard = Arc::new(Guard::new(options.policy_guardrail_dir.into()));
    let first_look = {
        let (guard, engine) = (Arc::clone(&guard), engine.clone());
        // Before anything is decided.
        tokio::task::spawn_blocking(move || guard.look(&engine))
    };
    first_look
        .await
        .map_err(|error| format!("the guardrail cannot be looked at: {error}"))?;
    tokio::spawn(Arc::clone(&guard).follow(engine.clone()));
    let policies = Arc::new(Policies::new(
        client.clone(),
        engine,
        Arc::clone(&guard),
        Arc::clone(&metrics),
    ));
    let scopes = scopes(&client, &namespaces, &identity, &metrics, &policies, &turns);

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
    tasks.spawn(http::serve(
        exposed,
        http::metrics(Arc::clone(&metrics)),
        stop.clone(),
    ));

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

/// All namespaces, or one of those to be served.
struct Scope {
    namespace: Option<String>,
    context: Arc<Context>,
}

fn scopes(
    client: &Client,
    namespaces: &[String],
    identity: &str,
    metrics: &Arc<Metrics>,
    policies: &Arc<Policies>,
    turns: &Arc<Turns>,
) -> Vec<Scope> {
    let broker_options = BrokerOptions {
        metrics: Arc::new(Counted(Arc::clone(metrics))),
        ..BrokerOptions::new(Environment::of_process())
    };
    let broker = Broker::new(broker_options);
    let reporter = Reporter {
        controller: OPERATOR_NAME.to_owned(),
        instance: Some(identity.to_owned()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    let scope = |namespace: Option<String>| Scope {
        namespace,
        context: Arc::new(Context {
            client: client.clone(),
            world: Arc::default(),
            wakers: Arc::default(),
            broker: broker.clone(),
            policies: Arc::clone(policies),
            accounts: Accounts::default(),
            recorder: recorder.clone(),
            turns: Arc::clone(turns),
            metrics: Arc::clone(metrics),
        }),
    };
    if namespaces.is_empty() {
        vec![scope(None)]
    } else {
        namespaces
            .iter()
            .cloned()
            .map(|name| scope(Some(name)))
            .collect()
    }
}

impl Scope {
    /// Watches all the time, and works while this replica leads.
    async fn run(self, mut leading: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
        let watches = Arc::new(self.watches());
        let mut watching = JoinSet::new();
        watching.spawn(Arc::clone(&watches).secrets());
        watching.spawn(Arc::clone(&watches).accounts());
        watching.spawn(Arc::clone(&watches).config_maps());
        let (ecr_secrets, watch_ecr) = Arc::clone(&watches).resources::<EcrSecret>();
        let (argo_secrets, watch_argo) = watches.resources::<ArgoHelmRepoSecret>();
        watching.spawn(watch_ecr);
        watching.spawn(watch_argo);
        tokio::select! {
            () = self.context.world.wait_until_ready() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        loop {
            tokio::select! {
                led = leading.wait_for(|leading| *leading) => if led.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.context.metrics.leads(true);
            self.work(
                ecr_secrets.clone(),
                argo_secrets.clone(),
                leading.clone(),
                stop.clone(),
            )
            .await;
            self.context.metrics.leads(false);
        }
    }

    fn watches(&self) -> Watches {
        let metrics = Arc::clone(&self.context.metrics);
        let policies = Arc::clone(&self.context.policies);
        Watches {
            client: self.context.client.clone(),
            namespace: self.namespace.clone(),
            world: Arc::clone(&self.context.world),
            wakers: Arc::clone(&self.context.wakers),
            gone: Box::new(move |kind, namespace, name| {
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                metrics.forget(&ResourceLabels {
                    kind,
                    namespace,
                    name,
                });
            }),
            config_map_gone: Box::new(move |namespace, name| policies.forget(namespace, name)),
        }
    }

    /// Works until this replica does not lead any more, or shall stop.
    async fn work(
        &self,
        ecr: Store<Guarded<EcrSecret>>,
        argo: Store<Guarded<ArgoHelmRepoSecret>>,
        leading: watch::Receiver<bool>,
        stop: watch::Receiver<bool>,
    ) {
        let (ecr_queue, ecr_wakes) = mpsc::unbounded_channel();
        let (argo_queue, argo_wakes) = mpsc::unbounded_channel();
        let (account_queue, account_wakes) = mpsc::unbounded_channel();
        self.context.wakers.ecr_secrets.connect(Some(ecr_queue));
        self.context.wakers.argo_secrets.connect(Some(argo_queue));
        self.context.wakers.accounts.connect(Some(account_queue));
        // What was remembered as the leader of before is older than what the leader in between did.
        self.context.world.forget_all();
        self.context.wakers.all(&self.context.world);

        let ended = move || {
            let (mut leading, mut stop) = (leading.clone(), stop.clone());
            async move {
                tokio::select! {
                    _ = leading.wait_for(|leading| !*leading) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
        };
        let resources = async {
            tokio::join!(
                control(Arc::clone(&self.context), ecr, ecr_wakes, ended()),
                control(Arc::clone(&self.context), argo, argo_wakes, ended()),
            );
        };
        tokio::pin!(resources);
        tokio::select! {
            () = &mut resources => {}
            () = self.link(account_wakes) => {}
            () = self.follow_credentials() => {}
            () = self.follow_guardrail() => {}
        }
        self.context.wakers.ecr_secrets.connect(None);
        self.context.wakers.argo_secrets.connect(None);
        self.context.wakers.accounts.connect(None);
    }

    /// Links the service accounts that changed or that nobody wants to be linked any more.
    async fn link(&self, mut wakes: mpsc::UnboundedReceiver<(String, String)>) {
        while let Some((namespace, name)) = wakes.recv().await {
            let context = &self.context;
            if !context.world.undecided(&namespace).is_empty() {
                self.wake_later(namespace, name, UNDECIDED_RETRY);
                continue;
            }
            if let Synced::Failed(why) = context
                .accounts
                .sync(&context.client, &context.world, &namespace, &name)
                .await
            {
                warn!(
                    namespace,
                    account = name,
                    why,
                    "a service account could not be linked; trying again"
                );
                self.wake_later(namespace, name, LINK_RETRY);
            }
        }
    }

    fn wake_later(&self, namespace: String, account: String, after: Duration) {
        let again = Arc::clone(&self.context.wakers);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            again.accounts.wake((namespace, account));
        });
    }

    /// New credentials may mend what failed: everything is looked at again.
    async fn follow_credentials(&self) {
        let mut changed = self.context.broker.changed();
        changed.mark_unchanged();
        while changed.changed().await.is_ok() {
            info!("the AWS credentials changed: looking at every resource again");
            self.context.wakers.all(&self.context.world);
        }
        std::future::pending::<()>().await;
    }

    /// Another guardrail may allow what the one before did not, and the other way round.
    async fn follow_guardrail(&self) {
        let mut changed = self.context.policies.guard().changed();
        changed.mark_unchanged();
        while changed.changed().await.is_ok() {
            info!("the guardrail changed: looking at every resource again");
            self.context.wakers.all(&self.context.world);
        }
        std::future::pending::<()>().await;
    }
}

async fn control<K: Kind>(
    context: Arc<Context>,
    store: Store<Guarded<K>>,
    wakes: mpsc::UnboundedReceiver<ObjectRef<Guarded<K>>>,
    ended: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // The watches fill the store and send the wake-ups; the controller's own stream stays silent.
    let silent: BoxStream<'static, Result<Guarded<K>, kube::runtime::watcher::Error>> =
        stream::pending().boxed();
    let wakes = stream::unfold(wakes, |mut wakes| async move {
        wakes.recv().await.map(|wake| (wake, wakes))
    });
    Controller::for_stream(silent, store)
        .with_config(controller::Config::default().concurrency(IN_PROGRESS))
        .reconcile_on(wakes)
        .graceful_shutdown_on(ended)
        .run(
            reconcile::<K>,
            |guarded, error, context| back_off(&guarded, error, &context),
            context,
        )
        .for_each(|_| async {})
        .await;
}
