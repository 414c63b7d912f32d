//! LabelEncoder and OneHotEncoder: values to values, and values to columns.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::{Budget, Inputs, Operator};

/// Where each key is, by what the keys are.
#[derive(Debug)]
enum Places {
    Text(HashMap<String, usize>),
    Integer(HashMap<i64, usize>),
    /// By bits; all NaN are one.
    Float(HashMap<u64, usize>),
}

fn float_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

impl Places {
    fn of(keys: &Data) -> Self {
        // The first of equal keys counts.
        fn number<K: std::hash::Hash + Eq>(keys: impl DoubleEndedIterator<Item = K> + ExactSizeIterator) -> HashMap<K, usize> {
            keys.enumerate().rev().map(|(place, key)| (key, place)).collect()
        }
        match keys {
            Data::Text(keys) => Self::Text(number((0..keys.len()).map(|at| keys.value(at).to_owned()))),
            Data::I64(keys) => Self::Integer(number(keys.iter().copied())),
            Data::F32(keys) => Self::Float(number(keys.iter().map(|key| float_bits(f64::from(*key))))),
            Data::F64(keys) => Self::Float(number(keys.iter().map(|key| float_bits(*key)))),
            Data::Bool(keys) => Self::Integer(number(keys.iter().map(|key| i64::from(*key)))),
        }
    }

    /// The place of each value; `usize::MAX` where it is no key.
    fn find(&self, values: &Data) -> ModelResult<Vec<usize>> {
        const NONE: usize = usize::MAX;
        Ok(match (self, values) {
            (Self::Text(places), Data::Text(values)) => {
                (0..values.len()).map(|at| places.get(values.value(at)).copied().unwrap_or(NONE)).collect()
            }
            (Self::Text(_), other) => return Err(ModelError::invalid(format!("an encoder of text is given {}", other.word()))),
            (_, Data::Text(_)) => return Err(ModelError::invalid("an encoder of numbers is given text")),
            (Self::Integer(places), Data::I64(values)) => values.iter().map(|value| places.get(value).copied().unwrap_or(NONE)).collect(),
            (Self::Integer(places), values) => {
                let whole = |value: f64| if value.fract() == 0.0 { places.get(&(value as i64)).copied() } else { None };
                values.to_f64()?.into_iter().map(|value| whole(value).unwrap_or(NONE)).collect()
            }
            (Self::Float(places), values) => {
                values.to_f64()?.into_iter().map(|value| places.get(&float_bits(value)).copied().unwrap_or(NONE)).collect()
            }
        })
    }
}

/// Keys to values.
#[derive(Debug)]
pub(super) struct LabelEncoder {
    places: Places,
    /// One a key, and the default behind.
    values: Data,
    keys: usize,
}

impl LabelEncoder {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        if node.has("classes_strings") {
            let classes = node.texts("classes_strings")?;
            let mut numbers: Vec<i64> = (0..classes.len() as i64).collect();
            numbers.push(node.int("default_int64", -1));
            return Ok(Self { keys: classes.len(), places: Places::of(&Data::Text(classes)), values: Data::I64(numbers) });
        }
        let missing = || ModelError::invalid("a LabelEncoder without keys or values");
        let keys = list(node, "keys")?.ok_or_else(missing)?;
        let values = list(node, "values")?.ok_or_else(missing)?;
        if keys.len() != values.len() {
            return Err(ModelError::invalid(format!("{} keys and {} values", keys.len(), values.len())));
        }
        Ok(Self { places: Places::of(&keys), keys: keys.len(), values: with_default(node, values)? })
    }
}

/// `name_strings`, `name_int64s`, `name_floats` or `name_tensor`.
fn list(node: &Node<'_>, name: &str) -> ModelResult<Option<Data>> {
    let key = |kind: &str| format!("{name}_{kind}");
    Ok(if let Some(tensor) = node.tensor(&key("tensor"))? {
        Some(tensor.data)
    } else if node.has(&key("strings")) {
        Some(Data::Text(node.texts(&key("strings"))?))
    } else if node.has(&key("int64s")) {
        Some(Data::I64(node.ints(&key("int64s")).to_vec()))
    } else if node.has(&key("floats")) {
        Some(Data::F32(node.floats(&key("floats")).to_vec()))
    } else {
        None
    })
}

/// The values, and the one for keys that are not there.
fn with_default(node: &Node<'_>, values: Data) -> ModelResult<Data> {
    let tensor = node.tensor("default_tensor")?;
    let number = tensor.as_ref().map(|tensor| tensor.data.to_f64()).transpose();
    Ok(match values {
        Data::F32(mut values) => {
            let default = number?.and_then(|list| list.first().map(|value| *value as f32));
            values.push(default.unwrap_or_else(|| node.float("default_float", -0.0)));
            Data::F32(values)
        }
        Data::F64(mut values) => {
            values.push(number?.and_then(|list| list.first().copied()).unwrap_or(0.0));
            Data::F64(values)
        }
        Data::I64(mut values) => {
            let default = tensor.map(|tensor| tensor.data.to_i64()).transpose()?.and_then(|list| list.first().copied());
            values.push(default.unwrap_or_else(|| node.int("default_int64", -1)));
            Data::I64(values)
        }
        Data::Bool(_) => return Err(ModelError::unsupported("a LabelEncoder of truth values")),
        Data::Text(values) => {
            let default = match tensor {
                Some(Tensor { data: Data::Text(list), .. }) if !list.is_empty() => list.value(0).to_owned(),
                _ => node.text("default_string", "_Unused")?.to_owned(),
            };
            let all: StringArray = values.iter().chain([Some(default.as_str())]).collect();
            Data::Text(all)
        }
    })
}

impl Operator for LabelEncoder {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let places = self.places.find(&input.data)?;
        let data = self.values.take(places.into_iter().map(|place| place.min(self.keys)));
        Ok(vec![Tensor::new(input.dims.clone(), data)?])
    }
}

/// Each value to as many columns as there are categories, one of which is 1.
#[derive(Debug)]
pub(super) struct OneHotEncoder {
    places: Places,
    categories: usize,
    /// A value that is no category gives only zeros instead of an error.
    zeros: bool,
}

impl OneHotEncoder {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let categories = match node.has("cats_strings") {
            true => Data::Text(node.texts("cats_strings")?),
            false => Data::I64(node.ints("cats_int64s").to_vec()),
        };
        Ok(Self { places: Places::of(&categories), categories: categories.len(), zeros: node.int("zeros", 1) != 0 })
    }
}

impl Operator for OneHotEncoder {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let mut dims = input.dims.clone();
        dims.push(self.categories);
        let count = budget.elements(&dims)?;
        let mut out = vec![0_f32; count];
        for (row, place) in self.places.find(&input.data)?.into_iter().enumerate() {
            if place < self.categories {
                out[row * self.categories + place] = 1.0;
            } else if !self.zeros {
                return Err(ModelError::input("a value is none of the model's categories"));
            }
        }
        Ok(vec![Tensor::new(dims, Data::F32(out))?])
    }
}
