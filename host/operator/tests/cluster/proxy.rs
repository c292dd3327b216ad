//! Stands between an operator and the API server. It counts the operator's writes, holds one of them so
//! that the operator can be killed right there, cuts watches, and refuses service.
//!
//! The product knows nothing of it: it gets a kubeconfig that names the proxy.

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use test_stage::{Operator, Setup};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::Stage;

/// Which side of the write the operator does not live to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The API server never gets the write.
    Before,
    /// The API server has carried the write out; the operator does not get the answer.
    After,
}

pub(crate) struct Proxy {
    setup: Setup,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    /// The operator's own service account: the proxy can do no more than the operator.
    client: Client,
    state: Mutex<Counting>,
    held: watch::Sender<bool>,
    /// Counts the cuts.
    cut: watch::Sender<u64>,
    refusing: watch::Sender<bool>,
}

#[derive(Default)]
struct Counting {
    /// Method and path of each write since the last order.
    writes: Vec<String>,
    watches: usize,
    refused: usize,
    hold: Option<(usize, Moment)>,
}

impl Proxy {
    /// A proxy for the operator of a stage.
    pub(crate) async fn start(stage: &Stage) -> Self {
        Self::with(stage, stage.setup.clone()).await
    }

    /// A proxy for an operator that is set up like this.
    pub(crate) async fn with(stage: &Stage, setup: Setup) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let kubeconfig = kubeconfig(stage, listener.local_addr().unwrap());
        let direct = Kubeconfig::read_from(&stage.setup.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(direct, &KubeConfigOptions::default())
            .await
            .unwrap();
        let shared = Arc::new(Shared {
            client: Client::try_from(config).unwrap(),
            state: Mutex::default(),
            held: watch::Sender::new(false),
            cut: watch::Sender::new(0),
            refusing: watch::Sender::new(false),
        });
        let router = Router::new()
            .fallback(forward)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            setup: Setup {
                kubeconfig,
                ..setup
            },
            shared,
            server,
        }
    }

    /// Starts an operator behind the proxy. It may never become ready.
    pub(crate) fn operator(&self) -> Operator {
        Operator::start(&self.setup).unwrap()
    }

    /// Counts anew, and holds the `number`th write from now on, and everything that comes after it.
    pub(crate) fn hold(&self, number: usize, moment: Moment) {
        *self.shared.state.lock().unwrap() = Counting {
            hold: Some((number, moment)),
            ..Counting::default()
        };
        self.shared.held.send_replace(false);
    }

    /// Counts anew, and holds nothing.
    pub(crate) fn let_pass(&self) {
        *self.shared.state.lock().unwrap() = Counting::default();
        self.shared.held.send_replace(false);
    }

    /// Waits until the write is held.
    pub(crate) async fn holds(&self) {
        self.shared
            .held
            .subscribe()
            .wait_for(|held| *held)
            .await
            .unwrap();
    }

    /// Method and path of each write since the last order.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().writes.clone()
    }

    /// How many watches were begun since the last order.
    pub(crate) fn watches(&self) -> usize {
        self.shared.state.lock().unwrap().watches
    }

    /// Breaks every answer that is under way, which is every watch.
    pub(crate) fn cut(&self) {
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Refuses every new request, or no longer.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.state.lock().unwrap().refused = 0;
        self.shared.refusing.send_replace(refuse);
    }

    /// How many requests were refused since that began.
    pub(crate) fn refused(&self) -> usize {
        self.shared.state.lock().unwrap().refused
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    /// Whether this request is held, and when.
    fn turn(&self, method: &Method, uri: &Uri) -> Option<Moment> {
        let mut state = self.state.lock().unwrap();
        if *self.held.borrow() {
            return Some(Moment::Before);
        }
        if matches!(*method, Method::GET | Method::HEAD) {
            state.watches += usize::from(
                uri.query()
                    .is_some_and(|query| query.contains("watch=true")),
            );
            return None;
        }
        state.writes.push(format!("{method} {}", uri.path()));
        state
            .hold
            .filter(|(number, _)| *number == state.writes.len())
            .map(|(_, moment)| moment)
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if *shared.refusing.borrow() {
        shared.state.lock().unwrap().refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let moment = shared.turn(&parts.method, &parts.uri);
    if moment == Some(Moment::Before) {
        shared.held.send_replace(true);
        return pending().await;
    }
    // The client that forwards sets these itself.
    without_hops(&mut parts.headers);
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::AUTHORIZATION);
    parts.headers.remove(header::CONTENT_LENGTH);
    let cuts = shared.cut.subscribe();
    let answer = shared
        .client
        .send(Request::from_parts(parts, body.into()))
        .await;
    let Ok(answer) = answer else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (mut parts, body) = answer.into_parts();
    if moment == Some(Moment::After) {
        body.collect_bytes().await.unwrap();
        shared.held.send_replace(true);
        return pending().await;
    }
    without_hops(&mut parts.headers);
    Response::from_parts(parts, Body::from_stream(until_cut(Body::new(body), cuts)))
}

fn until_cut(
    body: Body,
    cuts: watch::Receiver<u64>,
) -> impl Stream<Item = Result<axum::body::Bytes, axum::Error>> {
    stream::unfold(Some((body.into_data_stream(), cuts)), |state| async move {
        let (mut body, mut cuts) = state?;
        tokio::select! {
            data = body.next() => data.map(|data| (data, Some((body, cuts)))),
            _ = cuts.changed() => Some((Err(axum::Error::new("the proxy cut this answer")), None)),
        }
    })
}

fn without_hops(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
}

/// The operator's kubeconfig with the proxy in place of the API server.
fn kubeconfig(stage: &Stage, address: SocketAddr) -> PathBuf {
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(&stage.setup.kubeconfig).unwrap()).unwrap();
    config["clusters"][0]["cluster"] = json!({ "server": format!("http://{address}") });
    stage
        .file(
            &format!("proxy-{}.kubeconfig", address.port()),
            &config.to_string(),
        )
        .into()
}
