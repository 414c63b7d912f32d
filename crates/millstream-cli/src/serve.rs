//! `millstream serve`: runs the pipelines of a data folder and serves them to clients of PostgreSQL and of HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use millstream::{Engine, Settings};
use millstream_server::{Listening, Server, ServerConfig};

use crate::args::Options;
use crate::interrupt::Interrupts;
use crate::screen::Screen;

/// The environment's password for the user `millstream`.
const PASSWORD_VARIABLE: &str = "MILLSTREAM_PASSWORD";

/// What `millstream serve` is told.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Serve {
    /// Where the Postgres protocol is spoken
    #[arg(long, default_value = "127.0.0.1:5433", value_name = "ADDRESS")]
    pg: SocketAddr,

    /// Where HTTP is spoken: /health, /ready, /metrics and a status page
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,

    /// The database's name; without it clients may use any
    #[arg(long, value_name = "NAME")]
    database: Option<String>,

    /// File of lines name:password or name:verifier; then every client needs a password. MILLSTREAM_PASSWORD in the
    /// environment does the same for the user millstream
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,

    /// Certificate chain for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Refuse clients without TLS
    #[arg(long, requires = "tls_cert")]
    tls_required: bool,

    /// Listen where other machines can reach it even without passwords and TLS
    #[arg(long)]
    allow_insecure: bool,

    /// Let every client use connectors that read and write this machine's files or reach other machines
    #[arg(long)]
    server_files: bool,

    /// Clients at once at most
    #[arg(long, default_value_t = 1000, value_name = "N")]
    max_connections: usize,

    /// Rows of a result at most; 0: any number
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_rows: u64,
}

/// Serves until a signal comes; the program's exit code.
pub(crate) async fn run(serve: &Serve, options: &Options, screen: &mut Screen, mut interrupts: Interrupts) -> u8 {
    match start(serve, options).await {
        Ok((engine, server)) => {
            let also = server.http_address().map(|http| format!(", HTTP on http://{http}/")).unwrap_or_default();
            let pg = server.pg_address().map(|pg| pg.to_string()).unwrap_or_default();
            screen.note(&format!("serving the Postgres protocol on {pg}{also}"));
            let signal = interrupts.wait().await;
            server.stop().await;
            engine.shutdown().await;
            signal.exit_code()
        }
        Err(message) => {
            screen.error(&message);
            1
        }
    }
}

async fn start(serve: &Serve, options: &Options) -> Result<(Engine, Server), String> {
    let mut settings = Settings::default();
    for (name, value) in &options.settings {
        settings.set(name, value).map_err(|error| error.to_string())?;
    }
    let builder = options.engine().settings(settings);
    let config = ServerConfig {
        pg: Some(serve.pg),
        http: serve.http,
        database: serve.database.clone(),
        users: users(serve)?,
        roles_file: options.data.as_ref().filter(|data| !data.contains("://")).map(|data| PathBuf::from(data).join("roles")),
        tls_cert: serve.tls_cert.clone(),
        tls_key: serve.tls_key.clone(),
        tls_required: serve.tls_required,
        allow_insecure: serve.allow_insecure,
        server_files: serve.server_files,
        connections_max: serve.max_connections,
        result_rows_max: serve.max_rows,
        ..ServerConfig::default()
    };
    let listening = Listening::start(config).await.map_err(|error| {
        let hint = error.hint.as_deref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{}{hint}", error.message)
    })?;
    match builder.build().await {
        Ok(engine) => Ok((engine.clone(), listening.serve(engine))),
        Err(error) => {
            listening.stop().await;
            Err(error.to_string())
        }
    }
}

/// Users of the file and of the environment.
fn users(serve: &Serve) -> Result<Vec<(String, String)>, String> {
    let mut users = Vec::new();
    if let Some(path) = &serve.users {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read the users of '{}': {error}", path.display()))?;
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
            let user = line.split_once(':').filter(|(name, secret)| !name.is_empty() && !secret.is_empty());
            let (name, secret) =
                user.ok_or_else(|| format!("{}:{}: a user is written name:password or name:verifier", path.display(), n + 1))?;
            users.push((name.to_owned(), secret.to_owned()));
        }
        if users.is_empty() {
            return Err(format!("there are no users in '{}'", path.display()));
        }
    }
    if let Some(password) = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty()) {
        users.push(("millstream".to_owned(), password));
    }
    Ok(users)
}
