//! The state of [`PaneAggregate`](super::PaneAggregate) as rows, and back: `pane_start`, keys, accumulator states.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use datafusion::common::{Result, internal_err};

use super::{PaneAggregate, Shared};
use crate::operator::{OperatorMetrics, OperatorSnapshot, Snapshot};
use crate::pane_table::Partial;
use crate::window_assign::constant_column;

impl PaneAggregate {
    /// Columns of a snapshot. Keys and states get numbered prefixes, because nothing keeps their names apart.
    pub fn snapshot_schema(&self) -> SchemaRef {
        let named = |name: String, field: &FieldRef| Arc::new(field.as_ref().clone().with_name(name).with_nullable(true));
        let mut fields = vec![Arc::new(Field::new("pane_start", DataType::Timestamp(TimeUnit::Millisecond, None), false))];
        for (index, key) in self.layout.keys.fields().iter().enumerate() {
            fields.push(named(format!("key_{index}_{}", key.name()), key));
        }
        for (index, states) in self.layout.states.iter().enumerate() {
            for (part, state) in states.iter().enumerate() {
                fields.push(named(format!("state_{index}_{part}_{}", state.name()), state));
            }
        }
        Arc::new(Schema::new(fields))
    }

    /// Seals every active table into a layer and writes out all layers.
    pub(super) fn take_snapshot(&self) -> Result<OperatorSnapshot> {
        let metrics = self.sum_metrics();
        let mut shared = self.shared.lock();
        self.seal_active(&mut shared)?;
        let schema = self.snapshot_schema();
        let mut batches = Vec::new();
        for (&start, layers) in &shared.sealed {
            for layer in layers {
                batches.push(to_batch(&schema, start, layer)?);
            }
        }
        if let Some(tree) = &shared.tree {
            for (ordinal, partial) in tree.partials()? {
                batches.push(to_batch(&schema, self.spec.window.pane_at(ordinal).start, &partial)?);
            }
        }
        Ok(OperatorSnapshot { watermark: shared.watermark, metrics, state: Snapshot::Layers(batches) })
    }

    /// Turns every active table into an immutable layer.
    pub(super) fn seal_active(&self, shared: &mut Shared) -> Result<()> {
        for partition in &self.partitions {
            for (start, table) in std::mem::take(&mut partition.lock().panes) {
                shared.sealed.entry(start).or_default().push(table.into_partial()?);
            }
        }
        Ok(())
    }

    /// Takes layers in. Which partition wrote them does not matter: they are merged when their window closes.
    pub(super) fn take_in(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        let Snapshot::Layers(batches) = &snapshot.state else {
            return internal_err!("a pane aggregate restores layers");
        };
        let mut shared = self.shared.lock();
        shared.watermark = snapshot.watermark;
        shared.windows_released = snapshot.metrics.windows_released;
        shared.restored = snapshot.metrics;
        for partition in &self.partitions {
            partition.lock().watermark = Some(snapshot.watermark);
        }
        for batch in batches {
            for (start, rows) in runs(batch) {
                let layer = self.to_partial(&rows)?;
                shared.sealed.entry(start).or_default().push(layer);
            }
        }
        Ok(())
    }

    fn to_partial(&self, batch: &RecordBatch) -> Result<Partial> {
        let width = 1 + self.layout.state_fields().count();
        if batch.num_columns() != width {
            return internal_err!("state has {} columns, expected {width}", batch.num_columns());
        }
        let mut columns = batch.columns()[1..].iter().cloned();
        let keys = columns.by_ref().take(self.layout.keys.fields().len()).collect();
        let states = self.layout.states.iter().map(|states| columns.by_ref().take(states.len()).collect()).collect();
        Ok(Partial { rows: batch.num_rows(), keys, states })
    }

    pub(super) fn sum_metrics(&self) -> OperatorMetrics {
        let shared = self.shared.lock();
        let mut sum =
            OperatorMetrics { windows_released: shared.windows_released, open_panes: 0, entries: 0, state_bytes: 0, ..shared.restored };
        let mut starts: std::collections::BTreeSet<i64> = shared.sealed.keys().copied().collect();
        for layer in shared.sealed.values().flatten() {
            sum.entries += layer.rows as u64;
            sum.state_bytes += layer.size() as u64;
        }
        for partition in &self.partitions {
            let partition = partition.lock();
            sum.rows_in += partition.metrics.rows_in;
            sum.late_rows += partition.metrics.late_rows;
            sum.untimed_rows += partition.metrics.untimed_rows;
            for (start, table) in &partition.panes {
                starts.insert(*start);
                sum.entries += table.len() as u64;
                sum.state_bytes += table.size() as u64;
            }
        }
        if let Some(tree) = &shared.tree {
            sum.entries += tree.entries() as u64;
            sum.state_bytes += tree.size() as u64;
            starts.extend(tree.ordinals().map(|ordinal| self.spec.window.pane_at(ordinal).start));
        }
        sum.open_panes = starts.len() as u64;
        sum
    }
}

fn to_batch(schema: &SchemaRef, start: i64, layer: &Partial) -> Result<RecordBatch> {
    let mut columns = vec![constant_column(start, layer.rows, schema.field(0).data_type())];
    columns.extend(layer.keys.iter().chain(layer.states.iter().flatten()).cloned());
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Stretches of rows with the same `pane_start` (the first column).
fn runs(batch: &RecordBatch) -> Vec<(i64, RecordBatch)> {
    let starts = batch.column(0).as_primitive::<TimestampMillisecondType>().values();
    let mut runs = Vec::new();
    let mut from = 0;
    for row in 1..=starts.len() {
        if row == starts.len() || starts[row] != starts[from] {
            runs.push((starts[from], batch.slice(from, row - from)));
            from = row;
        }
    }
    runs
}
