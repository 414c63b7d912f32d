//! State files and log segments give back exactly the rows and types that were written.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMillisecondType, Field, Fields, Float64Type, Int8Type, Int32Type, IntervalDayTimeType,
    IntervalMonthDayNanoType, Schema, TimestampMicrosecondType, UInt64Type,
};
use millstream_checkpoint::{CheckpointError, FileName, Folder, StateRows, TableLog, state_file};
use proptest::prelude::*;

pub(crate) fn name() -> FileName {
    FileName::parse("state/op/1-2-0-n.parquet").unwrap()
}

/// One column of each kind that accumulators and buffers are made of.
pub(crate) fn all_kinds(values: &[Option<i64>]) -> RecordBatch {
    let ints = || values.iter().copied();
    let texts: Vec<Option<String>> = ints().map(|value| Some(format!("text {}", value?))).collect();
    let text_refs = || texts.iter().map(Option::as_deref);
    let bytes = || texts.iter().map(|text| text.as_ref().map(|text| text.as_bytes()));
    let int64 = Int64Array::from_iter(ints());
    let doubles = Float64Array::from_iter(ints().map(|value| Some(value? as f64 / 3.0)));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        ints().map(|value| Some((0..value? % 4).map(|item| (item != 1).then_some(item as i32)))),
    );
    let fields = Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Float64, true)]);
    let valid = NullBuffer::from_iter(values.iter().map(Option::is_some));
    let structs = StructArray::new(fields, vec![Arc::new(int64.clone()), Arc::new(doubles.clone())], Some(valid));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int64", Arc::new(int64)),
        ("int8", Arc::new(PrimitiveArray::<Int8Type>::from_iter(ints().map(|value| value.map(|value| value as i8))))),
        ("uint64", Arc::new(PrimitiveArray::<UInt64Type>::from_iter(ints().map(|value| value.map(|value| value as u64))))),
        ("float64", Arc::new(PrimitiveArray::<Float64Type>::from_iter(ints().map(|value| value.map(|value| value as f64 * 0.1))))),
        ("nan", Arc::new(Float64Array::from_iter(ints().map(|value| value.map(|_| f64::INFINITY))))),
        ("float16", Arc::new(Float16Array::from_iter(ints().map(|value| value.map(half))))),
        ("boolean", Arc::new(BooleanArray::from_iter(ints().map(|value| value.map(|value| value % 2 == 0))))),
        ("utf8", Arc::new(StringArray::from_iter(text_refs()))),
        ("large_utf8", Arc::new(LargeStringArray::from_iter(text_refs()))),
        ("utf8_view", Arc::new(StringViewArray::from_iter(text_refs()))),
        ("binary", Arc::new(BinaryArray::from_iter(bytes()))),
        ("binary_view", Arc::new(BinaryViewArray::from_iter(bytes()))),
        (
            "fixed",
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ints().map(|value| value.map(i64::to_le_bytes)), 8).unwrap()),
        ),
        ("date", Arc::new(PrimitiveArray::<Date32Type>::from_iter(ints().map(|value| value.map(|value| value as i32))))),
        ("timestamp", Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(ints()))),
        ("timestamp_tz", Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(ints()).with_timezone("Europe/Berlin"))),
        ("duration", Arc::new(PrimitiveArray::<DurationMillisecondType>::from_iter(ints()))),
        (
            "decimal",
            Arc::new(
                PrimitiveArray::<Decimal128Type>::from_iter(ints().map(|value| value.map(i128::from)))
                    .with_precision_and_scale(38, 4)
                    .unwrap(),
            ),
        ),
        ("dictionary", Arc::new(text_refs().collect::<DictionaryArray<Int32Type>>())),
        ("list", Arc::new(lists)),
        ("struct", Arc::new(structs)),
        ("null", Arc::new(NullArray::new(values.len()))),
        ("interval", Arc::new(IntervalYearMonthArray::from_iter(ints().map(|value| value.map(|value| value as i32))))),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| {
            let metadata = HashMap::from([("of".to_owned(), (*name).to_owned())]);
            Field::new(*name, column.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    let schema = Schema::new_with_metadata(fields, HashMap::from([("operator".to_owned(), "agg".to_owned())]));
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// The float16 of a number without a dependency on the type's crate.
fn half(value: i64) -> <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native::from_f64(value as f64)
}

fn check(rows: &StateRows) {
    let encoded = state_file::encode(&name(), rows).unwrap();
    let read = state_file::decode(&encoded.file, &encoded.bytes).unwrap();
    assert_eq!(read.schema, rows.schema);
    assert_eq!(read.rows(), rows.rows());
    assert!(read.batches.iter().all(|batch| batch.schema() == rows.schema), "metadata of batches");
    if rows.rows() > 0 {
        let whole = |rows: &StateRows| arrow::compute::concat_batches(&rows.schema, &rows.batches).unwrap();
        assert_eq!(whole(&read), whole(rows));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_all_kinds_come_back(cuts in prop::collection::vec(prop::collection::vec(any::<Option<i64>>(), 0..40), 1..4)) {
        let batches: Vec<RecordBatch> = cuts.iter().map(|values| all_kinds(values)).collect();
        check(&StateRows { schema: batches[0].schema(), batches });
    }
}

#[test]
fn no_columns_no_rows_no_batches() {
    let schema = Arc::new(Schema::empty());
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
    check(&StateRows { schema: Arc::clone(&schema), batches: vec![batch] });
    check(&StateRows { schema, batches: vec![] });
    let schema = all_kinds(&[]).schema();
    check(&StateRows { schema: Arc::clone(&schema), batches: vec![] });
    check(&StateRows { schema, batches: vec![all_kinds(&[])] });
}

#[test]
fn many_rows_come_back_in_order() {
    let values: Vec<Option<i64>> = (0..20_000).map(Some).collect();
    check(&StateRows { schema: all_kinds(&[]).schema(), batches: vec![all_kinds(&values), all_kinds(&values[..5])] });
}

#[test]
fn what_parquet_cannot_hold_is_refused_with_a_name() {
    let empty_struct = DataType::Struct(Fields::empty());
    let schema = Arc::new(Schema::new(vec![Field::new("s", empty_struct, true)]));
    let error = state_file::encode(&name(), &StateRows { schema, batches: vec![] }).unwrap_err();
    assert!(matches!(&error, CheckpointError::Unsupported(message) if message.contains("'op'")), "{error}");
}

#[tokio::test]
async fn log_segments_hold_all_kinds() {
    let mut log = TableLog::open(Folder::memory(), 1).await.unwrap();
    let batch = all_kinds(&[Some(1), None, Some(-7)]);
    log.append(std::slice::from_ref(&batch)).await.unwrap();
    assert_eq!(log.read_from(1).await.unwrap()[0].batches, [batch]);
}

/// Rarer kinds; apart, because the golden files hold `all_kinds` as it is.
#[test]
fn rarer_kinds_come_back() {
    let month_day_nano = IntervalMonthDayNanoArray::from(vec![Some(IntervalMonthDayNanoType::make_value(1, -2, 3)), None]);
    let day_time = IntervalDayTimeArray::from(vec![Some(IntervalDayTimeType::make_value(1, -2)), None]);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    maps.keys().append_value("k");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let kinds: Vec<ArrayRef> = vec![
        Arc::new(Time64NanosecondArray::from(vec![Some(5), None])),
        Arc::new(Time32SecondArray::from(vec![Some(5), None])),
        Arc::new(TimestampSecondArray::from(vec![Some(5), None])),
        Arc::new(Date64Array::from(vec![Some(86_400_000), None])),
        Arc::new(Decimal256Array::from(vec![Some(arrow::datatypes::i256::from_i128(-7)), None])),
        Arc::new(Decimal64Array::from(vec![Some(7), None])),
        Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None])),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None], 2)),
        Arc::new(LargeBinaryArray::from(vec![Some(b"x".as_slice()), None])),
        Arc::new(maps.finish()),
        Arc::new(day_time),
        Arc::new(month_day_nano),
    ];
    for column in kinds {
        let kind = column.data_type().clone();
        let batch = RecordBatch::try_from_iter([("column", column)]).unwrap();
        let rows = StateRows { schema: batch.schema(), batches: vec![batch] };
        match state_file::encode(&name(), &rows) {
            Ok(encoded) => assert_eq!(state_file::decode(&encoded.file, &encoded.bytes).unwrap(), rows, "{kind}"),
            Err(error) => panic!("{kind}: {error}"),
        }
    }
}
