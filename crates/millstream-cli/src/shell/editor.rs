//! The line editor: keys, history, completion menu, `$EDITOR`.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, EditCommand, Emacs, KeyCode, KeyModifiers, Keybindings, MenuBuilder, Reedline, ReedlineEvent, ReedlineMenu, Signal, Vi,
    default_emacs_keybindings, default_vi_insert_keybindings, default_vi_normal_keybindings,
};

use super::Shell;
use super::completer::SqlCompleter;
use super::highlighter::SqlHighlighter;
use super::hinter::StatementHinter;
use super::history::DiscreetHistory;
use super::places;
use super::prompt::MillPrompt;
use super::validator::StatementValidator;
use super::view_settings::EditMode;

const MENU: &str = "completion";
/// How often the editor looks whether the shell must end.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// What came from the prompt.
#[derive(Debug)]
pub(crate) enum Entered {
    Text(String),
    /// The line was given up.
    Nothing,
    /// Ctrl-D, or a signal.
    End,
    Failed(io::Error),
}

/// Reads statements and commands.
pub(crate) struct Editor {
    line: Option<Reedline>,
    mode: EditMode,
}

impl Editor {
    pub(crate) fn new(shell: &Shell<'_>) -> Self {
        Self { line: Some(make(shell)), mode: shell.view.edit_mode }
    }

    /// Takes over what commands have changed.
    pub(crate) fn follow(&mut self, shell: &Shell<'_>) {
        if self.mode == shell.view.edit_mode {
            return;
        }
        // The old one writes its history before the new one reads it.
        self.line = None;
        *self = Self::new(shell);
    }

    /// Reads one text, which begins with `typed` already there.
    pub(crate) fn read(&mut self, prompt: &MillPrompt, typed: &str) -> Entered {
        let Some(line) = self.line.as_mut() else { return Entered::End };
        if !typed.is_empty() {
            line.run_edit_commands(&[EditCommand::InsertString(typed.to_owned())]);
        }
        match line.read_line(prompt) {
            Ok(Signal::Success(text)) => Entered::Text(text),
            Ok(Signal::CtrlD | Signal::ExternalBreak(_)) => Entered::End,
            Ok(_) => Entered::Nothing,
            Err(error) => Entered::Failed(error),
        }
    }

    /// Writes the history, so that it survives whatever comes. A history that cannot be written is a pity and nothing more.
    pub(crate) fn remember(&mut self) {
        if let Some(line) = self.line.as_mut() {
            _ = line.sync_history();
        }
    }
}

fn make(shell: &Shell<'_>) -> Reedline {
    let names = shell.names.clone();
    let has_color = shell.screen.has_color();
    let hint_style = if has_color { Style::new().fg(Color::DarkGray) } else { Style::new().dimmed() };
    let mut line = Reedline::create()
        .with_validator(Box::new(StatementValidator))
        .with_highlighter(Box::new(SqlHighlighter { names: names.clone(), has_color }))
        .with_completer(Box::new(SqlCompleter::new(names)))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu(has_color))))
        .with_partial_completions(true)
        .with_quick_completions(true)
        .with_ansi_colors(has_color)
        .use_bracketed_paste(true)
        .with_edit_mode(keys(shell.view.edit_mode))
        .with_break_signal(must_end(shell))
        .with_poll_interval(POLL_EVERY);
    if has_color {
        line = line.with_hinter(Box::new(StatementHinter::new(hint_style)));
    }
    if let Some(history) = history() {
        line = line.with_history(Box::new(history));
    }
    match text_editor(None) {
        Some((command, file)) => line.with_buffer_editor(command, file),
        None => line,
    }
}

fn must_end(shell: &Shell<'_>) -> Arc<AtomicBool> {
    Arc::clone(&shell.signals.must_end)
}

fn history() -> Option<DiscreetHistory> {
    DiscreetHistory::open(places::history()?)
}

fn menu(has_color: bool) -> ColumnarMenu {
    let menu = ColumnarMenu::default().with_name(MENU).with_marker("> ").with_columns(4);
    if !has_color {
        return menu;
    }
    menu.with_text_style(Style::new())
        .with_selected_text_style(Style::new().reverse())
        .with_selected_match_text_style(Style::new().reverse().bold())
        .with_match_text_style(Style::new().bold())
        .with_description_text_style(Style::new().fg(Color::DarkGray))
}

fn keys(mode: EditMode) -> Box<dyn reedline::EditMode> {
    match mode {
        EditMode::Emacs => {
            let mut keys = default_emacs_keybindings();
            bind(&mut keys);
            Box::new(Emacs::new(keys))
        }
        EditMode::Vi => {
            let mut keys = default_vi_insert_keybindings();
            bind(&mut keys);
            Box::new(Vi::new(keys, default_vi_normal_keybindings()))
        }
    }
}

fn bind(keys: &mut Keybindings) {
    let complete = ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Edit(vec![EditCommand::InsertNewline]));
}

/// The person's editor and a file for it: `VISUAL`, `EDITOR`, else `vi`.
pub(crate) fn text_editor(file: Option<std::path::PathBuf>) -> Option<(Command, std::path::PathBuf)> {
    let named = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let named = named.unwrap_or_else(|| "vi".to_owned());
    let mut words = named.split_whitespace();
    let mut command = Command::new(words.next()?);
    command.args(words);
    let file = file.unwrap_or_else(|| std::env::temp_dir().join(format!("millstream-{}.sql", std::process::id())));
    command.arg(&file);
    Some((command, file))
}
