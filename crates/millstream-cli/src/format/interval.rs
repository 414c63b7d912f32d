//! Intervals and durations as PostgreSQL prints them: `1 year 2 mons 3 days 04:05:06.500`.

use std::fmt;

use datafusion::arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Months, days and a time, each with its own sign: they do not convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    months: i32,
    days: i32,
    nanos: i128,
}

impl Interval {
    pub(crate) fn from_months(months: i32) -> Self {
        Self { months, days: 0, nanos: 0 }
    }

    pub(crate) fn from_day_time(value: IntervalDayTime) -> Self {
        Self { months: 0, days: value.days, nanos: i128::from(value.milliseconds) * 1_000_000 }
    }

    pub(crate) fn from_month_day_nano(value: IntervalMonthDayNano) -> Self {
        Self { months: value.months, days: value.days, nanos: i128::from(value.nanoseconds) }
    }

    /// A duration of `value` units of `unit_nanos` nanoseconds.
    pub(crate) fn from_duration(value: i64, unit_nanos: i64) -> Self {
        Self { months: 0, days: 0, nanos: i128::from(value) * i128::from(unit_nanos) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")];
        let mut separator = "";
        let mut after_negative = false;
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
            let sign = if after_negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{separator}{sign}{count} {unit}{plural}")?;
            separator = " ";
            after_negative = count < 0;
        }
        if self.nanos == 0 && !separator.is_empty() {
            return Ok(());
        }
        f.write_str(separator)?;
        write_time(f, self.nanos, after_negative)
    }
}

fn write_time(f: &mut fmt::Formatter<'_>, nanos: i128, after_negative: bool) -> fmt::Result {
    let sign = match nanos {
        ..0 => "-",
        _ if after_negative => "+",
        _ => "",
    };
    let seconds = nanos.unsigned_abs() / NANOS_PER_SECOND;
    let fraction = nanos.unsigned_abs() % NANOS_PER_SECOND;
    write!(f, "{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    // Three, six or nine digits, as timestamps have them.
    match fraction {
        0 => Ok(()),
        _ if fraction.is_multiple_of(1_000_000) => write!(f, ".{:03}", fraction / 1_000_000),
        _ if fraction.is_multiple_of(1_000) => write!(f, ".{:06}", fraction / 1_000),
        _ => write!(f, ".{fraction:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_postgres() {
        let cases = [
            ((0, 0, 0), "00:00:00"),
            ((0, 0, 10_000_000_000), "00:00:10"),
            ((14, 3, 14_706_500_000_000), "1 year 2 mons 3 days 04:05:06.500"),
            ((0, 1, 0), "1 day"),
            ((0, -1, 7_200_000_000_000), "-1 days +02:00:00"),
            ((-1, 2, -1), "-1 mons +2 days -00:00:00.000000001"),
            ((0, 0, 360_000_000_000_000), "100:00:00"),
        ];
        for ((months, days, nanos), text) in cases {
            assert_eq!(Interval { months, days, nanos }.to_string(), text);
        }
        assert_eq!(Interval::from_duration(i64::MIN, 1_000_000_000).to_string(), "-2562047788015215:30:08");
    }
}
