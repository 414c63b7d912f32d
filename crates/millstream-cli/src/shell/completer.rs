//! What Tab offers: decided by [`suggest`] from the text, the cursor and the names that exist.

mod context;

use std::fs;
use std::path::Path;

use reedline::{Completer, Span, Suggestion};

use self::context::{Context, Want, context};
use super::commands::{ArgKind, COMMANDS};
use super::keywords::KEYWORDS;
use super::names::{Names, SharedNames};
use super::places;

const SUGGESTIONS_MAX: usize = 200;
/// Columns that windows add.
const WINDOW_COLUMNS: &[&str] = &["window_start", "window_end", "window_time"];
const FORMATS: &[&str] = &["json", "csv", "parquet", "raw"];

/// The completer of the line editor.
pub(crate) struct SqlCompleter {
    names: SharedNames,
}

impl SqlCompleter {
    pub(crate) fn new(names: SharedNames) -> Self {
        Self { names }
    }
}

impl Completer for SqlCompleter {
    fn complete(&mut self, text: &str, cursor: usize) -> Vec<Suggestion> {
        let names = self.names.get();
        let (start, offers) = suggest(&names, text, cursor);
        let is_longer = |offer: &Offer| offer.about.is_empty();
        let all_bare = offers.iter().all(is_longer);
        let suggestion = |offer: Offer| Suggestion {
            value: offer.value,
            description: (!all_bare).then_some(offer.about),
            span: Span::new(start, cursor),
            append_whitespace: offer.ends_word,
            ..Suggestion::default()
        };
        offers.into_iter().map(suggestion).collect()
    }
}

/// One thing that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) value: String,
    pub(crate) about: String,
    /// A blank follows.
    pub(crate) ends_word: bool,
}

fn offer(value: impl Into<String>, about: impl Into<String>, ends_word: bool) -> Offer {
    Offer { value: value.into(), about: about.into(), ends_word }
}

/// From which byte on the text is replaced, and by what.
pub(crate) fn suggest(names: &Names, text: &str, cursor: usize) -> (usize, Vec<Offer>) {
    let cursor = (0..=cursor.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let context = context(names, text, cursor);
    let word = &text[context.start..cursor];
    let mut offers = offers(names, &context, word);
    let lower = word.to_lowercase();
    offers.retain(|offer| offer.value.to_lowercase().starts_with(&lower) && offer.value != word);
    let mut seen = std::collections::BTreeSet::new();
    offers.retain(|offer| seen.insert(offer.value.clone()));
    offers.truncate(SUGGESTIONS_MAX);
    (context.start, offers)
}

fn offers(names: &Names, context: &Context, word: &str) -> Vec<Offer> {
    match &context.want {
        Want::Nothing => Vec::new(),
        Want::Command => COMMANDS
            .iter()
            .flat_map(|command| {
                command.names.iter().map(move |name| offer(command.spelled(name, word), command.about, command.takes_args()))
            })
            .collect(),
        Want::CommandArg(kind) => command_args(names, *kind, word),
        Want::File => files(word),
        Want::OptionName(connector) => option_names(names, connector.as_deref()),
        Want::OptionValue { connector, option } => option_values(names, connector.as_deref(), option, word),
        Want::Table => tables(names, word),
        Want::Pipeline => names.pipelines.iter().map(|name| offer(name, "pipeline", true)).collect(),
        Want::Setting => settings(names),
        Want::SettingValue(name) => setting_values(names, name),
        Want::Model => models(names),
        Want::ColumnOf(table) => columns_of(names, table),
        Want::Anything { tables, is_windowed } => anything(names, tables, *is_windowed, word),
    }
}

fn command_args(names: &Names, kind: ArgKind, word: &str) -> Vec<Offer> {
    match kind {
        ArgKind::None | ArgKind::Text | ArgKind::Query => Vec::new(),
        ArgKind::Table => tables(names, word).into_iter().filter(|offer| offer.about != "keyword").collect(),
        ArgKind::Choice(choices) => choices.iter().map(|choice| offer(*choice, "", true)).collect(),
        ArgKind::File => files(word),
        ArgKind::Function => names.functions.iter().map(|(name, kind)| offer(name, kind, true)).collect(),
        ArgKind::Pipeline => names.pipelines.iter().map(|name| offer(name, "pipeline", true)).collect(),
        ArgKind::Setting => {
            let own = super::commands::set::OWN_NAMES.iter().map(|(name, about)| offer(*name, *about, true));
            own.chain(settings(names)).collect()
        }
    }
}

fn settings(names: &Names) -> Vec<Offer> {
    names.settings.iter().map(|(name, value)| offer(name, format!("now {value}"), true)).collect()
}

/// What a setting may be: its values, where there are few, and what it is now.
fn setting_values(names: &Names, name: &str) -> Vec<Offer> {
    let choices: &[&str] = match name {
        "execution_mode" => &["'streaming'", "'batch'"],
        "edit_mode" => &["emacs", "vi"],
        "timing" | "pager" | "sparklines" => &["on", "off"],
        _ => &[],
    };
    let mut offers: Vec<Offer> = choices.iter().map(|choice| offer(*choice, "", false)).collect();
    if let Some((_, now)) = names.settings.iter().find(|(known, _)| known == name).filter(|_| offers.is_empty()) {
        match now.as_str() {
            "true" | "false" => offers.extend(["true", "false"].map(|value| offer(value, "", false))),
            now => offers.push(offer(now, "as it is", false)),
        }
    }
    offers
}

fn models(names: &Names) -> Vec<Offer> {
    names.models.iter().map(|name| offer(quoted_name(name), "model", true)).collect()
}

fn tables(names: &Names, word: &str) -> Vec<Offer> {
    let tables = names.tables.iter().map(|(name, kind)| offer(quoted_name(name), kind, true));
    let functions = ["TABLE(TUMBLE(TABLE ", "TABLE(HOP(TABLE "].map(|call| offer(in_case_of(call, word), "keyword", false));
    tables.chain(functions).collect()
}

fn columns_of(names: &Names, table: &str) -> Vec<Offer> {
    let columns = names.columns.get(table).into_iter().flatten();
    columns.map(|(name, data_type)| offer(quoted_name(name), data_type, false)).collect()
}

fn anything(names: &Names, tables: &[String], is_windowed: bool, word: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = match tables {
        // FROM is still to come: any table may be meant.
        [] if !word.is_empty() => names.columns.keys().flat_map(|table| columns_of(names, table)).collect(),
        tables => tables.iter().flat_map(|table| columns_of(names, table)).collect(),
    };
    if is_windowed {
        offers.extend(WINDOW_COLUMNS.iter().map(|name| offer(*name, "of the window", false)));
    }
    if word.is_empty() && !offers.is_empty() {
        return offers;
    }
    offers.extend(KEYWORDS.iter().map(|keyword| offer(in_case_of(keyword, word), "", true)));
    if !word.is_empty() {
        offers.extend(names.functions.iter().map(|(name, kind)| offer(format!("{name}("), kind, false)));
        offers.extend(names.models.iter().map(|name| offer(format!("{}(", quoted_name(name)), "model", false)));
        offers.extend(names.tables.iter().map(|(name, kind)| offer(quoted_name(name), kind, true)));
    }
    offers
}

fn option_names(names: &Names, connector: Option<&str>) -> Vec<Offer> {
    let mut offers = vec![offer("connector", "what the table is connected to", false)];
    let own = |name: &str| connector.is_none_or(|connector| connector == name);
    for connector in names.connectors.iter().filter(|connector| own(&connector.name)) {
        offers.extend(connector.options.iter().map(|(name, help, _)| offer(name, help, false)));
    }
    let engine = [
        ("idle_timeout", "a source that is silent for so long does not hold time back"),
        ("max_future_skew", "rows further ahead do not move time on"),
        ("bad_rows", "'fail', 'skip' or a table for rows that do not decode"),
        ("late_rows", "'lenient' or 'strict'"),
    ];
    offers.extend(engine.map(|(name, about)| offer(name, about, false)));
    offers
}

fn option_values(names: &Names, connector: Option<&str>, option: &str, word: &str) -> Vec<Offer> {
    match option {
        "connector" => names.connectors.iter().map(|connector| offer(&connector.name, &connector.about, false)).collect(),
        "path" => files(word),
        "format" => FORMATS.iter().map(|format| offer(*format, "", false)).collect(),
        "bad_rows" => ["fail", "skip"].map(|value| offer(value, "", false)).to_vec(),
        "late_rows" => ["lenient", "strict"].map(|value| offer(value, "", false)).to_vec(),
        _ => {
            let of = |name: &str| connector.is_none_or(|connector| connector == name);
            let options = names.connectors.iter().filter(|connector| of(&connector.name)).flat_map(|connector| &connector.options);
            let values = options.filter(|(name, ..)| name == option).flat_map(|(_, _, example)| match example.as_str() {
                "true" | "false" => vec![offer("true", "", false), offer("false", "", false)],
                example => vec![offer(example, "for example", false)],
            });
            values.collect()
        }
    }
}

/// The files and folders whose path goes on from `typed`.
fn files(typed: &str) -> Vec<Offer> {
    let (folder, _) = typed.rsplit_once('/').map_or(("", typed), |(folder, name)| (&typed[..=folder.len()], name));
    let place = if folder.is_empty() { Path::new(".").to_owned() } else { places::expand_home(folder) };
    let shows_hidden = typed.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    let mut offers = Vec::new();
    for entry in fs::read_dir(place).into_iter().flatten().flatten().take(10_000) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && !shows_hidden {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink()) && entry.path().is_dir();
        offers.push(offer(format!("{folder}{name}{}", if is_folder { "/" } else { "" }), "", false));
    }
    offers.sort_by(|a, b| a.value.cmp(&b.value));
    offers
}

/// A name as it must be written.
fn quoted_name(name: &str) -> String {
    let is_plain = name.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A keyword in lower case if the person writes so.
fn in_case_of(keyword: &str, word: &str) -> String {
    match word.chars().next() {
        Some(first) if first.is_ascii_uppercase() => keyword.to_owned(),
        Some(_) => keyword.to_lowercase(),
        None => keyword.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::ConnectorNames;
    use super::*;

    fn names() -> Names {
        let column = |name: &str, data_type: &str| (name.to_owned(), data_type.to_owned());
        let option = |name: &str| (name.to_owned(), "what it does".to_owned(), "12".to_owned());
        Names {
            models: vec!["fraud".to_owned()],
            tables: [("bids".to_owned(), "table".to_owned()), ("Big Ones".to_owned(), "view".to_owned())].into(),
            columns: [
                ("bids".to_owned(), vec![column("auction", "BIGINT"), column("price", "BIGINT"), column("date_time", "TIMESTAMP(3)")]),
                ("Big Ones".to_owned(), vec![column("n", "BIGINT")]),
            ]
            .into(),
            functions: vec![column("avg", "aggregate"), column("substr", "scalar")],
            settings: vec![column("parallelism", "2")],
            pipelines: vec!["totals".to_owned()],
            connectors: vec![
                ConnectorNames {
                    name: "nexmark".to_owned(),
                    about: "auctions".to_owned(),
                    options: vec![option("events"), option("table")],
                },
                ConnectorNames { name: "file".to_owned(), about: "files".to_owned(), options: vec![option("path")] },
            ],
        }
    }

    /// What is offered at `|`, as the whole text would be.
    fn check(text: &str, expected: &[&str]) {
        let cursor = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let (start, offers) = suggest(&names(), &text, cursor);
        let values: Vec<String> = offers.into_iter().map(|offer| offer.value).take(expected.len().max(1)).collect();
        assert_eq!(values, expected, "{text} from {start}");
    }

    #[test]
    fn keywords_follow_the_case_typed() {
        check("sel|", &["select"]);
        check("SEL|", &["SELECT"]);
        check("SELECT 1; sel|", &["select"]);
    }

    #[test]
    fn tables_after_from() {
        check("SELECT * FROM b|", &["bids"]);
        check("select * from bids join |", &["\"Big Ones\"", "bids"]);
        check("DESCRIBE bi|", &["bids"]);
        check("select * from table(tumble(table b|", &["bids"]);
    }

    #[test]
    fn columns_of_the_tables_in_the_query() {
        check("SELECT | FROM bids", &["auction", "price", "date_time"]);
        check("SELECT pr| FROM bids", &["price"]);
        check("SELECT pri|", &["price", "primary"]);
        check("SELECT b.a| FROM bids b", &["auction"]);
        check("SELECT b.pr| FROM bids AS b WHERE 1 = 1", &["price"]);
        check("SELECT * FROM bids WHERE date| ", &["date_time"]);
        check("SELECT window_s| FROM TABLE(TUMBLE(TABLE bids, ", &["window_start"]);
    }

    #[test]
    fn functions_are_offered_with_their_bracket() {
        check("SELECT subs|", &["substr("]);
    }

    #[test]
    fn options_of_the_connector() {
        check("CREATE TABLE t (a INT) WITH ('conn|", &["connector"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'nex|", &["nexmark"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'nexmark', 'ev|", &["events"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'nexmark', 'pa|", &[]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'nexmark', 'events' = '|", &["12"]);
    }

    #[test]
    fn commands_and_their_arguments() {
        check("\\tim|", &["\\timing"]);
        check(".tim|", &[".timing"]);
        check("\\d bi|", &["bids"]);
        check("\\mode ver|", &["vertical"]);
        check("PAUSE PIPELINE t|", &["totals"]);
        check("SET par|", &["parallelism"]);
        check("SET parallelism = |", &["2"]);
        check("SET execution_mode TO 'b|", &["'batch'"]);
        check("\\set edit_mode |", &["emacs", "vi"]);
        check("\\df sub|", &["substr"]);
        check("\\live bi|", &["bids"]);
    }

    #[test]
    fn models_where_they_can_stand() {
        check("DROP MODEL f|", &["fraud"]);
        check("SELECT * FROM ML_PREDICT(TABLE bids, MODEL |", &["fraud"]);
        check("SELECT frau| FROM bids", &["fraud("]);
    }

    #[test]
    fn files_in_quotes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bids.csv"), "").unwrap();
        std::fs::create_dir(folder.path().join("more")).unwrap();
        let place = folder.path().display();
        check(&format!("SELECT * FROM '{place}/b|"), &[&format!("{place}/bids.csv")]);
        check(&format!("SELECT * FROM '{place}/m|"), &[&format!("{place}/more/")]);
        check(&format!("\\i {place}/bi|"), &[&format!("{place}/bids.csv")]);
    }
}
