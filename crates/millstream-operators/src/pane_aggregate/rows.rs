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

/// Batches that span at most so many neighbouring panes are split by comparing with each boundary.
const BOUNDARIES_MAX: usize = 16;

/// The order that brings a batch's rows together by pane, first come first within each (a counting sort).
pub(crate) struct PaneSplit {
    panes: Vec<(Window, usize)>,
    order: UInt32Array,
}

impl PaneSplit {
    /// Splits rows by the pane of their time; panes tile time, `low` and `high` are the earliest and the latest.
    pub(crate) fn tiled(times: &[i64], low: i64, high: i64, pane_of: impl Fn(i64) -> Window) -> Self {
        let mut panes = vec![pane_of(low)];
        while let Some(last) = panes.last()
            && last.end <= high
            && panes.len() <= BOUNDARIES_MAX
        {
            panes.push(pane_of(last.end));
        }
        if panes.len() > BOUNDARIES_MAX {
            return Self::scattered(times, pane_of);
        }
        let mut slots = vec![0_u32; times.len()];
        for pane in &panes[1..] {
            for (slot, &time) in slots.iter_mut().zip(times) {
                *slot += u32::from(time >= pane.start);
            }
        }
        let mut counted: Vec<(Window, usize)> = panes.into_iter().map(|pane| (pane, 0)).collect();
        for &slot in &slots {
            counted[slot as usize].1 += 1;
        }
        Self::ordered(counted, &slots)
    }

    /// Splits rows by any pane of their time.
    pub(crate) fn scattered(times: &[i64], pane_of: impl Fn(i64) -> Window) -> Self {
        let mut panes: Vec<(Window, usize)> = Vec::new();
        let mut slot_by_start: HashMap<i64, usize> = HashMap::new();
        let mut slots: Vec<u32> = Vec::with_capacity(times.len());
        let mut slot = usize::MAX;
        let mut last_time = None;
        for &time in times {
            if last_time != Some(time) {
                last_time = Some(time);
                let pane = pane_of(time);
                slot = *slot_by_start.entry(pane.start).or_insert_with(|| {
                    panes.push((pane, 0));
                    panes.len() - 1
                });
            }
            panes[slot].1 += 1;
            slots.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
        Self::ordered(panes, &slots)
    }

    /// Row numbers by slot; `panes` hold the numbers of rows.
    fn ordered(panes: Vec<(Window, usize)>, slots: &[u32]) -> Self {
        let mut next: Vec<u32> = Vec::with_capacity(panes.len());
        let mut offset = 0;
        for &(_, rows) in &panes {
            next.push(offset);
            offset += u32::try_from(rows).unwrap_or(u32::MAX);
        }
        let mut order = vec![0; slots.len()];
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
        let arguments = rows.arguments.iter().map(|columns| columns.iter().map(&mut reorder).collect()).collect::<Result<_>>()?;
        let filters = rows.filters.iter().map(|filter| filter.as_ref().map(&mut reorder).transpose()).collect::<Result<_>>()?;
        Ok(PaneRows { rows: rows.rows, keys, arguments, filters })
    }
}
