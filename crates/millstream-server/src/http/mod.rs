//! The HTTP side: health, metrics for Prometheus, a page for people. It reads and changes nothing.

mod metrics;
mod status;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::server::ServerState;

/// The page; it asks for `/status.json` and nothing else.
const PAGE: &str = include_str!("page.html");

/// Serves until the server stops.
pub(crate) async fn serve(state: Arc<ServerState>, listener: TcpListener) {
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status.json", get(|State(state): State<Arc<ServerState>>| async move { Json(status::status(&state)) }))
        .with_state(Arc::clone(&state));
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { state.stopping().await }).await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'";
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, policy)], PAGE)
}

/// The engine was built before the server listened, so whoever can ask is told yes; a failed pipeline is a matter of /metrics.
async fn ready() -> &'static str {
    "ready\n"
}

async fn metrics(State(state): State<Arc<ServerState>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&state))
}
