//! `timezone(zone, x)`, which is `x AT TIME ZONE zone`: the wall clock of a zone at an instant, or the instant of a wall clock.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AtTimeZone {
    signature: Signature,
}

impl AtTimeZone {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn user(state: &'static str, message: String) -> DataFusionError {
    DataFusionError::External(Box::new(millstream::Error::user(state, message)))
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &'static str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [_, DataType::Timestamp(_, Some(_)) | DataType::Utf8 | DataType::Utf8View | DataType::Null] => {
                Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
            }
            [_, DataType::Timestamp(_, None) | DataType::Date32] => Ok(utc()),
            [_, other] => Err(user("42883", format!("AT TIME ZONE takes a timestamp: got {other}"))),
            _ => Err(user("42883", "timezone takes a zone and a timestamp".to_owned())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(zone) | ScalarValue::Utf8View(zone)), times] = args.args.as_slice() else {
            return Err(user("0A000", "AT TIME ZONE takes the name of a zone, which cannot be a column".to_owned()));
        };
        let is_scalar = matches!(times, ColumnarValue::Scalar(_));
        let times = times.clone().into_array(if is_scalar { 1 } else { args.number_rows })?;
        let moved: ArrayRef = match zone {
            None => datafusion::arrow::array::new_null_array(args.return_field.data_type(), times.len()),
            Some(zone) => moved(&times, zone)?,
        };
        match is_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&moved, 0)?)),
            false => Ok(ColumnarValue::Array(moved)),
        }
    }
}

fn moved(times: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let zone = Tz::from_str(if name.eq_ignore_ascii_case("utc") { "UTC" } else { name });
    let zone = zone.map_err(|_| user("22023", format!("time zone \"{name}\" not recognized")))?;
    if matches!(times.data_type(), DataType::Timestamp(_, None) | DataType::Date32) {
        let wall = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let instants = cast(&wall, &DataType::Timestamp(TimeUnit::Microsecond, Some(zone_text(name).into())))?;
        return Ok(cast(&instants, &utc())?);
    }
    let instants = cast(times, &utc())?;
    let wall = |micros: i64| {
        let Some(instant) = DateTime::from_timestamp_micros(micros) else { return micros };
        let seconds = zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
        micros.saturating_add(i64::from(seconds) * 1_000_000)
    };
    let wall: TimestampMicrosecondArray = instants.as_primitive::<TimestampMicrosecondType>().unary(wall);
    Ok(Arc::new(wall.with_timezone_opt(None::<Arc<str>>)))
}

fn zone_text(name: &str) -> String {
    if name.eq_ignore_ascii_case("utc") { "UTC".to_owned() } else { name.to_owned() }
}
