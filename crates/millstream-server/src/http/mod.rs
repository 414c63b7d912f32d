//! The HTTP side: health, figures for Prometheus, a page for people. It reads and changes nothing.
//!
//! ```text
//!  listener ──▶ access (who may ask) ──▶ /health /ready        always
//!  (bounded,                        └──▶ /metrics              figures
//!   TLS)                             └──▶ / page/*  ──asks──▶  /status.json /history.json /rows.json
//! ```
//! It answers before there is an engine: /health says that the process lives, everything else that it is starting.

mod access;
mod history;
mod listener;
mod metrics;
mod process;
mod ready;
mod rows;
mod status;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::security::{ObjectKind, Privilege};
use crate::server::{Lobby, ServerState};
pub(crate) use history::History;

/// What the page is made of: nothing comes from elsewhere, nothing is inline.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("page/page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/graph.js", "text/javascript; charset=utf-8", include_str!("page/graph.js")),
    ("/chart.js", "text/javascript; charset=utf-8", include_str!("page/chart.js")),
    ("/view.js", "text/javascript; charset=utf-8", include_str!("page/view.js")),
    ("/words.js", "text/javascript; charset=utf-8", include_str!("page/words.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page may run its own files, ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Serves until the server stops.
pub(crate) async fn serve(lobby: Arc<Lobby>, socket: TcpListener) {
    let mut app = Router::new()
        .route("/metrics", get(figures))
        .route("/status.json", get(|State(lobby): State<Arc<Lobby>>| answer(lobby, |state| Json(status::status(state)).into_response())))
        .route("/history.json", get(|State(lobby): State<Arc<Lobby>>| answer(lobby, |state| Json(state.history.all()).into_response())))
        .route("/rows.json", get(rows_of));
    for (path, kind, text) in FILES {
        app = app.route(path, get(move || async move { ([(CONTENT_TYPE, *kind)], *text) }));
    }
    let app = app
        .layer(middleware::from_fn_with_state(Arc::clone(&lobby), access::check))
        // These two tell nothing of what is inside, and who asks them has no password.
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(is_ready))
        .layer(middleware::map_response(with_headers))
        .with_state(Arc::clone(&lobby));
    let sampling = history::sample(Arc::clone(&lobby));
    let stop = Arc::clone(&lobby);
    let listener = listener::Bounded::new(socket, Arc::clone(&lobby));
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.stopping().await });
    let (served, ()) = futures::join!(async move { served.await }, sampling);
    if let Err(error) = served {
        tracing::error!(%error, "HTTP is not served any more");
    }
}

/// Of every answer.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An answer of the server, if it is there.
async fn answer(lobby: Arc<Lobby>, of: impl FnOnce(&ServerState) -> Response) -> Response {
    match lobby.served() {
        Some(state) => of(state),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

async fn is_ready(State(lobby): State<Arc<Lobby>>, headers: HeaderMap) -> Response {
    let readiness = ready::readiness(&lobby);
    let shows_names = access::is_allowed(&lobby, &headers).await.is_ok();
    let code = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, readiness.text(shows_names)).into_response()
}

async fn figures(State(lobby): State<Arc<Lobby>>) -> Response {
    answer(lobby, |state| ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(state)).into_response()).await
}

/// What `/rows.json` is asked for.
#[derive(Debug, Deserialize)]
struct Wanted {
    /// A stored table or materialized view.
    name: String,
    /// The place after the last row that is known.
    from: Option<u64>,
    /// Rows at most.
    limit: Option<usize>,
}

async fn rows_of(State(lobby): State<Arc<Lobby>>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    let user = access::user(&headers).unwrap_or_default();
    answer(lobby, |state| match rows::rows(state, &wanted.name, wanted.from, wanted.limit) {
        _ if !state.roles.may(&user, Privilege::Select, ObjectKind::Relation, &wanted.name) => {
            (StatusCode::FORBIDDEN, format!("permission denied for {}\n", wanted.name)).into_response()
        }
        Ok(rows) => Json(rows).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{}\n", error.message)).into_response(),
    })
    .await
}
