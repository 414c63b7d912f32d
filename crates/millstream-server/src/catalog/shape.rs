//! The columns of PostgreSQL's catalog, and rows put into them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
    UInt32Builder, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::Result;
use crate::values::PG_TYPE;

/// A relation of the catalog.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) schema_name: String,
    pub(crate) name: String,
    pub(crate) oid: u32,
    /// `r`: table, `v`: view.
    pub(crate) kind: char,
    /// Names and types.
    pub(crate) columns: Vec<(String, String)>,
    pub(crate) schema: SchemaRef,
}

/// One relation a line: its name, number, kind, and columns with their types, as in PostgreSQL 15.
const RELATIONS: &str = include_str!("relations.txt");

/// All relations by schema and name.
pub(crate) static SHAPES: LazyLock<BTreeMap<(String, String), Shape>> = LazyLock::new(|| {
    let shapes = RELATIONS.lines().filter_map(read_line);
    shapes.map(|shape| ((shape.schema_name.clone(), shape.name.clone()), shape)).collect()
});

pub(crate) fn shape(schema: &str, name: &str) -> Option<&'static Shape> {
    SHAPES.get(&(schema.to_owned(), name.to_owned()))
}

fn read_line(line: &str) -> Option<Shape> {
    let mut words = line.split(' ');
    let (schema_name, name) = words.next()?.split_once('.')?;
    let oid = words.next()?.parse().ok()?;
    let kind = words.next()?.chars().next()?;
    let columns: Vec<(String, String)> =
        words.filter_map(|word| word.split_once(':')).map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| field(name, kind)).collect();
    let schema = Arc::new(Schema::new(fields));
    Some(Shape { schema_name: schema_name.to_owned(), name: name.to_owned(), oid, kind, columns, schema })
}

/// A column of a PostgreSQL type.
pub(crate) fn field(name: &str, pg_type: &str) -> Field {
    let list = |element: DataType| DataType::List(Arc::new(Field::new("item", element, true)));
    let data_type = match pg_type {
        "oid" | "xid" => DataType::UInt32,
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "numeric" => DataType::Decimal128(38, 10),
        "interval" => DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano),
        "bytea" => DataType::Binary,
        "_oid" | "oidvector" => list(DataType::UInt32),
        "_int2" | "int2vector" => list(DataType::Int16),
        "_text" | "_name" | "_char" | "_aclitem" => list(DataType::Utf8),
        "_float4" => list(DataType::Float32),
        _ => DataType::Utf8,
    };
    Field::new(name, data_type, true).with_metadata(HashMap::from([(PG_TYPE.to_owned(), pg_type.to_owned())]))
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Oid(u32),
    Int(i64),
    Bool(bool),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Cell {
    fn from(oid: u32) -> Self {
        Self::Oid(oid)
    }
}

/// A row: values by column; what is not named is NULL.
pub(crate) type Row = Vec<(&'static str, Cell)>;

/// Rows in the columns of a relation.
pub(crate) fn batch(shape: &Shape, rows: &[Row]) -> Result<RecordBatch> {
    let columns = shape.schema.fields().iter().map(|field| {
        let cells: Vec<Option<&Cell>> =
            rows.iter().map(|row| row.iter().find(|(name, _)| name == field.name()).map(|(_, cell)| cell)).collect();
        column(field.data_type(), &cells)
    });
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&shape.schema), columns.collect(), &options)?)
}

/// Values of a function.
pub(super) fn column_of(data_type: &DataType, cells: &[Option<Cell>]) -> ArrayRef {
    column(data_type, &cells.iter().map(Option::as_ref).collect::<Vec<_>>())
}

fn column(data_type: &DataType, cells: &[Option<&Cell>]) -> ArrayRef {
    let number = |cell: &Option<&Cell>| match cell {
        Some(Cell::Int(number)) => Some(*number),
        Some(Cell::Oid(oid)) => Some(i64::from(*oid)),
        _ => None,
    };
    macro_rules! numbers {
        ($builder:ty, $convert:expr) => {{
            let mut builder = <$builder>::with_capacity(cells.len());
            cells.iter().for_each(|cell| builder.append_option(number(cell).map($convert)));
            Arc::new(builder.finish())
        }};
    }
    match data_type {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(cells.len());
            cells.iter().for_each(|cell| builder.append_option(if let Some(Cell::Bool(truth)) = cell { Some(*truth) } else { None }));
            Arc::new(builder.finish())
        }
        DataType::Int16 => numbers!(Int16Builder, |n| i16::try_from(n).unwrap_or(i16::MAX)),
        DataType::Int32 => numbers!(Int32Builder, |n| i32::try_from(n).unwrap_or(i32::MAX)),
        DataType::Int64 => numbers!(Int64Builder, |n| n),
        DataType::UInt32 => numbers!(UInt32Builder, |n| u32::try_from(n).unwrap_or(0)),
        #[expect(clippy::cast_precision_loss, reason = "estimates")]
        DataType::Float32 => numbers!(Float32Builder, |n| n as f32),
        DataType::Utf8 => {
            let mut builder = StringBuilder::new();
            for cell in cells {
                match cell {
                    Some(Cell::Text(text)) => builder.append_value(text),
                    Some(Cell::Int(number)) => builder.append_value(number.to_string()),
                    Some(Cell::Oid(number)) => builder.append_value(number.to_string()),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::List(element) => list(element.data_type(), cells),
        other => new_null_array(other, cells.len()),
    }
}

fn list(element: &DataType, cells: &[Option<&Cell>]) -> ArrayRef {
    macro_rules! numbers {
        ($builder:ty, $convert:expr) => {{
            let mut builder = ListBuilder::new(<$builder>::new());
            for cell in cells {
                match cell {
                    Some(Cell::Ints(numbers)) => builder.append_value(numbers.iter().map(|n| Some($convert(*n)))),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match element {
        DataType::Int16 => numbers!(Int16Builder, |n: i64| i16::try_from(n).unwrap_or(i16::MAX)),
        DataType::UInt32 => numbers!(UInt32Builder, |n: i64| u32::try_from(n).unwrap_or(0)),
        DataType::Utf8 => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for cell in cells {
                match cell {
                    Some(Cell::Texts(texts)) => builder.append_value(texts.iter().map(Some)),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        other => new_null_array(&DataType::List(Arc::new(Field::new("item", other.clone(), true))), cells.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_postgresqls() {
        let class = shape("pg_catalog", "pg_class").unwrap();
        assert_eq!((class.oid, class.kind, class.columns.len()), (1259, 'r', 33));
        assert!(SHAPES.len() > 200);
        let rows = vec![vec![("oid", Cell::Oid(7)), ("relname", "a".into())]];
        let batch = batch(class, &rows).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (1, 33));
    }
}
