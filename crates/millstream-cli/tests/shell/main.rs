//! The shell as a person uses it: the real program in a pseudo-terminal, its screen read back.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]

mod connect;
mod terminal;
mod tour;

use std::fs;
use std::time::Duration;

use tempfile::{TempDir, tempdir};
use terminal::{Terminal, within};

const BIDS: &str = "CREATE TABLE bids (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), \
     WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) \
     WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '50000');";
/// Never ends.
const TICKS: &str = "CREATE TABLE ticks (n BIGINT, at AS PROCTIME()) \
     WITH ('connector' = 'datagen', 'rows-per-second' = '200', 'fields.n.kind' = 'sequence');";

fn shell() -> (TempDir, Terminal) {
    let home = tempdir().unwrap();
    let terminal = Terminal::shell(home.path(), &[]);
    (home, terminal)
}

#[test]
fn a_statement_goes_on_until_its_semicolon() {
    let (_home, terminal) = shell();
    terminal.type_text("SELECT 'a;b' AS text,\r");
    terminal.see("->");
    terminal.run("  1 + 2 AS three;", "three");
    let screen = terminal.see("(1 row");
    assert!(screen.contains("a;b  |     3"), "{screen}");
}

#[test]
fn what_newcomers_type_is_understood() {
    let (_home, terminal) = shell();
    terminal.type_text("help files\r");
    terminal.see("A file is a table by its name in quotes");
    terminal.clear();
    terminal.type_text("SELECT 1 AS one\r\r");
    terminal.see("a statement ends with ;");
    terminal.run(";", "(1 row");
    terminal.clear();
    terminal.run("selct 1;", "did you mean SELECT?");
    let screen = terminal.run("\r", "did you mean SELECT?");
    assert_eq!(screen.matches("error").count(), 1, "{screen}");
    terminal.run("\\df date_trunk", "did you mean date_trunc?");
    terminal.type_text("\\df date_trunc\r");
    terminal.see("date_trunc(precision, expression)");
    terminal.type_text("q");
    terminal.clear();
    terminal.type_text("exit\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_materialized_view_is_kept_up_to_date_in_place() {
    let (_home, terminal) = shell();
    terminal.run(TICKS, "CREATE TABLE");
    terminal.run("CREATE MATERIALIZED VIEW m AS SELECT n % 3 AS k, n FROM ticks;", "pipeline m started");
    terminal.clear();
    terminal.type_text("\\live SELECT k, max(n) AS newest FROM m GROUP BY k ORDER BY k\r");
    let newest = |screen: &str| screen.lines().nth(3).and_then(|line| line.rsplit('|').next()?.trim().parse::<u64>().ok());
    let screen = terminal.wait("three rows", |screen| screen.contains("3 rows, live | m: ") && newest(screen).is_some());
    let first = newest(&screen).unwrap();
    let screen = terminal.wait("newer rows", |screen| newest(screen).is_some_and(|now| now > first + 100));
    assert!(screen.matches("newest").count() == 2 && screen.lines().count() < 10, "drawn at the same place:\n{screen}");
    terminal.resize(20, 60);
    terminal.wait("the new size", |screen| {
        screen.lines().next().is_some_and(|line| line.trim().starts_with('k')) && screen.contains("3 rows, live")
    });
    terminal.type_text(" ");
    terminal.type_text("q");
    terminal.prompt();
    terminal.resize(24, 100);
    terminal.clear();
    terminal.type_text("\\chart live bar k newest SELECT k, max(n) AS newest FROM m GROUP BY k ORDER BY k\r");
    let longest = |screen: &str| screen.lines().nth(4).and_then(|line| Some(line.rsplit_once('█')?.1.trim().to_owned()));
    let screen = terminal.wait("bars", |screen| screen.contains('█') && longest(screen).is_some());
    let first = longest(&screen);
    terminal.wait("other bars", |screen| longest(screen).is_some_and(|now| Some(now) != first));
    terminal.type_text("q");
    terminal.prompt();
    terminal.clear();
    terminal.type_text("\\live SELECT n FROM ticks\r");
    terminal.see("/s in");
    terminal.type_text("\x03");
    let screen = terminal.see("stopped after");
    assert!(!screen.contains("error"), "{screen}");
    terminal.prompt();
    let screen = terminal.run("\\d m", "materialized view, ");
    assert!(screen.contains("\\live m follows it"), "{screen}");
}

#[test]
fn errors_show_the_place_and_a_hint() {
    let (_home, terminal) = shell();
    terminal.run(BIDS, "CREATE TABLE");
    terminal.clear();
    let screen = terminal.run("SELECT * FROM bidz;", "did you mean 'bids'");
    assert!(screen.contains("^^^^"), "{screen}");
    terminal.run("SELECT prise FROM bids;", "price");
    terminal.run("\\tabels", "did you mean \\tables?");
    terminal.run("DESCRIBE bid;", "did you mean bids?");
    assert!(terminal.run("\\d bids", "event time").contains("date_time"));
}

#[test]
fn tab_completes_tables_columns_and_options() {
    let (_home, terminal) = shell();
    terminal.run(BIDS, "CREATE TABLE");
    terminal.clear();
    terminal.type_text("SELECT max(pric\t) AS top FROM bi\t");
    terminal.see("SELECT max(price) AS top FROM bids");
    terminal.run(";", "top");
    terminal.clear();
    terminal.type_text("CREATE TABLE t (n INT) WITH ('conn\t");
    terminal.see("('connector");
    terminal.type_text("' = 'nex\t");
    terminal.see("'connector' = 'nexmark");
    terminal.type_text("\x03");
    terminal.prompt();
    terminal.type_text("SELECT n\t");
    terminal.see("nullif(");
    terminal.type_text("\x03");
}

#[test]
fn control_c_stops_a_stream_and_never_the_shell() {
    let (_home, terminal) = shell();
    terminal.run(TICKS, "CREATE TABLE");
    terminal.type_text("SELECT n FROM ticks;\r");
    // The live line tells rates.
    terminal.see("/s in");
    let before = terminal.elapsed();
    terminal.type_text("\x03");
    let screen = terminal.prompt();
    let took = terminal.elapsed() - before;
    assert!(screen.contains("stopped after"), "{screen}");
    assert!(took < within(Duration::from_millis(200), Duration::from_secs(3)), "{took:?}");
    println!("prompt after Ctrl-C: {took:?}");
    terminal.clear();
    terminal.type_text("\x03");
    terminal.wait("a second prompt", |screen| screen.matches("millstream>").count() == 2);
    terminal.prompt();
    terminal.run("SELECT 6 * 7 AS answer;", "42");
    terminal.type_text("\x04");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn space_pauses_and_goes_on() {
    let (_home, terminal) = shell();
    terminal.run(TICKS, "CREATE TABLE");
    terminal.type_text("SELECT n FROM ticks;\r");
    terminal.see("/s in");
    terminal.type_text(" ");
    terminal.see("paused, space goes on");
    terminal.type_text(" ");
    terminal.wait("rows again", |screen| !screen.contains("paused"));
    terminal.type_text("\x03");
    terminal.prompt();
}

#[test]
fn history_comes_back_in_the_next_session() {
    let home = tempdir().unwrap();
    let first = Terminal::shell(home.path(), &[]);
    first.run("SELECT 'remember me' AS t;", "(1 row");
    first.type_text("\x04");
    assert_eq!(first.end(), 0);
    let second = Terminal::shell(home.path(), &[]);
    second.type_text("\x12remem");
    second.see("SELECT 'remember me' AS t;");
    second.type_text("\r");
    second.run("", "(1 row");
    assert!(home.path().join(".local/state/millstream/history").is_file());
}

#[test]
fn a_paste_runs_when_enter_is_pressed() {
    let (_home, terminal) = shell();
    terminal.type_text("\x1b[200~SELECT 'first' AS a;\nSELECT 'second' AS b;\x1b[201~");
    let screen = terminal.see("'second'");
    assert!(!screen.contains("(1 row"), "{screen}");
    terminal.type_text("\r");
    terminal.wait("both results", |screen| screen.matches("(1 row").count() == 2);
}

#[test]
fn long_results_go_to_the_pager() {
    let (_home, terminal) = shell();
    terminal.type_text("SELECT value AS n FROM generate_series(1, 200);\r");
    let screen = terminal.see("of 200");
    assert!(screen.lines().next().unwrap().trim() == "n", "{screen}");
    terminal.type_text("G");
    terminal.see("\n 200\n");
    terminal.type_text("q");
    terminal.see("(200 rows");
    terminal.prompt();
}

#[test]
fn wide_rows_are_shown_one_column_a_line() {
    let (_home, terminal) = shell();
    let columns: Vec<String> = (0..12).map(|n| format!("{n}000000000 AS number_{n}")).collect();
    let screen = terminal.run(&format!("SELECT {};", columns.join(", ")), "RECORD 1");
    assert!(screen.contains("number_11 | 11000000000"), "{screen}");
    terminal.run("\\x off", "expanded display is off");
}

#[test]
fn the_screen_follows_the_terminal_when_it_is_resized() {
    let (_home, terminal) = shell();
    terminal.resize(30, 40);
    terminal.clear();
    let text = "x".repeat(60);
    terminal.run(&format!("SELECT 1 AS n, '{text}' AS t;"), "...");
    terminal.resize(30, 120);
    terminal.clear();
    terminal.run(&format!("SELECT 2 AS n, '{text}' AS t;"), &format!("2 | {text}"));
}

#[test]
fn charts_are_drawn_and_saved() {
    let (home, terminal) = shell();
    terminal.run(BIDS, "CREATE TABLE");
    terminal.clear();
    let query = "SELECT window_start, count(*) AS n FROM TUMBLE(bids, date_time, INTERVAL '500 milliseconds') GROUP BY window_start";
    let screen = terminal.run(&format!("\\chart line window_start n {query}"), "rows, ");
    assert!(screen.contains('┤') && screen.contains('└') && screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{screen}");
    terminal.run("\\chart bar window_start n > bars.svg", "'bars.svg' is written");
    terminal.run("\\chart > line.png", "'line.png' is written");
    terminal.run("\\chart > again.svg", "'again.svg' is written");
    assert!(fs::read_to_string(home.path().join("again.svg")).unwrap().contains("<rect x="), "the last chart was one of bars");
    assert!(fs::read_to_string(home.path().join("bars.svg")).unwrap().contains("<rect"));
    assert!(fs::read(home.path().join("line.png")).unwrap().starts_with(b"\x89PNG"));
    terminal.run("\\chart line window_start m", "has no column 'm'");
}

#[test]
fn pipelines_are_watched_live() {
    let (_home, terminal) = shell();
    terminal.run(TICKS, "CREATE TABLE");
    terminal.run("CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');", "CREATE TABLE");
    terminal.run("CREATE SINK numbers INTO nowhere AS SELECT n FROM ticks;", "pipeline numbers started");
    terminal.clear();
    terminal.type_text("\\pipelines\r");
    terminal.wait("rows that are counted", |screen| screen.lines().any(|line| line.starts_with("numbers") && line.contains("running")));
    terminal.type_text("q");
    let screen = terminal.see("1 pipeline runs");
    assert!(screen.contains("pipeline"), "{screen}");
    terminal.type_text("\\q\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn rows_go_to_files() {
    let (home, terminal) = shell();
    terminal.run("\\copy (SELECT 1 AS a, 'x' AS b) to 'one.parquet'", "1 row into");
    let screen = terminal.run("SELECT a, b FROM 'one.parquet';", "(1 row");
    assert!(screen.contains("1 | x"), "{screen}");
    terminal.run("CREATE TABLE t (a BIGINT, b TEXT);", "CREATE TABLE");
    terminal.run("\\copy t from 'one.parquet'", "1 row from");
    fs::write(home.path().join("turned.csv"), "b,a\n007,2\n").unwrap();
    terminal.run("\\copy t from 'turned.csv'", "1 row from");
    terminal.run("SELECT b FROM t WHERE a = 2;", "007");
    terminal.run("\\dt+", "|    2 |");
    terminal.clear();
    terminal.run(".mode csv", "mode is csv");
    terminal.run("\\o out.csv", "rows go to");
    terminal.run("SELECT 7 AS seven;", "(1 row");
    terminal.run("\\o", "is written");
    assert_eq!(fs::read_to_string(home.path().join("out.csv")).unwrap(), "seven\n7\n");
    fs::write(home.path().join("more.sql"), "\\set n 5\nSELECT :n + 1 AS six;\n").unwrap();
    terminal.run("\\i more.sql", "\n6");
    terminal.type_text("SELECT * FROM 'on\t");
    terminal.see("'one.parquet");
    terminal.type_text("\x03");
}

#[test]
fn watch_draws_at_the_same_place() {
    let (_home, terminal) = shell();
    terminal.run("CREATE TABLE t (n BIGINT);", "CREATE TABLE");
    terminal.run("INSERT INTO t VALUES (4);", "INSERT 0 1");
    terminal.clear();
    terminal.type_text("SELECT sum(n) AS total FROM t \\watch 0.2\r");
    terminal.see("every 0.2 s");
    terminal.type_text("q");
    let screen = terminal.prompt();
    assert_eq!(screen.matches("total").count(), 2, "{screen}");
}

#[test]
fn an_editor_gives_the_next_text() {
    let home = tempdir().unwrap();
    let editor = home.path().join("editor.sh");
    fs::write(&editor, "#!/bin/sh\necho \"SELECT 'edited' AS how;\" > \"$1\"\n").unwrap();
    fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let terminal = Terminal::start(home.path(), &[], &[("EDITOR", editor.to_str().unwrap())], (24, 80));
    terminal.prompt();
    terminal.type_text("\\e\r");
    terminal.see("SELECT 'edited' AS how;");
    terminal.run("", "(1 row");
}

#[test]
fn start_files_are_run() {
    let home = tempdir().unwrap();
    fs::write(home.path().join(".millstreamrc"), "\\set edit_mode vi\n\\timing off\n").unwrap();
    let terminal = Terminal::shell(home.path(), &[]);
    // In vi mode Escape leaves inserting, and `i` goes on.
    terminal.type_text("\x1b");
    terminal.see("millstream:");
    terminal.type_text("iSELECT 2 AS two;\r");
    terminal.see("(1 row)");
    let plain = Terminal::shell(home.path(), &["--no-rc"]);
    plain.run("SELECT 1;", "(1 row, ");
}

#[test]
fn a_data_folder_keeps_what_the_shell_makes() {
    let home = tempdir().unwrap();
    let first = Terminal::shell(home.path(), &["--data", "kept"]);
    first.run("CREATE TABLE t (n BIGINT);", "CREATE TABLE");
    first.run("INSERT INTO t VALUES (42);", "INSERT 0 1");
    first.type_text("\\q\r");
    assert_eq!(first.end(), 0);
    let second = Terminal::shell(home.path(), &["--data", "kept"]);
    second.run("SELECT n FROM t;", "42");
}

#[test]
fn the_prompt_comes_fast() {
    let home = tempdir().unwrap();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let terminal = Terminal::start(home.path(), &["--no-rc"], &[], (24, 80));
        terminal.prompt();
        best = best.min(terminal.elapsed());
    }
    println!("start to prompt: {best:?}");
    assert!(best < within(Duration::from_millis(100), Duration::from_secs(2)), "{best:?}");
}
