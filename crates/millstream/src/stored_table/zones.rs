//! Smallest and largest values of each batch, so that a query for few rows looks at few batches.
//!
//! Rows that come in the order of a key, or of time, lie close together; `WHERE id = 7` then concerns one batch of many. Nothing is kept for
//! a column before somebody filters by it. What is known of a batch is known by the very array it was computed from, so that a table
//! that has changed in the meantime is looked at anew where it has changed and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, types};
use datafusion::arrow::compute::{max, min};
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use parking_lot::Mutex;

/// What is known so far, by column.
#[derive(Debug, Default)]
pub(super) struct Zones {
    columns: Mutex<BTreeMap<usize, Vec<Zone>>>,
}

/// Of one column of one batch; without bounds all is NULL.
#[derive(Clone, Debug)]
struct Zone {
    array: ArrayRef,
    bounds: Option<(i64, i64)>,
}

/// `column operator value`, for columns that have bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    column: usize,
    operator: Operator,
    value: i64,
}

impl Zones {
    /// The batches in which rows can be for which all conditions are true.
    pub(super) fn select(&self, batches: Vec<RecordBatch>, conditions: &[Condition]) -> Vec<RecordBatch> {
        let mut chosen = vec![true; batches.len()];
        for condition in conditions {
            let zones = self.of_column(condition.column, &batches);
            for (chosen, bounds) in chosen.iter_mut().zip(zones) {
                *chosen &= bounds.is_some_and(|bounds| condition.may_hold(bounds));
            }
        }
        batches.into_iter().zip(chosen).filter_map(|(batch, chosen)| chosen.then_some(batch)).collect()
    }

    fn of_column(&self, column: usize, batches: &[RecordBatch]) -> Vec<Option<(i64, i64)>> {
        let mut columns = self.columns.lock();
        let known = columns.entry(column).or_default();
        known.truncate(batches.len());
        for (place, batch) in batches.iter().enumerate() {
            let array = batch.column(column);
            match known.get(place) {
                Some(zone) if Arc::ptr_eq(&zone.array, array) => {}
                Some(_) => known[place] = Zone::of(array),
                None => known.push(Zone::of(array)),
            }
        }
        known.iter().map(|zone| zone.bounds).collect()
    }
}

impl Zone {
    fn of(array: &ArrayRef) -> Self {
        Self { array: Arc::clone(array), bounds: bounds(array) }
    }
}

/// The smallest and the largest value as whole numbers.
fn bounds(array: &ArrayRef) -> Option<(i64, i64)> {
    fn of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<(i64, i64)>
    where
        T::Native: Into<i64>,
    {
        min(array).zip(max(array)).map(|(low, high)| (low.into(), high.into()))
    }
    match array.data_type() {
        DataType::Int16 => of::<types::Int16Type>(array.as_primitive()),
        DataType::Int32 => of::<types::Int32Type>(array.as_primitive()),
        DataType::Int64 => of::<types::Int64Type>(array.as_primitive()),
        DataType::Date32 => of::<types::Date32Type>(array.as_primitive()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<types::TimestampMillisecondType>(array.as_primitive()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<types::TimestampMicrosecondType>(array.as_primitive()),
        // Not asked for: `Condition::read` makes no condition of these.
        _ => Some((i64::MIN, i64::MAX)),
    }
}

impl Condition {
    /// A filter that bounds can decide; `None`: they cannot.
    pub(super) fn read(filter: &Expr, schema: &SchemaRef) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
        let (column, operator, value) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
            (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
            _ => return None,
        };
        let is_order = matches!(operator, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        let column = schema.index_of(&column.name).ok().filter(|_| is_order)?;
        let value = whole_number(value, schema.field(column).data_type())?;
        Some(Self { column, operator, value })
    }

    fn may_hold(self, (low, high): (i64, i64)) -> bool {
        match self.operator {
            Operator::Eq => low <= self.value && self.value <= high,
            Operator::Lt => low < self.value,
            Operator::LtEq => low <= self.value,
            Operator::Gt => high > self.value,
            _ => high >= self.value,
        }
    }
}

/// A value in the unit of its column, whose type it must have.
fn whole_number(value: &ScalarValue, column: &DataType) -> Option<i64> {
    if value.data_type() != *column {
        return None;
    }
    match value {
        ScalarValue::Int16(value) => value.map(i64::from),
        ScalarValue::Int32(value) | ScalarValue::Date32(value) => value.map(i64::from),
        ScalarValue::Int64(value) => *value,
        ScalarValue::TimestampMillisecond(value, _) | ScalarValue::TimestampMicrosecond(value, _) => *value,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]))
    }

    fn batch(ids: &[Option<i64>]) -> RecordBatch {
        let names: StringArray = ids.iter().map(|id| id.map(|id| id.to_string())).collect();
        RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(names)]).unwrap()
    }

    #[test]
    fn only_batches_in_which_rows_can_be_are_chosen() {
        let zones = Zones::default();
        let batches = vec![batch(&[Some(1), None, Some(5)]), batch(&[None, None]), batch(&[Some(5), Some(9)]), batch(&[Some(10)])];
        let chosen = |filters: &[Expr]| {
            let conditions: Vec<Condition> = filters.iter().filter_map(|filter| Condition::read(filter, &schema())).collect();
            assert_eq!(conditions.len(), filters.len(), "{filters:?}");
            let left = zones.select(batches.clone(), &conditions);
            left.iter().map(|one| batches.iter().position(|batch| Arc::ptr_eq(batch.column(0), one.column(0))).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[]), [0, 1, 2, 3]);
        assert_eq!(chosen(&[col("id").eq(lit(5_i64))]), [0, 2]);
        assert_eq!(chosen(&[lit(5_i64).eq(col("id"))]), [0, 2]);
        assert_eq!(chosen(&[col("id").lt(lit(5_i64))]), [0]);
        assert_eq!(chosen(&[lit(5_i64).gt(col("id"))]), [0]);
        assert_eq!(chosen(&[col("id").lt_eq(lit(5_i64))]), [0, 2]);
        assert_eq!(chosen(&[col("id").gt(lit(9_i64))]), [3]);
        assert_eq!(chosen(&[col("id").gt_eq(lit(5_i64)), col("id").lt(lit(10_i64))]), [0, 2]);
        assert_eq!(chosen(&[col("id").eq(lit(7_i64)), col("id").gt(lit(8_i64))]), [2]);
        assert_eq!(chosen(&[col("id").eq(lit(-1_i64))]), Vec::<usize>::new());
    }

    #[test]
    fn what_bounds_cannot_decide_is_no_condition() {
        for filter in [
            col("id").not_eq(lit(5_i64)),
            col("name").eq(lit("x")),
            col("id").eq(lit(5_i32)),
            col("id").eq(lit(ScalarValue::Int64(None))),
            col("nope").eq(lit(5_i64)),
            col("id").eq(col("name")),
            col("id").is_null(),
            col("id").eq(lit(5_i64)).or(col("name").eq(lit("x"))),
        ] {
            assert_eq!(Condition::read(&filter, &schema()), None, "{filter}");
        }
    }

    #[test]
    fn what_has_changed_is_looked_at_anew() {
        let zones = Zones::default();
        let condition = [Condition { column: 0, operator: Operator::Eq, value: 5 }];
        let (one, two) = (batch(&[Some(1)]), batch(&[Some(5)]));
        assert_eq!(zones.select(vec![one.clone(), two.clone()], &condition).len(), 1);
        assert_eq!(zones.select(vec![two.clone(), one.clone(), two.clone()], &condition).len(), 2);
        assert_eq!(zones.select(vec![one], &condition).len(), 0);
        assert_eq!(zones.select(vec![two], &condition).len(), 1);
    }
}
