//! Products of matrices.

use std::ops::{Add, Mul};

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::broadcast::Pairing;
use super::{Budget, Inputs, Operator};

/// A product of two matrices, or of a matrix and a vector.
#[derive(Debug)]
pub(super) struct MatMul;

impl Operator for MatMul {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (left, right) = (inputs.get(0)?, inputs.get(1)?);
        let wrong = || ModelError::invalid(format!("a product of tensors of dimensions {:?} and {:?}", left.dims, right.dims));
        let (columns, inner, row_of_columns) = match right.dims.as_slice() {
            [inner] => (1, *inner, false),
            [inner, columns] => (*columns, *inner, true),
            _ => return Err(wrong()),
        };
        let Some((last, before)) = left.dims.split_last() else { return Err(wrong()) };
        if *last != inner {
            return Err(wrong());
        }
        let rows: usize = before.iter().product();
        let mut dims = before.to_vec();
        if row_of_columns {
            dims.push(columns);
        }
        budget.elements(&dims)?;
        budget.work(&[rows, inner, columns])?;
        let data = match (&left.data, &right.data) {
            (Data::F32(a), Data::F32(b)) => Data::F32(product(a, b, rows, inner, columns)),
            (Data::F64(a), Data::F64(b)) => Data::F64(product(a, b, rows, inner, columns)),
            (a, b) => return Err(ModelError::invalid(format!("a product of {} and {}", a.word(), b.word()))),
        };
        Ok(vec![Tensor::new(dims, data)?])
    }
}

/// alpha · A · B + beta · C, A and B transposed by option.
#[derive(Debug)]
pub(super) struct Gemm {
    alpha: f32,
    beta: f32,
    transpose_left: bool,
    transpose_right: bool,
}

impl Gemm {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self {
            alpha: node.float("alpha", 1.0),
            beta: node.float("beta", 1.0),
            transpose_left: node.int("transA", 0) != 0,
            transpose_right: node.int("transB", 0) != 0,
        }
    }
}

impl Operator for Gemm {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (left, right) = (inputs.get(0)?, inputs.get(1)?);
        let shape = |tensor: &Tensor, transposed: bool| match tensor.dims.as_slice() {
            [rows, columns] if transposed => Ok((*columns, *rows)),
            [rows, columns] => Ok((*rows, *columns)),
            dims => Err(ModelError::invalid(format!("a matrix is needed, the tensor has dimensions {dims:?}"))),
        };
        let ((rows, inner), (inner_right, columns)) = (shape(left, self.transpose_left)?, shape(right, self.transpose_right)?);
        if inner != inner_right {
            return Err(ModelError::invalid(format!("a product of matrices of dimensions {:?} and {:?}", left.dims, right.dims)));
        }
        let dims = vec![rows, columns];
        budget.elements(&dims)?;
        budget.elements(&left.dims)?;
        budget.elements(&right.dims)?;
        budget.work(&[rows, inner, columns])?;
        let addend = inputs.optional(2);
        let pairing = addend.map(|addend| Pairing::new(&dims, &addend.dims)).transpose()?;
        if pairing.as_ref().is_some_and(|pairing| pairing.dims != dims) {
            return Err(ModelError::invalid("the addend is larger than the product"));
        }
        let data = match (&left.data, &right.data, addend.map(|addend| &addend.data)) {
            (Data::F32(a), Data::F32(b), c) => {
                let c = c.map(Data::to_f32).transpose()?;
                Data::F32(self.compute((a, rows), (b, inner, columns), c.as_deref().zip(pairing.as_ref()), self.alpha, self.beta))
            }
            (Data::F64(a), Data::F64(b), c) => {
                let c = c.map(Data::to_f64).transpose()?;
                let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
                Data::F64(self.compute((a, rows), (b, inner, columns), c.as_deref().zip(pairing.as_ref()), alpha, beta))
            }
            (a, b, _) => return Err(ModelError::invalid(format!("a product of {} and {}", a.word(), b.word()))),
        };
        Ok(vec![Tensor::new(dims, data)?])
    }
}

impl Gemm {
    fn compute<T: Copy + Default + Add<Output = T> + Mul<Output = T>>(
        &self,
        (a, rows): (&[T], usize),
        (b, inner, columns): (&[T], usize, usize),
        addend: Option<(&[T], &Pairing)>,
        alpha: T,
        beta: T,
    ) -> Vec<T> {
        let left = if self.transpose_left { transposed(a, inner, rows) } else { a.to_vec() };
        let right = if self.transpose_right { transposed(b, columns, inner) } else { b.to_vec() };
        let mut out = product(&left, &right, rows, inner, columns);
        out.iter_mut().for_each(|value| *value = alpha * *value);
        match addend {
            None => out,
            Some((c, pairing)) => pairing.map(&out, c, |value, c| value + beta * c),
        }
    }
}

/// A matrix of `rows` rows, turned over.
pub(super) fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// Columns that are computed together: as many sums as fit into registers.
const LANES: usize = 8;
/// Rows that are computed together.
const ROWS: usize = 4;

/// `a` (rows × inner) times `b` (inner × columns), both row by row.
pub(super) fn product<T: Copy + Default + Add<Output = T> + Mul<Output = T>>(
    a: &[T],
    b: &[T],
    rows: usize,
    inner: usize,
    columns: usize,
) -> Vec<T> {
    let mut out = vec![T::default(); rows * columns];
    if inner == 0 || columns == 0 {
        return out;
    }
    let mut row = 0;
    while row < rows {
        let height = if rows - row >= ROWS { ROWS } else { 1 };
        let mut column = 0;
        while column + LANES <= columns {
            if height == ROWS {
                tile::<T, ROWS>(&a[row * inner..], b, &mut out[row * columns + column..], inner, columns, column);
            } else {
                tile::<T, 1>(&a[row * inner..], b, &mut out[row * columns + column..], inner, columns, column);
            }
            column += LANES;
        }
        for at in row..row + height {
            let left = &a[at * inner..(at + 1) * inner];
            for last in column..columns {
                out[at * columns + last] = dot(left, b, columns, last);
            }
        }
        row += height;
    }
    out
}

/// `R` rows of eight columns.
fn tile<T: Copy + Default + Add<Output = T> + Mul<Output = T>, const R: usize>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    inner: usize,
    columns: usize,
    column: usize,
) {
    let mut sums = [[T::default(); LANES]; R];
    for (step, right) in b.chunks_exact(columns).take(inner).enumerate() {
        let Some(right) = right[column..].first_chunk::<LANES>() else { return };
        for (row, sums) in sums.iter_mut().enumerate() {
            let left = a[row * inner + step];
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = *sum + left * *right;
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        out[row * columns..row * columns + LANES].copy_from_slice(sums);
    }
}

fn dot<T: Copy + Default + Add<Output = T> + Mul<Output = T>>(left: &[T], b: &[T], columns: usize, column: usize) -> T {
    let right = b[column..].iter().step_by(columns);
    left.iter().zip(right).fold(T::default(), |sum, (a, b)| sum + *a * *b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_give_what_the_definition_says() {
        for (rows, inner, columns) in [(1, 1, 1), (4, 3, 8), (5, 7, 9), (9, 2, 17), (3, 0, 2), (0, 3, 2), (6, 5, 3)] {
            let a: Vec<f64> = (0..rows * inner).map(|n| n as f64).collect();
            let b: Vec<f64> = (0..inner * columns).map(|n| (n % 7) as f64).collect();
            let mut expected = Vec::new();
            for row in 0..rows {
                for column in 0..columns {
                    expected.push((0..inner).map(|step| a[row * inner + step] * b[step * columns + column]).sum::<f64>());
                }
            }
            assert_eq!(product(&a, &b, rows, inner, columns), expected);
            assert_eq!(transposed(&transposed(&a, rows, inner), inner, rows), a);
        }
    }
}
