//! The HTTP endpoints: `/healthz` and `/readyz` on one address, `/metrics` on another, there with TLS and for those who may
//! read it, unless it is on the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::access::{Access, guard};
use super::metrics::Metrics;
use super::tls::{Certificate, TlsListener};

/// The content type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Says whether the operator is ready, or what is missing.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The endpoints for the kubelet.
pub fn health(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                match readiness() {
                    Ok(()) => (StatusCode::OK, "ok".to_owned()),
                    Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
                }
            }),
        )
}

/// The endpoint for Prometheus.
pub fn metrics(metrics: Arc<Metrics>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move {
            ([(header::CONTENT_TYPE, OPENMETRICS)], metrics.render()).into_response()
        }),
    )
}

/// The endpoint for Prometheus, for those who may read it.
pub fn guarded(metrics: Arc<Metrics>, access: Arc<Access>) -> Router {
    self::metrics(metrics).layer(from_fn_with_state(access, guard))
}

/// Listens on an address.
///
/// # Errors
/// The address cannot be used, with what to do.
pub async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; choose another address with {option}")
    })
}

/// How an endpoint is served.
pub enum Exposition {
    /// To everybody who reaches it.
    Clear(Router),
    /// With this certificate.
    Tls(Router, Arc<Certificate>),
}

impl Exposition {
    /// Serves until `stop` is true.
    pub async fn serve(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let (router, certificate) = match self {
            Self::Clear(router) => return serve(listener, router, stop).await,
            Self::Tls(router, certificate) => (router, certificate),
        };
        let followed = tokio::spawn(Arc::clone(&certificate).follow());
        match TlsListener::new(listener, certificate) {
            Ok(listener) => serve(listener, router, stop).await,
            Err(error) => tracing::error!(error, "the metrics are not served"),
        }
        followed.abort();
    }
}

/// Serves until `stop` is true.
pub async fn serve<L>(listener: L, router: Router, mut stop: watch::Receiver<bool>)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "an HTTP endpoint ended");
    }
}
