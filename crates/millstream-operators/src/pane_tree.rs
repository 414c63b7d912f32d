//! Complete panes of a hopping window, combined so that a window costs few merges however many panes it has.
//!
//! Leaves are complete panes; an inner node combines two neighbours (a flat binary tree over pane ordinals, in the spirit of
//! FlatFAT: Tangwongsan et al., "General incremental sliding-window aggregation", VLDB 2015). All keys live once in a shared
//! dictionary, and a node refers to them by id, so merging nodes never hashes a key again.
//!
//! ```text
//!            [0..4)
//!        [0..2)   [2..4)        window of ordinals 1..6  =  leaf 1 + node [2..4) + node [4..6)
//!        0    1   2    3
//! ```
//!
//! A node is only built where it pays: at least a quarter of its children's entries coincide, and enough windows use it. So the
//! tree never holds more than a small multiple of its leaves' entries, even if every pane has keys of its own.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array, new_empty_array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{concat, filter, take};
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use crate::pane_table::{KeyTable, Partial, TableLayout};

/// Dictionaries smaller than this are never rebuilt.
const DICTIONARY_REBUILD_KEYS_MIN: usize = 1 << 14;

/// Partial aggregates by dictionary id.
#[derive(Clone, Debug)]
struct Node {
    /// Of leaves: the snapshot that contains it first.
    seal: u64,
    ids: Vec<usize>,
    states: Vec<Vec<ArrayRef>>,
}

impl Node {
    fn size(&self) -> usize {
        self.ids.len() * size_of::<usize>() + self.states.iter().flatten().map(|array| array.get_array_memory_size()).sum::<usize>()
    }
}

/// A complete pane, or rows that came after it was complete.
#[derive(Debug)]
pub struct TreeLeaf {
    /// The pane.
    pub ordinal: i64,
    /// The snapshot that contains it first.
    pub seal: u64,
    /// Its groups.
    pub rows: usize,
    /// What they take in memory, about.
    pub bytes: u64,
    /// The groups, if they were asked for.
    pub partial: Option<Partial>,
}

/// Final values of one window: number of rows, key columns, one column an aggregate.
pub type WindowValues = (usize, Vec<ArrayRef>, Vec<ArrayRef>);

/// Complete panes by ordinal.
#[derive(Debug)]
pub struct PaneTree {
    layout: TableLayout,
    levels_max: u32,
    dictionary: KeyTable,
    /// Key columns in order of id, in chunks.
    key_chunks: Vec<Vec<ArrayRef>>,
    rebuild_at: usize,
    /// By (level, index): covers ordinals `index << level` up to `(index + 1) << level`.
    nodes: BTreeMap<(u32, i64), Node>,
    /// Rows that came after their pane was complete, by ordinal; not part of inner nodes.
    late: BTreeMap<i64, Vec<Node>>,
    slots: Slots,
}

impl PaneTree {
    /// An empty tree for windows of `panes_per_window` panes.
    pub fn try_new(layout: TableLayout, panes_per_window: i64) -> Result<Self> {
        // A node of w panes is inside n − w + 1 windows and saves each one merge; building it costs two.
        let levels_max = (1..62).take_while(|level| (1_i64 << level) < panes_per_window - 1).count();
        let dictionary = KeyTable::try_new(&layout.keys)?;
        Ok(Self {
            layout,
            levels_max: u32::try_from(levels_max).unwrap_or(0),
            dictionary,
            key_chunks: Vec::new(),
            rebuild_at: DICTIONARY_REBUILD_KEYS_MIN,
            nodes: BTreeMap::new(),
            late: BTreeMap::new(),
            slots: Slots::default(),
        })
    }

    /// Adds a pane that is complete, or more rows of one that was; the snapshot number `seal` will contain it first.
    pub fn insert(&mut self, ordinal: i64, partial: Partial, seal: u64) -> Result<()> {
        let node = self.make_node(partial, seal)?;
        if self.nodes.contains_key(&(0, ordinal)) {
            self.late.entry(ordinal).or_default().push(node);
            self.reseal(ordinal, seal);
            return Ok(());
        }
        self.nodes.insert((0, ordinal), node);
        let (mut level, mut index) = (0, ordinal);
        while level < self.levels_max {
            let sibling = index ^ 1;
            let (Some(left), Some(right)) = (self.nodes.get(&(level, index.min(sibling))), self.nodes.get(&(level, index.max(sibling))))
            else {
                break;
            };
            let Some(parent) = combine(&self.layout, left, right, &mut self.slots)? else { break };
            (level, index) = (level + 1, index.div_euclid(2));
            self.nodes.insert((level, index), parent);
        }
        Ok(())
    }

    /// Makes snapshots store all of a pane again, under the number `seal`: a stored layer is valid for a pane as a whole or not at
    /// all, and a part of it has moved.
    pub fn reseal(&mut self, ordinal: i64, seal: u64) {
        let late = self.late.get_mut(&ordinal).into_iter().flatten();
        self.nodes.get_mut(&(0, ordinal)).into_iter().chain(late).for_each(|node| node.seal = seal);
    }

    /// Final values of the window over ordinals `first` up to, not including, `end`; `None` if it holds nothing.
    pub fn window(&mut self, first: i64, end: i64) -> Result<Option<WindowValues>> {
        let mut slots = std::mem::take(&mut self.slots);
        let mut pieces = Vec::new();
        let top = self.levels_max;
        for index in (first >> top)..=((end - 1) >> top) {
            self.cover(top, index, first, end, &mut pieces);
        }
        pieces.extend(self.late.range(first..end).flat_map(|(_, nodes)| nodes));
        if pieces.is_empty() {
            self.slots = slots;
            return Ok(None);
        }
        let mut merge = Merge::new(self.layout.accumulators()?, &mut slots);
        for piece in pieces {
            merge.add(piece)?;
        }
        let (ids, mut accumulators) = merge.finish();
        let values = accumulators.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All)).collect::<Result<Vec<_>>>()?;
        self.slots = slots;
        let rows = ids.len();
        let keys = self.keys_of(&ids)?;
        Ok(Some((rows, keys, values)))
    }

    /// Forgets panes before `first`.
    pub fn drop_before(&mut self, first: i64) -> Result<()> {
        self.nodes.retain(|&(level, index), _| index >= (first >> level));
        self.late = self.late.split_off(&first);
        if self.dictionary.len() >= self.rebuild_at {
            self.rebuild_dictionary()?;
        }
        Ok(())
    }

    /// Ordinals of the panes held.
    pub fn ordinals(&self) -> impl Iterator<Item = i64> {
        self.nodes.range((0, i64::MIN)..=(0, i64::MAX)).map(|(&(_, ordinal), _)| ordinal)
    }

    /// Entries held, inner nodes included.
    pub fn entries(&self) -> usize {
        self.nodes.values().chain(self.late.values().flatten()).map(|node| node.ids.len()).sum()
    }

    /// Bytes held, about.
    pub fn size(&self) -> usize {
        self.dictionary.size() + self.nodes.values().chain(self.late.values().flatten()).map(Node::size).sum::<usize>()
    }

    /// The panes; those sealed before `since` without their partial aggregates.
    pub fn leaves(&self, since: u64) -> Result<Vec<TreeLeaf>> {
        let leaves = self.nodes.range((0, i64::MIN)..=(0, i64::MAX)).map(|(&(_, ordinal), node)| (ordinal, node));
        let late = self.late.iter().flat_map(|(&ordinal, nodes)| nodes.iter().map(move |node| (ordinal, node)));
        let mut all = Vec::new();
        for (ordinal, node) in leaves.chain(late) {
            let partial = if node.seal < since {
                None
            } else {
                Some(Partial { rows: node.ids.len(), keys: self.keys_of(&node.ids)?, states: node.states.clone() })
            };
            all.push(TreeLeaf { ordinal, seal: node.seal, rows: node.ids.len(), bytes: node.size() as u64, partial });
        }
        Ok(all)
    }

    /// Collects the largest nodes that lie inside `first..end`.
    fn cover<'a>(&'a self, level: u32, index: i64, first: i64, end: i64, pieces: &mut Vec<&'a Node>) {
        let (low, high) = (index << level, (index + 1) << level);
        if high <= first || end <= low {
            return;
        }
        if first <= low
            && high <= end
            && let Some(node) = self.nodes.get(&(level, index))
        {
            pieces.push(node);
        } else if level > 0 {
            self.cover(level - 1, 2 * index, first, end, pieces);
            self.cover(level - 1, 2 * index + 1, first, end, pieces);
        }
    }

    fn make_node(&mut self, partial: Partial, seal: u64) -> Result<Node> {
        let known = self.dictionary.len();
        let mut ids = Vec::with_capacity(partial.rows);
        self.dictionary.intern(&partial.keys, partial.rows, &mut ids)?;
        if self.dictionary.len() > known && !partial.keys.is_empty() {
            // Keys of a partial are distinct and ids are given in row order, so the new ones stand in order of id.
            let new = BooleanArray::new(BooleanBuffer::collect_bool(ids.len(), |row| ids[row] >= known), None);
            let chunk = partial.keys.iter().map(|column| filter(column, &new)).collect::<std::result::Result<_, _>>()?;
            self.key_chunks.push(chunk);
        }
        Ok(Node { seal, ids, states: partial.states })
    }

    /// Key columns of these ids, in their order.
    fn keys_of(&self, ids: &[usize]) -> Result<Vec<ArrayRef>> {
        let keys = self.keys()?;
        if ids.len() == self.dictionary.len() && ids.iter().enumerate().all(|(place, &id)| place == id) {
            return Ok(keys);
        }
        let ids = UInt64Array::from_iter_values(ids.iter().map(|&id| id as u64));
        Ok(keys.iter().map(|column| take(column, &ids, None)).collect::<std::result::Result<_, _>>()?)
    }

    /// All key columns in order of id.
    fn keys(&self) -> Result<Vec<ArrayRef>> {
        let column = |(column, field): (usize, &FieldRef)| match self.key_chunks.as_slice() {
            [] => Ok(new_empty_array(field.data_type())),
            [only] => Ok(ArrayRef::clone(&only[column])),
            several => {
                let chunks: Vec<&dyn Array> = several.iter().map(|chunk| chunk[column].as_ref()).collect();
                Ok(concat(&chunks)?)
            }
        };
        self.layout.keys.fields().iter().enumerate().map(column).collect()
    }

    /// Drops the keys that no node refers to, if they are at least half; otherwise looks again at twice the size.
    fn rebuild_dictionary(&mut self) -> Result<()> {
        let groups = self.dictionary.len();
        let mut used = vec![false; groups];
        for node in self.nodes.values().chain(self.late.values().flatten()) {
            node.ids.iter().for_each(|&id| used[id] = true);
        }
        let live = used.iter().filter(|&&used| used).count();
        if live * 2 > groups {
            self.rebuild_at = groups * 2;
            return Ok(());
        }
        self.rebuild_at = (live * 2).max(DICTIONARY_REBUILD_KEYS_MIN);
        let mut renumbered = vec![usize::MAX; groups];
        let live_ids = used.iter().enumerate().filter(|(_, used)| **used).map(|(id, _)| id);
        for (number, id) in live_ids.enumerate() {
            renumbered[id] = number;
        }
        let mask = BooleanArray::new(BooleanBuffer::from(used), None);
        let keys: Vec<ArrayRef> = self.keys()?.iter().map(|column| filter(column, &mask)).collect::<std::result::Result<_, _>>()?;
        self.dictionary = KeyTable::try_new(&self.layout.keys)?;
        let mut ids = Vec::new();
        self.dictionary.intern(&keys, live, &mut ids)?;
        self.key_chunks = vec![keys];
        for node in self.nodes.values_mut().chain(self.late.values_mut().flatten()) {
            node.ids.iter_mut().for_each(|id| *id = renumbered[*id]);
        }
        Ok(())
    }

    /// Makes one chunk of the key columns, so that windows share it; to be called before reading windows.
    pub fn settle(&mut self) -> Result<()> {
        if self.key_chunks.len() > 1 {
            self.key_chunks = vec![self.keys()?];
        }
        Ok(())
    }
}

/// Dense places for dictionary ids, in order of first appearance; kept between merges, so that a merge costs its entries only.
#[derive(Debug, Default)]
struct Slots {
    /// By id; `usize::MAX` where it has none.
    slot_of: Vec<usize>,
    /// By slot.
    ids: Vec<usize>,
}

impl Slots {
    /// Fills `slots` with the places of `ids`, giving new ones where needed.
    fn place(&mut self, ids: &[usize], slots: &mut Vec<usize>) {
        slots.clear();
        for &id in ids {
            if id >= self.slot_of.len() {
                self.slot_of.resize(id + 1, usize::MAX);
            }
            if self.slot_of[id] == usize::MAX {
                self.slot_of[id] = self.ids.len();
                self.ids.push(id);
            }
            slots.push(self.slot_of[id]);
        }
    }

    /// Forgets all places and gives the ids in order of their places.
    fn take_ids(&mut self) -> Vec<usize> {
        for &id in &self.ids {
            self.slot_of[id] = usize::MAX;
        }
        std::mem::take(&mut self.ids)
    }
}

/// Nodes being merged. An accumulator takes every group below the number it is told for one that it has seen, so that number is
/// always the one of the groups so far, never the final one.
struct Merge<'a> {
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    slots: &'a mut Slots,
    places: Vec<usize>,
}

impl<'a> Merge<'a> {
    fn new(accumulators: Vec<Box<dyn GroupsAccumulator>>, slots: &'a mut Slots) -> Self {
        Self { accumulators, slots, places: Vec::new() }
    }

    fn add(&mut self, node: &Node) -> Result<()> {
        self.slots.place(&node.ids, &mut self.places);
        let groups = self.slots.ids.len();
        for (accumulator, states) in self.accumulators.iter_mut().zip(&node.states) {
            accumulator.merge_batch(states, &self.places, groups)?;
        }
        Ok(())
    }

    /// Dictionary ids and accumulators by group.
    fn finish(self) -> (Vec<usize>, Vec<Box<dyn GroupsAccumulator>>) {
        (self.slots.take_ids(), self.accumulators)
    }
}

/// The two nodes as one, or `None` if fewer than a quarter of their entries coincide.
fn combine(layout: &TableLayout, left: &Node, right: &Node, slots: &mut Slots) -> Result<Option<Node>> {
    let mut places = Vec::with_capacity(right.ids.len());
    slots.place(&left.ids, &mut places);
    slots.place(&right.ids, &mut places);
    let entries = slots.take_ids().len();
    if entries * 4 > (left.ids.len() + right.ids.len()) * 3 {
        return Ok(None);
    }
    let mut merge = Merge::new(layout.accumulators()?, slots);
    merge.add(left)?;
    merge.add(right)?;
    let (ids, mut accumulators) = merge.finish();
    let states = accumulators.iter_mut().map(|accumulator| accumulator.state(EmitTo::All)).collect::<Result<_>>()?;
    Ok(Some(Node { seal: 0, ids, states }))
}
