//! An engine of this process.

use datafusion::arrow::array::AsArray;
use millstream::{Engine, Outcome, Session};

use super::{Answer, Rows, Statement};
use crate::args::Options;
use crate::shell::Failure;
use crate::shell::names::{Names, connectors_of, described};
use crate::status_line::Progress;

/// `COPY …`
fn is_copy(sql: &str) -> bool {
    sql.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("copy"))
}

/// The engine and the shell's session of it.
pub(crate) struct Embedded {
    engine: Engine,
    session: Session,
    /// The data folder.
    data: Option<String>,
}

impl Embedded {
    /// Builds the engine. The error is a complete message.
    pub(crate) async fn open(options: &Options) -> Result<Self, String> {
        let engine = options.engine().build().await.map_err(|error| error.to_string())?;
        let session = engine.session();
        let mode = options.mode.map(|mode| ("execution_mode".to_owned(), mode.name().to_owned()));
        for (name, value) in mode.iter().chain(&options.settings) {
            session.set(name, value).map_err(|error| error.to_string())?;
        }
        Ok(Self { engine, session, data: options.data.clone() })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn statements(&self, sql: &str) -> Result<Vec<Statement>, Failure> {
        let parsed = self.session.parse(sql)?;
        let statement =
            |parsed: millstream::ParsedStatement| Statement { text: parsed.text.clone(), line: parsed.line, parsed: Some(parsed) };
        Ok(parsed.into_iter().map(statement).collect())
    }

    pub(super) async fn run(&self, statement: &Statement) -> Result<Answer, Failure> {
        if is_copy(&statement.text) {
            let hint =
                "hint: \\copy t from 'file.csv' reads a file into a table, \\copy (SELECT …) to 'file.csv' writes one; COPY is for servers";
            return Err(Failure::Message(format!("COPY needs a server ({hint})")));
        }
        let Some(parsed) = &statement.parsed else { return Err(Failure::Message("this statement was not parsed".to_owned())) };
        Ok(match self.session.run(parsed).await? {
            Outcome::Done { message } => Answer::Done(message),
            Outcome::Pipeline(handle) => Answer::Pipeline(handle.name()),
            Outcome::Rows(query) => Answer::Rows(Rows::Embedded(Box::new(query))),
            _ => Answer::Done("done".to_owned()),
        })
    }

    pub(super) fn pipelines(&self) -> Vec<Progress> {
        self.engine.pipelines().iter().map(Progress::of).collect()
    }

    pub(super) async fn names(&self, before: Names) -> Names {
        let mut names = described(self.text_rows("SHOW TABLES").await, self.text_rows("SHOW VIEWS").await);
        for table in names.tables_to_describe() {
            let quoted = table.replace('"', "\"\"");
            let columns = self.text_rows(&format!("DESCRIBE \"{quoted}\"")).await;
            names.columns.insert(table, columns.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect());
        }
        let pair = |row: Vec<String>| (row[0].clone(), row[1].clone());
        names.functions = self.text_rows("SHOW FUNCTIONS").await.into_iter().map(pair).collect();
        names.models = self.text_rows("SHOW MODELS").await.into_iter().map(|row| row[0].clone()).collect();
        names.connectors = if before.connectors.is_empty() { connectors_of(&self.engine.connectors()) } else { before.connectors };
        names.pipelines = self.engine.pipelines().into_iter().map(|status| status.name).collect();
        names.settings = self.session.settings().all();
        names
    }

    /// The rows of a statement, as text; columns of other types are left out.
    pub(super) async fn text_rows(&self, sql: &str) -> Vec<Vec<String>> {
        let Ok(query) = self.session.query(sql).await else { return Vec::new() };
        let mut rows = Vec::new();
        for batch in query.collect().await.unwrap_or_default() {
            let columns: Vec<_> = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>()).collect();
            if columns.len() == batch.num_columns() {
                rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_owned()).collect()));
            }
        }
        rows
    }

    pub(super) fn setting(&self, name: &str) -> Result<String, Failure> {
        Ok(self.session.settings().get(name)?)
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Result<(), Failure> {
        Ok(self.session.set(name, value)?)
    }

    pub(super) fn place(&self) -> String {
        self.data.clone().unwrap_or_else(|| "in memory: nothing outlives this shell".to_owned())
    }
}
