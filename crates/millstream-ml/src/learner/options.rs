//! `WITH` options of a learner, read once into typed hyper-parameters: unknown ones and values out of range are refused.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::{LearnError, Result};

/// Options as written: keys and values.
pub type RawOptions = BTreeMap<String, String>;

/// Takes options out by name and type; what is left at the end is an error.
#[derive(Debug)]
pub(crate) struct OptionReader<'a> {
    learner: &'a str,
    raw: &'a RawOptions,
    asked: Vec<&'static str>,
}

impl<'a> OptionReader<'a> {
    pub(crate) fn new(learner: &'a str, raw: &'a RawOptions) -> Self {
        Self { learner, raw, asked: Vec::new() }
    }

    /// The text of an option.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.asked.push(name);
        self.raw.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// A number in a range.
    pub(crate) fn number(&mut self, name: &'static str, default: f64, range: RangeInclusive<f64>) -> Result<f64> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(LearnError::user(format!(
                "option '{name}' must be a number from {} to {}: got '{text}' (hint: for example '{name}' = '{default}')",
                range.start(),
                range.end()
            ))),
        }
    }

    /// A count in a range.
    pub(crate) fn count(&mut self, name: &'static str, default: usize, range: RangeInclusive<usize>) -> Result<usize> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.replace('_', "").parse::<usize>() {
            Ok(count) if range.contains(&count) => Ok(count),
            _ => Err(LearnError::user(format!(
                "option '{name}' must be a count from {} to {}: got '{text}' (hint: for example '{name}' = '{default}')",
                range.start(),
                range.end()
            ))),
        }
    }

    /// One of several words; the first is the default.
    pub(crate) fn choice(&mut self, name: &'static str, choices: &[&'static str]) -> Result<&'static str> {
        let Some(text) = self.text(name) else { return Ok(choices[0]) };
        if let Some(choice) = choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)) {
            return Ok(choice);
        }
        let hint = match did_you_mean(text, choices.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("for example '{name}' = '{}'", choices[0]),
        };
        let all = choices.iter().map(|choice| format!("'{choice}'")).collect::<Vec<_>>().join(", ");
        Err(LearnError::user(format!("option '{name}' must be one of {all}: got '{text}' (hint: {hint})")))
    }

    /// Refuses options that nobody asked for. The value is not shown: it is not what is wrong.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.asked.sort_unstable();
        self.asked.dedup();
        let Some(key) = self.raw.keys().find(|key| !self.asked.iter().any(|name| name.eq_ignore_ascii_case(key.trim()))) else {
            return Ok(());
        };
        let suggestion = match did_you_mean(key, self.asked.iter().copied()) {
            Some(near) => format!("did you mean '{near}'? "),
            None => String::new(),
        };
        Err(LearnError::user(format!(
            "{} has no option '{key}' (hint: {suggestion}valid options are {})",
            self.learner,
            self.asked.join(", ")
        )))
    }
}

/// The candidate that `word` was most likely meant to be, if one is near enough to be worth suggesting.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
