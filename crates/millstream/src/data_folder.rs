//! The data folder: what an engine started with `--data DIR` remembers over restarts.
//!
//! ```text
//! catalog/…          definitions in the order they were made, as SQL, by id (a chain of entries: whoever wrote last owns the folder)
//! pipelines/<id>/…   checkpoints of one pipeline (see checkpoint.rs)
//! ```
//!
//! Folders are named by id, never by name: what is dropped and created again does not find old state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of statement made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ObjectKind {
    Table,
    View,
    Pipeline,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Pipeline => "pipeline",
        })
    }
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredObject {
    pub(crate) id: u64,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    /// The statement that made it.
    pub(crate) sql: String,
    /// The session's settings at that time.
    pub(crate) settings: serde_json::Value,
    /// A pipeline that does not come back by itself.
    #[serde(default)]
    pub(crate) paused: bool,
}

/// All definitions, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredCatalog {
    next_id: u64,
    objects: Vec<StoredObject>,
}

impl StoredCatalog {
    /// With one more object; a definition of the same kind and name is replaced and keeps neither its place nor its id.
    fn with(&self, kind: ObjectKind, name: &str, sql: &str, settings: serde_json::Value) -> (Self, u64) {
        let mut next = self.without(kind, name);
        next.next_id += 1;
        let id = next.next_id;
        next.objects.push(StoredObject { id, kind, name: name.to_owned(), sql: sql.to_owned(), settings, paused: false });
        (next, id)
    }

    fn without(&self, kind: ObjectKind, name: &str) -> Self {
        let others = self.objects.iter().filter(|object| object.kind != kind || object.name != name);
        Self { next_id: self.next_id, objects: others.cloned().collect() }
    }
}
