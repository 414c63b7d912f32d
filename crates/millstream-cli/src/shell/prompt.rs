//! The prompt: `millstream> `, and at the right how many pipelines run, and at which server.

use std::borrow::Cow;

use reedline::{Color, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, PromptViMode};

use crate::status_line::Progress;

const NAME: &str = "millstream";

/// One prompt.
pub(crate) struct MillPrompt {
    right: String,
    has_color: bool,
}

impl MillPrompt {
    /// `server` is where statements run, if not here.
    pub(crate) fn new(pipelines: &[Progress], server: Option<String>, has_color: bool) -> Self {
        let running = pipelines.iter().filter(|pipeline| pipeline.is_running).count();
        let right = match running {
            0 => String::new(),
            1 => "1 pipeline runs".to_owned(),
            more => format!("{more} pipelines run"),
        };
        let right = match server {
            Some(server) if right.is_empty() => server,
            Some(server) => format!("{right} at {server}"),
            None => right,
        };
        Self { right, has_color }
    }

    fn color(&self, color: Color) -> Color {
        if self.has_color { color } else { Color::Reset }
    }
}

impl Prompt for MillPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(NAME)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.right)
    }

    fn render_prompt_indicator(&self, mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(match mode {
            PromptEditMode::Vi(PromptViMode::Normal) => ": ",
            _ => "> ",
        })
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("         -> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = if matches!(search.status, PromptHistorySearchStatus::Failing) { "nothing found for" } else { "search" };
        Cow::Owned(format!(" ({failing} '{}')> ", search.term))
    }

    fn get_prompt_color(&self) -> Color {
        self.color(Color::Green)
    }

    fn get_prompt_multiline_color(&self) -> nu_ansi_term::Color {
        if self.has_color { nu_ansi_term::Color::DarkGray } else { nu_ansi_term::Color::Default }
    }

    fn get_indicator_color(&self) -> Color {
        self.color(Color::Green)
    }

    fn get_prompt_right_color(&self) -> Color {
        self.color(Color::DarkGrey)
    }
}
