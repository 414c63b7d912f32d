//! The two servers, each in a folder of its own that goes with it.

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::Arguments;
use crate::Result;

/// A server that runs; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// `millstream` or `postgresql`.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    child: Child,
    #[expect(dead_code, reason = "the folder goes with the server")]
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT: PostgreSQL's fast shutdown, which ends its own children; ours stops as well. It may have ended by itself.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A client of it.
    ///
    /// # Errors
    /// It is not there.
    pub async fn client(&self) -> Result<Client> {
        let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        #[expect(clippy::disallowed_methods, reason = "the client's own task")]
        tokio::spawn(async move {
            // It ends with an error where the server ends it; the client's calls tell.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Memory of its process, in megabytes, where the machine tells.
    pub fn memory_mb(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
    }

    async fn wait_for(self) -> Result<Self> {
        for _ in 0..600 {
            if self.client().await.is_ok() {
                return Ok(self);
            }
            #[expect(clippy::disallowed_methods, reason = "until another process listens")]
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("{} does not answer on port {}", self.name, self.port).into())
    }
}

/// Millstream, and PostgreSQL where there is one.
///
/// # Errors
/// A server that does not start.
pub async fn both(arguments: &Arguments) -> Result<Vec<Server>> {
    let mut servers = vec![millstream().await?];
    if !arguments.alone {
        match folder_of_postgres(arguments) {
            Some(programs) => servers.push(postgres(&programs).await?),
            None => {
                // Whoever closed standard error does not want to know.
                let _ = writeln!(io::stderr(), "SKIPPED: PostgreSQL is not installed (hint: --postgres /usr/lib/postgresql/15/bin)");
            }
        }
    }
    Ok(servers)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The binary beside this program, over a new data folder.
///
/// # Errors
/// There is none, or it does not start.
pub async fn millstream() -> Result<Server> {
    let binary = std::env::current_exe()?.with_file_name("millstream");
    if !binary.exists() {
        return Err("there is no millstream binary beside this program (hint: cargo build --release --workspace --bins)".into());
    }
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let child = Command::new(&binary)
        .args(["serve", "--server-files", "--max-connections", "10000", "--pg", &format!("127.0.0.1:{port}"), "--data"])
        .arg(folder.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Server { name: "millstream", port, child, folder }.wait_for().await
}

fn folder_of_postgres(arguments: &Arguments) -> Option<PathBuf> {
    let given = arguments.postgres.iter().cloned();
    let usual = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    given.chain(usual).chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// As it is installed, with 256 MB of buffers.
async fn postgres(programs: &Path) -> Result<Server> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    // PostgreSQL refuses to run as root.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if is_root {
        let given = Command::new("chown").arg("nobody").arg(folder.path()).status()?;
        if !given.success() {
            return Err("the folder cannot be given to the user nobody".into());
        }
    }
    let command = |program: &str| {
        let program = programs.join(program);
        let mut command = if is_root { Command::new("setpriv") } else { Command::new(&program) };
        if is_root {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(&program);
        }
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let made =
        command("initdb").args(["--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8", "-D"]).arg(&data).status()?;
    if !made.success() {
        return Err("initdb has failed".into());
    }
    let port = free_port()?;
    let child = command("postgres")
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "shared_buffers=256MB", "-c", "max_connections=200"])
        .spawn()?;
    Server { name: "postgresql", port, child, folder }.wait_for().await
}

/// The rows of lookups and scans: 8 + 4 + about 12 + 8 + 8 bytes each.
///
/// # Errors
/// The server refuses.
pub async fn fill(server: &Server, rows: u64) -> Result<()> {
    let client = server.client().await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE points (id BIGINT PRIMARY KEY, k INTEGER, name TEXT, price DOUBLE PRECISION, at TIMESTAMP);
             INSERT INTO points SELECT i, CAST(i % 1000 AS INTEGER), 'name ' || i, i * 0.25, CAST(to_timestamp(1767225600 + i) AS TIMESTAMP)
                 FROM generate_series(1, {rows}) AS t (i)"
        ))
        .await?;
    if server.name == "postgresql" {
        client.batch_execute("VACUUM ANALYZE points").await?;
    }
    Ok(())
}
