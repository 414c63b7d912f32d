//! A data folder in a bucket, through servers that speak the protocols of the clouds:
//!
//! | cloud | server | from | found on the PATH, or by |
//! |---|---|---|---|
//! | S3 | `moto_server` | Python package `moto[server]` | `MILLSTREAM_MOTO_SERVER` |
//! | Azure | `azurite-blob` | npm package `azurite` | `MILLSTREAM_AZURITE` |
//!
//! Without its server a test says so and is skipped. Of Google Cloud no server is known that creates objects conditionally by the protocol
//! that is used (`PUT` with `x-goog-if-generation-match: 0`).

#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(clippy::disallowed_methods, reason = "a test waits for another program")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SCRIPT: &str = "
CREATE TABLE bids (WATERMARK FOR date_time)
WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '10000', 'rate' = '20000', 'event_rate' = '1000');
CREATE TABLE copied (auction BIGINT, price BIGINT);
CREATE SINK copying INTO copied AS SELECT auction, price FROM bids;
CREATE MATERIALIZED VIEW per_second AS
SELECT window_start, count(*) AS n, sum(price) AS total FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start;
";

/// A signature for the emulator's public account that never expires: it makes the container.
const AZURITE_SIGNATURE: &str = "sv=2021-12-02&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp\
    &sig=jlSI%2B5DohmjtlB2oCr2Vhd9u7l%2F%2FvB9E8D7vhfmKGX4%3D";

/// A cloud on this machine.
struct Cloud {
    server: Child,
    address: SocketAddr,
    /// Of a folder in its bucket.
    url: &'static str,
    environment: Vec<(&'static str, String)>,
    /// What the server and the client need on disk.
    _place: TempDir,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Cloud {
    fn s3() -> Option<Self> {
        let (server, address, place) = start("MILLSTREAM_MOTO_SERVER", "moto_server", "pip install 'moto[server]'", |port, _| {
            ["-H", "127.0.0.1", "-p", &port].map(str::to_owned).to_vec()
        })?;
        let keys =
            [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1"), ("AWS_ALLOW_HTTP", "true")];
        let mut environment: Vec<(&str, String)> = keys.map(|(key, value)| (key, value.to_owned())).to_vec();
        environment.push(("AWS_ENDPOINT", format!("http://{address}")));
        let cloud = Self { server, address, url: "s3://bucket/pipelines/one", environment, _place: place };
        cloud.make_bucket("/bucket");
        Some(cloud)
    }

    fn azure() -> Option<Self> {
        let (server, address, place) = start("MILLSTREAM_AZURITE", "azurite-blob", "npm install azurite", |port, place| {
            let place = place.to_str().unwrap();
            ["--blobHost", "127.0.0.1", "--blobPort", &port, "--location", place, "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
                .map(str::to_owned)
                .to_vec()
        })?;
        let environment =
            vec![("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()), ("AZURITE_BLOB_STORAGE_URL", format!("http://{address}"))];
        let cloud = Self { server, address, url: "az://bucket/pipelines/one", environment, _place: place };
        cloud.make_bucket(&format!("/devstoreaccount1/bucket?restype=container&{AZURITE_SIGNATURE}"));
        Some(cloud)
    }

    fn make_bucket(&self, path: &str) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "the bucket is made: {answer}");
    }

    fn millstream(&self, words: &[&str], crash_at: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(words).args(["--format", "csv", "--set", "checkpoint_interval_ms=50"]).stdin(Stdio::null());
        command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").env_remove("MILLSTREAM_CRASH_AT");
        command.envs(self.environment.iter().cloned());
        if let Some(place) = crash_at {
            command.env("MILLSTREAM_CRASH_AT", place);
        }
        command.output().unwrap()
    }

    fn survives_crashes_and_is_exact(&self) {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script.sql");
        std::fs::write(&script, SCRIPT).unwrap();
        let run = ["run", script.to_str().unwrap(), "--data", self.url];
        let mut died = 0;
        for crash in ["after-state:2", "after-manifest:3", "after-publish:2", "before-seal:3"] {
            died += u32::from(self.millstream(&run, Some(crash)).status.code().is_none());
        }
        let output = self.millstream(&run, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(died >= 2, "{died}");
        let sql = "SELECT count(*) FROM copied; SELECT count(*), count(DISTINCT window_start), sum(n) FROM per_second";
        let output = self.millstream(&["-c", sql, "--data", self.url], None);
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.contains("\n9200\n") && seen.contains("\n10,10,9200\n"), "{seen}{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Starts a server on a free port and waits until it listens.
fn start(variable: &str, name: &str, from: &str, words: impl Fn(String, &Path) -> Vec<String>) -> Option<(Child, SocketAddr, TempDir)> {
    let place = tempfile::tempdir().unwrap();
    let program = std::env::var(variable).unwrap_or_else(|_| name.to_owned());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(&program);
    command.args(words(address.port().to_string(), place.path())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = match command.spawn() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("SKIPPED: there is no server for this cloud: {program}: {error} ({from}, or {variable}=…)");
            return None;
        }
    };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > Duration::from_secs(120) {
            let _ = server.kill();
            unreachable!("{program} does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((server, address, place))
}

#[test]
fn a_pipeline_in_a_bucket_of_s3_survives_crashes_and_is_exact() {
    if let Some(cloud) = Cloud::s3() {
        cloud.survives_crashes_and_is_exact();
    }
}

#[test]
fn a_pipeline_in_a_container_of_azure_survives_crashes_and_is_exact() {
    if let Some(cloud) = Cloud::azure() {
        cloud.survives_crashes_and_is_exact();
    }
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let Some(s3) = Cloud::s3() else { return };
    let output = s3.millstream(&["-c", "SELECT 1", "--data", "s3://missing/x"], None);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("NoSuchBucket"), "{told}");
}
