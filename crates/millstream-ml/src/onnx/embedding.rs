//! Text to vectors: a tokenizer, a network over its tokens, and the mean of what that says of each token.
//!
//! ```text
//! "a text" ─tokenizer─▶ ids ─┐ rows of like length, padded      ┌─ mean over tokens, length 1 ─▶ FLOAT list
//! "another one" ─────▶ ids ──┴▶ input_ids, attention_mask, … ─▶ network
//! ```
//!
//! What a tokenizer is: `tokenizer.rs`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};

use crate::error::{ModelError, ModelErrorKind, ModelResult};
use crate::model::{Feature, FeatureKind, Model, Output, Patient, Signature, Task, Watch};

use super::LoadLimits;
use super::operator::Budget;
use super::runner::{Inputs, Runner, Runtime};
use super::tensor::{Data, Tensor};
use super::tokenizer::Tokenizer;

/// How the vectors of all tokens become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first one, which some networks are trained to say it all with.
    First,
}

/// What becomes of texts and of what the network says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingOptions {
    /// For networks that give a vector for each token.
    pub pooling: Pooling,
    /// Vectors get length 1; `None`: if they are pooled here.
    pub normalize: Option<bool>,
    /// Tokens of a text that are looked at.
    pub tokens_max: usize,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        Self { pooling: Pooling::Mean, normalize: None, tokens_max: 256 }
    }
}

/// What an input of the network is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ids,
    /// 1 for tokens, 0 for padding.
    Mask,
    /// 0: all are of the first sentence.
    Types,
    /// 0, 1, 2, …
    Positions,
}

/// A model of texts.
#[derive(Debug)]
pub struct EmbeddingModel {
    runner: Runner,
    tokenizer: Tokenizer,
    roles: Vec<Role>,
    output: usize,
    options: EmbeddingOptions,
    normalize: bool,
    width: usize,
    signature: Signature,
    limits: LoadLimits,
}

/// Tokens, padding included, that the network is given in one go.
const TOKENS_IN_ONE_GO: usize = 8192;
/// Texts that the network is given in one go.
const TEXTS_IN_ONE_GO: usize = 64;

impl EmbeddingModel {
    /// Reads a network and its tokenizer.
    pub fn load(
        bytes: &[u8],
        tokenizer: &[u8],
        options: EmbeddingOptions,
        limits: &LoadLimits,
        (runtime, threads_max): (Runtime, usize),
    ) -> ModelResult<Self> {
        let tokenizer = Tokenizer::read(tokenizer, options.tokens_max)?;
        let (runner, inputs) = Runner::open(bytes, limits, runtime, threads_max)?;
        let names: Vec<String> = match &inputs {
            Inputs::Native(inputs) => inputs.iter().map(|input| input.name.clone()).collect(),
            Inputs::Library(inputs) => inputs.iter().map(|input| input.name.clone()).collect(),
        };
        let roles = names.iter().map(|name| role(name)).collect::<ModelResult<Vec<_>>>()?;
        if !roles.contains(&Role::Ids) {
            return Err(ModelError::unsupported("the network has no input input_ids, so it takes no tokens (hint: leave 'tokenizer' out)"));
        }
        let output = runner.outputs().iter().position(|name| *name == "sentence_embedding").unwrap_or(0);
        let signature = Signature {
            features: vec![Feature { name: "text".to_owned(), kind: FeatureKind::Text }],
            outputs: Vec::new(),
            task: Task::Other,
        };
        let normalize = options.normalize.unwrap_or(false);
        let mut model = Self { runner, tokenizer, roles, output, options, normalize, width: 0, signature, limits: limits.clone() };
        model.try_out()?;
        Ok(model)
    }

    /// Finds out by two texts what the network gives.
    fn try_out(&mut self) -> ModelResult<()> {
        let texts = [self.tokenizer.encode("a"), self.tokenizer.encode("a few words")];
        let vectors = self.run(&[&texts[0], &texts[1]], &Patient)?;
        let (width, pooled) = match vectors.dims.as_slice() {
            [2, width] => (*width, false),
            [2, _, width] => (*width, true),
            dims => return Err(ModelError::unsupported(format!("the network gives dimensions {dims:?} for two texts"))),
        };
        let length = i32::try_from(width).ok().filter(|width| *width > 0);
        let length = length.ok_or_else(|| ModelError::unsupported(format!("the network gives {width} values a text")))?;
        self.width = width;
        self.normalize = self.options.normalize.unwrap_or(pooled);
        let data_type = DataType::FixedSizeList(element(), length);
        self.signature.outputs = vec![Output { name: "embedding".to_owned(), data_type }];
        Ok(())
    }

    /// What the network says of these texts.
    fn run(&self, texts: &[&Vec<u32>], watch: &dyn Watch) -> ModelResult<Arc<Tensor>> {
        let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
        let tensor = |role: &Role| {
            let mut values = Vec::with_capacity(texts.len() * length);
            for ids in texts {
                let missing = length - ids.len();
                match role {
                    Role::Ids => {
                        values.extend(ids.iter().map(|id| i64::from(*id)));
                        values.extend(std::iter::repeat_n(self.tokenizer.padding, missing));
                    }
                    Role::Mask => {
                        values.extend(std::iter::repeat_n(1, ids.len()));
                        values.extend(std::iter::repeat_n(0, missing));
                    }
                    Role::Types => values.extend(std::iter::repeat_n(0, length)),
                    Role::Positions => values.extend(0..length as i64),
                }
            }
            Tensor::new(vec![texts.len(), length], Data::I64(values))
        };
        let inputs = self.roles.iter().map(tensor).collect::<ModelResult<Vec<_>>>()?;
        let work = self.limits.row_work_max.saturating_mul(texts.len() as u64);
        let mut budget = Budget::new(self.limits.chunk_elements_max.saturating_mul(2), work);
        let outputs = self.runner.run(inputs, &mut budget, watch)?;
        outputs.get(self.output).cloned().ok_or_else(|| ModelError::invalid("the network gave nothing"))
    }

    /// Puts the vectors of these texts where they belong.
    fn embed(&self, group: &[(usize, Vec<u32>)], watch: &dyn Watch, out: &mut [f32]) -> ModelResult<()> {
        let texts: Vec<&Vec<u32>> = group.iter().map(|(_, ids)| ids).collect();
        let tensor = match self.run(&texts, watch) {
            Err(error) if error.kind() == ModelErrorKind::TooLarge && group.len() > 1 => {
                let (left, right) = group.split_at(group.len() / 2);
                self.embed(left, watch, out)?;
                return self.embed(right, watch, out);
            }
            ran => ran?,
        };
        let values = tensor.data.to_f32()?;
        let length = match tensor.dims.as_slice() {
            [texts, width] if *texts == group.len() && *width == self.width => 0,
            [texts, length, width] if *texts == group.len() && *width == self.width => *length,
            dims => return Err(ModelError::invalid(format!("the network gives dimensions {dims:?} for {} texts", group.len()))),
        };
        for (at, (row, ids)) in group.iter().enumerate() {
            let vector = &mut out[row * self.width..(row + 1) * self.width];
            match (length, self.options.pooling) {
                (0, _) => vector.copy_from_slice(&values[at * self.width..(at + 1) * self.width]),
                (length, Pooling::First) => vector.copy_from_slice(&values[at * length * self.width..][..self.width]),
                (length, Pooling::Mean) => mean(&values[at * length * self.width..], ids.len().min(length), vector),
            }
            if self.normalize {
                normalize(vector);
            }
        }
        Ok(())
    }
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

fn role(name: &str) -> ModelResult<Role> {
    Ok(match name {
        "input_ids" => Role::Ids,
        "attention_mask" => Role::Mask,
        "token_type_ids" => Role::Types,
        "position_ids" => Role::Positions,
        other => return Err(ModelError::unsupported(format!("the network has an input {other}, which no tokenizer gives"))),
    })
}

/// The mean of the first vectors; zeros of none.
fn mean(values: &[f32], count: usize, out: &mut [f32]) {
    let mut sums = vec![0_f64; out.len()];
    for vector in values.chunks_exact(out.len().max(1)).take(count) {
        sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    out.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / count.max(1) as f64) as f32);
}

/// Length 1; zeros stay zeros.
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

impl Model for EmbeddingModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, features: &[ArrayRef], rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        let [texts] = features else { return Err(ModelError::input(format!("the model takes one text, it is given {}", features.len()))) };
        let texts = cast(texts, &DataType::Utf8).map_err(|error| ModelError::input(error.to_string()))?;
        let texts = texts.as_string::<i32>();
        let mut encoded = Vec::with_capacity(rows);
        for row in 0..rows {
            if row % TEXTS_IN_ONE_GO == 0 {
                watch.check()?;
            }
            encoded.push((row, if texts.is_valid(row) { self.tokenizer.encode(texts.value(row)) } else { Vec::new() }));
        }
        // Texts of like length go together, so that there is little padding.
        encoded.sort_by_key(|(row, ids)| (ids.len(), *row));
        let mut out = vec![0_f32; rows * self.width];
        let mut rest = encoded.as_slice();
        while !rest.is_empty() {
            let fits = |count: &usize| count * rest[count - 1].1.len() <= TOKENS_IN_ONE_GO;
            let count = (1..=rest.len().min(TEXTS_IN_ONE_GO)).take_while(fits).last().unwrap_or(1);
            let (group, others) = rest.split_at(count);
            watch.check()?;
            self.embed(group, watch, &mut out)?;
            rest = others;
        }
        let values: ArrayRef = Arc::new(Float32Array::from(out));
        let list = FixedSizeListArray::try_new(element(), self.width as i32, values, None);
        Ok(vec![Arc::new(list.map_err(|error| ModelError::invalid(error.to_string()))?)])
    }

    fn runtime(&self) -> &'static str {
        self.runner.word()
    }
}
