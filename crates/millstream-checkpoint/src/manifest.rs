//! The body of an entry in a pipeline's chain: everything a checkpoint consists of.
//!
//! What only the engine understands (positions, fingerprint, sealed output, figures) is kept as JSON. Numbers in there should be
//! integers or text: a takeover writes them anew, and not every float survives being read and written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::file_name::FileName;

/// Why a manifest was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ManifestKind {
    /// The state after some epoch.
    Checkpoint,
    /// The state of the manifest before, under a new owner. It publishes nothing.
    Takeover,
    /// The state of an older checkpoint, put back by a user. It publishes nothing.
    Restore,
}

/// How an operator's rows are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StateShape {
    /// Partial aggregates, in any order; all files together are the state.
    Layers,
    /// Rows by time.
    Buffer,
    /// Rows by key; a later file wins over an earlier one.
    Keyed,
}

/// A file a manifest refers to: its name in the pipeline's folder, and what its bytes must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// See [`crate::file_name`].
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Digest,
}

/// What one operator remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorState {
    /// The operator's id in its pipeline, stable over restarts.
    pub id: String,
    /// How its rows are to be read.
    pub shape: StateShape,
    /// Its watermark in milliseconds since 1970; `i64::MIN` before the first.
    pub watermark: i64,
    /// What the operator adds: counters, figures, the schema of accumulators.
    pub detail: Value,
    /// Its rows, oldest file first.
    pub files: Vec<StateFile>,
}

/// What one sink has sealed for this checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkState {
    /// The sink's name in its pipeline.
    pub name: String,
    /// What the sink needs to publish, or to publish again.
    pub sealed: Value,
    /// Rows held for publication.
    pub staged: Vec<StateFile>,
}

/// What taking the checkpoint cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManifestStats {
    /// From sealing to the manifest, in milliseconds.
    pub duration_ms: u64,
    /// For so many microseconds no epoch ran.
    pub stall_us: u64,
    /// Rows read since the checkpoint before.
    pub rows_in: u64,
    /// Bytes written for this checkpoint.
    pub bytes_new: u64,
    /// Bytes of all its files.
    pub bytes_total: u64,
    /// Rows of all its state files.
    pub state_rows: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Why it was written.
    pub kind: ManifestKind,
    /// The pipeline's id.
    pub pipeline: String,
    /// Its SQL, as the user wrote it.
    pub sql: String,
    /// What must agree for its state to be taken over by a plan. The engine decides what is in it.
    pub fingerprint: Value,
    /// Wall clock of the writer, milliseconds since 1970. For people; nothing is decided by it.
    pub created_at_ms: i64,
    /// `interval`, `rows`, `command`, `stop`, `takeover`, …
    pub reason: String,
    /// For a restore the checkpoint put back, for a takeover the manifest taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Where each input goes on: the engine's positions.
    pub inputs: Value,
    /// By operator.
    pub operators: Vec<OperatorState>,
    /// By sink. A takeover and a restore carry what was sealed, because a sink may go on from it, and have nothing staged: it is
    /// published already.
    pub sinks: Vec<SinkState>,
    /// Versions of models by name.
    #[serde(default)]
    pub models: BTreeMap<String, Value>,
    /// What it cost.
    #[serde(default)]
    pub stats: ManifestStats,
}

impl Manifest {
    /// Every file it refers to.
    pub fn files(&self) -> impl Iterator<Item = &StateFile> {
        let state = self.operators.iter().flat_map(|operator| &operator.files);
        state.chain(self.sinks.iter().flat_map(|sink| &sink.staged))
    }

    /// Bytes of all its files.
    pub fn bytes_total(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }

    /// Rows of all state files.
    pub fn state_rows(&self) -> u64 {
        self.operators.iter().flat_map(|operator| &operator.files).map(|file| file.rows).sum()
    }

    /// Whether sinks have something to publish for it. A takeover and a restore must not publish the rows of the checkpoint whose
    /// state they carry a second time.
    pub fn publishes(&self) -> bool {
        self.kind == ManifestKind::Checkpoint
    }

    /// The same state under a new owner: nothing to publish, nothing to pay.
    pub fn as_takeover(&self, from: u64, created_at_ms: i64) -> Self {
        self.carried(ManifestKind::Takeover, "takeover", from, created_at_ms)
    }

    /// The same state put back at the end of the chain.
    pub fn as_restore(&self, from: u64, created_at_ms: i64) -> Self {
        self.carried(ManifestKind::Restore, "restore", from, created_at_ms)
    }

    fn carried(&self, kind: ManifestKind, reason: &str, from: u64, created_at_ms: i64) -> Self {
        let sinks = self.sinks.iter().map(|sink| SinkState { staged: Vec::new(), ..sink.clone() }).collect();
        let mut carried = Self { kind, reason: reason.to_owned(), from: Some(from), created_at_ms, sinks, ..self.clone() };
        carried.stats = ManifestStats { bytes_total: carried.bytes_total(), state_rows: carried.state_rows(), ..ManifestStats::default() };
        carried
    }
}

/// Operator ids and sink names are unique and no file is named twice.
///
/// Prevents that two operators share rows, or that rows count twice after a restore.
pub fn nothing_is_named_twice(manifest: &Manifest) -> bool {
    let unique = |mut names: Vec<&str>| {
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == all
    };
    unique(manifest.operators.iter().map(|operator| operator.id.as_str()).collect())
        && unique(manifest.sinks.iter().map(|sink| sink.name.as_str()).collect())
        && unique(manifest.files().map(|file| file.name.as_str()).collect())
}

/// Only a checkpoint has staged rows.
///
/// Prevents that rows are published a second time under another number.
pub fn only_checkpoints_stage(manifest: &Manifest) -> bool {
    manifest.publishes() || manifest.sinks.iter().all(|sink| sink.staged.is_empty())
}

/// Every file has a name that garbage collection understands.
///
/// Prevents files that stay for ever, and names that lead out of the folder.
pub fn file_names_are_understood(manifest: &Manifest) -> bool {
    manifest.files().all(|file| FileName::parse(&file.name).is_some())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn file(name: &str) -> StateFile {
        StateFile { name: name.into(), rows: 2, bytes: 10, sha256: Digest::of(name.as_bytes()) }
    }

    pub(crate) fn manifest(files: &[&str]) -> Manifest {
        let files = files.iter().map(|name| file(name)).collect();
        Manifest {
            kind: ManifestKind::Checkpoint,
            pipeline: "7".into(),
            sql: "SELECT 1".into(),
            fingerprint: json!({}),
            created_at_ms: 5,
            reason: "interval".into(),
            from: None,
            inputs: json!({"lanes": {"0": 7}}),
            operators: vec![OperatorState { id: "agg".into(), shape: StateShape::Layers, watermark: 3, detail: json!(null), files }],
            sinks: vec![SinkState { name: "out".into(), sealed: json!("x"), staged: vec![] }],
            models: BTreeMap::new(),
            stats: ManifestStats::default(),
        }
    }

    #[test]
    fn a_takeover_carries_the_state_and_publishes_nothing() {
        let mut before = manifest(&["a", "b"]);
        before.sinks[0].staged = vec![file("s")];
        let taken = before.as_takeover(4, 9);
        assert!(!taken.publishes() && only_checkpoints_stage(&taken) && nothing_is_named_twice(&taken));
        assert_eq!((taken.from, taken.stats.bytes_total, taken.stats.state_rows, taken.files().count()), (Some(4), 20, 4, 2));
        assert_eq!(taken.sinks[0].sealed, json!("x"));
        assert!(!only_checkpoints_stage(&Manifest { sinks: before.sinks.clone(), ..taken }));
        assert!(!file_names_are_understood(&before));
    }

    #[test]
    fn a_file_named_twice_is_seen() {
        assert!(!nothing_is_named_twice(&manifest(&["a", "a"])));
    }
}
