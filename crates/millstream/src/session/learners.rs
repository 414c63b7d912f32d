//! `CREATE MODEL … TYPE …` and dropping such a model.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use millstream_connectors::Options;
use millstream_ml::learner::LearnerDefinition;
use millstream_sql::parse::{CreateModel, ModelKind, QueryText, identifier_text};

use super::pipelines::{claim_models, spec, start_stored};
use super::run_statement::{done, object_name};
use super::side_tables::SideTables;
use super::{Session, pipelines};
use crate::data_folder::ObjectKind;
use crate::error::{Error, Result};
use crate::learning::{Learner, learn_plan, scoring_function};
use crate::pipeline::Output;
use crate::planning::{Planned, Planner, check_emit};
use crate::query::Outcome;

/// What a model is, if the statement makes one that learns.
fn definition(create: &CreateModel) -> Option<(LearnerDefinition, Option<&QueryText>)> {
    let ModelKind::Learner { learner, features, label, query } = &create.kind else { return None };
    let definition = LearnerDefinition {
        kind: identifier_text(learner),
        features: features.iter().map(identifier_text).collect(),
        label: label.as_ref().map(identifier_text),
        options: create.options.iter().map(|option| (option.key.clone(), option.value.clone())).collect(),
    };
    Some((definition, query.as_ref()))
}

/// Defines a model, and starts the pipeline that trains it if there is a query.
pub(super) async fn create_learner(session: &Session, create: &CreateModel, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let Some((definition, query)) = definition(create) else {
        return Err(Error::internal(format!("model {name} does not learn")));
    };
    let learner = Arc::new(Learner::new(&name, definition, query.is_some())?);
    let _definitions = session.engine.inner.definitions.lock().await;
    let adopted = session.adopted_pipeline(sql);
    if let Some(outcome) = adopted {
        return Ok(outcome);
    }
    if session.is_adopted(ObjectKind::Learner, &name, sql) {
        return Ok(done("CREATE MODEL"));
    }
    if session.engine.inner.learners.get(&name).is_some() && session.replaying.is_none() {
        if create.if_not_exists {
            return Ok(done("CREATE MODEL"));
        }
        if !create.or_replace {
            return Err(Error::user("42P07", format!("model {name} exists already (hint: CREATE OR REPLACE MODEL, or IF NOT EXISTS)")));
        }
        forget(session, &name).await?;
    }
    if session.replaying.is_none() && session.engine.inner.context.state().scalar_functions().contains_key(&name) {
        return Err(Error::user(
            "42723",
            format!("there is a function {name} already: a model is called like one (hint: take another name)"),
        ));
    }
    match query {
        Some(query) => train(session, learner, query, sql).await,
        None => {
            session.remember(ObjectKind::Learner, &name, sql).await?;
            register(session, learner);
            Ok(done("CREATE MODEL"))
        }
    }
}

fn register(session: &Session, learner: Arc<Learner>) {
    session.engine.inner.context.register_udf(scoring_function(Arc::clone(&learner)));
    session.engine.inner.learners.insert(learner);
}

/// `AS SELECT …`: a pipeline of the model's name that learns for ever.
async fn train(session: &Session, learner: Arc<Learner>, query: &QueryText, sql: &str) -> Result<Outcome> {
    check_emit(query.emit.as_ref())?;
    let name = learner.name.clone();
    let running = session.engine.inner.pipelines.lock().get(&name).is_some_and(|handle| !handle.status().state.is_final());
    if running && session.replaying.is_none() {
        return Err(Error::user("42P07", format!("pipeline {name} exists already (hint: DROP PIPELINE {name}, or take another name)")));
    }
    let settings = session.settings();
    let planner = Planner::new(&session.engine, &settings, sql);
    let input = planner.logical(&query.query)?;
    let logical = learn_plan(&learner, input, &[], None).map_err(|error| planner.error(&error))?;
    let schema: SchemaRef = Arc::clone(logical.schema().inner());
    let Planned::Pipeline { plan, streams } = planner.plan(&logical)? else {
        return Err(Error::internal(format!("model {name} learns from no stream")));
    };
    let side_tables = SideTables::find(session, &plan, &streams, None)?;
    claim_models(&plan, &name, &planner)?;
    let id = session.remember(ObjectKind::Pipeline, &name, sql).await?;
    register(session, learner);
    let engine = &session.engine.inner;
    let nowhere = Options::from_pairs([("connector", "blackhole")]);
    let sink = engine.connectors.sink(nowhere, schema, Arc::clone(&engine.clock))?;
    let spec = spec(session, planner, name.clone(), plan, streams, Output::Sink { sink, side_tables: side_tables.open(&name, id) });
    match start_stored(session, spec, id, sql).await {
        Ok(handle) => Ok(Outcome::Pipeline(handle)),
        Err(error) => {
            if session.replaying.is_none() {
                forget(session, &name).await?;
            }
            Err(error)
        }
    }
}

/// Removes a model and the pipeline of its own; false if there is none that learns.
pub(super) async fn drop_learner(session: &Session, name: &str) -> Result<bool> {
    if session.engine.inner.learners.get(name).is_none() {
        return Ok(false);
    }
    let _definitions = session.engine.inner.definitions.lock().await;
    forget(session, name).await?;
    Ok(true)
}

async fn forget(session: &Session, name: &str) -> Result<()> {
    let engine = &session.engine.inner;
    let Some(learner) = engine.learners.get(name) else { return Ok(()) };
    let writer = learner.writer();
    if let Some(writer) = writer.filter(|writer| !learner.own_pipeline || writer != name) {
        return Err(Error::user("2BP01", format!("pipeline {writer} trains model {name} (hint: DROP PIPELINE {writer} first)")));
    }
    engine.learners.remove(name);
    engine.context.deregister_udf(name);
    if learner.own_pipeline {
        pipelines::drop_pipeline(session, name).await?;
    }
    session.forget(ObjectKind::Learner, name).await
}
