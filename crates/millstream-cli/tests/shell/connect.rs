//! The shell as a client of a server: the real server, and the real shell in a pseudo-terminal.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use millstream_time::{Clock, SystemClock};
use tempfile::{TempDir, tempdir};

use crate::terminal::{PROMPT, Terminal, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_millstream");
/// Never ends.
const TICKS: &str = "CREATE TABLE ticks (n BIGINT, at AS PROCTIME()) \
     WITH ('connector' = 'datagen', 'rows-per-second' = '200', 'fields.n.kind' = 'sequence');";

/// A server with a data folder, at a port of its own.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
    args: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Server {
    fn start() -> Self {
        Self::with(&[], &[])
    }

    fn with(args: &[&str], variables: &[(&'static str, &'static str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = launch(folder.path(), port, &args, variables);
        Self { child, port, folder, args, variables: variables.to_vec() }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// At the same port and over the same data.
    fn restart(&mut self) {
        self.child = launch(self.folder.path(), self.port, &self.args, &self.variables);
    }

    /// The shell without a terminal.
    fn run(&self, address: &str, args: &[&str], variables: &[(&str, &str)], input: &str) -> (Output, String, String) {
        let mut command = Command::new(PROGRAM);
        command.args(["--connect", address]).args(args).current_dir(self.folder.path());
        command.env_remove("PGPASSWORD").env_remove("MILLSTREAM_PASSWORD").env_remove("PGUSER").envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output, out, err)
    }

    fn shell(&self, home: &Path, args: &[&str]) -> Terminal {
        let address = self.address();
        let terminal = Terminal::start(home, &[&["--connect", &address], args].concat(), &[], (24, 100));
        terminal.wait("the first prompt", |screen| screen.contains(PROMPT));
        terminal
    }
}

fn launch(folder: &Path, port: u16, args: &[String], variables: &[(&str, &str)]) -> Child {
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--data", "state", "--pg", &address]).args(args).current_dir(folder);
    command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let clock = SystemClock::default();
    let deadline = clock.monotonic() + Duration::from_secs(60);
    while TcpStream::connect(&address).is_err() {
        assert!(clock.monotonic() < deadline && child.try_wait().unwrap().is_none(), "the server does not start");
        std::thread::yield_now();
    }
    child
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Waits for a prompt that says where it is connected to, below `text`.
fn run(terminal: &Terminal, typed: &str, text: &str) -> String {
    terminal.type_text(typed);
    terminal.type_text("\r");
    terminal.wait(text, |screen| screen.contains(text) && at_prompt(screen))
}

/// An empty prompt on the last line, with the server at its right.
fn at_prompt(screen: &str) -> bool {
    let last = screen.trim_end().lines().last().unwrap_or_default();
    last.strip_prefix(PROMPT).is_some_and(|rest| rest.starts_with("    ") && rest.contains("127.0.0.1:"))
}

fn clear(terminal: &Terminal) {
    terminal.type_text("\x0c");
    terminal.wait("an empty screen", |screen| screen.trim().lines().count() == 1 && at_prompt(screen));
}

#[test]
fn a_server_is_used_as_an_engine_of_ones_own() {
    let (server, home) = (Server::start(), tempdir().unwrap());
    let terminal = server.shell(home.path(), &[]);
    run(&terminal, "CREATE TABLE bids (auction BIGINT, price DECIMAL(10,2), at TIMESTAMP(3), tags TEXT[]);", "CREATE TABLE");
    run(&terminal, "INSERT INTO bids VALUES (1, 2.50, TIMESTAMP '2024-01-01 00:00:01.5', ['a']), (2, NULL, NULL, NULL);", "INSERT 0 2");
    let screen = run(&terminal, "SELECT * FROM bids ORDER BY auction;", "(2 rows");
    assert!(screen.contains("1 |  2.50 | 2024-01-01 00:00:01.500 | [a]"), "{screen}");
    clear(&terminal);
    let screen = run(&terminal, "SELECT auction,\r  prise FROM bids;", "did you mean 'price'");
    assert!(screen.contains("(SQLSTATE 42703)") && screen.contains("LINE 2:   prise FROM bids") && screen.contains("^^^^^"), "{screen}");
    clear(&terminal);
    // What exists is asked for beside the prompt, which does not wait for it.
    let completed = |screen: &str| screen.contains("SELECT max(auction) AS top FROM bids");
    for _ in 0..100 {
        terminal.type_text("SELECT max(auct\t) AS top FROM bi\t");
        let screen = terminal.wait("what was typed", |screen| screen.contains(") AS top FROM bi"));
        if completed(&screen) || completed(&terminal.see("bi")) {
            break;
        }
        terminal.type_text("\x03");
        clear(&terminal);
    }
    terminal.wait("names that are completed", completed);
    run(&terminal, ";", "top");
    assert!(run(&terminal, "\\d bids", "DECIMAL(10, 2)").contains("auction"));
    run(&terminal, "\\dt", "bids");
    run(&terminal, "\\copy bids to 'bids.parquet'", "2 rows into");
    assert!(home.path().join("bids.parquet").is_file());
    clear(&terminal);
    terminal.type_text("COPY bids FROM STDIN;\r");
    terminal.see(">>");
    terminal.type_text("7\t1.25\t\\N\t\\N\r\\.\r");
    terminal.wait("the copied row", |screen| screen.contains("COPY 1") && at_prompt(screen));
    run(&terminal, "\\copy (SELECT auction, price, at FROM bids WHERE auction < 7) to 'three.parquet'", "2 rows into");
    run(&terminal, "\\copy bids from 'three.parquet'", "2 rows from");
    run(&terminal, "SELECT count(*) AS n, sum(auction) AS total FROM bids;", "5 |    13");
    // Typed ahead of the prompt.
    run(&terminal, "\\set parallelism 3\r\\set parallelism", "parallelism = 3");
    terminal.type_text("\\q\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn rows_go_in_and_out_by_copy() {
    let server = Server::start();
    let at = server.address();
    let folder = server.folder.path();
    fs::write(folder.join("zips.csv"), "zip,name\n01234,\"B, \"\"x\"\"\"\n00007,\n").unwrap();
    fs::write(folder.join("turned.ndjson"), "{\"name\": \"json\", \"zip\": \"9\"}\n").unwrap();
    let script = "CREATE TABLE z (zip TEXT, name TEXT);\n\\copy z from 'zips.csv'\n\\copy z from 'turned.ndjson'\n\
         COPY z (zip) FROM STDIN;\n1\n2;'\n\\.\nCOPY (SELECT zip, name FROM z ORDER BY zip) TO STDOUT WITH (FORMAT csv);\n";
    let (output, out, err) = server.run(&at, &[], &[], script);
    assert!(output.status.success(), "{err}");
    assert_eq!(out, "00007,\n01234,\"B, \"\"x\"\"\"\n1,\n2;',\n9,json\n");
    let (_, out, err) = server.run(
        &at,
        &["-c", "COPY z FROM STDIN (FORMAT csv)", "-c", "SELECT count(*) AS n FROM z", "--format", "csv"],
        &[],
        "a,b\nc,d\n",
    );
    assert_eq!(out, "n\n7\n", "{err}");
    let (output, _, err) = server.run(&at, &["-c", "\\copy z (nothing) from 'zips.csv'"], &[], "");
    assert!(output.status.code() == Some(1) && err.contains("nothing"), "{err}");
    let (output, _, err) = server.run(&at, &["-c", "SELECT * FROM 'zips.csv'"], &[], "");
    assert!(output.status.code() == Some(1) && err.contains("SQLSTATE 42501") && err.contains("--server-files"), "{err}");
}

#[test]
fn a_materialized_view_at_a_server_is_watched_live() {
    let (server, home) = (Server::start(), tempdir().unwrap());
    let terminal = server.shell(home.path(), &[]);
    run(&terminal, TICKS, "CREATE TABLE");
    run(&terminal, "CREATE MATERIALIZED VIEW m AS SELECT n / 100 AS hundred FROM ticks WHERE n % 100 = 0;", "CREATE MATERIALIZED VIEW");
    clear(&terminal);
    terminal.type_text("\\live SELECT max(hundred) AS newest FROM m\r");
    let newest = |screen: &str| screen.lines().nth(3).and_then(|line| line.trim().parse::<u64>().ok());
    terminal.wait("the first rows", |screen| screen.contains("1 row, live") && newest(screen).is_some());
    let first = newest(&terminal.see("live")).unwrap_or_default();
    terminal.wait("newer rows at the same place", |screen| newest(screen).is_some_and(|now| now > first + 1));
    terminal.type_text("q");
    terminal.wait("the prompt", at_prompt);
    run(&terminal, "\\dt+", "datagen");
}

#[test]
fn control_c_cancels_at_the_server() {
    let (server, home) = (Server::start(), tempdir().unwrap());
    let terminal = server.shell(home.path(), &[]);
    run(&terminal, TICKS, "CREATE TABLE");
    for statement in ["SELECT n FROM ticks;", "SUBSCRIBE (SELECT n FROM ticks);"] {
        clear(&terminal);
        terminal.type_text(&format!("{statement}\r"));
        terminal.wait("the live line", |screen| screen.trim_end().lines().last().is_some_and(|line| line.ends_with("/s")));
        let before = terminal.elapsed();
        terminal.type_text("\x03");
        terminal.wait("the prompt", |screen| screen.contains("stopped after") && at_prompt(screen));
        let took = terminal.elapsed() - before;
        println!("prompt after Ctrl-C at a server: {took:?}");
        assert!(took < within(Duration::from_millis(200), Duration::from_secs(3)), "{took:?}");
        run(&terminal, "SELECT 6 * 7 AS answer;", "42");
    }
    run(&terminal, "CREATE MATERIALIZED VIEW m AS SELECT n FROM ticks WHERE n % 100 = 0;", "CREATE MATERIALIZED VIEW");
    // The prompt does not wait for long to be told; the next one knows.
    let told = |screen: &str| screen.contains("1 pipeline runs at 127.0.0.1:");
    for _ in 0..50 {
        let screen = run(&terminal, "\\echo again", "again");
        if told(&screen) {
            break;
        }
        clear(&terminal);
    }
    terminal.wait("the pipeline at the prompt", told);
    terminal.type_text("\\pipelines\r");
    terminal.wait("figures", |screen| screen.lines().any(|line| line.starts_with('m') && line.contains("running") && line.contains(" %")));
    terminal.type_text("q");
    terminal.wait("the prompt", at_prompt);
}

#[test]
fn a_lost_connection_is_told_and_made_again() {
    let (mut server, home) = (Server::start(), tempdir().unwrap());
    let terminal = server.shell(home.path(), &[]);
    run(&terminal, TICKS, "CREATE TABLE");
    terminal.type_text("SELECT n FROM ticks;\r");
    terminal.wait("the live line", |screen| screen.trim_end().lines().last().is_some_and(|line| line.ends_with("/s")));
    server.kill();
    terminal.wait("the loss", |screen| screen.contains("is lost: ") && at_prompt(screen));
    clear(&terminal);
    run(&terminal, "SELECT 1;", "cannot connect to 127.0.0.1:");
    server.restart();
    clear(&terminal);
    let screen = run(&terminal, "SELECT count(*) AS there FROM information_schema.tables WHERE table_name = 'ticks';", "(1 row");
    assert!(screen.contains("again; settings and transactions of the lost connection are gone"), "{screen}");
}

#[test]
fn scripts_run_at_a_server() {
    let server = Server::start();
    let at = server.address();
    fs::write(server.folder.path().join("t.sql"), "CREATE TABLE t (a BIGINT, b TEXT);\nINSERT INTO t VALUES (1, 'x;y');\n\\echo done\n")
        .unwrap();
    let (output, out, err) = server.run(&at, &["-f", "t.sql", "-c", "SELECT * FROM t", "--format", "csv"], &[], "");
    assert!(output.status.success(), "{err}");
    assert_eq!(out, "done\na,b\n1,x;y\n");
    let (_, out, _) = server.run(&at, &["--format", "ndjson"], &[], "SELECT a, b FROM t;\nSELECT a + 1 AS c FROM t;");
    assert_eq!(out, "{\"a\":1,\"b\":\"x;y\"}\n{\"c\":2}\n");
    let (output, out, err) = server.run(&at, &["-c", "SELECT 1 AS one", "-c", "SELECT nothing FROM t", "-c", "SELECT 3"], &[], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("one") && !out.contains('3') && err.contains("(SQLSTATE 42703)"), "{out}{err}");
    let (output, _, err) = server.run("127.0.0.1:1", &["-c", "SELECT 1"], &[], "");
    assert!(
        output.status.code() == Some(1) && err.contains("cannot connect to 127.0.0.1:1: ") && err.contains("millstream serve"),
        "{err}"
    );
    let (output, _, err) = server.run("what ever", &["-c", "SELECT 1"], &[], "");
    assert!(output.status.code() == Some(1) && err.contains("HOST:PORT"), "{err}");
}

#[test]
fn passwords_come_from_the_environment_or_are_asked_for() {
    let server = Server::with(&[], &[("MILLSTREAM_PASSWORD", "secret")]);
    let at = server.address();
    let ask = ["-c", "SELECT 'in' AS here", "--format", "csv"];
    let (_, out, err) = server.run(&at, &ask, &[("MILLSTREAM_PASSWORD", "secret")], "");
    assert_eq!(out, "here\nin\n", "{err}");
    let (_, _, err) = server.run(&at, &ask, &[("PGPASSWORD", "wrong")], "");
    assert!(err.contains("SQLSTATE 28P01"), "{err}");
    let (_, _, err) = server.run(&at, &ask, &[], "");
    assert!(err.contains("asks millstream for a password") && err.contains("PGPASSWORD"), "{err}");
    let home = tempdir().unwrap();
    let terminal = Terminal::start(home.path(), &["--connect", &at], &[], (24, 100));
    terminal.see("Password of millstream at ");
    terminal.type_text("secret\r");
    terminal.wait("the prompt", at_prompt);
    let screen = run(&terminal, "SELECT 6 * 7 AS answer;", "42");
    assert!(!screen.contains("secret"), "{screen}");
}

#[test]
fn tls_is_spoken_and_certificates_are_checked_where_asked() {
    let folder = tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, secret) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, key.cert.pem()).unwrap();
    fs::write(&secret, key.signing_key.serialize_pem()).unwrap();
    let (cert, secret) = (cert.display().to_string(), secret.display().to_string());
    let server = Server::with(&["--tls-cert", &cert, "--tls-key", &secret, "--tls-required"], &[]);
    let run = |host: &str, parameters: &str| {
        let address = format!("postgres://me@{host}:{}/x?{parameters}", server.port);
        let (_, out, err) = server.run(&address, &["-c", "SHOW ssl", "--format", "csv"], &[], "");
        out + &err
    };
    assert_eq!(run("localhost", ""), "ssl\non\n");
    assert_eq!(run("localhost", "sslmode=require"), "ssl\non\n");
    assert_eq!(run("localhost", &format!("sslmode=verify-full&sslrootcert={cert}")), "ssl\non\n");
    assert_eq!(run("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={cert}")), "ssl\non\n");
    assert!(run("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={cert}")).contains("not valid for name"));
    assert!(run("localhost", "sslmode=verify-full").contains("invalid peer certificate"));
    assert!(run("localhost", "sslmode=disable").contains("SQLSTATE 28000"));
}
