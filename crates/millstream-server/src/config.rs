//! What a server is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How a server listens and what it allows. `Default` is a loopback server without a password.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where the Postgres protocol is spoken; `None`: nowhere.
    pub pg: Option<SocketAddr>,
    /// Where HTTP is spoken; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// The only database there is; `None`: clients may call it what they like.
    pub database: Option<String>,
    /// Users: lines of `name:password` or `name:verifier`. Whoever is in it must give a password, nobody else gets in.
    pub users: Vec<(String, String)>,
    /// Where roles that SQL makes are kept; `None`: in memory.
    pub roles_file: Option<PathBuf>,
    /// Certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Refuse connections without TLS.
    pub tls_required: bool,
    /// Listen on a public address even without password and TLS.
    pub allow_insecure: bool,
    /// Let every client read and write files of the server and reach other machines; otherwise superusers that gave a password may, and
    /// roles that were granted it.
    pub server_files: bool,
    /// Connections at most.
    pub connections_max: usize,
    /// Bytes of a message at most.
    pub message_bytes_max: usize,
    /// Rows of a result at most; 0: any.
    pub result_rows_max: u64,
    /// Milliseconds that a client may take to log in.
    pub startup_ms_max: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            pg: None,
            http: None,
            database: None,
            users: Vec::new(),
            roles_file: None,
            tls_cert: None,
            tls_key: None,
            tls_required: false,
            allow_insecure: false,
            server_files: false,
            connections_max: 1000,
            message_bytes_max: 16 << 20,
            result_rows_max: 0,
            startup_ms_max: 30_000,
        }
    }
}
