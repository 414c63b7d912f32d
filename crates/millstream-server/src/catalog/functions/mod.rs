//! Functions that clients call to find out about a server.
//!
//! Each is a line in a table: its name, what it returns, and what it does with its arguments as text. They run over a handful of
//! catalog rows, never over data.

mod definitions;
mod expand;
mod json;
mod names;
mod privileges;
mod session;
mod text;
mod timezone;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::Facts;
use super::shape::{Cell, field};
use crate::error::WireError;

pub(super) use definitions::index_definition;
pub(super) use names::format_type;

/// Arguments of one row.
type Arguments<'a> = [Option<&'a str>];

/// What a function does with one row.
type Body = fn(&Facts, &Arguments<'_>) -> std::result::Result<Option<Cell>, WireError>;

/// A function: its name, the type it returns, and its body.
struct Entry {
    name: &'static str,
    returns: &'static str,
    body: Body,
}

const fn entry(name: &'static str, returns: &'static str, body: Body) -> Entry {
    Entry { name, returns, body }
}

/// All functions of a session.
pub(super) fn all(facts: &Arc<Facts>) -> Vec<ScalarUDF> {
    let tables = [session::FUNCTIONS, privileges::FUNCTIONS, names::FUNCTIONS, definitions::FUNCTIONS, text::FUNCTIONS, json::FUNCTIONS];
    let function = |entry: &'static Entry| {
        let signature = Signature::one_of(
            vec![datafusion::logical_expr::TypeSignature::Nullary, datafusion::logical_expr::TypeSignature::VariadicAny],
            Volatility::Stable,
        );
        ScalarUDF::from(Function { entry, facts: Arc::clone(facts), signature })
    };
    let expand = ScalarUDF::from(expand::ExpandArray::new());
    tables.into_iter().flatten().map(function).chain([expand, ScalarUDF::from(timezone::AtTimeZone::new())]).collect()
}

#[derive(Clone)]
struct Function {
    entry: &'static Entry,
    facts: Arc<Facts>,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.entry.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.entry.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(field("", self.entry.returns).data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(field(self.entry.name, self.entry.returns)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let marks = self.entry.name == "json_build_object";
        let columns = args.args.iter().map(|argument| as_text(argument, rows, marks)).collect::<Result<Vec<_>>>()?;
        let mut cells = Vec::with_capacity(rows);
        for row in 0..rows {
            let arguments: Vec<Option<&str>> = columns
                .iter()
                .map(|column| {
                    let column = column.as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row))
                })
                .collect();
            let cell = (self.entry.body)(&self.facts, &arguments);
            cells.push(cell.map_err(|error| DataFusionError::External(Box::new(own(&error))))?);
        }
        let kind = args.return_field.data_type();
        let array = super::shape::column_of(kind, &cells);
        match all_scalar {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

/// The engine passes its own errors on as they are.
fn own(error: &WireError) -> millstream::Error {
    let state: &'static str = match error.sqlstate.as_str() {
        "42704" => "42704",
        "42P01" => "42P01",
        "22023" => "22023",
        "42501" => "42501",
        "22P02" => "22P02",
        _ => "22000",
    };
    millstream::Error::user(state, error.message.clone())
}

/// Stands before numbers and truth values where JSON is made of them.
const NO_TEXT: char = '\u{1}';

fn as_text(argument: &ColumnarValue, rows: usize, marks: bool) -> Result<ArrayRef> {
    let array = argument.clone().into_array(rows)?;
    if marks && (array.data_type().is_numeric() || *array.data_type() == DataType::Boolean) {
        let text = cast(&array, &DataType::Utf8)?;
        let marked = text.as_string::<i32>().iter().map(|value| value.map(|value| format!("{NO_TEXT}{value}")));
        return Ok(Arc::new(marked.collect::<datafusion::arrow::array::StringArray>()));
    }
    match array.data_type() {
        DataType::Utf8 => Ok(array),
        DataType::List(element) if element.data_type().is_numeric() => Ok(Arc::new(braced(&array)?)),
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => Ok(datafusion::arrow::array::new_null_array(&DataType::Utf8, rows)),
        _ => Ok(cast(&array, &DataType::Utf8)?),
    }
}

/// Lists of numbers as `{1,2}`.
fn braced(array: &ArrayRef) -> Result<datafusion::arrow::array::StringArray> {
    let list = array.as_list::<i32>();
    let numbers = cast(list.values(), &DataType::Utf8)?;
    let numbers = numbers.as_string::<i32>();
    let text = |row: usize| {
        let offsets = list.value_offsets();
        let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
        let parts: Vec<&str> = (place(offsets[row])..place(offsets[row + 1])).map(|n| numbers.value(n)).collect();
        list.is_valid(row).then(|| format!("{{{}}}", parts.join(",")))
    };
    Ok((0..list.len()).map(text).collect())
}

/// The n-th argument as a number.
fn number<T: std::str::FromStr>(arguments: &Arguments<'_>, n: usize) -> Option<T> {
    arguments.get(n).copied().flatten()?.trim().parse().ok()
}

/// The n-th argument as text.
fn text_at<'a>(arguments: &Arguments<'a>, n: usize) -> Option<&'a str> {
    arguments.get(n).copied().flatten()
}
