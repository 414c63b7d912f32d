//! Files in a bucket as tables, through a server that speaks S3: `moto_server` of the Python package `moto[server]`, found on the PATH or
//! by `MILLSTREAM_MOTO_SERVER`. Without it the test says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(clippy::disallowed_methods, reason = "a test waits for another program")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
        assert!(started.put("/bucket", b"").starts_with("HTTP/1.1 200"), "the bucket is made");
        Some(started)
    }

    fn put(&self, path: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(stream, "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn millstream(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(words).args(["--format", "csv", "--set", "checkpoint_interval_ms=50"]).stdin(Stdio::null());
        command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").env_remove("MILLSTREAM_CRASH_AT");
        command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]);
        command.env("AWS_ENDPOINT", format!("http://{}", self.address)).env("AWS_ALLOW_HTTP", "true");
        command.output().unwrap()
    }
}

#[test]
fn files_in_a_bucket_are_tables_by_their_urls() {
    let Some(s3) = S3::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let parquet = folder.path().join("n.parquet");
    let copied = s3.millstream(&["-c", &format!("\\copy (SELECT 7 AS n, 'seven' AS name) to '{}'", parquet.display())]);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    s3.put("/bucket/logs/a.jsonl", b"{\"n\": 1, \"at\": \"2024-01-01 00:00:01\"}\n{\"n\": 2}\n");
    s3.put("/bucket/logs/b.csv", b"n,name\n3,three\n4,four\n");
    s3.put("/bucket/logs/2024/c.csv", b"n,name\n5,five\n");
    s3.put("/bucket/logs/d.parquet", &std::fs::read(parquet).unwrap());
    let answer = |sql: &str| {
        let output = s3.millstream(&["-c", sql]);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(answer("SELECT n, at FROM 's3://bucket/logs/a.jsonl' ORDER BY n"), "n,at\n1,2024-01-01 00:00:01\n2,\n");
    assert_eq!(answer("SELECT sum(n) AS total FROM 's3://bucket/logs/*.csv'"), "total\n7\n");
    assert_eq!(answer("SELECT sum(n) AS total FROM 's3://bucket/logs/2024/c*.csv'"), "total\n5\n");
    let deep = answer("SELECT * FROM 's3://bucket/logs/*/c*.csv'");
    assert!(deep.contains("a pattern of files by URL stands behind the last '/'"), "{deep}");
    assert_eq!(answer("SELECT n, name FROM 's3://bucket/logs/d.parquet'"), "n,name\n7,seven\n");
    assert_eq!(answer("DESCRIBE 's3://bucket/logs/b.csv'"), "column,type,nullable,kind\nn,BIGINT,yes,column\nname,TEXT,yes,column\n");
    let joined = "SELECT a.n FROM 's3://bucket/logs/b.csv' a JOIN 's3://bucket/logs/b.csv' b ON a.n = b.n - 1";
    assert_eq!(answer(joined), "n\n3\n");
    let loaded = "CREATE TABLE t (n BIGINT, name TEXT);\n\\copy t from 's3://bucket/logs/b.csv'\nSELECT max(name) AS last FROM t;";
    assert_eq!(answer(loaded), "last\nthree\n");
    let missing = answer("SELECT * FROM 's3://bucket/logs/x.csv'");
    assert!(missing.contains("there is no file 's3://bucket/logs/x.csv'"), "{missing}");
    let no_bucket = answer("SELECT * FROM 's3://missing/x.csv'");
    assert!(no_bucket.contains("cannot read 's3://missing/x.csv'") && no_bucket.contains("AWS_"), "{no_bucket}");
}
