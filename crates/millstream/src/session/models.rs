//! CREATE, ALTER, DROP, SHOW and DESCRIBE MODEL.

pub(super) mod files;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, TableFactor, Visit, Visitor,
};
use millstream_ml::error::{ModelError, ModelErrorKind};
use millstream_ml::model::{ContentHash, Model};
use millstream_ml::onnx::{EmbeddingModel, LoadLimits, OnnxModel};
use millstream_sql::parse::{AlterModel, CreateModel, ModelColumn, ModelKind, Statement, arrow_type, identifier_text};

use self::files::ModelFiles;
use super::Session;
use super::learners::describe_learner;
use super::run_statement::{done, object_name, rows_of};
use crate::blocking::Blocking;
use crate::catalog::{ColumnSource, Object};
use crate::data_folder::{DataFolder, ModelFile, ObjectKind};
use crate::error::{Error, Result};
use crate::model::{Declared, ModelOptions, ModelShape, ModelVersion, RegisteredModel, calls_model};
use crate::query::Outcome;

pub(super) async fn create_model(session: &Session, create: &CreateModel, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let _definitions = session.engine.inner.definitions.lock().await;
    if session.replaying.is_some() {
        return bring_back(session, &name).await;
    }
    let models = &session.engine.inner.models;
    if !create.or_replace && session.is_adopted(ObjectKind::Model, &name, sql) {
        return Ok(done("CREATE MODEL"));
    }
    let existing = models.get(&name);
    if session.engine.inner.learners.get(&name).is_some() && !create.if_not_exists {
        return Err(Error::user("42P07", format!("model {name} exists already, it learns (hint: DROP MODEL {name} first)")));
    }
    match &existing {
        None => refuse_taken(session, &name)?,
        Some(_) if create.or_replace => {}
        Some(_) if create.if_not_exists => return Ok(done("CREATE MODEL")),
        Some(_) => {
            return Err(Error::user("42P07", format!("model {name} exists already (hint: CREATE OR REPLACE makes a new version of it)")));
        }
    }
    let number = existing.as_ref().map_or(1, |model| model.next_number());
    let (options, declared) = definition(create)?;
    let files = files::read(session, &options).await?;
    let version = Arc::new(version(session, &name, number, sql, (options, declared), files.clone()).await?);
    if let Some(model) = &existing {
        let current = model.current();
        if current.hash == version.hash && current.tokenizer == version.tokenizer && current.sql == version.sql {
            return Ok(Outcome::Done {
                message: format!("CREATE MODEL: {name} stays at version {}, the file has not changed", current.number),
            });
        }
        if let Some(difference) = version.shape.difference(&current.shape) {
            let hint = format!("hint: CREATE MODEL under another name, or DROP MODEL {name} first");
            return Err(Error::user("42804", format!("the new version of model {name} does not fit what calls it: {difference} ({hint})")));
        }
    }
    if let Some(data) = &session.engine.inner.data {
        data.keep_model_file(&version.hash, ModelFile::Network, files.network).await?;
        if let (Some(hash), Some(bytes)) = (&version.tokenizer, files.tokenizer) {
            data.keep_model_file(hash, ModelFile::Tokenizer, bytes).await?;
        }
        let stored = match &existing {
            Some(model) => model.stored_with(Some(&version), number),
            None => RegisteredModel::new(name.clone(), Arc::clone(&version)).stored_with(None, number),
        };
        data.put_model(&name, sql, settings_of(session)?, stored).await?;
    }
    match existing {
        Some(model) => model.add(version),
        None => models.insert(Arc::new(RegisteredModel::new(name, version))),
    }
    Ok(done("CREATE MODEL"))
}

fn settings_of(session: &Session) -> Result<serde_json::Value> {
    serde_json::to_value(session.settings()).map_err(|error| Error::internal(error.to_string()))
}

/// A model's name is a function's: no other may have it.
pub(super) fn refuse_taken(session: &Session, name: &str) -> Result<()> {
    if session.engine.inner.models.get(name).is_some() {
        return Err(Error::user("42P07", format!("model {name} exists already, of a file (hint: DROP MODEL {name} first)")));
    }
    let state = session.engine.inner.context.state();
    let taken = state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
        || name.starts_with("predict");
    if taken {
        return Err(Error::user("42723", format!("{name} is a function already (hint: give the model another name)")));
    }
    Ok(())
}

fn definition(create: &CreateModel) -> Result<(ModelOptions, Declared)> {
    let options = ModelOptions::parse(create.options.iter().map(|option| (option.key.clone(), option.value.clone())))?;
    let columns = |columns: &[ModelColumn]| {
        columns.iter().map(|column| Ok((identifier_text(&column.name), arrow_type(&column.data_type)?))).collect::<Result<Vec<_>>>()
    };
    match &create.kind {
        ModelKind::File { inputs, outputs } => Ok((options, Declared { inputs: columns(inputs)?, outputs: columns(outputs)? })),
        _ => Err(Error::user("0A000", "this kind of model is not supported yet")),
    }
}

/// Loads a version; what is wrong with the file is told here.
async fn version(
    session: &Session,
    name: &str,
    number: u64,
    sql: &str,
    (options, declared): (ModelOptions, Declared),
    files: ModelFiles,
) -> Result<ModelVersion> {
    let features = (!declared.inputs.is_empty()).then_some(declared.inputs.len());
    let (runtime, threads, embedding) = (options.runtime, options.threads, options.embedding.clone());
    let hash = ContentHash::of(&files.network);
    let tokenizer = files.tokenizer.as_ref().map(|bytes| ContentHash::of(bytes));
    let load = move || {
        let limits = LoadLimits::default();
        Ok::<Arc<dyn Model>, ModelError>(match &files.tokenizer {
            Some(tokenizer) => Arc::new(EmbeddingModel::load(&files.network, tokenizer, embedding, &limits, (runtime, threads))?),
            None => Arc::new(OnnxModel::load_for(&files.network, features, &limits, runtime, threads)?),
        })
    };
    let loaded = Blocking::of(session.settings().background_threads).run("loading a model", load).await?;
    let model = loaded.map_err(|error| {
        let sqlstate = match error.kind() {
            ModelErrorKind::Unsupported => "0A000",
            ModelErrorKind::TooLarge => "54000",
            _ => "22023",
        };
        Error::user(sqlstate, format!("model {name} cannot be loaded from '{}': {error}", options.path))
    })?;
    let shape = ModelShape::new(model.signature(), &declared, name)?;
    Ok(ModelVersion { number, hash, tokenizer, model, options, shape, sql: sql.to_owned() })
}

/// A model of the data folder with all its versions.
async fn bring_back(session: &Session, name: &str) -> Result<Outcome> {
    let (Some(object), Some(data)) = (&session.replaying, &session.engine.inner.data) else {
        return Err(Error::internal("a model comes back without a data folder"));
    };
    let stored = object.model.clone().unwrap_or_default();
    let mut model: Option<RegisteredModel> = None;
    for kept in &stored.versions {
        let parsed = millstream_sql::parse::parse(&kept.sql)?.into_iter().next().map(|parsed| parsed.statement);
        let Some(Statement::CreateModel(create)) = parsed else {
            return Err(Error::user("XX001", format!("the statement of version {} of model {name} does not read", kept.number)));
        };
        let network = data.model_file(&kept.hash, ModelFile::Network).await?;
        let tokenizer = match &kept.tokenizer {
            Some(hash) => Some(data.model_file(hash, ModelFile::Tokenizer).await?),
            None => None,
        };
        let files = ModelFiles { network, tokenizer };
        let version = Arc::new(version(session, name, kept.number, &kept.sql, definition(&create)?, files).await?);
        match &model {
            None => model = Some(RegisteredModel::new(name.to_owned(), version)),
            Some(model) => model.add(version),
        }
    }
    let Some(model) = model else { return Err(Error::user("XX001", format!("model {name} has no versions in the data folder"))) };
    if let Some(current) = model.versions().into_iter().find(|version| version.number == stored.current) {
        model.use_version(current);
    }
    session.engine.inner.models.insert(Arc::new(model));
    Ok(done("CREATE MODEL"))
}

pub(super) async fn alter_model(session: &Session, alter: &AlterModel) -> Result<Outcome> {
    let _definitions = session.engine.inner.definitions.lock().await;
    let model = find(session, &alter.name)?;
    if session.engine.inner.learners.get(&model.name).is_some() {
        let hint = "hint: RESTORE PIPELINE of the pipeline that trains it goes back to a checkpoint";
        return Err(Error::user("0A000", format!("model {} learns: its versions are its checkpoints ({hint})", model.name)));
    }
    let versions = model.versions();
    let Some(version) = versions.iter().find(|version| version.number == alter.version) else {
        let known = versions.iter().map(|version| version.number.to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::user("42704", format!("model {} has no version {} (hint: there are {known})", model.name, alter.version)));
    };
    if let Some(data) = &session.engine.inner.data {
        data.put_model(&model.name, &version.sql, settings_of(session)?, model.stored_with(None, version.number)).await?;
    }
    model.use_version(Arc::clone(version));
    Ok(done("ALTER MODEL"))
}

fn find(session: &Session, name: &ObjectName) -> Result<Arc<RegisteredModel>> {
    let name = object_name(name)?;
    let models = &session.engine.inner.models;
    models.get(&name).ok_or_else(|| {
        let names = models.names();
        let near = millstream_connectors::options::did_you_mean(&name, names.iter().map(String::as_str));
        let hint = near.map_or_else(|| "SHOW MODELS lists them".to_owned(), |near| format!("did you mean {near}?"));
        Error::user("42704", format!("there is no model {name} (hint: {hint})"))
    })
}

/// False if there is none.
pub(super) async fn drop_model(session: &Session, name: &str) -> Result<bool> {
    let _definitions = session.engine.inner.definitions.lock().await;
    let Some(model) = session.engine.inner.models.get(name) else { return Ok(false) };
    refuse_if_called(session, &model)?;
    session.forget(ObjectKind::Model, name).await?;
    session.engine.inner.models.remove(name);
    if let Some(data) = &session.engine.inner.data
        && let Err(error) = data.sweep_model_files().await
    {
        // They are in nobody's way: the next start tries again.
        tracing::warn!(model = name, %error, "the files of a dropped model are not deleted yet");
    }
    Ok(true)
}

/// A model must not vanish below a pipeline or view that calls it, or would when it goes on.
pub(super) fn refuse_if_called(session: &Session, model: &RegisteredModel) -> Result<()> {
    let name = &model.name;
    if let Some(pipeline) = model.user() {
        return Err(Error::user("2BP01", format!("pipeline {pipeline} calls model {name} (hint: DROP PIPELINE {pipeline} first)")));
    }
    if let Some(view) = view_that_calls(session, name) {
        return Err(Error::user("2BP01", format!("view {view} calls model {name} (hint: DROP VIEW {view} first)")));
    }
    if let Some(table) = table_that_calls(session, name) {
        return Err(Error::user(
            "2BP01",
            format!("a computed column of table {table} calls model {name} (hint: DROP TABLE {table} first)"),
        ));
    }
    // A paused pipeline will call it again.
    let stored = session.engine.inner.data.as_ref().map(DataFolder::objects).unwrap_or_default();
    if let Some(object) = stored.iter().find(|object| object.kind.is_pipeline() && calls(&object.sql, name)) {
        let (kind, other) = (object.kind, &object.name);
        return Err(Error::user("2BP01", format!("{kind} {other} calls model {name} (hint: drop {other} first)")));
    }
    Ok(())
}

fn view_that_calls(session: &Session, model: &str) -> Option<String> {
    let views = session.engine.inner.catalog.read();
    let found = views.iter().find(|(_, object)| matches!(object, Object::View { sql } if calls(sql, model)));
    found.map(|(view, _)| view.clone())
}

fn table_that_calls(session: &Session, model: &str) -> Option<String> {
    let calls = |column: &ColumnSource| matches!(column, ColumnSource::Computed(expr) if calls_model(expr, Some(model)));
    let tables = session.engine.inner.catalog.read();
    let found = tables.iter().find(|(_, object)| matches!(object, Object::Stream(stream) if stream.columns.iter().any(calls)));
    found.map(|(table, _)| table.clone())
}

/// True if a statement calls the model.
fn calls(sql: &str, model: &str) -> bool {
    let statements = millstream_sql::parse::parse(sql).unwrap_or_default();
    statements.iter().any(|parsed| query_of(&parsed.statement).is_some_and(|query| query.visit(&mut Finder { model }).is_break()))
}

fn query_of(statement: &Statement) -> Option<&Query> {
    match statement {
        Statement::Insert(insert) => Some(&insert.query.query),
        Statement::CreateView(create) => Some(&create.query.query),
        Statement::CreateSink(create) => Some(&create.query.query),
        Statement::CreateModel(create) => match &create.kind {
            ModelKind::Learner { query, .. } => query.as_ref().map(|query| query.query.as_ref()),
            _ => None,
        },
        _ => None,
    }
}

/// Breaks at the first call of a model.
struct Finder<'a> {
    model: &'a str,
}

impl Finder<'_> {
    fn names(&self, arg: &FunctionArg) -> bool {
        let (FunctionArg::Unnamed(value) | FunctionArg::Named { arg: value, .. }) = arg else { return false };
        match value {
            FunctionArgExpr::Expr(Expr::Identifier(ident)) => identifier_text(ident) == self.model,
            FunctionArgExpr::Expr(Expr::Value(value)) => value.to_string() == format!("'{}'", self.model),
            _ => false,
        }
    }

    fn found(&self, name: &ObjectName, args: &[FunctionArg]) -> bool {
        let name = name.to_string().to_lowercase();
        let generic = name.starts_with("predict") || name.starts_with("ml_") || name == "learn";
        name.trim_matches('"') == self.model.to_lowercase() || (generic && args.iter().any(|arg| self.names(arg)))
    }
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let args = match &function.args {
                    FunctionArguments::List(list) => list.args.as_slice(),
                    _ => &[],
                };
                if self.found(&function.name, args) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let found = match factor {
            TableFactor::Table { name, args: Some(args), .. } => self.found(name, &args.args),
            TableFactor::Function { name, args, .. } => self.found(name, args),
            _ => false,
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

pub(super) fn show_models(session: &Session) -> Result<Outcome> {
    let rows = session.engine.inner.models.all().into_iter().map(|model| {
        let (version, figures) = (model.current(), model.figures());
        let numbers = [figures.calls, figures.rows, figures.rows_per_second, figures.p50_us, figures.p99_us, figures.errors];
        [model.name.clone(), version.number.to_string(), version.shape.task.clone()]
            .into_iter()
            .chain(numbers.iter().map(u64::to_string))
            .map(Some)
            .collect()
    });
    rows_of(&["model", "version", "task", "calls", "rows", "rows_per_second", "p50_us", "p99_us", "errors"], rows.collect())
}

pub(super) fn describe_model(session: &Session, name: &ObjectName) -> Result<Outcome> {
    let model = find(session, name)?;
    if let Some(learner) = session.engine.inner.learners.get(&model.name) {
        return describe_learner(&learner);
    }
    let (version, figures) = (model.current(), model.figures());
    let row = |property: &str, value: String| vec![Some(property.to_owned()), Some(value)];
    let mut rows = vec![
        row("task", version.shape.task.clone()),
        row("takes", version.shape.takes()),
        row("gives", version.shape.gives()),
        row("path", version.options.path.clone()),
        row("runtime", version.model.runtime().to_owned()),
        row("rows predicted", figures.rows.to_string()),
        row("rows with NULL features", figures.null_rows.to_string()),
        row("errors", figures.errors.to_string()),
        row("rows per second", figures.rows_per_second.to_string()),
    ];
    for other in model.versions() {
        let mark = if other.number == version.number { " (in use)" } else { "" };
        rows.push(row(&format!("version {}{mark}", other.number), format!("sha256 {}", other.hash)));
    }
    rows_of(&["property", "value"], rows)
}
