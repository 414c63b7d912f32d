//! Which rows count.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;

/// Calls `each` with group and row of all rows that pass the filter and have none of the arguments NULL.
#[inline]
pub(super) fn for_each_row(arguments: &[&ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, mut each: impl FnMut(usize, usize)) {
    let mut valid: Option<NullBuffer> = None;
    for argument in arguments {
        valid = NullBuffer::union(valid.as_ref(), argument.logical_nulls().as_ref());
    }
    if let Some(filter) = filter {
        let passed = NullBuffer::new(filter.values().clone());
        valid = NullBuffer::union(valid.as_ref(), Some(&passed));
        valid = NullBuffer::union(valid.as_ref(), filter.nulls());
    }
    match valid.filter(|valid| valid.null_count() > 0) {
        None => groups.iter().enumerate().for_each(|(row, group)| each(*group, row)),
        Some(valid) => valid.valid_indices().for_each(|row| each(groups[row], row)),
    }
}
