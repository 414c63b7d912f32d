//! `TABLE(LEARN(…))` in FROM: finds the model and the columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::TableFactor;
use millstream_ml::learner::Task;
use millstream_sql::logical::nodes::{OrderedNode, extension};
use millstream_sql::parse::{LearnCall, identifier_text};

use super::transform::MakeLearn;
use super::{Learner, Learners};

/// Plans the canonical form that `rewrite_windows` leaves of a LEARN.
#[derive(Debug)]
pub(crate) struct LearnRelationPlanner {
    learners: Arc<Learners>,
}

impl LearnRelationPlanner {
    pub(crate) fn new(learners: Arc<Learners>) -> Self {
        Self { learners }
    }
}

impl RelationPlanner for LearnRelationPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some(call) = LearnCall::from_table_factor(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let call = call.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let learner = self.learners.find(&identifier_text(&call.model)).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let input = context.plan(TableFactor::Derived { lateral: false, subquery: call.input, alias: None, sample: None })?;
        let features: Vec<String> = call.features.iter().map(identifier_text).collect();
        let label = call.label.as_ref().map(identifier_text);
        let key = call.key.as_ref().map(identifier_text);
        let plan = learn_plan(&learner, input, &Columns { features, label, key })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, call.alias))))
    }
}

/// Columns that LEARN names; those it does not name are those of the model's own names.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    features: Vec<String>,
    label: Option<String>,
    key: Option<String>,
}

/// LEARN over `input`.
pub(crate) fn learn_plan(learner: &Arc<Learner>, input: LogicalPlan, named: &Columns) -> Result<LogicalPlan> {
    let definition = &learner.definition;
    let features = if named.features.is_empty() { &definition.features } else { &named.features };
    if features.len() != definition.features.len() {
        return plan_err!(
            "model {} has {} features ({}): DESCRIPTOR names {}",
            learner.name,
            definition.features.len(),
            definition.features.join(", "),
            features.len()
        );
    }
    let mut columns = Vec::new();
    for feature in features {
        let column = column(&input, feature)?;
        let data_type = input.schema().field(column).data_type();
        if !data_type.is_numeric() && *data_type != DataType::Boolean {
            return plan_err!("feature {feature} must be a number: got {data_type} (hint: CAST({feature} AS DOUBLE))");
        }
        columns.push(column);
    }
    let key = match (named.key.as_ref().or(definition.key.as_ref()), &definition.key) {
        (Some(key), Some(_)) => Some(column(&input, key)?),
        (Some(key), None) => {
            let name = &learner.name;
            return plan_err!(
                "model {name} is one model, not one for each {key} (hint: CREATE OR REPLACE MODEL {name} … PARTITION BY {key}, or leave PARTITION BY out)"
            );
        }
        (None, _) => None,
    };
    let label = match (named.label.as_deref().or(definition.label.as_deref()), learner.task.labelled()) {
        (Some(label), false) => {
            return plan_err!("{} learns without a label: got DESCRIPTOR({label}) (hint: leave it out)", definition.kind);
        }
        (Some(label), true) => {
            let column = column(&input, label)?;
            let data_type = input.schema().field(column).data_type().clone();
            if learner.task == Task::Regression && !data_type.is_numeric() {
                return plan_err!("the label of a regression must be a number: {label} is {data_type} (hint: CAST({label} AS DOUBLE))");
            }
            let is_class = data_type.is_integer()
                || data_type.is_floating()
                || matches!(
                    data_type,
                    DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..)
                );
            if learner.task != Task::Regression && !is_class {
                return plan_err!(
                    "a label of {} must be a whole number, a text or a truth value: {label} is {data_type} (hint: CAST({label} AS TEXT))",
                    definition.kind
                );
            }
            Some((column, data_type))
        }
        (None, _) => None,
    };
    Ok(extension(OrderedNode::try_new(Arc::new(input), Arc::new(MakeLearn::new(Arc::clone(learner), columns, label, key)))?))
}

fn column(input: &LogicalPlan, name: &str) -> Result<usize> {
    let columns = input.schema().columns();
    match columns.iter().filter(|column| column.name == name).count() {
        1 => Ok(columns.iter().position(|column| column.name == name).unwrap_or(0)),
        0 => {
            let names = columns.iter().map(|column| column.name.as_str());
            let hint = match millstream_connectors::options::did_you_mean(name, names.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
            };
            plan_err!("LEARN has no column {name} in its input (hint: {hint})")
        }
        _ => plan_err!("column {name} of LEARN is ambiguous (hint: give the columns names of their own in a subquery)"),
    }
}
