//! The HTTP endpoints: `/healthz` and `/readyz` on one address, `/metrics` on another.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics::Metrics;

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

/// Listens on an address.
///
/// # Errors
/// The address cannot be used, with what to do.
pub async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; choose another address with {option}")
    })
}

/// Serves until `stop` is true.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
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
