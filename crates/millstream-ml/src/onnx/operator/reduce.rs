//! Operators that work along axes: sums, means, extremes, softmax.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor, axis_of};
use super::{Budget, Inputs, Operator};

/// A tensor as before × along × after one axis.
struct Split {
    before: usize,
    along: usize,
    after: usize,
}

impl Split {
    fn at(dims: &[usize], axis: usize) -> Self {
        Self { before: dims[..axis].iter().product(), along: dims[axis], after: dims[axis + 1..].iter().product() }
    }

    /// Calls `f` with the place of the first element and the step of each line along the axis.
    fn lines(&self, mut f: impl FnMut(usize, usize)) {
        for before in 0..self.before {
            for after in 0..self.after {
                f(before * self.along * self.after + after, self.after);
            }
        }
    }
}

/// e^x by the sum of e^x along an axis; or its logarithm.
#[derive(Debug)]
pub(super) struct Softmax {
    axis: i64,
    /// Before version 13 all dimensions from the axis on count as one.
    flat: bool,
    logarithm: bool,
}

impl Softmax {
    pub(super) fn compile(node: &Node<'_>, name: &str) -> Self {
        let flat = node.opset < 13;
        Self { axis: node.int("axis", if flat { 1 } else { -1 }), flat, logarithm: name == "LogSoftmax" }
    }
}

impl Operator for Softmax {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let axis = input.axis(self.axis)?;
        let mut split = Split::at(&input.dims, axis);
        if self.flat {
            split = Split { before: split.before, along: split.along * split.after, after: 1 };
        }
        let data = match &input.data {
            Data::F32(values) => {
                let mut wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                self.apply(&split, &mut wide);
                Data::F32(wide.into_iter().map(|value| value as f32).collect())
            }
            Data::F64(values) => {
                let mut values = values.clone();
                self.apply(&split, &mut values);
                Data::F64(values)
            }
            other => return Err(ModelError::invalid(format!("softmax of {}", other.word()))),
        };
        Ok(vec![Tensor::new(input.dims.clone(), data)?])
    }
}

impl Softmax {
    fn apply(&self, split: &Split, values: &mut [f64]) {
        if split.along == 0 {
            return;
        }
        split.lines(|first, step| {
            let line = || (0..split.along).map(|n| first + n * step);
            let max = line().map(|at| values[at]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = line().map(|at| (values[at] - max).exp()).sum();
            for at in line() {
                values[at] = if self.logarithm { values[at] - max - sum.ln() } else { (values[at] - max).exp() / sum };
            }
        });
    }
}

/// The place of the greatest or smallest value along an axis.
#[derive(Debug)]
pub(super) struct ArgExtreme {
    axis: i64,
    keep: bool,
    last: bool,
    smallest: bool,
}

impl ArgExtreme {
    pub(super) fn compile(node: &Node<'_>, name: &str) -> Self {
        Self {
            axis: node.int("axis", 0),
            keep: node.int("keepdims", 1) != 0,
            last: node.int("select_last_index", 0) != 0,
            smallest: name == "ArgMin",
        }
    }
}

impl Operator for ArgExtreme {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let axis = input.axis(self.axis)?;
        let split = Split::at(&input.dims, axis);
        let dims = reduced(&input.dims, &[axis], self.keep);
        let count = budget.elements(&dims)?;
        let mut places = Vec::with_capacity(count);
        match &input.data {
            Data::F32(values) => self.find(&split, values, &mut places),
            Data::F64(values) => self.find(&split, values, &mut places),
            Data::I64(values) => self.find(&split, values, &mut places),
            other => return Err(ModelError::invalid(format!("the greatest of {}", other.word()))),
        }
        Ok(vec![Tensor::new(dims, Data::I64(places))?])
    }
}

impl ArgExtreme {
    fn find<T: Copy + PartialOrd>(&self, split: &Split, values: &[T], places: &mut Vec<i64>) {
        if split.along == 0 {
            return;
        }
        split.lines(|first, step| {
            let mut best = 0;
            for n in 1..split.along {
                let (value, champion) = (values[first + n * step], values[first + best * step]);
                let better = if self.smallest { value < champion } else { value > champion };
                if better || (self.last && value == champion) {
                    best = n;
                }
            }
            places.push(best as i64);
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    SumSquare,
    Length,
    LogSumExp,
}

/// Sums and the like along axes.
#[derive(Debug)]
pub(super) struct Reduce {
    reduction: Reduction,
    /// Newer versions have them as an input.
    axes: Vec<i64>,
    keep: bool,
    /// Without axes nothing is reduced, instead of all.
    nothing: bool,
}

impl Reduce {
    pub(super) fn compile(node: &Node<'_>, name: &str) -> Self {
        let reduction = match name {
            "ReduceMean" => Reduction::Mean,
            "ReduceMax" => Reduction::Max,
            "ReduceMin" => Reduction::Min,
            "ReduceSumSquare" => Reduction::SumSquare,
            "ReduceL2" => Reduction::Length,
            "ReduceLogSumExp" => Reduction::LogSumExp,
            _ => Reduction::Sum,
        };
        Self {
            reduction,
            axes: node.ints("axes").to_vec(),
            keep: node.int("keepdims", 1) != 0,
            nothing: node.int("noop_with_empty_axes", 0) != 0,
        }
    }
}

impl Operator for Reduce {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let given = match inputs.optional(1) {
            Some(axes) => axes.data.to_i64()?,
            None => self.axes.clone(),
        };
        let mut axes: Vec<usize> = given.iter().map(|axis| input.axis(*axis)).collect::<ModelResult<_>>()?;
        if axes.is_empty() {
            if self.nothing {
                return Ok(vec![input.clone()]);
            }
            axes = (0..input.dims.len()).collect();
        }
        axes.sort_unstable();
        axes.dedup();
        budget.elements(&input.dims)?;
        let mut values = input.data.to_f64()?;
        if matches!(self.reduction, Reduction::SumSquare | Reduction::Length) {
            values.iter_mut().for_each(|value| *value *= *value);
        }
        let mut dims = input.dims.clone();
        for axis in &axes {
            values = self.along(&Split::at(&dims, *axis), &values);
            dims[*axis] = 1;
        }
        if matches!(self.reduction, Reduction::Length) {
            values.iter_mut().for_each(|value| *value = value.sqrt());
        }
        let data = match &input.data {
            Data::F32(_) => Data::F32(values.into_iter().map(|value| value as f32).collect()),
            Data::F64(_) => Data::F64(values),
            Data::I64(_) => Data::I64(values.into_iter().map(|value| value as i64).collect()),
            other => return Err(ModelError::invalid(format!("{:?} of {}", self.reduction, other.word()))),
        };
        Ok(vec![Tensor::new(reduced(&input.dims, &axes, self.keep), data)?])
    }
}

impl Reduce {
    fn along(&self, split: &Split, values: &[f64]) -> Vec<f64> {
        let mut out = Vec::new();
        split.lines(|first, step| {
            let line = (0..split.along).map(|n| values[first + n * step]);
            out.push(match self.reduction {
                Reduction::Sum | Reduction::SumSquare | Reduction::Length => line.sum(),
                Reduction::Mean => line.sum::<f64>() / split.along as f64,
                Reduction::LogSumExp => {
                    let max = line.clone().fold(f64::NEG_INFINITY, f64::max);
                    // Of nothing but minus infinity the sum of exponentials is zero.
                    if max.is_finite() { max + line.map(|value| (value - max).exp()).sum::<f64>().ln() } else { max }
                }
                Reduction::Max => line.fold(f64::NEG_INFINITY, f64::max),
                Reduction::Min => line.fold(f64::INFINITY, f64::min),
            });
        });
        out
    }
}

/// The dimensions once `axes` (in order) are reduced.
fn reduced(dims: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let kept = |at: usize, dim: usize| match axes.contains(&at) {
        true if keep => Some(1),
        true => None,
        false => Some(dim),
    };
    dims.iter().enumerate().filter_map(|(at, dim)| kept(at, *dim)).collect()
}

/// Places of axes, in order and each once.
pub(super) fn sorted_axes(axes: &[i64], rank: usize) -> ModelResult<Vec<usize>> {
    let mut places: Vec<usize> = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<ModelResult<_>>()?;
    places.sort_unstable();
    places.dedup();
    Ok(places)
}
