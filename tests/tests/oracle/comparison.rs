//! Whether two results are the same rows, up to their order and the last bits of floats.

use std::cmp::Ordering;

use datafusion::arrow::array::RecordBatch;

use crate::harness::{Cell, cells};

/// Relative and absolute difference that floats may have.
const TOLERANCE: f64 = 1e-9;
/// What sketches may differ by, of values within ±600.
const APPROXIMATE: f64 = 150.0;

/// `ordered` columns must come in the same order in both.
pub(crate) fn compare(expected: &[RecordBatch], got: &[RecordBatch], ordered: usize) -> Result<(), String> {
    let names = |batches: &[RecordBatch]| -> Option<Vec<String>> {
        batches.first().map(|batch| batch.schema().fields().iter().map(|field| field.name().clone()).collect())
    };
    let approximate: Vec<bool> = names(expected).unwrap_or_default().iter().map(|name| name.starts_with("approx")).collect();
    if let (Some(one), Some(other)) = (names(expected), names(got))
        && one != other
    {
        return Err(format!("columns are {other:?}, expected {one:?}"));
    }
    let (mut expected, mut got) = (cells(expected), cells(got));
    if ordered > 0 && got.len() == expected.len() {
        for (row, (one, other)) in expected.iter().zip(&got).enumerate() {
            if !same_row(&one[..ordered], &other[..ordered], &[]) {
                return Err(format!("row {row} is out of order: {}, expected {}", show(other), show(one)));
            }
        }
    }
    expected.sort_by(|a, b| order(a, b));
    got.sort_by(|a, b| order(a, b));
    for row in 0..expected.len().max(got.len()) {
        match (expected.get(row), got.get(row)) {
            (Some(one), Some(other)) if same_row(one, other, &approximate) => {}
            (one, other) => {
                let show = |row: Option<&Vec<Cell>>| row.map_or_else(|| "nothing".to_owned(), |row| show(row));
                return Err(format!(
                    "sorted row {row} is\n  {}\nexpected\n  {}\n({} rows, expected {})",
                    show(other),
                    show(one),
                    got.len(),
                    expected.len()
                ));
            }
        }
    }
    Ok(())
}

fn show(row: &[Cell]) -> String {
    row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

/// Exact columns decide first, so that the last bits of a float put no rows out of order.
fn order(a: &[Cell], b: &[Cell]) -> Ordering {
    let exact = a.iter().zip(b).map(|(a, b)| match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Null, Cell::Text(_)) => Ordering::Less,
        (Cell::Text(_), Cell::Null) => Ordering::Greater,
        _ => Ordering::Equal,
    });
    let floats = a.iter().zip(b).map(|(a, b)| match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => rounded(*a).total_cmp(&rounded(*b)),
        (Cell::Null, Cell::Float(_)) => Ordering::Less,
        (Cell::Float(_), Cell::Null) => Ordering::Greater,
        _ => Ordering::Equal,
    });
    exact.chain(floats).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Seven digits: what differs less is the same for sorting.
fn rounded(number: f64) -> f64 {
    format!("{number:.6e}").parse().unwrap_or(number) + 0.0
}

fn same_row(a: &[Cell], b: &[Cell], approximate: &[bool]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).enumerate().all(|(column, (a, b))| match (a, b) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Text(a), Cell::Text(b)) => a == b,
            (Cell::Float(a), Cell::Float(b)) if approximate.get(column) == Some(&true) => (a - b).abs() <= APPROXIMATE,
            (Cell::Float(a), Cell::Float(b)) => close(*a, *b),
            _ => false,
        })
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_bits_may_differ() {
        assert!(close(1.0, 1.0 + 1e-12) && !close(1.0, 1.0 + 1e-8) && close(f64::NAN, f64::NAN) && !close(0.0, f64::NAN));
        assert!(!same_row(&[Cell::Null], &[Cell::Float(0.0)], &[]));
        assert!(!same_row(&[Cell::Text("1".into())], &[Cell::Text("2".into())], &[]));
    }
}
