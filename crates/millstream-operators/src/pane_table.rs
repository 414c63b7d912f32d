//! One pane's partial aggregates: a key table and one accumulator per aggregate.
//!
//! ```text
//!   rows --intern(keys)--> group ids --update_batch--> [count][sum][max] ...
//!                                        |
//!                     into_values: keys + final values      into_partial: keys + accumulator states (Arrow, immutable)
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::GroupsAccumulatorAdapter;

/// One aggregate of the query: function, argument expressions, FILTER.
#[derive(Clone, Debug)]
pub struct PaneAggregateExpr {
    /// The function with its arguments.
    pub function: Arc<AggregateFunctionExpr>,
    /// Argument columns as the accumulator wants them: arguments, then ORDER BY columns.
    pub arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// Its FILTER clause.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

impl PaneAggregateExpr {
    /// Wraps a planned aggregate.
    pub fn new(function: Arc<AggregateFunctionExpr>, filter: Option<Arc<dyn PhysicalExpr>>) -> Self {
        let mut arguments = function.expressions();
        arguments.extend(function.order_bys().iter().map(|sort| Arc::clone(&sort.expr)));
        Self { function, arguments, filter }
    }

    /// A fresh accumulator; functions without a native one get DataFusion's adapter (one boxed accumulator a group, slower).
    pub fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        let function = Arc::clone(&self.function);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }
}

/// Key columns and aggregates of a windowed aggregation: what every pane table of it has in common.
#[derive(Clone, Debug)]
pub struct TableLayout {
    /// Key columns (without the window columns).
    pub keys: SchemaRef,
    /// The aggregates.
    pub aggregates: Vec<PaneAggregateExpr>,
    /// Fields of the accumulators' states, per aggregate.
    pub states: Vec<Vec<FieldRef>>,
}

impl TableLayout {
    /// A layout for these keys and aggregates.
    pub fn try_new(keys: Vec<FieldRef>, aggregates: Vec<PaneAggregateExpr>) -> Result<Self> {
        let states = aggregates.iter().map(|aggregate| aggregate.function.state_fields()).collect::<Result<_>>()?;
        Ok(Self { keys: Arc::new(Schema::new(keys)), aggregates, states })
    }

    /// Fresh accumulators, one an aggregate.
    pub fn accumulators(&self) -> Result<Vec<Box<dyn GroupsAccumulator>>> {
        self.aggregates.iter().map(PaneAggregateExpr::accumulator).collect()
    }

    /// Keys then states: the columns of a snapshot.
    pub fn state_fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.keys.fields().iter().chain(self.states.iter().flatten())
    }
}

/// Rows for a table: evaluated keys, arguments and filters of one batch, all of the same length.
#[derive(Clone, Debug)]
pub struct PaneRows {
    /// Number of rows.
    pub rows: usize,
    /// Key columns.
    pub keys: Vec<ArrayRef>,
    /// Argument columns per aggregate.
    pub arguments: Vec<Vec<ArrayRef>>,
    /// FILTER column per aggregate.
    pub filters: Vec<Option<ArrayRef>>,
}

/// Immutable partial aggregates: one row a key.
#[derive(Clone, Debug)]
pub struct Partial {
    /// Number of groups.
    pub rows: usize,
    /// Key columns.
    pub keys: Vec<ArrayRef>,
    /// State columns per aggregate.
    pub states: Vec<Vec<ArrayRef>>,
}

impl Partial {
    /// Bytes of its arrays.
    pub fn size(&self) -> usize {
        self.keys.iter().chain(self.states.iter().flatten()).map(|array| array.get_array_memory_size()).sum()
    }
}

/// Assigns dense group ids to keys; without key columns everything is group 0.
pub struct KeyTable {
    groups: Option<Box<dyn GroupValues>>,
    empty_key_seen: bool,
}

impl std::fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyTable({} groups)", self.len())
    }
}

impl KeyTable {
    /// An empty table for these key columns.
    pub fn try_new(keys: &SchemaRef) -> Result<Self> {
        let groups = if keys.fields().is_empty() { None } else { Some(new_group_values(Arc::clone(keys), &GroupOrdering::None)?) };
        Ok(Self { groups, empty_key_seen: false })
    }

    /// Fills `ids` with the group of each of `rows` rows.
    pub fn intern(&mut self, keys: &[ArrayRef], rows: usize, ids: &mut Vec<usize>) -> Result<()> {
        ids.clear();
        match &mut self.groups {
            Some(groups) => groups.intern(keys, ids)?,
            None => {
                ids.resize(rows, 0);
                self.empty_key_seen |= rows > 0;
            }
        }
        Ok(())
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.as_ref().map_or(usize::from(self.empty_key_seen), |groups| groups.len())
    }

    /// True if no group exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key columns in order of group id; the table is empty afterwards.
    pub fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.empty_key_seen = false;
        self.groups.as_mut().map_or_else(|| Ok(Vec::new()), |groups| groups.emit(EmitTo::All))
    }

    /// Bytes held, about.
    pub fn size(&self) -> usize {
        self.groups.as_ref().map_or(0, |groups| groups.size())
    }
}

/// The growing table of one pane.
pub struct PaneTable {
    keys: KeyTable,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

impl std::fmt::Debug for PaneTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PaneTable({} groups, {} aggregates)", self.len(), self.accumulators.len())
    }
}

impl PaneTable {
    /// An empty table.
    pub fn try_new(layout: &TableLayout) -> Result<Self> {
        Ok(Self { keys: KeyTable::try_new(&layout.keys)?, accumulators: layout.accumulators()? })
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if it has no groups.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes held, about.
    pub fn size(&self) -> usize {
        self.keys.size() + self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>()
    }

    /// Adds rows. `ids` is scratch space.
    pub fn update(&mut self, rows: &PaneRows, ids: &mut Vec<usize>) -> Result<()> {
        self.keys.intern(&rows.keys, rows.rows, ids)?;
        let groups = self.keys.len();
        for (index, accumulator) in self.accumulators.iter_mut().enumerate() {
            let filter = rows.filters[index].as_ref().map(boolean).transpose()?;
            accumulator.update_batch(&rows.arguments[index], ids, filter, groups)?;
        }
        Ok(())
    }

    /// Adds partial aggregates. `ids` is scratch space.
    pub fn merge(&mut self, partial: &Partial, ids: &mut Vec<usize>) -> Result<()> {
        self.keys.intern(&partial.keys, partial.rows, ids)?;
        let groups = self.keys.len();
        for (accumulator, states) in self.accumulators.iter_mut().zip(&partial.states) {
            accumulator.merge_batch(states, ids, groups)?;
        }
        Ok(())
    }

    /// Keys and accumulator states, in order of group id.
    pub fn into_partial(mut self) -> Result<Partial> {
        let rows = self.keys.len();
        let keys = self.keys.take_keys()?;
        let states = self.accumulators.iter_mut().map(|accumulator| accumulator.state(EmitTo::All)).collect::<Result<_>>()?;
        Ok(Partial { rows, keys, states })
    }

    /// Keys and final values (number of rows, keys, one column an aggregate).
    pub fn into_values(mut self) -> Result<(usize, Vec<ArrayRef>, Vec<ArrayRef>)> {
        let rows = self.keys.len();
        let keys = self.keys.take_keys()?;
        let values = self.accumulators.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All)).collect::<Result<_>>()?;
        Ok((rows, keys, values))
    }
}

fn boolean(array: &ArrayRef) -> Result<&BooleanArray> {
    match array.as_boolean_opt() {
        Some(filter) => Ok(filter),
        None => exec_err!("FILTER must be BOOLEAN: got {}", array.data_type()),
    }
}
