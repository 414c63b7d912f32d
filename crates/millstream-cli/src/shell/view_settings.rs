//! How rows are shown: `\x`, `.mode`, `\timing`, `\pager`, `\set edit_mode`.

use crate::format::OutputFormat;

/// When rows are shown one column a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expanded {
    On,
    Off,
    /// When a row is wider than the terminal.
    Auto,
}

/// The keys of the line editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditMode {
    Emacs,
    Vi,
}

/// What the person has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewSettings {
    pub(crate) format: OutputFormat,
    pub(crate) expanded: Expanded,
    pub(crate) timing: bool,
    pub(crate) pager: bool,
    /// Lists of numbers are drawn as small bars.
    pub(crate) sparklines: bool,
    pub(crate) edit_mode: EditMode,
}

impl ViewSettings {
    pub(crate) fn new(format: OutputFormat) -> Self {
        Self { format, expanded: Expanded::Auto, timing: true, pager: true, sparklines: false, edit_mode: EditMode::Emacs }
    }
}

/// What a word means for a switch; no word turns it round.
pub(crate) fn switch(word: Option<&str>, now: bool) -> Result<bool, String> {
    match word.map(str::to_ascii_lowercase).as_deref() {
        None => Ok(!now),
        Some("on" | "true" | "1" | "yes") => Ok(true),
        Some("off" | "false" | "0" | "no") => Ok(false),
        Some(other) => Err(format!("on or off is expected: got '{other}'")),
    }
}

/// `on` or `off`.
pub(crate) fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}
