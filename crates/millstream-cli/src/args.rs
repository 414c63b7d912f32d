//! The command line: what may be written, and what it means.
//!
//! `clap` parses it into [`Args`]; [`Args::read`] also finds out in which order `-c` and `-f` stood.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use millstream::{Engine, EngineBuilder};

use crate::completions;
use crate::format::OutputFormat;
use crate::serve::Serve;

const EXAMPLES: &str = "\
Examples:
  millstream                       the interactive shell, on a terminal
  millstream --data state          the same, and what it makes is there again
  millstream --connect localhost:5433   the same shell over 'millstream serve'
  millstream -c 'SELECT 1 + 1'
  millstream run pipeline.sql      ends when all inputs end, or at Ctrl-C
  millstream -f tables.sql -c 'SELECT * FROM bids LIMIT 10' --format ndjson
  millstream --mode batch --format csv -f report.sql > report.csv
  echo 'SHOW TABLES' | millstream -f tables.sql -f -
  millstream run --set parallelism=4 q5.sql
  millstream run --data state q5.sql    killed or stopped, the same command
                                        goes on exactly where it was
  millstream serve --data state --http 127.0.0.1:8080
                                        psql -h 127.0.0.1 -p 5433

How a script runs:
  Statements run one after the other. A SELECT prints rows until it ends.
  INSERT INTO and CREATE SINK start pipelines; the script's end waits for all.
  Rows go to standard output, everything else to standard error.

Exit codes:
  0    all done; also when the reader of a pipe has had enough (| head)
  1    a statement or a pipeline failed
  2    wrong usage, or a file that cannot be read
  130  stopped by Ctrl-C (the first stops gracefully, a second at once)
  143  stopped by SIGTERM, gracefully

Environment:
  MILLSTREAM_LOG, RUST_LOG   error, warn (default), info, debug, trace, or
                             filters such as info,millstream=debug
  NO_COLOR                   as --no-color
  MILLSTREAM_PASSWORD        password for --connect; PGPASSWORD too. Without it
                             the shell asks. PGUSER, PGDATABASE, PGSSLMODE,
                             PGSSLROOTCERT fill what the address leaves out
  MILLSTREAM_HISTORY         file of the shell's history
  MILLSTREAM_RC              file the shell runs first, for ~/.millstreamrc
  MILLSTREAM_PAGER           a program for results larger than the screen
  VISUAL, EDITOR             the editor of \\e and Ctrl-O

The SQL dialect is described under docs/ in the source tree; the statement
SHOW ALL lists the settings.";

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (DataFusion {})", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION));

/// SQL over streams: windows, joins and pipelines on Arrow and DataFusion
#[derive(Debug, Parser)]
#[command(name = "millstream", version = VERSION.as_str(), after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Run this SQL; may be repeated and mixed with -f
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    commands: Vec<String>,

    /// Run the SQL of this file, - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// What applies to every way of running SQL.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Options {
    /// How to print rows
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: OutputFormat,

    /// What a SELECT over a stream does
    #[arg(long, global = true, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,

    /// Set a setting before the first statement; may be repeated
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,

    /// Remember tables, views and pipelines with their state in this folder; what is there comes back and goes on, and with
    /// 'run' a script that is run again finds what it made before. Secrets in it are encrypted if MILLSTREAM_SECRET_KEY is set to
    /// 32 bytes in base64
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<String>,

    /// Run the SQL at this server ('millstream serve') instead of here: HOST:PORT, or
    /// postgres://user@host:port/database?sslmode=require
    #[arg(long, global = true, value_name = "ADDRESS", conflicts_with_all = ["data", "memory_limit"])]
    pub(crate) connect: Option<String>,

    /// Bytes of state that pipelines may hold in memory, such as 512MB or 2GiB; with --data what is needed last leaves for the folder,
    /// and a query that needs more all the same fails
    #[arg(long, global = true, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory_limit: Option<u64>,

    /// Print rows and errors only
    #[arg(short = 'q', long, global = true)]
    pub(crate) quiet: bool,

    /// No colour on a terminal
    #[arg(long, global = true)]
    pub(crate) no_color: bool,

    /// The interactive shell does not run ~/.millstreamrc
    #[arg(long, global = true)]
    pub(crate) no_rc: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run SQL scripts, one after the other
    Run {
        /// Scripts, - for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the script that makes a command shell complete this program's words
    Completions {
        /// For which one
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Kill pipelines of this program again and again and check that no row is lost or doubled
    #[command(name = "selftest")]
    SelfTest(SelfTest),
    /// Run the pipelines of a data folder and serve them to clients of PostgreSQL and of HTTP
    Serve(Serve),
}

/// What `millstream selftest` does.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SelfTest {
    /// How many times the program is killed
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) kills: u32,

    /// Which instants and places it dies at
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,

    /// Nexmark events of each round; more make a round longer
    #[arg(long, default_value_t = 60_000, value_name = "N")]
    pub(crate) events: u64,
}

/// The values of the setting `execution_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Runs on, rows come as they are produced (default)
    Streaming,
    /// Reads its sources to their end, closes all windows and ends
    Batch,
}

/// Holds the key of the secrets of a data folder.
const SECRET_KEY: &str = "MILLSTREAM_SECRET_KEY";

impl Options {
    /// The engine that they ask for.
    pub(crate) fn engine(&self) -> EngineBuilder {
        let mut builder = Engine::builder();
        if let Some(data) = &self.data {
            builder = builder.data(data);
        }
        if let Some(bytes) = self.memory_limit {
            builder = builder.memory_limit(bytes);
        }
        match std::env::var(SECRET_KEY) {
            Ok(key) => builder.secret_key(key),
            Err(_) => builder,
        }
    }
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Batch => "batch",
        }
    }
}

/// Where SQL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The text itself.
    Text(String),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What to run, in order. Empty: nothing was named.
    pub(crate) inputs: Vec<Input>,
    pub(crate) options: Options,
    /// `run`: statements that define what a data folder has already go on with that.
    pub(crate) resumes: bool,
    /// Instead of running SQL.
    pub(crate) selftest: Option<SelfTest>,
    /// Instead of running SQL: a text to print.
    pub(crate) printed: Option<Vec<u8>>,
    /// Instead of running SQL.
    pub(crate) serve: Option<Serve>,
}

impl Args {
    /// Parses a command line. The error prints itself, help and version included.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
        let matches = Self::command().try_get_matches_from(words).map_err(with_script_hint)?;
        let args = Self::from_arg_matches(&matches)?;
        let (mut selftest, mut serve, mut printed) = (None, None, None);
        let resumes = matches!(args.command, Some(Command::Run { .. }));
        let inputs = match args.command {
            Some(Command::SelfTest(options)) => {
                selftest = Some(options);
                Vec::new()
            }
            Some(Command::Completions { shell }) => {
                printed = Some(completions::completions(shell));
                Vec::new()
            }
            Some(Command::Man) => {
                let page = completions::man().map_err(|error| Self::command().error(ErrorKind::Io, error))?;
                printed = Some(page);
                Vec::new()
            }
            Some(Command::Serve(options)) => {
                serve = Some(options);
                Vec::new()
            }
            Some(Command::Run { .. }) if !args.commands.is_empty() || !args.files.is_empty() => {
                let message = "-c and -f stand alone, not before 'run'; name all scripts after 'run', or use -f for each";
                return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
            }
            Some(Command::Run { files }) => files.into_iter().map(file_input).collect(),
            None => in_given_order(&matches, args.commands, args.files),
        };
        if args.options.connect.is_some() && (selftest.is_some() || serve.is_some()) {
            let message = "--connect runs SQL at a server: it does not go with 'serve' and 'selftest'";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(Self::command().error(ErrorKind::ArgumentConflict, "standard input can be read only once: '-' is given twice"));
        }
        Ok(Invocation { inputs, options: args.options, selftest, serve, printed, resumes })
    }

    /// The definition, for what is made from it.
    pub(crate) fn definition() -> clap::Command {
        Self::command()
    }
}

fn file_input(path: PathBuf) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path) }
}

fn in_given_order(matches: &ArgMatches, commands: Vec<String>, files: Vec<PathBuf>) -> Vec<Input> {
    let places = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
    let commands = places("commands").into_iter().zip(commands.into_iter().map(Input::Text));
    let files = places("files").into_iter().zip(files.into_iter().map(file_input));
    let mut inputs: Vec<(usize, Input)> = commands.chain(files).collect();
    inputs.sort_by_key(|(place, _)| *place);
    inputs.into_iter().map(|(_, input)| input).collect()
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] =
        &[("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("b", 1), ("", 1)];
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS.iter().find(|(unit, _)| *unit == lower[digits.len()..].trim());
    match (digits.trim().parse::<u64>(), unit) {
        (Ok(count), Some((_, size))) if count > 0 => count.checked_mul(*size).ok_or_else(|| format!("more bytes than there are: {text}")),
        _ => Err(format!("a number of bytes is expected: got '{text}' (hint: 512MB or 2GiB)")),
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("a setting is written NAME=VALUE: got '{text}' (hint: --set parallelism=4)")),
    }
}

/// `millstream script.sql` is a likely first try.
fn with_script_hint(error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => {
            let message = format!("there is no command '{word}' (hint: a script is run by 'millstream run {word}')");
            Args::command().error(ErrorKind::InvalidSubcommand, message)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, clap::Error> {
        Args::read(std::iter::once("millstream").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [("512MB", 512_000_000), ("2 GiB", 2 << 30), ("17", 17), ("3kb", 3_000)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MB", "1.5GB", "12 parsecs", "99999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn commands_and_files_keep_their_order() {
        let inputs = read("-f a.sql -c one --format csv -c two -f - --set x=1").unwrap().inputs;
        let text = |sql: &str| Input::Text(sql.to_owned());
        assert_eq!(inputs, [Input::File("a.sql".into()), text("one"), text("two"), Input::Stdin]);
    }

    #[test]
    fn options_stand_before_or_after_run() {
        for line in ["--format ndjson --set a=1 run x.sql y.sql -q", "run --format ndjson -q x.sql --set a=1 y.sql"] {
            let invocation = read(line).unwrap();
            assert_eq!(invocation.inputs, [Input::File("x.sql".into()), Input::File("y.sql".into())]);
            assert_eq!(invocation.options.format, OutputFormat::Ndjson);
            assert_eq!(invocation.options.settings, [("a".to_owned(), "1".to_owned())]);
            assert!(invocation.options.quiet);
        }
    }

    #[test]
    fn a_setting_keeps_further_equal_signs() {
        assert_eq!(parse_setting("a = b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(parse_setting("a").is_err() && parse_setting("=b").is_err());
    }

    #[test]
    fn wrong_usage_says_what_to_do() {
        for (line, part) in [
            ("script.sql", "millstream run script.sql"),
            ("--set x -c 1", "NAME=VALUE"),
            ("-f - -f -", "only once"),
            ("-c 1 run x.sql", "after 'run'"),
            ("run", "<FILE>"),
            ("--format xml", "ndjson"),
            ("--connect h:1 --data d", "--data"),
            ("serve --connect h:1", "--connect"),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }
}
