//! Where the shell's files are: history and start files, after the XDG base directories.

use std::path::{Path, PathBuf};

/// The history: `MILLSTREAM_HISTORY`, else `millstream/history` in the state folder. None: there is no place for one.
pub(crate) fn history() -> Option<PathBuf> {
    if let Some(path) = variable("MILLSTREAM_HISTORY") {
        return Some(path);
    }
    let state = variable("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local").join("state")))?;
    Some(state.join("millstream").join("history"))
}

/// The files that are run at the start, if they are there.
pub(crate) fn start_files() -> Vec<PathBuf> {
    if let Some(path) = variable("MILLSTREAM_RC") {
        return vec![path];
    }
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
    let in_config = config.map(|config| config.join("millstream").join("rc"));
    let in_home = home().map(|home| home.join(".millstreamrc"));
    in_config.into_iter().chain(in_home).filter(|path| path.is_file()).collect()
}

/// `~/x` as a path.
pub(crate) fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(path).to_owned(),
    }
}

fn home() -> Option<PathBuf> {
    variable("HOME")
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
