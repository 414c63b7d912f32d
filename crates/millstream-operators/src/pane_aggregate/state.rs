//! The state of [`PaneAggregate`](super::PaneAggregate) as rows, and back: `pane_start`, keys, accumulator states.

mod layers;
mod leaving;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use datafusion::common::{Result, internal_err};

pub(crate) use self::layers::Layer;
pub(super) use self::layers::Layers;
pub(super) use self::parts::Parts;
use super::{PaneAggregate, Shared};
use crate::operator::{OperatorMetrics, OperatorSnapshot, StateLayer, StateShape};
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

    /// Seals every active table into a layer and gives all layers.
    pub(super) fn take_snapshot(&self, since: u64) -> Result<OperatorSnapshot> {
        let metrics = self.sum_metrics();
        let mut shared = self.shared.lock();
        self.seal_active(&mut shared)?;
        let mut sealed: BTreeMap<u64, StateLayer> = BTreeMap::new();
        let mut add = |seal: u64, start: i64, rows: Option<RecordBatch>| {
            sealed.entry(seal).or_insert_with(|| StateLayer::of_panes(seal)).add_pane(start, rows);
        };
        for (start, layer) in shared.layers.iter() {
            let new = layer.seal >= since;
            add(layer.seal, start, if new { layer.batch.clone() } else { None });
        }
        if let Some(tree) = &shared.tree {
            let schema = self.snapshot_schema();
            for leaf in tree.leaves(since)? {
                let start = self.spec.window.pane_at(leaf.ordinal).start;
                add(leaf.seal, start, leaf.partial.map(|partial| to_batch(&schema, start, &partial)).transpose()?);
            }
        }
        shared.layers.next_seal += 1;
        Ok(OperatorSnapshot {
            watermark: shared.watermark,
            metrics,
            shape: StateShape::Layers,
            layers: sealed.into_values().collect(),
            next_seal: shared.layers.next_seal,
        })
    }

    /// Turns every active table into an immutable layer.
    pub(super) fn seal_active(&self, shared: &mut Shared) -> Result<()> {
        let starts: BTreeSet<i64> = self.pane_starts(shared);
        starts.into_iter().try_for_each(|start| self.seal_pane(shared, start))
    }

    /// Turns the active tables of one pane into layers.
    pub(super) fn seal_pane(&self, shared: &mut Shared, start: i64) -> Result<()> {
        let schema = self.snapshot_schema();
        if let Some(table) = shared.returned.remove(&start) {
            shared.layers.add(start, to_batch(&schema, start, &table.into_partial()?)?);
        }
        for partition in &self.partitions {
            if let Some(table) = partition.lock().panes.remove(&start) {
                shared.layers.add(start, to_batch(&schema, start, &table.into_partial()?)?);
            }
        }
        Ok(())
    }

    /// Takes layers in. Which partition wrote them does not matter: they are merged when their window closes.
    pub(super) fn take_in(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        if snapshot.shape != StateShape::Layers {
            return internal_err!("a pane aggregate restores layers");
        }
        let mut shared = self.shared.lock();
        shared.watermark = snapshot.watermark;
        shared.windows_released = snapshot.metrics.windows_released;
        shared.restored = snapshot.metrics;
        for partition in &self.partitions {
            partition.lock().watermark = Some(snapshot.watermark);
        }
        for layer in &snapshot.layers {
            shared.layers.next_seal = layer.seal;
            if let Some(stored) = layer.stored {
                let Some(panes) = &layer.panes else { return internal_err!("a stored layer without panes") };
                if panes.iter().any(|&start| self.pane_starting(start).end <= snapshot.watermark.as_ms()) {
                    shared.tree = None; // A complete pane is out of memory: there was no room for a tree.
                }
                let share = panes.len().max(1) as u64;
                panes.iter().for_each(|&start| shared.layers.add_stored(start, stored.rows / share, stored.bytes / share));
                continue;
            }
            let valid: Option<BTreeSet<i64>> = layer.panes.as_ref().map(|panes| panes.iter().copied().collect());
            for batch in &layer.rows {
                self.check_width(batch)?;
                for (start, rows) in runs(batch)? {
                    if valid.as_ref().is_none_or(|panes| panes.contains(&start)) {
                        shared.layers.add(start, rows);
                    }
                }
            }
        }
        shared.layers.next_seal = snapshot.next_seal;
        Ok(())
    }

    fn check_width(&self, batch: &RecordBatch) -> Result<()> {
        let width = 1 + self.layout.state_fields().count();
        if batch.num_columns() != width {
            return internal_err!("state has {} columns, expected {width}", batch.num_columns());
        }
        Ok(())
    }

    /// Rows of a layer as partial aggregates.
    pub(super) fn to_partial(&self, batch: &RecordBatch) -> Result<Partial> {
        let mut columns = batch.columns()[1..].iter().cloned();
        let keys = columns.by_ref().take(self.layout.keys.fields().len()).collect();
        let states = self.layout.states.iter().map(|states| columns.by_ref().take(states.len()).collect()).collect();
        Ok(Partial { rows: batch.num_rows(), keys, states })
    }

    pub(super) fn sum_metrics(&self) -> OperatorMetrics {
        let shared = self.shared.lock();
        let mut sum = OperatorMetrics {
            windows_released: shared.windows_released,
            open_panes: 0,
            entries: 0,
            state_bytes: 0,
            stored_bytes: 0,
            ..shared.restored
        };
        let mut starts: std::collections::BTreeSet<i64> = shared.layers.starts().collect();
        for (_, layer) in shared.layers.iter() {
            sum.entries += layer.rows as u64;
            *(if layer.batch.is_some() { &mut sum.state_bytes } else { &mut sum.stored_bytes }) += layer.bytes;
        }
        for (start, table) in &shared.returned {
            starts.insert(*start);
            sum.entries += table.len() as u64;
            sum.state_bytes += table.size() as u64;
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
        if let Some(parts) = &shared.parts {
            sum.entries += parts.table.len() as u64;
            sum.state_bytes += parts.table.size() as u64;
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
fn runs(batch: &RecordBatch) -> Result<Vec<(i64, RecordBatch)>> {
    let Some(starts) = batch.column(0).as_primitive_opt::<TimestampMillisecondType>() else {
        return internal_err!("the first column of state must be pane_start: got {}", batch.schema().field(0));
    };
    let starts = starts.values();
    let mut runs = Vec::new();
    let mut from = 0;
    for row in 1..=starts.len() {
        if row == starts.len() || starts[row] != starts[from] {
            runs.push((starts[from], batch.slice(from, row - from)));
            from = row;
        }
    }
    Ok(runs)
}
