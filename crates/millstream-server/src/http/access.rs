//! Who may ask.
//!
//! With users everybody must give the name and password of one of them (HTTP Basic), as for the Postgres protocol. Without users the
//! server listens on this machine only; then a page of another site could still reach it through a name that points here, so only
//! addresses and `localhost` are taken for names of this server.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::Lobby;

/// Why somebody may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No password, or a wrong one.
    Password,
    /// A name that is not of this server.
    Host,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Password => {
                let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"millstream\", charset=\"UTF-8\"")];
                (StatusCode::UNAUTHORIZED, challenge, "the name and password of a user are needed\n").into_response()
            }
            Self::Host => {
                let hint = "this server is asked for by its address or as localhost (hint: --users protects it, then any name will do)\n";
                (StatusCode::MISDIRECTED_REQUEST, hint).into_response()
            }
        }
    }
}

/// Lets those through who may ask.
pub(super) async fn check(State(lobby): State<Arc<Lobby>>, request: Request, next: Next) -> Response {
    match is_allowed(&lobby, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Whether these headers are of somebody who may ask.
pub(super) async fn is_allowed(lobby: &Lobby, headers: &HeaderMap) -> Result<(), Refused> {
    // Nothing is told before the engine is there.
    let Some(state) = lobby.served() else { return Ok(()) };
    if !state.roles.asks_for_passwords() {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        return if state.config.allow_insecure || is_own(host) { Ok(()) } else { Err(Refused::Host) };
    }
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(credentials);
    let (user, password) = given.ok_or(Refused::Password)?;
    // One at a time: checking a password is slow on purpose, and nobody shall occupy all cores with it.
    let _turn = state.password_turn.lock().await;
    if state.roles.is_password(&user, &password) { Ok(()) } else { Err(Refused::Password) }
}

/// Who asks, as they say.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    headers.get(AUTHORIZATION)?.to_str().ok().and_then(credentials).map(|(user, _)| user)
}

/// True for an address, for `localhost`, and for whoever sends no name.
fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

/// User and password of `Basic …`.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_names_of_this_server() {
        for host in ["", "localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "10.1.2.3:80"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example:80", "x"] {
            assert!(!is_own(host), "{host}");
        }
    }

    #[test]
    fn credentials_are_read() {
        assert_eq!(credentials("Basic bWU6YTpi"), Some(("me".to_owned(), "a:b".to_owned())));
        for header in ["", "Basic", "Basic !!!", "Bearer bWU6YQ==", "Basic bWU="] {
            assert_eq!(credentials(header), None, "{header}");
        }
    }
}
