//! What the statements about models say.

use datafusion::sql::sqlparser::ast::{DataType, Ident, ObjectName};

use super::statement::{QueryText, WithOption};

/// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name … WITH (…)`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateModel {
    /// The model's name, which is its function's too.
    pub name: ObjectName,
    /// `OR REPLACE`: a new version.
    pub or_replace: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// Where the model comes from.
    pub kind: ModelKind,
    /// `WITH (…)`
    pub options: Vec<WithOption>,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one for each statement")]
pub enum ModelKind {
    /// A file that the options name.
    File {
        /// `INPUT (…)`; empty takes the file's.
        inputs: Vec<ModelColumn>,
        /// `OUTPUT (…)`; empty takes the file's.
        outputs: Vec<ModelColumn>,
    },
    /// It learns from a stream.
    Learner {
        /// `TYPE …`
        learner: Ident,
        /// `FEATURES (…)`
        features: Vec<Ident>,
        /// `LABEL y`
        label: Option<Ident>,
        /// `PARTITION BY k`: a model for each value.
        key: Option<Ident>,
        /// `ON DRIFT RESET` (true) or `ON DRIFT IGNORE`
        reset_on_drift: Option<bool>,
        /// `AS SELECT …`: what it learns from, for ever.
        query: Option<QueryText>,
    },
}

/// A column of `INPUT (…)` or `OUTPUT (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelColumn {
    /// Its name.
    pub name: Ident,
    /// See [`super::arrow_type`].
    pub data_type: DataType,
}

/// `EXPORT MODEL name [FOR 'key'] TO 'file'`
#[derive(Debug, Clone, PartialEq)]
pub struct ExportModel {
    /// The model.
    pub name: ObjectName,
    /// Of a model by key the one of this key.
    pub key: Option<String>,
    /// Where to, a path or the URL of an object store.
    pub path: String,
}

/// `ALTER MODEL name SET VERSION n`
#[derive(Debug, Clone, PartialEq)]
pub struct AlterModel {
    /// The model.
    pub name: ObjectName,
    /// The version to use from now on.
    pub version: u64,
}
