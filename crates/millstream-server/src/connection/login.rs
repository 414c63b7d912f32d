//! From an accepted socket to a session: encryption, who it is, what the client is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::transaction::Transaction;
use super::{Connection, Identity};
use crate::catalog::WireSql;
use crate::error::{Result, WireError};
use crate::protocol::startup::STARTUP_BYTES_MAX;
use crate::protocol::{Message, Opening, StartupRequest, Stream, Wire, outgoing};
use crate::security::scram;
use crate::server::{Lobby, ServerState};
use crate::settings::Variables;

/// Requests for encryption before the real beginning at most.
const OPENINGS_MAX: usize = 4;

/// Serves one client from its first byte to its last.
pub(crate) async fn accept(server: Arc<ServerState>, socket: TcpStream) {
    keep_alive(&socket);
    let peer = socket.peer_addr().ok();
    let mut wire = Wire::new(Stream::Plain(socket), server.config.message_bytes_max);
    let limit = Duration::from_millis(server.config.startup_ms_max);
    let clock = Arc::clone(&server.clock);
    let greeted = tokio::select! {
        biased;
        greeted = greet(&server, &mut wire) => greeted,
        () = clock.sleep(limit) => Ok(None),
    };
    match greeted {
        Ok(None) => wire.close().await,
        Ok(Some(connection)) => {
            tracing::debug!(?peer, user = connection.identity.user, "client connected");
            connection.run().await;
        }
        Err(error) => {
            outgoing::error(&mut wire.output, &WireError { is_fatal: true, ..error });
            wire.close().await;
        }
    }
}

/// How long a client may be silent before the kernel asks it whether it is there.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// How long it may leave bytes or questions of the kernel unanswered.
const UNANSWERED_MAX: Duration = Duration::from_secs(60);

/// Small answers do not wait for more to come, and a machine that is gone without a word is noticed.
fn keep_alive(socket: &TcpStream) {
    // Without these the connection is slower to answer or to end, not wrong.
    let _ = socket.set_nodelay(true);
    let socket = socket2::SockRef::from(socket);
    let questions = socket2::TcpKeepalive::new().with_time(SILENT_MAX).with_interval(Duration::from_secs(15));
    let _ = socket.set_tcp_keepalive(&questions);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNANSWERED_MAX));
}

/// Tells a client that the engine is not there yet; clients know this answer and come again.
pub(crate) async fn send_away(lobby: Arc<Lobby>, socket: TcpStream) {
    let mut wire = Wire::new(Stream::Plain(socket), STARTUP_BYTES_MAX);
    let answer = async {
        for _ in 0..OPENINGS_MAX {
            match wire.opening().await {
                Ok(Some(Opening::Ssl | Opening::Gss)) => wire.answer(b'N').await?,
                Ok(Some(Opening::Startup(_))) => {
                    outgoing::error(&mut wire.output, &WireError::fatal("57P03", "the database system is starting up"));
                    break;
                }
                _ => break,
            }
        }
        wire.close().await;
        std::io::Result::Ok(())
    };
    tokio::select! {
        // The client may have gone first.
        _ = answer => {}
        () = lobby.stopping() => {}
        () = lobby.clock.sleep(Duration::from_millis(lobby.config.startup_ms_max)) => {}
    }
}

/// Everything before the first statement; `None`: there is nothing to serve.
async fn greet(server: &Arc<ServerState>, wire: &mut Wire) -> Result<Option<Box<Connection>>> {
    let Some(request) = begin(server, wire).await? else { return Ok(None) };
    let place = server.enter()?;
    let user = request.parameters.get("user").filter(|user| !user.is_empty()).cloned();
    let user = user.ok_or_else(|| WireError::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
    let database = request.parameters.get("database").filter(|name| !name.is_empty()).unwrap_or(&user).clone();
    if server.config.tls_required && !wire.is_encrypted() {
        return Err(WireError::fatal("28000", "connection requires TLS").with_hint("sslmode=require"));
    }
    let options: Vec<String> = request.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if request.minor > 0 || !options.is_empty() {
        outgoing::negotiate_version(&mut wire.output, &options);
    }
    if server.roles.asks_for_passwords() {
        authenticate(server, wire, &user).await?;
    }
    if let Some(only) = &server.config.database
        && *only != database
    {
        return Err(WireError::fatal("3D000", format!("database \"{database}\" does not exist")));
    }
    outgoing::authentication(&mut wire.output, 0, &[]);
    let variables = variables(server, wire, &user, &request)?;
    for (name, value) in variables.reported() {
        outgoing::parameter_status(&mut wire.output, &name, &value);
    }
    let registration = server.cancellations.register(scram::random_i32()?);
    outgoing::backend_key(&mut wire.output, registration.process, registration.secret);
    let identity = Identity { is_superuser: server.roles.is_superuser(&user), user, database, process: registration.process };
    let variables = Arc::new(Mutex::new(variables));
    let sql = Arc::new(WireSql::new(Arc::clone(server), identity.clone(), Arc::clone(&variables)));
    let session = server.engine.session().with_extension(Arc::clone(&sql) as _);
    session.set("execution_mode", "batch")?;
    let streaming = server.engine.session().with_extension(sql);
    streaming.set("execution_mode", "streaming")?;
    Ok(Some(Box::new(Connection {
        wire: wire.take(),
        server: Arc::clone(server),
        session,
        streaming,
        identity,
        variables,
        transaction: Transaction::default(),
        implicit: None,
        gathers: false,
        statements: HashMap::new(),
        portals: HashMap::new(),
        registration,
        skips_to_sync: false,
        deadline: None,
        _place: place,
    })))
}

/// The start-up request, after encryption if that was asked for.
async fn begin(server: &Arc<ServerState>, wire: &mut Wire) -> Result<Option<StartupRequest>> {
    for _ in 0..OPENINGS_MAX {
        match wire.opening().await? {
            None => return Ok(None),
            Some(Opening::Startup(request)) => return Ok(Some(request)),
            Some(Opening::Cancel { process, secret }) => {
                server.cancellations.cancel(process, secret);
                return Ok(None);
            }
            Some(Opening::Ssl) if server.tls.is_some() && !wire.is_encrypted() => wire.encrypt(server).await?,
            Some(Opening::Ssl | Opening::Gss) => wire.answer(b'N').await?,
        }
    }
    Err(WireError::protocol("too many requests for encryption"))
}

async fn authenticate(server: &Arc<ServerState>, wire: &mut Wire, user: &str) -> Result<()> {
    outgoing::authentication(&mut wire.output, 10, b"SCRAM-SHA-256\0\0");
    wire.flush().await?;
    let failed = || WireError::fatal("28P01", format!("password authentication failed for user \"{user}\""));
    let first = password_message(wire).await?;
    let client_first = scram::initial_response(&first)?;
    let mut exchange = scram::Exchange::start(&server.roles.verifier(user), &client_first)?;
    outgoing::authentication(&mut wire.output, 11, exchange.server_first().as_bytes());
    wire.flush().await?;
    let last = password_message(wire).await?;
    match exchange.finish(&last)? {
        // An exchange with a made-up verifier never succeeds, whatever its outcome.
        Some(server_final) if server.roles.can_login(user) => {
            outgoing::authentication(&mut wire.output, 12, server_final.as_bytes());
            Ok(())
        }
        _ => Err(failed()),
    }
}

async fn password_message(wire: &mut Wire) -> Result<bytes::Bytes> {
    match wire.next().await? {
        Some(Message::Password(body)) => Ok(body),
        Some(_) => Err(WireError::protocol("expected SASL response")),
        None => Err(super::gone()),
    }
}

/// The settings that the client wishes for, as parameters of their own and as `options=-c name=value`.
fn variables(server: &ServerState, wire: &Wire, user: &str, request: &StartupRequest) -> Result<Variables> {
    let mut variables = Variables::new(user, server.roles.is_superuser(user), wire.is_encrypted());
    let set = |variables: &mut Variables, name: &str, value: &str| match variables.set(name, Some(value)) {
        Ok(_) => Ok(()),
        Err(error) => Err(WireError { is_fatal: true, ..error }),
    };
    let set = |variables: &mut Variables, name: &str, value: &str| {
        let roles = &server.roles;
        if name.eq_ignore_ascii_case("role") && value != "none" && roles.asks_for_passwords() && !roles.is_member(user, value) {
            return Err(WireError::fatal("42501", format!("permission denied to set role \"{value}\"")));
        }
        set(variables, name, value)
    };
    for (name, value) in &request.parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                let words: Vec<&str> = value.split_whitespace().collect();
                for (n, word) in words.iter().enumerate() {
                    let assignment = match word.strip_prefix("-c") {
                        Some("") => words.get(n + 1).copied(),
                        Some(rest) => Some(rest),
                        None => word.strip_prefix("--"),
                    };
                    if let Some((name, value)) = assignment.and_then(|text| text.split_once('=')) {
                        set(&mut variables, &name.replace('-', "_"), value)?;
                    }
                }
            }
            name if name.starts_with("_pq_.") => {}
            name => set(&mut variables, name, value)?,
        }
    }
    variables.set_initial();
    Ok(variables)
}
