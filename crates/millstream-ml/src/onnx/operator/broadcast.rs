//! Element by element over two tensors, the smaller repeated as NumPy does.

use crate::error::{ModelError, ModelResult};

use super::super::tensor::RANK_MAX;

/// How the elements of two tensors meet.
pub(super) struct Pairing {
    pub(super) dims: Vec<usize>,
    kind: Kind,
}

enum Kind {
    /// Element by element.
    Same,
    /// One element on the left or right meets all.
    LeftOne,
    RightOne,
    /// The right is repeated whole, as a vector is over the rows of a matrix.
    RightRepeats,
    LeftRepeats,
    /// Steps by dimension.
    General {
        left: Vec<usize>,
        right: Vec<usize>,
    },
}

/// The dimensions of both together.
pub(super) fn common_dims(left: &[usize], right: &[usize]) -> ModelResult<Vec<usize>> {
    let rank = left.len().max(right.len()).min(RANK_MAX);
    let dim = |dims: &[usize], at: usize| if at + dims.len() < rank { 1 } else { dims[at + dims.len() - rank] };
    (0..rank)
        .map(|at| match (dim(left, at), dim(right, at)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(ModelError::invalid(format!("tensors of dimensions {left:?} and {right:?} do not go together"))),
        })
        .collect()
}

/// How far the next element of each of `dims` is in a tensor of dimensions `own`; 0 where it is repeated.
pub(super) fn strides(own: &[usize], dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; dims.len()];
    let mut step = 1;
    for (at, dim) in own.iter().enumerate().rev() {
        strides[at + dims.len() - own.len()] = if *dim == 1 { 0 } else { step };
        step *= dim;
    }
    strides
}

impl Pairing {
    pub(super) fn new(left: &[usize], right: &[usize]) -> ModelResult<Self> {
        let dims = common_dims(left, right)?;
        let ones = |dims: &[usize]| dims.iter().all(|dim| *dim == 1);
        let kind = if left == right {
            Kind::Same
        } else if ones(right) {
            Kind::RightOne
        } else if ones(left) {
            Kind::LeftOne
        } else if left == dims && is_end_of(right, &dims) {
            Kind::RightRepeats
        } else if right == dims && is_end_of(left, &dims) {
            Kind::LeftRepeats
        } else {
            Kind::General { left: strides(left, &dims), right: strides(right, &dims) }
        };
        Ok(Self { dims, kind })
    }

    /// `f` over all pairs. `left` and `right` have the dimensions that the pairing was made of.
    pub(super) fn map<A: Copy, B: Copy, C>(&self, left: &[A], right: &[B], f: impl Fn(A, B) -> C) -> Vec<C> {
        match &self.kind {
            Kind::Same => left.iter().zip(right).map(|(a, b)| f(*a, *b)).collect(),
            Kind::RightOne => right.first().map_or_else(Vec::new, |b| left.iter().map(|a| f(*a, *b)).collect()),
            Kind::LeftOne => left.first().map_or_else(Vec::new, |a| right.iter().map(|b| f(*a, *b)).collect()),
            Kind::RightRepeats => {
                let mut out = Vec::with_capacity(left.len());
                left.chunks(right.len().max(1)).for_each(|row| out.extend(row.iter().zip(right).map(|(a, b)| f(*a, *b))));
                out
            }
            Kind::LeftRepeats => {
                let mut out = Vec::with_capacity(right.len());
                right.chunks(left.len().max(1)).for_each(|row| out.extend(left.iter().zip(row).map(|(a, b)| f(*a, *b))));
                out
            }
            Kind::General { left: left_steps, right: right_steps } => {
                let mut out = Vec::new();
                walk(&self.dims, |place| {
                    let at = |steps: &[usize]| place.iter().zip(steps).map(|(n, step)| n * step).sum::<usize>();
                    out.push(f(left[at(left_steps)], right[at(right_steps)]));
                });
                out
            }
        }
    }
}

/// `own` without leading ones is the end of `dims`.
fn is_end_of(own: &[usize], dims: &[usize]) -> bool {
    let ones = own.iter().take_while(|dim| **dim == 1).count();
    dims.ends_with(&own[ones..])
}

/// Calls `f` with every place of `dims` in order.
pub(super) fn walk(dims: &[usize], mut f: impl FnMut(&[usize])) {
    if dims.contains(&0) {
        return;
    }
    let mut place = vec![0; dims.len()];
    loop {
        f(&place);
        let mut at = dims.len();
        loop {
            if at == 0 {
                return;
            }
            at -= 1;
            place[at] += 1;
            if place[at] < dims[at] {
                break;
            }
            place[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_meets_as_numpy_has_it() {
        let sum = |left: &[usize], right: &[usize]| {
            let pairing = Pairing::new(left, right).unwrap();
            let fill = |dims: &[usize], by: i64| (0..dims.iter().product::<usize>()).map(|n| n as i64 * by).collect::<Vec<_>>();
            (pairing.dims.clone(), pairing.map(&fill(left, 1), &fill(right, 10), |a, b| a + b))
        };
        assert_eq!(sum(&[2], &[2]), (vec![2], vec![0, 11]));
        assert_eq!(sum(&[2, 2], &[2]), (vec![2, 2], vec![0, 11, 2, 13]));
        assert_eq!(sum(&[2], &[2, 2]), (vec![2, 2], vec![0, 11, 20, 31]));
        assert_eq!(sum(&[2, 2], &[2, 1]), (vec![2, 2], vec![0, 1, 12, 13]));
        assert_eq!(sum(&[2, 1], &[1, 2]), (vec![2, 2], vec![0, 10, 1, 11]));
        assert_eq!(sum(&[], &[2]), (vec![2], vec![0, 10]));
        assert_eq!(sum(&[0, 2], &[2]), (vec![0, 2], vec![]));
        assert_eq!(sum(&[1, 1], &[3]), (vec![1, 3], vec![0, 10, 20]));
        assert!(Pairing::new(&[2], &[3]).is_err());
    }
}
