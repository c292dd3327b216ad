//! The work on one scope, all namespaces or one of those to be served: its watches, its controllers, and what wakes them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ecr_secret_core::api::{ArgoHelmRepoSecret, EcrSecret, OPERATOR_NAME};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::Client;
use kube::runtime::controller::{self, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::aws::Broker;
use crate::context::Context;
use crate::effects::accounts::{Accounts, Synced};
use crate::policies::Policies;
use crate::reconcile::{Kind, back_off, reconcile};
use crate::telemetry::metrics::{Metrics, ResourceLabels};
use crate::turns::Turns;
use crate::watch::{Guarded, Watches};

/// How many resources of a kind may wait for a turn, each with its state in memory; the rest wait in a queue of names.
const IN_PROGRESS: u16 = 1024;
/// A link that failed is tried again after this time.
const LINK_RETRY: Duration = Duration::from_secs(10);
/// An account waits so long for resources of its namespace that have not been looked at yet.
const UNDECIDED_RETRY: Duration = Duration::from_secs(1);

/// All namespaces, or one of those to be served.
pub(crate) struct Scope {
    namespace: Option<String>,
    pub(crate) context: Arc<Context>,
}

/// What all scopes share.
pub(crate) struct Common {
    pub(crate) client: Client,
    pub(crate) broker: Broker,
    pub(crate) policies: Arc<Policies>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Common {
    pub(crate) fn scopes(&self, namespaces: &[String], identity: &str) -> Vec<Scope> {
        let reporter = Reporter {
            controller: OPERATOR_NAME.to_owned(),
            instance: Some(identity.to_owned()),
        };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let scope = |namespace: Option<String>| Scope {
            namespace,
            context: Arc::new(Context {
                client: self.client.clone(),
                world: Arc::default(),
                wakers: Arc::default(),
                broker: self.broker.clone(),
                policies: Arc::clone(&self.policies),
                accounts: Accounts::default(),
                recorder: recorder.clone(),
                turns: Arc::clone(&self.turns),
                metrics: Arc::clone(&self.metrics),
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
}

impl Scope {
    /// Watches all the time, and works while this replica leads.
    pub(crate) async fn run(
        self,
        mut leading: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) {
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
        let patience = Arc::clone(policies.patience());
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
            held_back: Box::new(move |namespace| patience.wait(namespace, Instant::now())),
            held: Mutex::default(),
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
