//! Rows on their way into pane tables: expressions evaluated once a batch, then split by pane.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::common::Result;
use datafusion::physical_plan::PhysicalExpr;
use millstream_time::Window;

use crate::pane_aggregate::PaneAggregateSpec;
use crate::pane_table::{PaneRows, TableLayout};

/// One batch's keys, arguments and filters.
pub(super) type Evaluated = PaneRows;

/// Evaluates what the tables need of a batch.
pub(super) fn evaluate(spec: &PaneAggregateSpec, batch: &RecordBatch) -> Result<Evaluated> {
    let rows = batch.num_rows();
    let value = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(rows);
    Ok(PaneRows {
        rows,
        keys: spec.keys.iter().map(|(expr, _)| value(expr)).collect::<Result<_>>()?,
        arguments: spec
            .aggregates
            .iter()
            .map(|aggregate| aggregate.arguments.iter().map(value).collect::<Result<_>>())
            .collect::<Result<_>>()?,
        filters: spec.aggregates.iter().map(|aggregate| aggregate.filter.as_ref().map(value).transpose()).collect::<Result<_>>()?,
    })
}

/// `rows` rows from `offset`; no copy.
pub(super) fn slice(all: &Evaluated, offset: usize, rows: usize) -> Evaluated {
    PaneRows {
        rows,
        keys: all.keys.iter().map(|array| array.slice(offset, rows)).collect(),
        arguments: all.arguments.iter().map(|columns| columns.iter().map(|array| array.slice(offset, rows)).collect()).collect(),
        filters: all.filters.iter().map(|filter| filter.as_ref().map(|array| array.slice(offset, rows))).collect(),
    }
}

/// Final values of aggregates over no rows at all.
pub(super) fn values_of_nothing(layout: &TableLayout) -> Result<Vec<ArrayRef>> {
    layout
        .aggregates
        .iter()
        .map(|aggregate| {
            let mut accumulator = aggregate.function.create_accumulator()?;
            accumulator.evaluate()?.to_array_of_size(1)
        })
        .collect()
}

/// The order that brings a batch's rows together by pane, first come first within each (a counting sort).
pub(crate) struct PaneSplit {
    panes: Vec<(Window, usize)>,
    order: UInt32Array,
}

impl PaneSplit {
    /// Splits rows by the pane of their time.
    pub(crate) fn new(times: &[i64], pane_of: impl Fn(i64) -> Window) -> Self {
        let mut panes: Vec<(Window, usize)> = Vec::new();
        let mut slot_by_start: HashMap<i64, usize> = HashMap::new();
        let mut slots: Vec<u32> = Vec::with_capacity(times.len());
        let mut slot = usize::MAX;
        let mut current = Window { start: 0, end: 0 };
        for &time in times {
            if !(current.start <= time && time < current.end) {
                current = pane_of(time);
                slot = *slot_by_start.entry(current.start).or_insert_with(|| {
                    panes.push((current, 0));
                    panes.len() - 1
                });
            }
            panes[slot].1 += 1;
            slots.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
        let mut next: Vec<u32> = Vec::with_capacity(panes.len());
        let mut offset = 0;
        for &(_, rows) in &panes {
            next.push(offset);
            offset += u32::try_from(rows).unwrap_or(u32::MAX);
        }
        let mut order = vec![0; times.len()];
        for (row, &slot) in slots.iter().enumerate() {
            let place = &mut next[slot as usize];
            order[*place as usize] = u32::try_from(row).unwrap_or(u32::MAX);
            *place += 1;
        }
        Self { panes, order: UInt32Array::from(order) }
    }

    /// The panes and their numbers of rows, in the order in which [`Self::reorder`] lays them out.
    pub(crate) fn panes(&self) -> &[(Window, usize)] {
        &self.panes
    }

    /// Row numbers pane by pane.
    pub(crate) fn order(&self) -> &UInt32Array {
        &self.order
    }

    /// The rows pane by pane. A column that several aggregates read is moved once.
    pub(super) fn reorder(&self, rows: &Evaluated) -> Result<Evaluated> {
        let mut moved: Vec<(*const u8, ArrayRef)> = Vec::new();
        let mut reorder = |array: &ArrayRef| -> Result<ArrayRef> {
            let address = Arc::as_ptr(array).cast::<u8>();
            if let Some((_, done)) = moved.iter().find(|(seen, _)| *seen == address) {
                return Ok(Arc::clone(done));
            }
            let done = take(array, &self.order, None)?;
            moved.push((address, Arc::clone(&done)));
            Ok(done)
        };
        let keys = rows.keys.iter().map(&mut reorder).collect::<Result<_>>()?;
        let arguments =
            rows.arguments.iter().map(|columns| columns.iter().map(&mut reorder).collect()).collect::<Result<_>>()?;
        let filters = rows.filters.iter().map(|filter| filter.as_ref().map(&mut reorder).transpose()).collect::<Result<_>>()?;
        Ok(PaneRows { rows: rows.rows, keys, arguments, filters })
    }
}
