//! A column of text forms as a column of values: COPY FROM.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryBuilder, BooleanArray, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::util::display::FormatOptions;

use super::PgType;
use super::parameter::{bytea_digits, invalid};
use crate::error::{Result, WireError};

/// Values of `data_type`; a text that is none is an error that shows it.
pub(crate) fn column_of_text(text: &StringArray, data_type: &DataType, pg_type: &PgType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let values: ArrayRef = match data_type {
        DataType::Boolean => Arc::new(text.iter().map(|value| value.and_then(truth)).collect::<BooleanArray>()),
        DataType::Binary => Arc::new(bytes(text)),
        DataType::List(element) => lists(text, element, pg_type)?,
        DataType::Struct(_) | DataType::Map(..) => {
            return Err(WireError::unsupported(format!("COPY cannot read columns of type {data_type}")));
        }
        // Through the widest type, so that a number out of range is told from a text that is none.
        _ => cast_with_options(text, data_type, &options)?,
    };
    let lost = (0..text.len()).find(|row| text.is_valid(*row) && values.is_null(*row));
    match lost {
        None => Ok(values),
        Some(row) => Err(invalid(pg_type, text.value(row))),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "yes" | "y" | "on" | "1" => Some(true),
        "f" | "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn bytes(text: &StringArray) -> datafusion::arrow::array::BinaryArray {
    let mut builder = BinaryBuilder::new();
    for value in text {
        let digits = value.and_then(bytea_digits);
        let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match digits.and_then(|digits| digits.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>()) {
            Some(bytes) => builder.append_value(bytes),
            None => builder.append_null(),
        }
    }
    builder.finish()
}

/// Arrays, through JSON's reader: their own text form is not far from it.
fn lists(text: &StringArray, element: &Arc<Field>, pg_type: &PgType) -> Result<ArrayRef> {
    use datafusion::arrow::array::{ListBuilder, StringBuilder};
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in text {
        match value {
            None => builder.append_null(),
            Some(value) => {
                for part in super::parameter::array_parts(value)? {
                    builder.values().append_option(part);
                }
                builder.append(true);
            }
        }
    }
    let lists = builder.finish();
    let inner = lists.values().as_any().downcast_ref::<StringArray>();
    let inner = inner.ok_or_else(|| WireError::new("XX000", "elements are no text"))?;
    let element_type = pg_type.element().unwrap_or(PgType::TEXT);
    let values = column_of_text(inner, element.data_type(), &element_type)?;
    let list = datafusion::arrow::array::ListArray::try_new(Arc::clone(element), lists.offsets().clone(), values, lists.nulls().cloned())?;
    Ok(Arc::new(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::AsArray;

    fn read(values: &[Option<&str>], data_type: &DataType) -> Result<ArrayRef> {
        column_of_text(&StringArray::from(values.to_vec()), data_type, &PgType::from_arrow(data_type))
    }

    #[test]
    fn texts_become_values() {
        let lists = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        assert!(!read(&[Some("t"), None, Some("off")], &DataType::Boolean).unwrap().as_boolean().value(2));
        assert_eq!(read(&[Some("\\x0aff")], &DataType::Binary).unwrap().as_binary::<i32>().value(0), [10, 255]);
        assert_eq!(read(&[Some("{1,NULL,3}"), Some("{}")], &lists).unwrap().as_list::<i32>().value(0).len(), 3);
        assert_eq!(read(&[Some("1"), Some("x")], &DataType::Int64).unwrap_err().sqlstate, "22P02");
    }
}
