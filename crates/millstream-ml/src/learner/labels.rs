//! Labels of any type to class numbers and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::error::{LearnError, Result};
use super::row::Task;
use super::state::{StateReader, StateWriter};

/// Most classes of one model.
const CLASSES_MAX: usize = 256;

/// What the labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    Text,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Text => "text",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Boolean, Self::Integer, Self::Text].into_iter().find(|kind| kind.name() == name)
    }
}

/// The classes seen so far, in the order of their first row. Of two classes the first is the negative one.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    kind: Option<Kind>,
    binary: bool,
    positive: Option<String>,
    /// The name of each class; `None`: not seen yet.
    names: Vec<Option<String>>,
    /// The same as numbers, where labels are integers.
    integers: Vec<Option<i64>>,
}

/// A column of labels, ready to be read row by row.
#[derive(Debug)]
pub(crate) enum LabelColumn {
    /// There are none.
    Absent,
    Number(Float64Array),
    Boolean(BooleanArray),
    Integer(Int64Array),
    Text(StringArray),
}

impl Classes {
    pub(crate) fn new(task: Task, positive: Option<&str>) -> Self {
        let binary = task == Task::Binary;
        let positive = positive.map(str::to_owned);
        let names = if binary { vec![None, positive.clone()] } else { Vec::new() };
        let integers = if binary { vec![None, positive.as_ref().and_then(|text| text.parse().ok())] } else { Vec::new() };
        Self { kind: None, binary, positive, names, integers }
    }

    /// The class whose probability is the score, if one is set apart.
    pub(crate) fn positive_index(&self) -> Option<usize> {
        if self.binary {
            return Some(1);
        }
        let positive = self.positive.as_ref()?;
        self.names.iter().position(|name| name.as_ref() == Some(positive))
    }

    /// Whether a label of this class was seen, or need not be.
    pub(crate) fn is_named(&self, class: usize) -> bool {
        self.names.get(class).is_some_and(Option::is_some)
    }

    /// Whether one class is set apart.
    pub(crate) fn has_positive(&self) -> bool {
        self.binary || self.positive.is_some()
    }

    /// Type of the labels, once one was seen.
    pub(crate) fn label_type(&self) -> Option<DataType> {
        Some(match self.kind? {
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Text => DataType::Utf8,
        })
    }

    /// Reads a column of labels for `task`.
    pub(crate) fn column(&mut self, task: Task, labels: &ArrayRef) -> Result<LabelColumn> {
        if task == Task::Regression {
            if !labels.data_type().is_numeric() {
                return Err(LearnError::user(format!(
                    "the label of a regression must be a number: got {} (hint: CAST(label AS DOUBLE))",
                    labels.data_type()
                )));
            }
            return Ok(LabelColumn::Number(cast(labels, &DataType::Float64)?.as_primitive::<Float64Type>().clone()));
        }
        let (kind, column) = class_column(labels)?;
        match self.kind {
            None => self.start(kind)?,
            Some(known) if known != kind => {
                return Err(LearnError::user(format!(
                    "the model has learned {} labels: got {} (hint: give it the same label column, or DROP MODEL)",
                    known.name(),
                    kind.name()
                )));
            }
            Some(_) => {}
        }
        Ok(column)
    }

    /// The kind is known now: names of classes that need not be seen first.
    fn start(&mut self, kind: Kind) -> Result<()> {
        self.kind = Some(kind);
        if !self.binary {
            return Ok(());
        }
        match (kind, &self.positive) {
            (Kind::Boolean, None) => self.names = vec![Some("false".to_owned()), Some("true".to_owned())],
            (Kind::Boolean, Some(positive)) => {
                let other = if positive == "true" { "false" } else { "true" };
                self.names = vec![Some(other.to_owned()), Some(positive.clone())];
            }
            (Kind::Integer, None) => {
                self.names = vec![Some("0".to_owned()), Some("1".to_owned())];
                self.integers = vec![Some(0), Some(1)];
            }
            (Kind::Integer, Some(text)) if self.integers[1].is_none() => {
                return Err(LearnError::user(format!("positive_label must be an integer like the labels: got '{text}'")));
            }
            (Kind::Text, None) => {
                return Err(LearnError::user(
                    "which of the two labels is the positive one is not known (hint: WITH ('positive_label' = '…'))",
                ));
            }
            (_, Some(_)) => {}
        }
        Ok(())
    }

    /// The class of a row, or the number of a regression; `None` if it is NULL.
    #[inline]
    pub(crate) fn target(&mut self, column: &LabelColumn, row: usize) -> Result<Option<f64>> {
        match column {
            LabelColumn::Absent => Ok(None),
            LabelColumn::Number(numbers) => Ok(numbers.is_valid(row).then(|| numbers.value(row)).filter(|number| number.is_finite())),
            LabelColumn::Boolean(labels) if labels.is_null(row) => Ok(None),
            LabelColumn::Integer(labels) if labels.is_null(row) => Ok(None),
            LabelColumn::Text(labels) if labels.is_null(row) => Ok(None),
            LabelColumn::Boolean(labels) => self.named(if labels.value(row) { "true" } else { "false" }).map(Some),
            LabelColumn::Text(labels) => self.named(labels.value(row)).map(Some),
            LabelColumn::Integer(labels) => self.numbered(labels.value(row)).map(Some),
        }
    }

    fn named(&mut self, label: &str) -> Result<f64> {
        match self.names.iter().position(|name| name.as_deref() == Some(label)) {
            Some(index) => Ok(index as f64),
            None => self.add(label.to_owned(), None),
        }
    }

    fn numbered(&mut self, label: i64) -> Result<f64> {
        match self.integers.iter().position(|known| *known == Some(label)) {
            Some(index) => Ok(index as f64),
            None => self.add(label.to_string(), Some(label)),
        }
    }

    fn add(&mut self, name: String, integer: Option<i64>) -> Result<f64> {
        if self.binary {
            if let Some(known) = &self.names[0] {
                let positive = self.names[1].as_deref().unwrap_or_default();
                return Err(LearnError::user(format!(
                    "a binary classifier has two labels, here '{known}' and '{positive}': got '{name}' (hint: TYPE softmax_regression or \
                     gaussian_naive_bayes takes more, 'positive_label' says which one counts)"
                )));
            }
            self.names[0] = Some(name);
            self.integers[0] = integer;
            return Ok(0.0);
        }
        if self.names.len() >= CLASSES_MAX {
            return Err(LearnError::user(format!(
                "the label has more than {CLASSES_MAX} different values (hint: TYPE linear_regression predicts numbers)"
            )));
        }
        self.names.push(Some(name));
        self.integers.push(integer);
        Ok((self.names.len() - 1) as f64)
    }

    /// Predicted classes as an array of labels.
    pub(crate) fn array(&self, predicted: &[f64], label_type: &DataType) -> Result<ArrayRef> {
        let names = predicted.iter().map(|index| if index.is_nan() { None } else { self.names.get(*index as usize)?.as_deref() });
        let array: ArrayRef = match self.kind {
            Some(Kind::Integer) => Arc::new(
                predicted
                    .iter()
                    .map(|index| if index.is_nan() { None } else { self.integers.get(*index as usize).copied().flatten() })
                    .collect::<Int64Array>(),
            ),
            Some(Kind::Boolean) => Arc::new(names.map(|name| name.map(|name| name == "true")).collect::<BooleanArray>()),
            Some(Kind::Text) => Arc::new(names.collect::<StringArray>()),
            None => arrow::array::new_null_array(label_type, predicted.len()),
        };
        Ok(cast(&array, label_type)?)
    }

    /// Names of the classes; `None` for one that is not seen yet.
    pub(crate) fn names(&self) -> &[Option<String>] {
        &self.names
    }

    /// The word for what the labels are; empty before one was seen.
    pub(crate) fn kind_name(&self) -> &'static str {
        self.kind.map_or("", Kind::name)
    }

    /// Begins with the classes of a file; none: they are yet to be seen.
    pub(crate) fn adopt(&mut self, kind: &str, names: Vec<Option<String>>) -> Result<()> {
        let Some(kind) = Kind::parse(kind).filter(|_| !names.is_empty()) else { return Ok(()) };
        if names.len() > CLASSES_MAX || self.binary && names.len() != 2 {
            return Err(LearnError::user(format!(
                "the file has {} classes: the model takes {}",
                names.len(),
                if self.binary { "2" } else { "256" }
            )));
        }
        if let (true, Some(positive)) = (self.binary, &self.positive)
            && names[1].as_ref() != Some(positive)
        {
            let other = names[1].as_deref().unwrap_or_default();
            return Err(LearnError::user(format!(
                "the positive class of the file is '{other}', the model's is '{positive}' (hint: 'positive_label' = '{other}')"
            )));
        }
        self.integers = names.iter().map(|name| name.as_ref().and_then(|name| name.parse().ok())).collect();
        (self.kind, self.names) = (Some(kind), names);
        Ok(())
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        state.texts("class", self.names.iter().map(Option::as_deref));
        state.texts("class_kind", [self.kind.map(Kind::name)]);
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        let names = state.texts("class");
        if self.binary && names.len() != 2 {
            return Err(LearnError::state("a binary classifier's state must name two classes"));
        }
        self.kind = state.texts("class_kind").into_iter().next().flatten().and_then(|name| Kind::parse(&name));
        self.integers = names.iter().map(|name| name.as_ref().and_then(|name| name.parse().ok())).collect();
        self.names = names;
        Ok(())
    }
}

fn class_column(labels: &ArrayRef) -> Result<(Kind, LabelColumn)> {
    let data_type = labels.data_type();
    Ok(match data_type {
        DataType::Boolean => (Kind::Boolean, LabelColumn::Boolean(labels.as_boolean().clone())),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            (Kind::Text, LabelColumn::Text(cast(labels, &DataType::Utf8)?.as_string::<i32>().clone()))
        }
        data_type if data_type.is_integer() => {
            (Kind::Integer, LabelColumn::Integer(cast(labels, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
        }
        DataType::Float32 | DataType::Float64 => {
            let numbers = cast(labels, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            if let Some(number) = numbers.iter().flatten().find(|number| number.fract() != 0.0 || number.abs() > 1e15) {
                return Err(LearnError::user(format!(
                    "a class label must be a whole number, a text or a truth value: got {number} (hint: TYPE linear_regression predicts numbers)"
                )));
            }
            let integers = numbers.iter().map(|number| number.map(|number| number as i64)).collect();
            (Kind::Integer, LabelColumn::Integer(integers))
        }
        other => {
            return Err(LearnError::user(format!("a label must be a whole number, a text or a truth value: got a column of {other}")));
        }
    })
}
