//! A data folder in a bucket, through a server that speaks S3: `moto_server` of the Python package `moto[server]`, found on the PATH or
//! by `MILLSTREAM_MOTO_SERVER`. Without it the test says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(clippy::disallowed_methods, reason = "a test waits for another program")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = "
CREATE TABLE bids (WATERMARK FOR date_time)
WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '10000', 'rate' = '20000', 'event_rate' = '1000');
CREATE TABLE copied (auction BIGINT, price BIGINT);
CREATE SINK copying INTO copied AS SELECT auction, price FROM bids;
CREATE MATERIALIZED VIEW per_second AS
SELECT window_start, count(*) AS n, sum(price) AS total FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start;
";

struct S3 {
    server: Child,
    address: SocketAddr,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl S3 {
    fn start() -> Option<Self> {
        let program = std::env::var("MILLSTREAM_MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let server = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(server) => server,
            Err(error) => {
                eprintln!("SKIPPED: there is no S3 server: {program}: {error} (pip install 'moto[server]')");
                return None;
            }
        };
        let started = Self { server, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(started.put("/bucket").starts_with("HTTP/1.1 200"), "the bucket is made");
        Some(started)
    }

    fn put(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn millstream(&self, words: &[&str], crash_at: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(words).args(["--format", "csv", "--set", "checkpoint_interval_ms=50"]).stdin(Stdio::null());
        command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").env_remove("MILLSTREAM_CRASH_AT");
        command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]);
        command.env("AWS_ENDPOINT", format!("http://{}", self.address)).env("AWS_ALLOW_HTTP", "true");
        if let Some(place) = crash_at {
            command.env("MILLSTREAM_CRASH_AT", place);
        }
        command.output().unwrap()
    }
}

#[test]
fn a_pipeline_in_a_bucket_survives_crashes_and_is_exact() {
    let Some(s3) = S3::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.sql");
    std::fs::write(&script, SCRIPT).unwrap();
    let run = ["run", script.to_str().unwrap(), "--data", "s3://bucket/pipelines/one"];
    let mut died = 0;
    for crash in ["after-state:2", "after-manifest:3", "after-publish:2", "before-seal:3"] {
        died += u32::from(s3.millstream(&run, Some(crash)).status.code().is_none());
    }
    assert!(died >= 2, "{died}");
    let output = s3.millstream(&run, None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = "SELECT count(*) FROM copied; SELECT count(*), count(DISTINCT window_start), sum(n) FROM per_second";
    let output = s3.millstream(&["-c", sql, "--data", "s3://bucket/pipelines/one"], None);
    let seen = String::from_utf8(output.stdout).unwrap();
    assert!(seen.contains("\n9200\n") && seen.contains("\n10,10,9200\n"), "{seen}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let Some(s3) = S3::start() else { return };
    let output = s3.millstream(&["-c", "SELECT 1", "--data", "s3://missing/x"], None);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("NoSuchBucket"), "{told}");
}
