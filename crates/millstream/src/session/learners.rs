//! `CREATE MODEL … TYPE …`, dropping and describing such a model.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use millstream_connectors::Options;
use millstream_ml::learner::{Counters, LearnerDefinition, OnlineModel, Task};
use millstream_sql::parse::{CreateModel, ModelKind, QueryText, identifier_text};
use millstream_sql::physical;

use super::model_states;
use super::pipelines::{claim_models, spec, start_stored};
use super::run_statement::{done, object_name, rows_of};
use super::side_tables::SideTables;
use super::{Session, models, pipelines};
use crate::data_folder::ObjectKind;
use crate::error::{Error, Result};
use crate::learning::{Columns, Learner, Origin, learn_error, learn_plan};
use crate::pipeline::Output;
use crate::planning::{Planned, Planner, check_emit};
use crate::query::Outcome;

/// What the statement says of a model that learns.
struct Wanted<'a> {
    definition: LearnerDefinition,
    query: Option<&'a QueryText>,
    /// The file to begin with.
    warm_start: Option<String>,
}

fn wanted(create: &CreateModel) -> Result<Wanted<'_>> {
    let ModelKind::Learner { learner, features, label, key, reset_on_drift, query } = &create.kind else {
        return Err(Error::internal(format!("model {} does not learn", create.name)));
    };
    let mut options: std::collections::BTreeMap<String, String> =
        create.options.iter().map(|option| (option.key.trim().to_lowercase(), option.value.clone())).collect();
    let warm_start = options.remove("warm_start");
    if let Some(resets) = reset_on_drift {
        let word = if *resets { "reset" } else { "ignore" };
        if options.get("on_drift").is_some_and(|option| !option.eq_ignore_ascii_case(word)) {
            return Err(Error::user("42601", format!("ON DRIFT says {word}, 'on_drift' something else (hint: leave the option out)")));
        }
        options.insert("on_drift".to_owned(), word.to_owned());
        if *resets {
            options.entry("drift_detector".to_owned()).or_insert_with(|| "adwin".to_owned());
        }
    }
    let definition = LearnerDefinition {
        kind: identifier_text(learner),
        features: features.iter().map(identifier_text).collect(),
        label: label.as_ref().map(identifier_text),
        key: key.as_ref().map(identifier_text),
        options,
    };
    Ok(Wanted { definition, query: query.as_ref(), warm_start })
}

/// Defines a model, and starts the pipeline that trains it if there is a query.
pub(super) async fn create_learner(session: &Session, create: &CreateModel, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let Wanted { definition, query, warm_start } = wanted(create)?;
    let _definitions = session.engine.inner.definitions.lock().await;
    if let Some(outcome) = session.adopted_pipeline(sql) {
        return Ok(outcome);
    }
    if session.is_adopted(ObjectKind::Learner, &name, sql) {
        return Ok(done("CREATE MODEL"));
    }
    let existing = session.engine.inner.learners.get(&name).filter(|_| session.replaying.is_none());
    match &existing {
        Some(_) if create.or_replace => {}
        Some(_) if create.if_not_exists => return Ok(done("CREATE MODEL")),
        Some(_) => {
            return Err(Error::user("42P07", format!("model {name} exists already (hint: CREATE OR REPLACE MODEL, or IF NOT EXISTS)")));
        }
        None if session.replaying.is_none() => models::refuse_taken(session, &name)?,
        None => {}
    }
    let initial = match (model_states::stored(session).await?, warm_start) {
        (Some(state), _) => Some(state),
        (None, Some(path)) => Some(model_states::warm_start(session, &name, &definition, &path).await?),
        (None, None) => None,
    };
    let new = New { session, existing, sql, definition };
    match query {
        Some(query) if session.replaying.as_ref().is_none_or(|object| object.kind.is_pipeline()) => new.train(&name, initial, query).await,
        _ => new.define(&name, initial).await,
    }
}

/// Others may call the model from now on, and get NULL until it is brought back itself: not before its pipeline runs.
pub(super) async fn bring_back_function(session: &Session, create: &CreateModel, sql: &str) -> Result<()> {
    let origin = Origin { own_pipeline: true, sql: sql.to_owned(), initial: model_states::stored(session).await?, replaces: None };
    register(session, Arc::new(Learner::new(&object_name(&create.name)?, wanted(create)?.definition, origin)?));
    Ok(())
}

/// A model that is about to be.
struct New<'a> {
    session: &'a Session,
    /// What it takes the place of.
    existing: Option<Arc<Learner>>,
    sql: &'a str,
    definition: LearnerDefinition,
}

impl New<'_> {
    fn learner(&self, name: &str, initial: Option<RecordBatch>, own_pipeline: bool) -> Result<Arc<Learner>> {
        // Also where a pipeline comes back: whoever calls the model goes on to call it.
        let replaces = self.session.engine.inner.learners.get(name).map(|existing| Arc::clone(&existing.registered));
        let origin = Origin { own_pipeline, sql: self.sql.to_owned(), initial, replaces };
        Ok(Arc::new(Learner::new(name, self.definition.clone(), origin)?))
    }

    /// Without a pipeline of its own.
    async fn define(&self, name: &str, initial: Option<RecordBatch>) -> Result<Outcome> {
        let session = self.session;
        let learner = self.learner(name, initial.clone(), false)?;
        self.clear_the_way(&learner).await?;
        let id = session.remember(ObjectKind::Learner, name, self.sql).await?;
        model_states::keep(session, id, self.sql, initial.as_ref()).await?;
        register(session, learner);
        Ok(done("CREATE MODEL"))
    }

    /// What is there by this name goes; nothing before has changed anything.
    async fn clear_the_way(&self, learner: &Learner) -> Result<()> {
        let Some(existing) = &self.existing else { return Ok(()) };
        let same = (existing.task, existing.definition.features.len(), existing.definition.key.is_some())
            == (learner.task, learner.definition.features.len(), learner.definition.key.is_some());
        if !same {
            models::refuse_if_called(self.session, &existing.registered)?;
        }
        forget(self.session, &existing.name).await
    }

    /// `AS SELECT …`: a pipeline of the model's name that learns for ever; over what ends it is trained when this returns.
    async fn train(&self, name: &str, initial: Option<RecordBatch>, query: &QueryText) -> Result<Outcome> {
        check_emit(query.emit.as_ref())?;
        let session = self.session;
        let running = session.engine.inner.pipelines.lock().get(name).is_some_and(|handle| !handle.status().state.is_final());
        let is_own = self.existing.as_ref().is_some_and(|existing| existing.own_pipeline);
        if running && session.replaying.is_none() && !is_own {
            return Err(Error::user("42P07", format!("pipeline {name} exists already (hint: DROP PIPELINE {name}, or take another name)")));
        }
        let settings = session.settings();
        let planner = session.planner(&settings, self.sql);
        let input = planner.logical(&query.query).await?;
        let learner = self.learner(name, initial.clone(), true)?;
        let learn = |input| learn_plan(&learner, input, &Columns::default()).map_err(|error| planner.error(&error));
        let logical = learn(input.clone())?;
        let schema: SchemaRef = Arc::clone(logical.schema().inner());
        let Planned::Pipeline { plan, streams } = planner.plan(&logical)? else {
            let state = self.train_at_once(&learner, &planner, &input).await?;
            return self.define(name, Some(state)).await;
        };
        let side_tables = SideTables::find(session, &plan, &streams, None)?;
        self.clear_the_way(&learner).await?;
        claim_models(&plan, name, &planner)?;
        let id = session.remember(ObjectKind::Pipeline, name, self.sql).await?;
        if session.replaying.is_none() {
            model_states::keep(session, id, self.sql, initial.as_ref()).await?;
        }
        register(session, learner);
        let engine = &session.engine.inner;
        let nowhere = Options::from_pairs([("connector", "blackhole")]);
        let sink = engine.connectors.sink(nowhere, schema, Arc::clone(&engine.clock))?;
        let output = Output::Sink { sink, side_tables: side_tables.open(name, id) };
        let spec = spec(session, planner, name.to_owned(), plan, streams, output);
        match start_stored(session, spec, id, self.sql).await {
            Ok(handle) => Ok(Outcome::Pipeline(handle)),
            Err(error) => {
                if session.replaying.is_none() {
                    forget(session, name).await?;
                }
                Err(error)
            }
        }
    }

    /// Learns all rows of a query that ends.
    async fn train_at_once(&self, learner: &Learner, planner: &Planner<'_>, input: &LogicalPlan) -> Result<RecordBatch> {
        let Planned::Bounded(plan) = planner.plan(input)? else {
            return Err(Error::internal(format!("model {} learns from what ends and does not", learner.name)));
        };
        let mut state = planner.state.clone();
        // The order of rows is that of the query; several partitions have none.
        state.config_mut().options_mut().execution.target_partitions = 1;
        let physical = physical::plan_stage(&plan, &state).await.map_err(|error| planner.error(&error))?;
        let mut model = learner.begin().map_err(|error| learn_error(&error))?;
        let mut rows = millstream_operators::in_partition_order(&physical, &state.task_ctx());
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| Error::running(&error))?;
            let column = |name: &String| batch.column_by_name(name).cloned().ok_or_else(|| Error::internal(format!("no column {name}")));
            let features = self.definition.features.iter().map(column).collect::<Result<Vec<_>>>()?;
            let label = self.definition.label.as_ref().map(column).transpose()?;
            let key = self.definition.key.as_ref().map(column).transpose()?;
            model.test_then_train_by_key(key.as_ref(), &features, label.as_ref()).map_err(|error| learn_error(&error))?;
        }
        model.state().map_err(|error| learn_error(&error))
    }
}

fn register(session: &Session, learner: Arc<Learner>) {
    learner.show();
    session.engine.inner.models.insert(Arc::clone(&learner.registered));
    session.engine.inner.learners.insert(learner);
}

/// Removes a model and the pipeline of its own; false if there is none that learns.
pub(super) async fn drop_learner(session: &Session, name: &str) -> Result<bool> {
    let _definitions = session.engine.inner.definitions.lock().await;
    let Some(learner) = session.engine.inner.learners.get(name) else { return Ok(false) };
    refuse_if_trained(&learner)?;
    models::refuse_if_called(session, &learner.registered)?;
    forget(session, name).await?;
    session.engine.inner.models.remove(name);
    Ok(true)
}

fn refuse_if_trained(learner: &Learner) -> Result<()> {
    let name = &learner.name;
    match learner.writer().filter(|writer| !learner.own_pipeline || writer != name) {
        Some(writer) => Err(Error::user("2BP01", format!("pipeline {writer} trains model {name} (hint: DROP PIPELINE {writer} first)"))),
        None => Ok(()),
    }
}

/// The model learns no more; its function stays.
async fn forget(session: &Session, name: &str) -> Result<()> {
    let engine = &session.engine.inner;
    let Some(learner) = engine.learners.get(name) else { return Ok(()) };
    refuse_if_trained(&learner)?;
    engine.learners.remove(name);
    if learner.own_pipeline {
        pipelines::drop_pipeline(session, name).await?;
    }
    session.forget(ObjectKind::Learner, name).await
}

/// `DESCRIBE MODEL` of a model that learns.
pub(super) fn describe_learner(learner: &Learner) -> Result<Outcome> {
    let definition = &learner.definition;
    let version = learner.registered.current();
    let row = |property: &str, value: String| vec![Some(property.to_owned()), Some(value)];
    let mut rows = vec![row("type", definition.kind.clone()), row("features", definition.features.join(", "))];
    rows.extend(definition.label.iter().map(|label| row("label", label.clone())));
    rows.extend(definition.key.iter().map(|key| row("partition by", key.clone())));
    rows.extend(definition.options.iter().map(|(key, value)| row(&format!("option {key}"), value.clone())));
    rows.push(row("takes", version.shape.takes()));
    rows.push(row("gives", version.shape.gives()));
    rows.push(row("trained by", learner.writer().unwrap_or_else(|| "nothing now".to_owned())));
    let learned = learner.state().map(|state| OnlineModel::from_state(&[state])).transpose().map_err(|error| learn_error(&error))?;
    match &learned {
        None => rows.push(row("learned", "nothing yet that a checkpoint holds".to_owned())),
        Some(model) => {
            rows.push(row("version", format!("{}, sha256 {}", version.number, version.hash)));
            if definition.key.is_some() {
                rows.push(row("keys", model.keys().to_string()));
            }
            if matches!(learner.task, Task::Binary | Task::Classes) {
                rows.push(row("classes", model.class_names().join(", ")));
            }
            let counters = model.counters();
            for (name, number) in Counters::NAMES.iter().zip(counters.numbers()).take(8) {
                rows.push(row(name, number.to_string()));
            }
            rows.extend(progress(learner.task, &counters).map(|(name, value)| row(name, value)));
        }
    }
    let figures = learner.registered.figures();
    rows.push(row("rows predicted", figures.rows.to_string()));
    rows.push(row("errors", figures.errors.to_string()));
    rows_of(&["property", "value"], rows)
}

/// How well it has predicted rows before it learned them.
fn progress(task: Task, counters: &Counters) -> Option<(&'static str, String)> {
    if counters.tested == 0 {
        return None;
    }
    let mean = counters.loss / counters.tested as f64;
    Some(match task {
        Task::Regression => ("rmse of tested rows", mean.sqrt().to_string()),
        _ => ("accuracy of tested rows", (1.0 - mean).to_string()),
    })
}
