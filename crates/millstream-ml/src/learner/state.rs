//! A learner's state as Arrow rows: one per number, `(tensor, index, value, first_moment, second_moment, text, group_key)`.
//!
//! `text` holds what is no number (hyper-parameters, names of classes, the state of the random numbers) and the names of counters.
//! Rows of one tensor have indices 0, 1, 2, …; they are written in that order and may be read in any. `group_key` tells the models
//! of one definition apart, where there is one for each key; rows about all of them have none.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt32Type};

use super::error::{LearnError, Result};

/// Columns of a model's state.
pub fn state_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("tensor", DataType::Utf8, false),
        Field::new("index", DataType::UInt32, false),
        Field::new("value", DataType::Float64, true),
        Field::new("first_moment", DataType::Float64, true),
        Field::new("second_moment", DataType::Float64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("group_key", DataType::Utf8, true),
    ]))
}

/// Collects a state.
#[derive(Debug, Default)]
pub struct StateWriter {
    tensor: Vec<String>,
    index: Vec<u32>,
    value: Vec<Option<f64>>,
    first: Vec<Option<f64>>,
    second: Vec<Option<f64>>,
    text: Vec<Option<String>>,
    group_key: Vec<Option<Arc<str>>>,
    /// Of the rows that come.
    key: Option<Arc<str>>,
}

impl StateWriter {
    /// What follows is about the model of this key.
    pub(crate) fn about(&mut self, key: Option<&str>) {
        self.key = key.map(Arc::from);
    }

    /// Numbers that have names.
    pub(crate) fn named(&mut self, tensor: &str, names: &[&str], values: &[f64]) {
        for (index, (name, value)) in names.iter().zip(values).enumerate() {
            self.push(tensor, index, Some(*value), None, None, Some((*name).to_owned()));
        }
    }

    /// Numbers without moments.
    pub(crate) fn values(&mut self, tensor: &str, values: &[f64]) {
        self.moments(tensor, values, &[], &[]);
    }

    /// Numbers with an optimizer's moments; a moment may be empty.
    pub(crate) fn moments(&mut self, tensor: &str, values: &[f64], first: &[f64], second: &[f64]) {
        for (index, value) in values.iter().enumerate() {
            self.push(tensor, index, Some(*value), first.get(index).copied(), second.get(index).copied(), None);
        }
    }

    /// Texts.
    pub(crate) fn texts<'a>(&mut self, tensor: &str, texts: impl IntoIterator<Item = Option<&'a str>>) {
        for (index, text) in texts.into_iter().enumerate() {
            self.push(tensor, index, None, None, None, text.map(str::to_owned));
        }
    }

    fn push(&mut self, tensor: &str, index: usize, value: Option<f64>, first: Option<f64>, second: Option<f64>, text: Option<String>) {
        self.tensor.push(tensor.to_owned());
        self.index.push(u32::try_from(index).unwrap_or(u32::MAX));
        self.value.push(value);
        self.first.push(first);
        self.second.push(second);
        self.text.push(text);
        self.group_key.push(self.key.clone());
    }

    /// The rows.
    pub(crate) fn finish(self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(
            state_schema(),
            vec![
                Arc::new(StringArray::from(self.tensor)),
                Arc::new(UInt32Array::from(self.index)),
                Arc::new(Float64Array::from(self.value)),
                Arc::new(Float64Array::from(self.first)),
                Arc::new(Float64Array::from(self.second)),
                Arc::new(StringArray::from(self.text)),
                Arc::new(self.group_key.iter().map(Option::as_deref).collect::<StringArray>()),
            ],
        )?)
    }
}

#[derive(Debug, Default)]
struct Tensor {
    values: Vec<Option<f64>>,
    first: Vec<Option<f64>>,
    second: Vec<Option<f64>>,
    texts: Vec<Option<String>>,
}

/// A state to be taken over.
#[derive(Debug, Default)]
pub struct StateReader {
    tensors: BTreeMap<String, Tensor>,
}

impl StateReader {
    /// The states of all keys, from rows of [`state_schema`] in any order.
    pub(crate) fn by_key(batches: &[RecordBatch]) -> Result<BTreeMap<Option<String>, Self>> {
        let mut states: BTreeMap<Option<String>, Self> = BTreeMap::new();
        for batch in batches {
            let schema = state_schema();
            if batch.num_columns() != schema.fields().len()
                || batch.schema().fields().iter().zip(schema.fields()).any(|(a, b)| a.data_type() != b.data_type())
                || batch.column(0).null_count() + batch.column(1).null_count() > 0
            {
                return Err(LearnError::state("these are not the rows of a model's state"));
            }
            let keys = batch.column(6).as_string::<i32>();
            let mut first = 0;
            // Rows of one key are written one after the other.
            for row in 1..=batch.num_rows() {
                let key = |row: usize| keys.is_valid(row).then(|| keys.value(row));
                if row == batch.num_rows() || key(row) != key(first) {
                    let state = states.entry(key(first).map(str::to_owned)).or_default();
                    state.read(&batch.slice(first, row - first))?;
                    first = row;
                }
            }
        }
        Ok(states)
    }

    fn read(&mut self, batch: &RecordBatch) -> Result<()> {
        let names = batch.column(0).as_string::<i32>();
        let indices = batch.column(1).as_primitive::<UInt32Type>();
        let numbers = [2, 3, 4].map(|column: usize| batch.column(column).as_primitive::<Float64Type>());
        let texts = batch.column(5).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let name = names.value(row);
            if !self.tensors.contains_key(name) {
                self.tensors.insert(name.to_owned(), Tensor::default());
            }
            let Some(tensor) = self.tensors.get_mut(name) else { continue };
            let at = indices.value(row) as usize;
            let number = |of: usize| numbers[of].is_valid(row).then(|| numbers[of].value(row));
            place(&mut tensor.values, at, number(0))?;
            place(&mut tensor.first, at, number(1))?;
            place(&mut tensor.second, at, number(2))?;
            place(&mut tensor.texts, at, texts.is_valid(row).then(|| texts.value(row).to_owned()))?;
        }
        Ok(())
    }

    fn get(&self, tensor: &str) -> Result<&Tensor> {
        self.tensors.get(tensor).ok_or_else(|| LearnError::state(format!("a model's state lacks {tensor}")))
    }

    /// Numbers of a tensor that may be of any length; empty if there is none of this name.
    pub(crate) fn any(&self, tensor: &str) -> Result<Vec<f64>> {
        match self.tensors.get(tensor) {
            Some(found) => all(tensor, &found.values),
            None => Ok(Vec::new()),
        }
    }

    /// Numbers into a tensor of known length.
    pub(crate) fn fill(&self, tensor: &str, into: &mut [f64]) -> Result<()> {
        copy(tensor, &self.get(tensor)?.values, into)
    }

    /// Numbers and both moments; a moment of length 0 is not asked for.
    pub(crate) fn fill_moments(&self, tensor: &str, values: &mut [f64], first: &mut [f64], second: &mut [f64]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let found = self.get(tensor)?;
        copy(tensor, &found.values, values)?;
        if !first.is_empty() {
            copy(tensor, &found.first, first)?;
        }
        if !second.is_empty() {
            copy(tensor, &found.second, second)?;
        }
        Ok(())
    }

    /// The texts of a tensor; empty if there is none of this name.
    pub(crate) fn texts(&self, tensor: &str) -> Vec<Option<String>> {
        self.tensors.get(tensor).map(|found| found.texts.clone()).unwrap_or_default()
    }
}

/// Most numbers of one tensor: what a damaged index may not make us allocate.
const TENSOR_LENGTH_MAX: usize = 1 << 24;

fn place<T: Clone>(list: &mut Vec<Option<T>>, at: usize, value: Option<T>) -> Result<()> {
    if at >= TENSOR_LENGTH_MAX {
        return Err(LearnError::state(format!("a model's state has an index of {at}: at most {TENSOR_LENGTH_MAX} numbers are one tensor")));
    }
    if list.len() <= at {
        list.resize(at + 1, None);
    }
    list[at] = value;
    Ok(())
}

fn all(tensor: &str, found: &[Option<f64>]) -> Result<Vec<f64>> {
    found
        .iter()
        .map(|value| value.ok_or_else(|| LearnError::state(format!("a number of {tensor} is missing from a model's state"))))
        .collect()
}

fn copy(tensor: &str, found: &[Option<f64>], into: &mut [f64]) -> Result<()> {
    if found.len() != into.len() {
        return Err(LearnError::state(format!("{tensor} of a model's state has {} numbers: {} are expected", found.len(), into.len())));
    }
    into.copy_from_slice(&all(tensor, found)?);
    Ok(())
}
