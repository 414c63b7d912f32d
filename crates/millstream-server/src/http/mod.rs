//! The HTTP side: health, metrics, a page for people.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::server::ServerState;

/// Serves until the server stops.
pub(crate) async fn serve(state: Arc<ServerState>, listener: TcpListener) {
    let app = Router::new().route("/health", get(|| async { "ok\n" })).route("/ready", get(ready)).with_state(Arc::clone(&state));
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { state.stopping().await }).await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

/// The engine was built before the server listened, so whoever can ask is told yes; a failed pipeline does not make it unready.
async fn ready(State(_): State<Arc<ServerState>>) -> (StatusCode, &'static str) {
    (StatusCode::OK, "ready\n")
}
