//! How often each label was predicted as what, and the averages over classes that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type};

use super::rows::for_each_row;
use super::{Average, MetricStates, Share, share};
use crate::learner::error::{LearnError, Result};

/// What comes out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Cells,
    Share(Share, Average, Option<f64>),
}

#[derive(Clone, Debug)]
pub(super) struct ConfusionStates {
    output: Output,
    classes: ClassNumbers,
    states: Vec<Cells>,
}

/// Most different labels of one aggregate.
const CLASSES_MAX: usize = 10_000;
/// Up to so many classes a group's counts are a square.
const DENSE_CLASSES_MAX: u32 = 32;

/// Numbers for labels, the same in all groups.
#[derive(Clone, Debug, Default)]
struct ClassNumbers {
    names: Vec<String>,
    by_name: HashMap<String, u32>,
    by_bits: HashMap<u64, u32>,
    /// Of the integers from 0; `u32::MAX`: not seen.
    small: Vec<u32>,
}

/// Whole numbers below this are looked up in a list.
const SMALL: i64 = 256;

impl ClassNumbers {
    fn name(&mut self, name: &str) -> Result<u32> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        if self.names.len() >= CLASSES_MAX {
            return Err(LearnError::user(format!(
                "the labels have more than {CLASSES_MAX} different values (hint: mae, rmse and r2_score are for numbers)"
            )));
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), number);
        Ok(number)
    }

    fn integer(&mut self, value: i64) -> Result<u32> {
        if (0..SMALL).contains(&value) {
            if self.small.is_empty() {
                self.small = vec![u32::MAX; SMALL as usize];
            }
            let at = value as usize;
            if self.small[at] == u32::MAX {
                self.small[at] = self.name(&value.to_string())?;
            }
            return Ok(self.small[at]);
        }
        self.bits(value as u64, || value.to_string())
    }

    fn number(&mut self, value: f64) -> Result<u32> {
        if value.fract() == 0.0 && (0.0..SMALL as f64).contains(&value) {
            return self.integer(value as i64);
        }
        // 0 and -0 are equal.
        self.bits((value + 0.0).to_bits(), || value.to_string())
    }

    fn bits(&mut self, bits: u64, name: impl FnOnce() -> String) -> Result<u32> {
        if let Some(number) = self.by_bits.get(&bits) {
            return Ok(*number);
        }
        let number = self.name(&name())?;
        self.by_bits.insert(bits, number);
        Ok(number)
    }

    /// The number of each row's label; that of a NULL does not matter.
    fn column(&mut self, labels: &ArrayRef) -> Result<Vec<u32>> {
        let rows = 0..labels.len();
        let known = |row: usize| labels.is_valid(row);
        match labels.data_type() {
            DataType::Boolean => {
                let (no, yes) = (self.name("false")?, self.name("true")?);
                Ok(labels.as_boolean().values().iter().map(|label| if label { yes } else { no }).collect())
            }
            DataType::Int64 => {
                let values = labels.as_primitive::<Int64Type>().values();
                rows.map(|row| if known(row) { self.integer(values[row]) } else { Ok(0) }).collect()
            }
            DataType::Float64 => {
                let values = labels.as_primitive::<Float64Type>().values();
                rows.map(|row| if known(row) { self.number(values[row]) } else { Ok(0) }).collect()
            }
            DataType::Utf8 => {
                let texts = labels.as_string::<i32>();
                rows.map(|row| if known(row) { self.name(texts.value(row)) } else { Ok(0) }).collect()
            }
            other => Err(LearnError::user(format!("labels came as {other}, which was not planned"))),
        }
    }
}

/// Counts by (label, prediction).
#[derive(Clone, Debug)]
enum Cells {
    Dense { side: u32, counts: Vec<i64> },
    Sparse(HashMap<(u32, u32), i64>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Dense { side: 0, counts: Vec::new() }
    }
}

impl Cells {
    #[inline]
    fn add(&mut self, label: u32, predicted: u32, count: i64) {
        if let Self::Dense { side, counts } = self
            && label.max(predicted) < *side
        {
            counts[(label * *side + predicted) as usize] += count;
            return;
        }
        self.add_new(label, predicted, count);
    }

    #[cold]
    fn add_new(&mut self, label: u32, predicted: u32, count: i64) {
        let classes = label.max(predicted) + 1;
        if let Self::Dense { side, .. } = self
            && classes > *side
        {
            let known = self.list();
            *self = if classes <= DENSE_CLASSES_MAX {
                let side = classes.next_power_of_two();
                Self::Dense { side, counts: vec![0; (side * side) as usize] }
            } else {
                Self::Sparse(HashMap::new())
            };
            for (label, predicted, count) in known {
                self.add(label, predicted, count);
            }
        }
        match self {
            Self::Dense { side, counts } => counts[(label * *side + predicted) as usize] += count,
            Self::Sparse(counts) => *counts.entry((label, predicted)).or_default() += count,
        }
    }

    fn list(&self) -> Vec<(u32, u32, i64)> {
        match self {
            Self::Dense { side, counts } => {
                let cell = |(at, count): (usize, &i64)| (at as u32 / side, at as u32 % side, *count);
                counts.iter().enumerate().filter(|(_, count)| **count != 0).map(cell).collect()
            }
            Self::Sparse(counts) => counts.iter().map(|((label, predicted), count)| (*label, *predicted, *count)).collect(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Dense { counts, .. } => counts.capacity() * 8,
            Self::Sparse(counts) => counts.capacity() * 24,
        }
    }
}

impl ConfusionStates {
    pub(super) fn new(output: Output) -> Self {
        Self { output, classes: ClassNumbers::default(), states: Vec::new() }
    }

    /// A list of cells for each group, by label and prediction: whole numbers by size, others by text.
    fn cells(&self, states: &[Cells]) -> Result<ArrayRef> {
        let name = |class: u32| self.classes.names[class as usize].as_str();
        let lists = states.iter().map(|state| {
            let mut cells: Vec<Cell<'_>> =
                state.list().into_iter().map(|(label, predicted, count)| (name(label), name(predicted), count)).collect();
            cells.sort_by(|a, b| order(a.0).cmp(&order(b.0)).then_with(|| order(a.1).cmp(&order(b.1))));
            cells
        });
        cell_lists(lists)
    }
}

/// Label, prediction, rows.
pub(super) type Cell<'a> = (&'a str, &'a str, i64);

/// A list of cells for each group.
pub(super) fn cell_lists<'a>(lists: impl IntoIterator<Item = Vec<Cell<'a>>>) -> Result<ArrayRef> {
    let (mut labels, mut predicted, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for cells in lists {
        lengths.push(cells.len());
        for (label, prediction, count) in cells {
            labels.push(label);
            predicted.push(prediction);
            counts.push(count);
        }
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(labels)), Arc::new(StringArray::from(predicted)), Arc::new(Int64Array::from(counts))];
    let cells = StructArray::try_new(cell_fields(), columns, None)?;
    let item = Arc::new(Field::new_list_field(cell_type(), false));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(cells), None)?))
}

/// A column of lists of cells.
pub(super) struct CellLists<'a> {
    lists: &'a ListArray,
    pub(super) labels: &'a ArrayRef,
    pub(super) predicted: &'a ArrayRef,
    pub(super) counts: &'a Int64Array,
}

impl<'a> CellLists<'a> {
    pub(super) fn new(states: &'a [ArrayRef]) -> Result<Self> {
        let wrong = || LearnError::state("the state of a metric by class must be a list of cells");
        let lists = states.first().and_then(|column| column.as_list_opt::<i32>()).ok_or_else(wrong)?;
        let cells = lists.values().as_struct_opt().filter(|cells| cells.num_columns() == 3).ok_or_else(wrong)?;
        let counts = cells.column(2).as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        Ok(Self { lists, labels: cells.column(0), predicted: cells.column(1), counts })
    }

    /// Where the cells of a row are.
    pub(super) fn of(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.lists.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }
}

fn order(name: &str) -> (Option<i64>, &str) {
    (name.parse().ok(), name)
}

fn cell_fields() -> Fields {
    Fields::from(vec![
        Field::new("label", DataType::Utf8, false),
        Field::new("predicted", DataType::Utf8, false),
        Field::new("rows", DataType::Int64, false),
    ])
}

/// Type of a cell.
pub(super) fn cell_type() -> DataType {
    DataType::Struct(cell_fields())
}

/// A class's true positives, rows and predictions.
#[derive(Default)]
struct Class {
    hits: f64,
    rows: f64,
    predicted: f64,
}

fn averaged(cells: &Cells, of: Share, average: Average, zero_division: Option<f64>) -> Option<f64> {
    let mut classes: BTreeMap<u32, Class> = BTreeMap::new();
    for (label, predicted, count) in cells.list() {
        let count = count as f64;
        classes.entry(label).or_default().rows += count;
        classes.entry(predicted).or_default().predicted += count;
        if label == predicted {
            classes.entry(label).or_default().hits += count;
        }
    }
    let rows: f64 = classes.values().map(|class| class.rows).sum();
    if rows == 0.0 {
        return None;
    }
    let score = |class: &Class| {
        share(of, class.hits, class.predicted - class.hits, class.rows - class.hits).unwrap_or(zero_division.unwrap_or(0.0))
    };
    Some(match average {
        Average::Macro => classes.values().map(score).sum::<f64>() / classes.len() as f64,
        Average::Weighted => classes.values().map(|class| score(class) * class.rows).sum::<f64>() / rows,
        // Every wrong decision is one false positive and one false negative: precision, recall and F1 are the accuracy.
        Average::Micro | Average::Binary => classes.values().map(|class| class.hits).sum::<f64>() / rows,
    })
}

impl MetricStates for ConfusionStates {
    fn grow(&mut self, groups: usize) {
        if self.states.len() < groups {
            self.states.resize_with(groups, Cells::default);
        }
    }

    fn boxed_clone(&self) -> Box<dyn MetricStates> {
        Box::new(self.clone())
    }

    fn update(&mut self, arguments: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let [label, predicted, ..] = arguments else { return Err(LearnError::user("a metric takes two columns")) };
        let (labels, predictions) = (self.classes.column(label)?, self.classes.column(predicted)?);
        let states = &mut self.states;
        for_each_row(&[label, predicted], groups, filter, |group, row| states[group].add(labels[row], predictions[row], 1));
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let cells = CellLists::new(states)?;
        let labels = self.classes.column(cells.labels)?;
        let predicted = self.classes.column(cells.predicted)?;
        for (row, group) in groups.iter().enumerate() {
            for at in cells.of(row) {
                self.states[*group].add(labels[at], predicted[at], cells.counts.value(at));
            }
        }
        Ok(())
    }

    fn take_states(&mut self, groups: usize) -> Result<Vec<ArrayRef>> {
        let taken: Vec<Cells> = self.states.drain(..groups.min(self.states.len())).collect();
        Ok(vec![self.cells(&taken)?])
    }

    fn take_values(&mut self, groups: usize) -> Result<ArrayRef> {
        let taken: Vec<Cells> = self.states.drain(..groups.min(self.states.len())).collect();
        match self.output {
            Output::Cells => self.cells(&taken),
            Output::Share(of, average, zero_division) => {
                Ok(Arc::new(taken.iter().map(|cells| averaged(cells, of, average, zero_division)).collect::<Float64Array>()))
            }
        }
    }

    fn groups(&self) -> usize {
        self.states.len()
    }

    fn size(&self) -> usize {
        let names: usize = self.classes.names.iter().map(|name| 2 * name.len() + 64).sum();
        size_of::<Self>() + names + self.states.iter().map(|cells| size_of::<Cells>() + cells.size()).sum::<usize>()
    }
}
