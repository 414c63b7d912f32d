//! Metrics of models as SQL aggregates: `accuracy`, `f1_score`, `roc_auc` and their kin.
//!
//! The arithmetic is in `millstream_ml::metric`; here are the names, the arguments and their types, and the bridge to DataFusion's
//! accumulators. What never could be equal (1 and '1') is refused when a query is planned, so that a metric is not silently 0.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;
use millstream_ml::learner::LearnError;
use millstream_ml::metric::{Average, LabelFamily, Metric, MetricStates, Share, common_family};

/// Every metric as an aggregate function; a session has them all, another DataFusion context can be given them.
pub fn metric_functions() -> Vec<AggregateUDF> {
    const FUNCTIONS: [(&str, &[&str], Which); 11] = [
        ("accuracy", &["accuracy_score"], Which::Accuracy),
        ("precision_score", &[], Which::Share(Share::Precision)),
        ("recall_score", &[], Which::Share(Share::Recall)),
        ("f1_score", &[], Which::Share(Share::F1)),
        ("confusion_matrix", &[], Which::ConfusionMatrix),
        ("log_loss", &[], Which::LogLoss),
        ("roc_auc", &["roc_auc_score"], Which::RocAuc),
        ("mae", &["mean_absolute_error"], Which::Mae),
        ("rmse", &["root_mean_squared_error"], Which::Rmse),
        ("r2_score", &[], Which::R2),
        ("psi", &[], Which::Psi),
    ];
    let function = |(name, aliases, which): (&'static str, &[&str], Which)| {
        let aliases = aliases.iter().map(ToString::to_string).collect();
        AggregateUDF::from(MetricFunction { name, aliases, which, signature: Signature::user_defined(Volatility::Immutable) })
    };
    FUNCTIONS.into_iter().map(function).collect()
}

/// A metric whose constants are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Accuracy,
    Share(Share),
    ConfusionMatrix,
    LogLoss,
    RocAuc,
    Mae,
    Rmse,
    R2,
    Psi,
}

/// One of them.
#[derive(Debug)]
struct MetricFunction {
    name: &'static str,
    aliases: Vec<String>,
    which: Which,
    signature: Signature,
}

impl PartialEq for MetricFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for MetricFunction {}

impl Hash for MetricFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Which {
    /// How a call looks, and which arguments it takes after the first two: words or numbers.
    fn form(self) -> (&'static str, &'static [Constant]) {
        match self {
            Self::Accuracy => ("accuracy(label, prediction)", &[]),
            Self::Share(Share::Precision) => (
                "precision_score(label, prediction [, 'macro' [, positive_label [, zero_division]]])",
                &[Constant::Word, Constant::Word, Constant::Number],
            ),
            Self::Share(Share::Recall) => (
                "recall_score(label, prediction [, 'macro' [, positive_label [, zero_division]]])",
                &[Constant::Word, Constant::Word, Constant::Number],
            ),
            Self::Share(Share::F1) => (
                "f1_score(label, prediction [, 'macro' [, positive_label [, zero_division]]])",
                &[Constant::Word, Constant::Word, Constant::Number],
            ),
            Self::ConfusionMatrix => ("confusion_matrix(label, prediction)", &[]),
            Self::LogLoss => ("log_loss(label, probability [, positive_label])", &[Constant::Word]),
            Self::RocAuc => ("roc_auc(label, score [, positive_label])", &[Constant::Word]),
            Self::Mae => ("mae(value, prediction)", &[]),
            Self::Rmse => ("rmse(value, prediction)", &[]),
            Self::R2 => ("r2_score(value, prediction)", &[]),
            Self::Psi => ("psi(expected, actual [, bins, low, high])", &[Constant::Number, Constant::Number, Constant::Number]),
        }
    }

    /// The metric, its constants read.
    fn metric(self, constants: &[ScalarValue]) -> Result<Metric> {
        let word = |at: usize| constants.get(at).filter(|constant| !constant.is_null()).map(ToString::to_string);
        Ok(match self {
            Self::Accuracy => Metric::Accuracy,
            Self::Share(share) => Metric::Share {
                share,
                average: word(0).map_or(Ok(Average::Binary), |name| Average::parse(&name)).map_err(user)?,
                positive: word(1),
                zero_division: number(constants, 2)?,
            },
            Self::ConfusionMatrix => Metric::ConfusionMatrix,
            Self::LogLoss => Metric::LogLoss { positive: word(0) },
            Self::RocAuc => Metric::RocAuc { positive: word(0) },
            Self::Mae => Metric::MeanAbsoluteError,
            Self::Rmse => Metric::RootMeanSquaredError,
            Self::R2 => Metric::R2,
            Self::Psi => Metric::Psi {
                bins: number(constants, 0)?.unwrap_or(10.0) as usize,
                low: number(constants, 1)?.unwrap_or(0.0),
                high: number(constants, 2)?.unwrap_or(1.0),
            },
        })
    }

    /// The metric with no constants: enough for its types.
    fn plain(self) -> Result<Metric> {
        self.metric(&[])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Constant {
    Word,
    Number,
}

fn user(error: LearnError) -> datafusion::error::DataFusionError {
    plan_datafusion_err!("{error}")
}

fn number(constants: &[ScalarValue], at: usize) -> Result<Option<f64>> {
    match constants.get(at).map(|constant| constant.cast_to(&DataType::Float64)).transpose()? {
        Some(ScalarValue::Float64(number)) => Ok(number),
        _ => Ok(None),
    }
}

impl MetricFunction {
    fn wrong_arguments<T>(&self, got: usize) -> Result<T> {
        plan_err!("{} takes two columns: got {got} arguments (hint: {})", self.name, self.which.form().0)
    }

    /// The metric of a planned call and the family of its labels.
    fn planned(&self, args: &AccumulatorArgs<'_>) -> Result<(Metric, LabelFamily)> {
        if args.is_distinct {
            return plan_err!("{} does not take DISTINCT (hint: each row is one prediction)", self.name);
        }
        let mut constants = Vec::new();
        for expr in args.exprs.iter().skip(2) {
            constants.push(constant(expr).ok_or_else(|| {
                plan_datafusion_err!("{} takes constants after its two columns: got {expr} (hint: {})", self.name, self.which.form().0)
            })?);
        }
        let metric = self.which.metric(&constants)?;
        let family = match args.expr_fields.first().and_then(|field| LabelFamily::of(field.data_type())) {
            Some(family) => family,
            None => return self.wrong_arguments(args.exprs.len()),
        };
        metric.check_positive(family).map_err(user)?;
        Ok((metric, family))
    }
}

fn constant(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    if let Some(cast) = expr.downcast_ref::<datafusion::physical_expr::expressions::CastExpr>() {
        return constant(cast.expr())?.cast_to(cast.cast_type()).ok();
    }
    expr.downcast_ref::<Literal>().map(|literal| literal.value().clone())
}

impl AggregateUDFImpl for MetricFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.which.plain()?.value_type())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (_, constants) = self.which.form();
        let [first, second, rest @ ..] = types else { return self.wrong_arguments(types.len()) };
        if rest.len() > constants.len() {
            return self.wrong_arguments(types.len());
        }
        let metric = self.which.plain()?;
        let double = |what: &str, data_type: &DataType| match data_type {
            DataType::Null => Ok(DataType::Float64),
            data_type if data_type.is_numeric() => Ok(DataType::Float64),
            other => plan_err!("the {what} of {} must be a number: got {other} (hint: {})", self.name, self.which.form().0),
        };
        let mut coerced = if metric.compares_labels() {
            let family = common_family(first, second).map_err(user)?.data_type();
            vec![family.clone(), family]
        } else if metric.labelled() {
            vec![common_family(first, first).map_err(user)?.data_type(), double("second argument", second)?]
        } else {
            vec![double("first argument", first)?, double("second argument", second)?]
        };
        let constant = |kind: &Constant| if *kind == Constant::Word { DataType::Utf8 } else { DataType::Float64 };
        coerced.extend(constants[..rest.len()].iter().map(constant));
        Ok(coerced)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let prefixed = |field: FieldRef| Arc::new(field.as_ref().clone().with_name(format!("{}[{}]", args.name, field.name())));
        Ok(self.which.plain()?.state_fields().into_iter().map(prefixed).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let (metric, family) = self.planned(&args)?;
        let mut states = metric.states(family).map_err(user)?;
        states.grow(1);
        Ok(Box::new(OneGroup { states, groups: Vec::new() }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let (metric, family) = self.planned(&args)?;
        let states = metric.states(family).map_err(user)?;
        Ok(Box::new(ManyGroups { metric, family, states }))
    }
}

fn arguments(values: &[ArrayRef]) -> &[ArrayRef] {
    &values[..values.len().min(2)]
}

/// States of all groups.
struct ManyGroups {
    metric: Metric,
    family: LabelFamily,
    states: Box<dyn MetricStates>,
}

impl ManyGroups {
    fn emitted(&self, emit: EmitTo) -> usize {
        match emit {
            EmitTo::All => self.states.groups(),
            EmitTo::First(groups) => groups,
        }
    }
}

impl GroupsAccumulator for ManyGroups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.states.update(arguments(values), groups, filter, total).map_err(data)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let groups = self.emitted(emit);
        self.states.take_values(groups).map_err(data)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.emitted(emit);
        self.states.take_states(groups).map_err(data)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.states.merge(values, groups, total).map_err(data)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let groups: Vec<usize> = (0..rows).collect();
        let mut states = self.metric.states(self.family).map_err(user)?;
        states.update(arguments(values), &groups, filter, rows).map_err(data)?;
        states.take_states(rows).map_err(data)
    }

    fn size(&self) -> usize {
        self.states.size()
    }
}

fn data(error: LearnError) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Execution(error.to_string())
}

/// The state of one group, for aggregates without GROUP BY and OVER.
#[derive(Debug)]
struct OneGroup {
    states: Box<dyn MetricStates>,
    /// As many zeros as the longest batch had rows.
    groups: Vec<usize>,
}

impl OneGroup {
    fn zeros(&mut self, rows: usize) {
        if self.groups.len() < rows {
            self.groups.resize(rows, 0);
        }
    }
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.zeros(rows);
        self.states.update(arguments(values), &self.groups[..rows], None, 1).map_err(data)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.zeros(rows);
        self.states.merge(states, &self.groups[..rows], 1).map_err(data)
    }

    /// Also in the middle: OVER asks after each row.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.states.boxed_clone().take_values(1).map_err(data)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.states.boxed_clone().take_states(1).map_err(data)?;
        states.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        self.states.size() + self.groups.capacity() * size_of::<usize>()
    }
}
