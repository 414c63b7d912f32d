//! `\e`: the last query, or a file, in the person's editor.

use std::fs;

use super::super::editor::text_editor;
use super::super::input::Call;
use super::super::{Failure, Ran, Shell, terminal};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["e", "edit"],
    usage: "[FILE]",
    about: "the last query, or a file, in $EDITOR",
    help: "What the editor leaves comes to the prompt, to be run by Enter. Ctrl-O does the same for the text being typed.\n\n  \\e",
    arg: ArgKind::File,
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if !shell.is_interactive {
        return Err(Failure::Message("\\e needs a terminal".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    let file = match call.words().first() {
        Some(path) => super::super::places::expand_home(path),
        None => {
            let file = folder.path().join("query.sql");
            let query = call.query.clone().or_else(|| shell.last_query.clone()).unwrap_or_default();
            fs::write(&file, format!("{query}\n"))?;
            file
        }
    };
    let Some((mut command, file)) = text_editor(Some(file)) else { return Ok(()) };
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = terminal::with_plain_input(|| command.status());
    let ended = ended.map_err(|error| format!("cannot start the editor '{name}': {error} (hint: set EDITOR)"))?;
    if !ended.success() {
        return Err(Failure::Message(format!("the editor '{name}' ended with {ended}: nothing is taken over")));
    }
    let text = fs::read_to_string(&file).map_err(|error| format!("cannot read '{}': {error}", file.display()))?;
    let text = text.trim_end();
    if !text.is_empty() && !text.ends_with(';') && !super::super::input::is_complete(text) {
        shell.typed_ahead = format!("{text};");
    } else {
        shell.typed_ahead = text.to_owned();
    }
    Ok(())
}
