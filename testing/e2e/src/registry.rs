//! Two doors to one store of images: one that is open, and one that opens to the tokens of the AWS double, as ECR does.

use crate::process::command;
use crate::programs::program;
use crate::{Node, until};
use anyhow::{Context, Result};
use aws_double::{AwsDouble, Issued, issued};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The open registry.
pub const OPEN: &str = "10.89.0.1:5001";
/// The registry that tokens open.
pub const GUARDED: &str = "10.89.0.1:5000";
/// What pods call the guarded one.
pub const ECR: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";
/// Tokens of another region do not open it.
const REGION: &str = "us-east-2";

/// The guarded registry.
#[derive(Clone)]
pub struct Registry {
    guard: Arc<Guard>,
}

struct Guard {
    double: Arc<AwsDouble>,
    /// Tokens that were issued before are refused.
    since: Mutex<Timestamp>,
    store: Client<HttpConnector, Body>,
}

impl Registry {
    /// Starts both registries, and lets containerd find images of ECR at the guarded one, those of quay.io at the open one.
    pub(crate) async fn start(node: &Node, double: Arc<AwsDouble>) -> Result<Self> {
        let store = node.folder().join("registry");
        fs::create_dir_all(&store).context("create the registry's folder")?;
        let mut registry = command(
            program("crane").await?,
            ["registry", "serve", "--address", OPEN, "--disk"],
        );
        registry.arg(&store);
        node.daemons().start("registry", registry)?;
        until(Duration::from_secs(20), "the registry", async || {
            node.daemons().check()?;
            Ok(TcpStream::connect(OPEN).await?)
        })
        .await?;
        let guard = Arc::new(Guard {
            double,
            since: Mutex::new(Timestamp::MIN),
            store: Client::builder(TokioExecutor::new()).build_http(),
        });
        let listener = TcpListener::bind(GUARDED)
            .await
            .with_context(|| format!("listen on {GUARDED}"))?;
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&guard));
        tokio::spawn(async move { axum::serve(listener, router).await });
        node.mirror(ECR, GUARDED)?;
        node.mirror(OPEN, OPEN)?;
        node.mirror("quay.io", OPEN)?;
        Ok(Self { guard })
    }

    /// From now on, no token opens it that AWS issued before.
    pub fn rotate(&self) {
        let now = self.guard.double.now();
        *self
            .guard
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Whether a password opens it now.
    pub fn accepts(&self, password: &str) -> bool {
        self.guard.accepts(password)
    }
}

impl Guard {
    fn accepts(&self, password: &str) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |token: Issued| {
            token.service == "ecr"
                && token.region == REGION
                && token.issued_at > since
                && token.expires_at > self.double.now()
        };
        issued(password).is_some_and(good)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let password = || {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
            let text = String::from_utf8(decoded).ok()?;
            Some(text.strip_prefix("AWS:")?.to_owned())
        };
        password().is_some_and(|password| self.accepts(&password))
    }
}

async fn answer(State(guard): State<Arc<Guard>>, mut request: Request) -> Response {
    if !guard.admits(request.headers()) {
        let challenge = [(
            header::WWW_AUTHENTICATE,
            format!("Basic realm=\"{GUARDED}\",service=\"ecr.amazonaws.com\""),
        )];
        return (StatusCode::UNAUTHORIZED, challenge, "Not Authorized\n").into_response();
    }
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{OPEN}{path}").parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match guard.store.request(request).await {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
