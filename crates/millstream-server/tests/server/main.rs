//! The server through a socket: a real client (tokio-postgres), and raw bytes where no client would do it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods, reason = "these are tests")]

mod client_statements;
mod crowd;
mod follow;
mod hostile;
mod http;
mod protocol;
mod raw;
mod rights;
mod secure;
mod sql_fuzz;
mod transaction;

use millstream::Engine;
use millstream_server::{Server, ServerConfig};
use tokio_postgres::{Client, NoTls};

/// A server of its own for one test.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) engine: Engine,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub(crate) async fn with(config: ServerConfig) -> Self {
        let engine = Engine::builder().build().await.unwrap();
        let any = Some("127.0.0.1:0".parse().unwrap());
        let server = Server::start(engine.clone(), ServerConfig { pg: any, http: any, ..config }).await.unwrap();
        Self { server, engine }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.pg_address().unwrap().port()
    }

    pub(crate) fn http_port(&self) -> u16 {
        self.server.http_address().unwrap().port()
    }

    pub(crate) async fn client(&self) -> Client {
        self.connect("").await.unwrap()
    }

    /// Connects with more parameters (`password=…`).
    pub(crate) async fn connect(&self, more: &str) -> Result<Client, tokio_postgres::Error> {
        let config = format!("host=127.0.0.1 port={} user=me dbname=stream {more}", self.port());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        #[expect(clippy::disallowed_methods, reason = "the client's own task")]
        tokio::spawn(async move {
            // It ends with an error where the server ends it; the client's calls tell.
            let _ = connection.await;
        });
        Ok(client)
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.engine.shutdown().await;
    }
}

/// The SQLSTATE of an error.
pub(crate) fn state(error: &tokio_postgres::Error) -> String {
    error.code().map(|code| code.code().to_owned()).unwrap_or_else(|| format!("no SQLSTATE: {error}"))
}
