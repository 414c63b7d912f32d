//! The points of a chart, collected from batches.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Schema, TimeUnit};
use millstream::connectors::options::did_you_mean;

use super::{Kind, Spec};
use crate::format::cell::Cells;

/// Points kept in all; older ones are dropped.
const POINTS_MAX: usize = 100_000;
/// Series drawn at most; more could not be told apart.
const SERIES_MAX: usize = 24;

/// What the values of x are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Axis {
    #[default]
    Number,
    /// Milliseconds since 1970.
    Time,
    /// Numbers of labels.
    Label,
}

/// One line of a chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// All points by series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Data {
    x: Option<usize>,
    y: usize,
    by: Option<usize>,
    pub(crate) x_name: String,
    pub(crate) y_name: String,
    pub(crate) axis: Axis,
    pub(crate) labels: Vec<String>,
    label_ids: BTreeMap<String, usize>,
    series: Vec<Series>,
    points: usize,
    dropped_points: u64,
    dropped_series: u64,
    rows: u64,
}

impl Data {
    /// Chooses the columns of a result; the error is a complete message.
    pub(crate) fn new(spec: &Spec, schema: &Schema) -> Result<Self, String> {
        let by = spec.by.as_ref().map(|name| column(schema, name)).transpose()?;
        let x = spec.x.as_ref().map(|name| column(schema, name)).transpose()?;
        let y = spec.y.as_ref().map(|name| column(schema, name)).transpose()?;
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        let is_free = |idx: &usize| Some(*idx) != by && Some(*idx) != y && Some(*idx) != x;
        let first = |fits: fn(&DataType) -> bool| (0..types.len()).filter(is_free).find(|idx| fits(types[*idx]));
        let x = match (spec.kind, x) {
            (Kind::Hist, _) => None,
            (_, Some(x)) => Some(x),
            (_, None) => first(is_time).or_else(|| first(|data_type| !data_type.is_numeric())).or_else(|| first(|_| true)),
        };
        let is_y = |idx: &usize| Some(*idx) != x && Some(*idx) != by && types[*idx].is_numeric();
        let missing = || "a chart needs a column of numbers (hint: \\chart line x y names the columns)".to_owned();
        let y = y.or_else(|| (0..types.len()).find(is_y)).ok_or_else(missing)?;
        if !types[y].is_numeric() {
            return Err(format!("column {} is no number: it is {}", schema.field(y).name(), types[y]));
        }
        // Nothing was named: a column of texts beside time tells the series apart.
        let is_text = |idx: &usize| Some(*idx) != x && *idx != y && matches!(types[*idx], DataType::Utf8 | DataType::Utf8View);
        let guess = spec.x.is_none() && spec.kind != Kind::Hist && x.is_some_and(|x| is_time(types[x]));
        let by = by.or_else(|| guess.then(|| (0..types.len()).find(is_text)).flatten());
        let axis = match x.map(|x| types[x]) {
            Some(data_type) if is_time(data_type) => Axis::Time,
            Some(data_type) if !data_type.is_numeric() => Axis::Label,
            _ => Axis::Number,
        };
        let name = |idx: usize| schema.field(idx).name().clone();
        Ok(Self { x, y, by, x_name: x.map(name).unwrap_or_default(), y_name: name(y), axis, ..Self::default() })
    }

    /// Adds the rows of a batch; rows without x or y are left out.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("the rows cannot be drawn: {error}");
        let cells = Cells::new(batch).map_err(|error| failed(&error))?;
        let ys = numbers(batch.column(self.y)).map_err(|error| failed(&error))?;
        let xs = match (self.x, self.axis) {
            (Some(x), Axis::Number | Axis::Time) => Some(numbers(batch.column(x)).map_err(|error| failed(&error))?),
            _ => None,
        };
        let ys = ys.as_primitive::<Float64Type>();
        let xs = xs.as_ref().map(|xs| xs.as_primitive::<Float64Type>());
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            self.rows += 1;
            if ys.is_null(row) || xs.is_some_and(|xs| xs.is_null(row)) || !ys.value(row).is_finite() {
                continue;
            }
            let x = match (xs, self.x) {
                (Some(xs), _) => xs.value(row),
                (None, Some(x)) => {
                    text.clear();
                    cells.append(x, row, &mut text).map_err(|error| failed(&error))?;
                    count(self.label(&text))
                }
                (None, None) => count(usize::try_from(self.rows).unwrap_or(usize::MAX)),
            };
            text.clear();
            if let Some(by) = self.by {
                cells.append(by, row, &mut text).map_err(|error| failed(&error))?;
            }
            self.push(&text, (x, ys.value(row)));
        }
        Ok(())
    }

    fn label(&mut self, text: &str) -> usize {
        if let Some(id) = self.label_ids.get(text) {
            return *id;
        }
        let id = self.labels.len();
        self.labels.push(text.to_owned());
        self.label_ids.insert(text.to_owned(), id);
        id
    }

    fn push(&mut self, name: &str, point: (f64, f64)) {
        let idx = match self.series.iter().position(|series| series.name == name) {
            Some(idx) => idx,
            None if self.series.len() >= SERIES_MAX => {
                self.dropped_series += 1;
                return;
            }
            None => {
                self.series.push(Series { name: name.to_owned(), points: Vec::new() });
                self.series.len() - 1
            }
        };
        self.series[idx].points.push(point);
        self.points += 1;
        if self.points > POINTS_MAX {
            self.drop_old();
        }
    }

    /// Drops the older half of every series.
    fn drop_old(&mut self) {
        for series in &mut self.series {
            let half = series.points.len() / 2;
            series.points.drain(..half);
            self.points -= half;
            self.dropped_points += half as u64;
        }
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// The least and the greatest of x and of y.
    pub(crate) fn range(&self) -> ((f64, f64), (f64, f64)) {
        let mut x = (f64::INFINITY, f64::NEG_INFINITY);
        let mut y = x;
        for (px, py) in self.series.iter().flat_map(|series| &series.points) {
            x = (x.0.min(*px), x.1.max(*px));
            y = (y.0.min(*py), y.1.max(*py));
        }
        (x, y)
    }

    /// The text of an x.
    pub(crate) fn x_text(&self, x: f64) -> String {
        match self.axis {
            Axis::Number => super::ticks::number(x),
            Axis::Time => super::ticks::time(x, 1.0),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            Axis::Label => self.labels.get(x.round() as usize).cloned().unwrap_or_default(),
        }
    }

    /// The name of x; with the date, if all times are of one day.
    pub(crate) fn x_caption(&self) -> String {
        let (x, _) = self.range();
        match super::ticks::common_date(x.0, x.1).filter(|_| self.axis == Axis::Time) {
            Some(date) => format!("{}, {date}", self.x_name),
            None => self.x_name.clone(),
        }
    }

    /// What is not in the picture.
    pub(crate) fn dropped_note(&self) -> Option<String> {
        let points = (self.dropped_points > 0).then(|| format!("the {} oldest points are left out", self.dropped_points));
        let series = (self.dropped_series > 0).then(|| format!("{} rows of further series are left out", self.dropped_series));
        points.or(series)
    }
}

#[expect(clippy::cast_precision_loss, reason = "places on an axis")]
fn count(number: usize) -> f64 {
    number as f64
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

fn column(schema: &Schema, name: &str) -> Result<usize, String> {
    let found = schema.fields().iter().position(|field| field.name() == name);
    found.or_else(|| schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name))).ok_or_else(|| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let near = did_you_mean(name, names.iter().copied()).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        format!("the query has no column '{name}' (hint: {near}there are {})", names.join(", "))
    })
}

/// Times as milliseconds.
fn numbers(column: &ArrayRef) -> Result<ArrayRef, datafusion::arrow::error::ArrowError> {
    let column = match column.data_type() {
        DataType::Timestamp(_, zone) => cast(&cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))?, &DataType::Int64)?,
        DataType::Date32 | DataType::Date64 => cast(&cast(column, &DataType::Date64)?, &DataType::Int64)?,
        _ => ArrayRef::clone(column),
    };
    cast(&column, &DataType::Float64)
}
