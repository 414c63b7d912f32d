//! A model as SQL sees it: arguments and results.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use millstream_ml::model::{FeatureKind, Signature, Task};

use crate::error::{Error, Result};
use crate::session::describe::sql_type;

/// Names and types that the statement has declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) inputs: Vec<(String, DataType)>,
    pub(crate) outputs: Vec<(String, DataType)>,
}

/// A column of a prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) from: ResultSource,
}

/// Where a column of a prediction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResultSource {
    /// An output of the model as it is.
    Output(usize),
    /// One element of each list of an output.
    Element { output: usize, element: usize },
    /// The lists of an output as a struct.
    Classes { output: usize, classes: Vec<String> },
}

impl ResultSource {
    /// The output that it is of.
    pub(super) fn output(&self) -> usize {
        match self {
            Self::Output(output) | Self::Element { output, .. } | Self::Classes { output, .. } => *output,
        }
    }
}

/// What a model takes and gives in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelShape {
    /// Names of the arguments, and whether they are text.
    pub(crate) arguments: Vec<(String, FeatureKind)>,
    /// All columns of a prediction; those that `ML_PREDICT` appends.
    pub(crate) columns: Vec<ResultColumn>,
    /// What `m(…)` and `predict` give.
    pub(crate) value: ResultColumn,
    /// What `predict_label` gives.
    pub(crate) label: Option<ResultColumn>,
    /// What `predict_proba` gives.
    pub(crate) probabilities: Option<ResultColumn>,
    /// For people.
    pub(crate) task: String,
}

impl ModelShape {
    /// The shape of a file's signature, with the names and types that were declared.
    pub(crate) fn new(signature: &Signature, declared: &Declared, name: &str) -> Result<Self> {
        let arguments = arguments(signature, declared, name)?;
        let task = signature.task.word().to_owned();
        let mut shape = match &signature.task {
            Task::Classification { label, probabilities, classes } => {
                let column = |name: &str, output: usize, from| ResultColumn {
                    name: name.to_owned(),
                    data_type: signature.outputs[output].data_type.clone(),
                    from,
                };
                let label = column("label", *label, ResultSource::Output(*label));
                let fields = classes.iter().map(|class| Field::new(class, DataType::Float64, true)).collect();
                let all = ResultColumn {
                    name: "probabilities".to_owned(),
                    data_type: DataType::Struct(fields),
                    from: ResultSource::Classes { output: *probabilities, classes: classes.clone() },
                };
                let positive = ResultColumn {
                    name: "probability".to_owned(),
                    data_type: DataType::Float64,
                    from: ResultSource::Element { output: *probabilities, element: 1 },
                };
                let binary = classes.len() == 2;
                let value = if binary { positive.clone() } else { label.clone() };
                let columns = vec![label.clone(), if binary { positive } else { all.clone() }];
                Self { arguments, columns, value, label: Some(label), probabilities: Some(all), task }
            }
            _ => {
                let outputs = signature.outputs.iter().enumerate();
                let columns: Vec<ResultColumn> = outputs
                    .map(|(n, output)| ResultColumn {
                        name: output.name.clone(),
                        data_type: list_type(&output.data_type),
                        from: ResultSource::Output(n),
                    })
                    .collect();
                let value = columns[0].clone();
                Self { arguments, columns, value, label: None, probabilities: None, task }
            }
        };
        shape.declare(&declared.outputs, name)?;
        Ok(shape)
    }

    /// Takes the names and types of `OUTPUT (…)`.
    fn declare(&mut self, outputs: &[(String, DataType)], name: &str) -> Result<()> {
        if outputs.is_empty() {
            return Ok(());
        }
        let mismatch = || {
            let given = list(self.columns.iter().map(|column| (column.name.as_str(), &column.data_type)));
            let declared = list(outputs.iter().map(|(name, data_type)| (name.as_str(), data_type)));
            let hint = "hint: leave OUTPUT out, or declare one column for what the function gives";
            Error::user("42804", format!("model {name}: the file gives {given}, OUTPUT declares {declared} ({hint})"))
        };
        let take = |column: &ResultColumn, (name, data_type): &(String, DataType)| {
            fits(&column.data_type, data_type).then(|| ResultColumn {
                name: name.clone(),
                data_type: data_type.clone(),
                from: column.from.clone(),
            })
        };
        let columns = match outputs {
            [only] => {
                let mut candidates = [Some(&self.value), self.label.as_ref()].into_iter().flatten();
                vec![candidates.find_map(|column| take(column, only)).ok_or_else(mismatch)?]
            }
            several if several.len() == self.columns.len() => self
                .columns
                .iter()
                .zip(several)
                .map(|(column, declared)| take(column, declared).ok_or_else(mismatch))
                .collect::<Result<_>>()?,
            _ => return Err(mismatch()),
        };
        if let [only] = columns.as_slice() {
            self.value = only.clone();
        }
        if let Some(same) = columns.iter().find(|column| column.from == self.value.from) {
            self.value = same.clone();
        }
        self.columns = columns;
        Ok(())
    }

    /// What differs from a shape that plans rely on, if anything does.
    pub(crate) fn difference(&self, former: &Self) -> Option<String> {
        let kinds = |shape: &Self| shape.arguments.iter().map(|(_, kind)| *kind == FeatureKind::Text).collect::<Vec<_>>();
        if kinds(self) != kinds(former) {
            return Some(format!("it takes ({}), before it took ({})", self.takes(), former.takes()));
        }
        let gives = |shape: &Self| {
            let special = [shape.label.as_ref(), shape.probabilities.as_ref(), Some(&shape.value)];
            let types: Vec<DataType> = special.into_iter().flatten().chain(&shape.columns).map(|column| column.data_type.clone()).collect();
            types
        };
        (gives(self) != gives(former)).then(|| format!("it gives ({}), before it gave ({})", self.gives(), former.gives()))
    }

    pub(crate) fn takes(&self) -> String {
        list(self.arguments.iter().map(|(name, kind)| (name.as_str(), argument_type(*kind))))
    }

    pub(crate) fn gives(&self) -> String {
        list(self.columns.iter().map(|column| (column.name.as_str(), &column.data_type)))
    }
}

/// The type of an argument for people; any numeric type will do for a number.
fn argument_type(kind: FeatureKind) -> &'static DataType {
    match kind {
        FeatureKind::Float32 => &DataType::Float32,
        FeatureKind::Int64 => &DataType::Int64,
        FeatureKind::Boolean => &DataType::Boolean,
        FeatureKind::Text => &DataType::Utf8,
        _ => &DataType::Float64,
    }
}

/// Columns that a message names; of more it says how many there are.
const NAMED_MAX: usize = 40;

fn list<'a>(columns: impl Iterator<Item = (&'a str, &'a DataType)>) -> String {
    let mut columns = columns.map(|(name, data_type)| format!("{name} {}", sql_type(data_type)));
    let mut named: Vec<String> = columns.by_ref().take(NAMED_MAX).collect();
    match columns.count() {
        0 => {}
        more => named.push(format!("… and {more} more")),
    }
    named.join(", ")
}

/// Several values a row are a list, which tables and clients know.
fn list_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::FixedSizeList(element, _) => DataType::new_list(element.data_type().clone(), true),
        other => other.clone(),
    }
}

/// The file's type can be given as the declared one.
fn fits(given: &DataType, declared: &DataType) -> bool {
    match given {
        DataType::Float64 => declared.is_floating(),
        DataType::Int64 => declared.is_integer(),
        DataType::List(element) => match declared {
            DataType::List(declared) => fits(element.data_type(), declared.data_type()) || element.data_type() == declared.data_type(),
            _ => false,
        },
        DataType::Float32 => declared.is_floating(),
        _ => given == declared,
    }
}

/// True for what a feature of this kind can be given.
pub(crate) fn accepts(kind: FeatureKind, data_type: &DataType) -> bool {
    match kind {
        FeatureKind::Text => matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null),
        _ => data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Null),
    }
}

fn arguments(signature: &Signature, declared: &Declared, name: &str) -> Result<Vec<(String, FeatureKind)>> {
    let features = &signature.features;
    if declared.inputs.is_empty() {
        return Ok(features.iter().map(|feature| (feature.name.clone(), feature.kind)).collect());
    }
    let fits = declared.inputs.len() == features.len()
        && features.iter().zip(&declared.inputs).all(|(feature, (_, data_type))| accepts(feature.kind, data_type));
    if !fits {
        let takes = list(features.iter().map(|feature| (feature.name.as_str(), argument_type(feature.kind))));
        let given = list(declared.inputs.iter().map(|(name, data_type)| (name.as_str(), data_type)));
        let hint = "hint: INPUT names the features in the order of the file; leave it out to take the file's names";
        return Err(Error::user(
            "42804",
            format!(
                "model {name}: the file takes {} features ({takes}), INPUT declares {} ({given}) ({hint})",
                features.len(),
                declared.inputs.len()
            ),
        ));
    }
    Ok(declared.inputs.iter().zip(features).map(|((name, _), feature)| (name.clone(), feature.kind)).collect())
}

/// One field a class, as a prediction has it.
pub(crate) fn class_fields(classes: &[String]) -> Vec<Arc<Field>> {
    classes.iter().map(|class| Arc::new(Field::new(class, DataType::Float64, true))).collect()
}
