//! `/ready`: whether everything that should run does.

use millstream::PipelineState;

use crate::server::Lobby;

/// Names of pipelines that are told at most.
const NAMES_MAX: usize = 10;

/// What keeps the server from being ready, if anything does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// The data folder is being read and its pipelines come back.
    Starting,
    Stopping,
    /// These pipelines open their inputs.
    Waiting(Vec<String>),
    /// These pipelines have failed and will not go on by themselves.
    Failed(Vec<String>),
}

pub(super) fn readiness(lobby: &Lobby) -> Readiness {
    if lobby.is_stopping() {
        return Readiness::Stopping;
    }
    match lobby.served() {
        None => Readiness::Starting,
        Some(state) => judge(state.engine.pipelines().into_iter().map(|pipeline| (pipeline.name, pipeline.state))),
    }
}

/// Failed pipelines count until they are dropped or go on; paused and finished ones do not.
fn judge(pipelines: impl Iterator<Item = (String, PipelineState)>) -> Readiness {
    let (mut waiting, mut failed) = (Vec::new(), Vec::new());
    for (name, state) in pipelines {
        match state {
            PipelineState::Failed(_) => failed.push(name),
            PipelineState::Starting => waiting.push(name),
            _ => {}
        }
    }
    match (failed.is_empty(), waiting.is_empty()) {
        (false, _) => Readiness::Failed(failed),
        (true, false) => Readiness::Waiting(waiting),
        (true, true) => Readiness::Ready,
    }
}

impl Readiness {
    pub(super) fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// A line for whoever asks; names only for those who may see them.
    pub(super) fn text(&self, shows_names: bool) -> String {
        let counted = |names: &[String], what: &str| {
            let plural = if names.len() == 1 { "" } else { "s" };
            let mut text = format!("not ready: {} pipeline{plural} {what}", names.len());
            if shows_names {
                let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
                let more = if names.len() > NAMES_MAX { ", …" } else { "" };
                text.push_str(&format!(": {}{more}", shown.join(", ")));
            }
            text.push('\n');
            text
        };
        match self {
            Self::Ready => "ready\n".to_owned(),
            Self::Starting => "not ready: starting\n".to_owned(),
            Self::Stopping => "not ready: stopping\n".to_owned(),
            Self::Waiting(names) => counted(names, "starting"),
            Self::Failed(names) => counted(names, "failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_before_starting_before_ready() {
        let judged = |states: &[(&str, PipelineState)]| judge(states.iter().map(|(name, state)| ((*name).to_owned(), state.clone())));
        let failed = PipelineState::Failed("disk full".to_owned());
        assert_eq!(judged(&[]), Readiness::Ready);
        let well = [("a", PipelineState::Running), ("b", PipelineState::Finished), ("c", PipelineState::Stopped)];
        assert_eq!(judged(&well), Readiness::Ready);
        assert_eq!(
            judged(&[("a", PipelineState::Running), ("b", PipelineState::Starting)]).text(true),
            "not ready: 1 pipeline starting: b\n"
        );
        let both = judged(&[("a", PipelineState::Starting), ("b", failed.clone()), ("c", failed)]);
        assert_eq!(both.text(true), "not ready: 2 pipelines failed: b, c\n");
        assert_eq!(both.text(false), "not ready: 2 pipelines failed\n");
        assert!(!both.is_ready());
    }
}
