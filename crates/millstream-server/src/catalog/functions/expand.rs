//! `_pg_expandarray(keys)`: each element of an array with its place, as `information_schema` of PostgreSQL has it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function: a list of `{x, n}` of a list of `x`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ExpandArray {
    signature: Signature,
}

impl ExpandArray {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

fn fields_of(element: &Field) -> Fields {
    Fields::from(vec![Field::new("x", element.data_type().clone(), true), Field::new("n", DataType::Int32, true)])
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &'static str {
        "_pg_expandarray"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::List(element)] => Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(fields_of(element)), true)))),
            _ => Err(DataFusionError::Plan("_pg_expandarray takes an array".to_owned())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args.first().ok_or_else(|| DataFusionError::Plan("_pg_expandarray takes an array".to_owned()))?;
        let array = array.clone().into_array(args.number_rows)?;
        let list: &ListArray = array.as_list();
        let DataType::List(element) = list.data_type() else { return Err(DataFusionError::Plan("not an array".to_owned())) };
        let offsets = list.value_offsets();
        let first = offsets.first().copied().unwrap_or(0);
        // Places count from 1 in each row.
        let places = offsets.windows(2).flat_map(|pair| 1..=(pair[1] - pair[0]));
        let places: Int32Array = places.collect::<Vec<i32>>().into();
        let values = list.values().slice(usize::try_from(first).unwrap_or(0), places.len());
        let fields = fields_of(element);
        let pairs: ArrayRef = Arc::new(StructArray::try_new(fields.clone(), vec![values, Arc::new(places)], None)?);
        let lengths = offsets.windows(2).map(|pair| usize::try_from(pair[1] - pair[0]).unwrap_or(0));
        let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
        let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(lengths);
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item, offsets, pairs, list.nulls().cloned())?)))
    }
}
