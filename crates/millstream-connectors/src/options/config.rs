//! Reading a connector's options into its typed config.

use std::time::Duration;

use super::value::{bad_value, parse_bool, parse_bytes, parse_choice, parse_count, parse_duration};
use super::{Options, did_you_mean};
use crate::error::{ConnectorError, Result};

/// One option that a connector accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name. One `*` stands for any text (`fields.*.min`).
    pub name: &'static str,
    /// Other names for it, mostly Flink's.
    pub synonyms: &'static [&'static str],
    /// A valid value, for messages.
    pub example: &'static str,
    /// What it does and what holds without it, in one line.
    pub help: &'static str,
}

impl OptionSpec {
    /// An option without other names.
    pub const fn new(name: &'static str, example: &'static str, help: &'static str) -> Self {
        Self { name, synonyms: &[], example, help }
    }

    /// The same with other names.
    pub const fn or(mut self, synonyms: &'static [&'static str]) -> Self {
        self.synonyms = synonyms;
        self
    }

    fn accepts(&self, key: &str) -> bool {
        matches_pattern(self.name, key) || self.synonyms.contains(&key)
    }
}

/// All options of a connector: its own and those of the parts it is made of (formats).
pub type OptionSpecs = &'static [&'static [OptionSpec]];

fn matches_pattern(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((head, tail)) => key.len() > head.len() + tail.len() && key.starts_with(head) && key.ends_with(tail),
    }
}

/// Hands a connector its options, typed. Unknown ones are refused at the start, so a getter need not be called for each.
#[derive(Debug)]
pub struct ConfigReader {
    connector: String,
    options: Options,
}

impl ConfigReader {
    /// Checks that every option is one of `specs` and brings synonyms to their name.
    pub fn new(connector: &str, mut options: Options, specs: OptionSpecs) -> Result<Self> {
        let all = || specs.iter().copied().flatten();
        if let Some((key, _)) = options.iter().find(|(key, _)| !all().any(|spec| spec.accepts(key))) {
            return Err(unknown_option(connector, key, specs));
        }
        for spec in all().filter(|spec| !spec.synonyms.is_empty()) {
            let names: Vec<&str> = std::iter::once(spec.name).chain(spec.synonyms.iter().copied()).collect();
            if let Some(value) = options.take_any(&names)? {
                options.insert(spec.name, value);
            }
        }
        Ok(Self { connector: connector.to_owned(), options })
    }

    /// The connector these options are for.
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// Text as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name)
    }

    /// Text that must be there.
    pub fn required(&self, name: &str, example: &str) -> Result<&str> {
        self.options.get(name).ok_or_else(|| {
            ConnectorError::config(format!(
                "option '{name}' of connector '{}' is missing (hint: for example '{name}' = '{example}')",
                self.connector
            ))
        })
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        self.parsed(name, "a duration", "10s", parse_duration)
    }

    /// A truth value.
    pub fn bool(&self, name: &str) -> Result<Option<bool>> {
        self.parsed(name, "true or false", "true", parse_bool)
    }

    /// A count.
    pub fn count(&self, name: &str) -> Result<Option<u64>> {
        self.parsed(name, "a count", "1000", parse_count)
    }

    /// A count of at least one.
    pub fn positive(&self, name: &str) -> Result<Option<u64>> {
        self.parsed(name, "a count of at least 1", "1000", |text| parse_count(text).filter(|count| *count > 0))
    }

    /// A number of bytes.
    pub fn bytes(&self, name: &str) -> Result<Option<u64>> {
        self.parsed(name, "a size", "16 MiB", parse_bytes)
    }

    /// One of several words.
    pub fn choice(&self, name: &str, choices: &[&'static str]) -> Result<Option<&'static str>> {
        self.options.get(name).map(|text| parse_choice(name, text, choices)).transpose()
    }

    /// One ASCII character; `'\t'` may be written out.
    pub fn byte(&self, name: &str) -> Result<Option<u8>> {
        self.parsed(name, "one ASCII character", ";", |text| match text {
            "\\t" => Some(b'\t'),
            text => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(*byte),
                _ => None,
            },
        })
    }

    /// Anything else: `parse` gives `None` for what is not `expected`.
    pub fn parsed<T>(&self, name: &str, expected: &str, example: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        self.options.get(name).map(|text| parse(text).ok_or_else(|| bad_value(name, text, expected, example))).transpose()
    }

    /// The options whose name starts with `prefix`, without it.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.options.iter().filter_map(move |(key, value)| key.strip_prefix(prefix).map(|rest| (rest, value)))
    }
}

/// The value is not shown: it is not what is wrong, and may be a secret under a misspelt name.
fn unknown_option(connector: &str, key: &str, specs: OptionSpecs) -> ConnectorError {
    let names: Vec<&str> = specs.iter().copied().flatten().map(|spec| spec.name).collect();
    let every_name = specs.iter().copied().flatten().flat_map(|spec| std::iter::once(spec.name).chain(spec.synonyms.iter().copied()));
    let suggestion = match did_you_mean(key, every_name) {
        Some(near) => format!("did you mean '{near}'? "),
        None => String::new(),
    };
    let valid = if names.is_empty() { "it takes none".to_owned() } else { format!("valid options are {}", names.join(", ")) };
    ConnectorError::config(format!("connector '{connector}' has no option '{key}' (hint: {suggestion}{valid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: OptionSpecs = &[
        &[OptionSpec::new("path", "in.csv", "file").or(&["file"]), OptionSpec::new("follow", "true", "watch")],
        &[OptionSpec::new("fields.*.min", "0", "least value")],
    ];

    #[test]
    fn unknown_options_get_a_suggestion() {
        let error = ConfigReader::new("file", Options::from_pairs([("folow", "true")]), SPECS).unwrap_err().to_string();
        assert_eq!(
            error,
            "connector 'file' has no option 'folow' \
             (hint: did you mean 'follow'? valid options are path, follow, fields.*.min)"
        );
    }

    #[test]
    fn synonyms_and_patterns() {
        let options = Options::from_pairs([("file", "a.csv"), ("fields.x.min", "7")]);
        let reader = ConfigReader::new("file", options, SPECS).unwrap();
        assert_eq!(reader.text("path"), Some("a.csv"));
        assert_eq!(reader.with_prefix("fields.").collect::<Vec<_>>(), [("x.min", "7")]);
        let missing = reader.required("nothing", "x").unwrap_err().to_string();
        assert_eq!(missing, "option 'nothing' of connector 'file' is missing (hint: for example 'nothing' = 'x')");
    }
}
