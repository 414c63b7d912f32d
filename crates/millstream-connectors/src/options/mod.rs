//! `WITH ('key' = 'value', …)` options.
//!
//! ```text
//! SQL ──> Options ──(engine takes out what is its own)──> Options ──(ConfigReader + OptionSpecs)──> a connector's typed config
//! ```
//!
//! [`Options`] holds what was written. Whoever understands an option takes it out, typed. A connector reads the rest through a
//! [`ConfigReader`], which knows from the connector's [`OptionSpec`]s what there may be, so that a misspelt option is an error
//! with a suggestion and never silently without effect.

mod config;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use config::{ConfigReader, OptionSpec, OptionSpecs};
pub use value::{parse_bool, parse_bytes, parse_count, parse_duration};

use crate::error::{ConnectorError, Result};

/// Raw options as written in SQL: keys lower-cased, values verbatim.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
}

/// The keys alone: a value may be a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Options").field(&self.values.keys()).finish()
    }
}

impl Options {
    /// From pairs. Keys are lower-cased.
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Self::from_pairs(values)
    }

    /// From anything that gives pairs; of two equal keys the later wins.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let values = pairs.into_iter().map(|(key, value)| (key.into().trim().to_lowercase(), value.into())).collect();
        Self { values }
    }

    /// Adds or replaces an option.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into().trim().to_lowercase(), value.into());
    }

    /// The value of an option, left in place.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Takes an option out, verbatim.
    pub fn take(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    /// Takes an option out that has several names; two of them at once are an error unless they say the same.
    pub fn take_any(&mut self, keys: &[&str]) -> Result<Option<String>> {
        let mut found: Option<(&str, String)> = None;
        for key in keys {
            let Some(value) = self.values.remove(*key) else { continue };
            match &found {
                Some((other, earlier)) if *earlier != value => {
                    return Err(ConnectorError::config(format!(
                        "options '{other}' and '{key}' mean the same and differ: '{earlier}' and '{value}' (hint: keep one of them)"
                    )));
                }
                Some(_) => {}
                None => found = Some((key, value)),
            }
        }
        Ok(found.map(|(_, value)| value))
    }

    /// Takes a duration out (`'10s'`, `'500 ms'`, `'1 min'`).
    pub fn take_duration(&mut self, key: &str) -> Result<Option<Duration>> {
        self.take(key).map(|text| parse_duration(&text).ok_or_else(|| value::bad_value(key, &text, "a duration", "10s"))).transpose()
    }

    /// Takes a truth value out (`'true'`, `'false'`, `'on'`, `'off'`, …).
    pub fn take_bool(&mut self, key: &str) -> Result<Option<bool>> {
        self.take(key).map(|text| parse_bool(&text).ok_or_else(|| value::bad_value(key, &text, "true or false", "true"))).transpose()
    }

    /// Takes a count out (`'1000'`, `'1_000'`, `'10k'`).
    pub fn take_count(&mut self, key: &str) -> Result<Option<u64>> {
        self.take(key).map(|text| parse_count(&text).ok_or_else(|| value::bad_value(key, &text, "a count", "1000"))).transpose()
    }

    /// Takes a number of bytes out (`'64 KiB'`, `'16mb'`, `'1048576'`).
    pub fn take_bytes(&mut self, key: &str) -> Result<Option<u64>> {
        self.take(key).map(|text| parse_bytes(&text).ok_or_else(|| value::bad_value(key, &text, "a size", "16 MiB"))).transpose()
    }

    /// Takes one of several words out, in any case; gives the word as listed.
    pub fn take_choice(&mut self, key: &str, choices: &[&'static str]) -> Result<Option<&'static str>> {
        self.take(key).map(|text| value::parse_choice(key, &text, choices)).transpose()
    }

    /// Flink's `json.ignore-parse-errors` and `csv.ignore-parse-errors`: what `bad_rows = 'skip'` says here. The engine takes
    /// them out, since it is the engine that counts and skips bad rows.
    pub fn take_ignore_parse_errors(&mut self) -> Result<bool> {
        let mut ignore = false;
        for key in ["json.ignore-parse-errors", "csv.ignore-parse-errors"] {
            ignore |= self.take_bool(key)?.unwrap_or(false);
        }
        Ok(ignore)
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// The candidate that `word` was most likely meant to be, if one is near enough to be worth suggesting.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_is_typed_and_removes() {
        let mut options = Options::from_pairs([("Idle_Timeout", "30 s"), ("n", "1_000"), ("size", "2 MiB"), ("on", "yes")]);
        assert_eq!(options.take_duration("idle_timeout").unwrap(), Some(Duration::from_secs(30)));
        assert_eq!(options.take_count("n").unwrap(), Some(1000));
        assert_eq!(options.take_bytes("size").unwrap(), Some(2 << 20));
        assert_eq!(options.take_bool("on").unwrap(), Some(true));
        assert_eq!(options.take_bool("on").unwrap(), None);
        assert!(options.is_empty());
    }

    #[test]
    fn a_bad_value_shows_option_value_and_example() {
        let mut options = Options::from_pairs([("idle_timeout", "soon")]);
        let error = options.take_duration("idle_timeout").unwrap_err().to_string();
        assert_eq!(error, "option 'idle_timeout' must be a duration: got 'soon' (hint: for example 'idle_timeout' = '10s')");
    }

    #[test]
    fn synonyms_that_differ_are_an_error() {
        let mut options = Options::from_pairs([("rate", "1"), ("rows-per-second", "2")]);
        let error = options.take_any(&["rate", "rows-per-second"]).unwrap_err().to_string();
        assert!(error.contains("'rate' and 'rows-per-second'"), "{error}");
    }

    #[test]
    fn suggestions_are_near() {
        assert_eq!(did_you_mean("pth", ["path", "format"]), Some("path"));
        assert_eq!(did_you_mean("zebra", ["path", "format"]), None);
    }
}
