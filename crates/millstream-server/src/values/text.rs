//! Dates, times, intervals, numbers and bytes as PostgreSQL prints them.

use std::fmt::Write as _;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;

/// Days from 1970 to 2000, where PostgreSQL counts from.
pub(super) const DAYS_TO_2000: i32 = 10_957;

/// Microseconds from 1970 to 2000.
pub(super) const MICROS_TO_2000: i64 = DAYS_TO_2000 as i64 * MICROS_A_DAY;

pub(super) const MICROS_A_DAY: i64 = 86_400_000_000;

/// A session's time zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone(Option<Tz>);

impl Zone {
    pub(crate) const UTC: Self = Self(None);

    /// A zone by its name or offset; `None` if there is no such zone.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if ["utc", "gmt", "z", "etc/utc", "zulu"].contains(&name.to_ascii_lowercase().as_str()) {
            return Some(Self::UTC);
        }
        Tz::from_str(name).ok().map(|zone| Self(Some(zone)))
    }

    /// Seconds east of Greenwich at an instant.
    fn offset_seconds(self, micros: i64) -> i32 {
        let (Some(zone), Some(instant)) = (self.0, DateTime::from_timestamp_micros(micros)) else { return 0 };
        zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()
    }
}

/// Writes into bytes as if they were text.
pub(super) struct Text<'a>(pub(super) &'a mut BytesMut);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.put_slice(text.as_bytes());
        Ok(())
    }
}

/// A short text without a place on the heap: digits of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    bytes: [u8; 48],
    length: usize,
}

impl Short {
    const EMPTY: Self = Self { bytes: [0; 48], length: 0 };

    /// What a value prints, if that is short.
    pub(super) fn of(value: impl std::fmt::Display) -> Self {
        let mut short = Self::EMPTY;
        // Nothing that is printed so is longer: 40 characters are the longest number of 128 bits.
        let _ = write!(short, "{value}");
        short
    }

    pub(super) fn as_str(&self) -> &str {
        // Only whole texts are put in.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl std::fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Two digits.
fn put_two(out: &mut BytesMut, number: u64) {
    out.put_slice(&[digit(number / 10), digit(number)]);
}

fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// `2026-01-02`; years before 1 end in BC.
pub(super) fn date(out: &mut BytesMut, days: i32) {
    match NaiveDate::from_epoch_days(days) {
        Some(date) => {
            let is_bc = calendar(out, date);
            if is_bc {
                out.put_slice(b" BC");
            }
        }
        None => out.put_slice(if days < 0 { b"-infinity" } else { b"infinity" }),
    }
}

fn calendar(out: &mut BytesMut, date: NaiveDate) -> bool {
    let year = date.year();
    let shown = if year > 0 { year } else { 1 - year };
    match u64::try_from(shown) {
        Ok(shown @ 0..10_000) => {
            put_two(out, shown / 100);
            put_two(out, shown);
        }
        _ => out.put_slice(Short::of(shown).as_str().as_bytes()),
    }
    out.put_u8(b'-');
    put_two(out, u64::from(date.month()));
    out.put_u8(b'-');
    put_two(out, u64::from(date.day()));
    year <= 0
}

/// `03:04:05.678901`, without zeros at its end.
pub(super) fn time(out: &mut BytesMut, micros: i64) {
    if micros < 0 {
        out.put_u8(b'-');
    }
    time_of_interval(out, micros.unsigned_abs());
}

fn put_fraction(out: &mut BytesMut, micros: u64) {
    if micros == 0 {
        return;
    }
    let mut digits = [0; 6];
    let mut rest = micros;
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        rest /= 10;
    }
    let length = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    out.put_u8(b'.');
    out.put_slice(&digits[..length]);
}

/// `2026-01-02 03:04:05.6`, with the zone's offset if there is a zone.
pub(super) fn timestamp(out: &mut BytesMut, micros: i64, zone: Option<Zone>) {
    let offset = zone.map_or(0, |zone| zone.offset_seconds(micros));
    let local = micros.saturating_add(i64::from(offset) * 1_000_000);
    let days = i32::try_from(local.div_euclid(MICROS_A_DAY)).ok().and_then(NaiveDate::from_epoch_days);
    let Some(days) = days else {
        out.put_slice(if micros < 0 { b"-infinity" } else { b"infinity" });
        return;
    };
    let is_bc = calendar(out, days);
    out.put_u8(b' ');
    time(out, local.rem_euclid(MICROS_A_DAY));
    if zone.is_some() {
        put_offset(out, offset);
    }
    if is_bc {
        out.put_slice(b" BC");
    }
}

/// `+00`, `-05`, `+05:30`
fn put_offset(out: &mut BytesMut, seconds: i32) {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let _ = write!(Text(out), "{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        let _ = write!(Text(out), ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _ = write!(Text(out), ":{:02}", seconds % 60);
    }
}

/// An interval in the style `postgres`: `1 year 2 mons 3 days 04:05:06`.
pub(super) fn interval(out: &mut BytesMut, months: i32, days: i32, micros: i64) {
    let mut text = String::new();
    let mut after_negative = false;
    let mut part = |count: i64, word: &str| {
        if count != 0 {
            let plus = if after_negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{plus}{count} {word}{plural}");
            after_negative = count < 0;
        }
    };
    part(i64::from(months / 12), "year");
    part(i64::from(months % 12), "mon");
    part(i64::from(days), "day");
    out.put_slice(text.as_bytes());
    if micros != 0 || text.is_empty() {
        if !text.is_empty() {
            out.put_u8(b' ');
        }
        if micros < 0 {
            out.put_u8(b'-');
        } else if after_negative {
            out.put_u8(b'+');
        }
        time_of_interval(out, micros.unsigned_abs());
    }
}

fn time_of_interval(out: &mut BytesMut, micros: u64) {
    let seconds = micros / 1_000_000;
    match seconds / 3600 {
        hours @ 0..100 => put_two(out, hours),
        hours => out.put_slice(Short::of(hours).as_str().as_bytes()),
    }
    for part in [seconds / 60 % 60, seconds % 60] {
        out.put_u8(b':');
        put_two(out, part);
    }
    put_fraction(out, micros % 1_000_000);
}

/// The shortest digits that read back as the same number: `1e+300`, `0.1`, `NaN`.
pub(super) fn float64(out: &mut BytesMut, value: f64) {
    float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), &Short::of(format_args!("{value:e}")), 15);
}

/// As [`float64`], with the digits of a single.
pub(super) fn float32(out: &mut BytesMut, value: f32) {
    float(out, value.is_nan(), value.is_infinite(), value.is_sign_negative(), &Short::of(format_args!("{value:e}")), 6);
}

fn float(out: &mut BytesMut, is_nan: bool, is_infinite: bool, is_negative: bool, scientific: &Short, plain_below: i32) {
    if is_nan {
        return out.put_slice(b"NaN");
    }
    if is_infinite {
        return out.put_slice(if is_negative { b"-Infinity" } else { b"Infinity" });
    }
    let scientific = scientific.as_str();
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    // The first digit, and those behind the point.
    let (first, others) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    out.put_slice(sign.as_bytes());
    if !(-4..plain_below).contains(&exponent) {
        out.put_slice(mantissa.as_bytes());
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(Text(out), "e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        out.put_slice(b"0.");
        (1..-exponent).for_each(|_| out.put_u8(b'0'));
        out.put_slice(first.as_bytes());
        out.put_slice(others.as_bytes());
    } else {
        let moved = usize::try_from(exponent).unwrap_or(0);
        let (before, after) = others.split_at(moved.min(others.len()));
        out.put_slice(first.as_bytes());
        out.put_slice(before.as_bytes());
        (others.len()..moved).for_each(|_| out.put_u8(b'0'));
        if !after.is_empty() {
            out.put_u8(b'.');
            out.put_slice(after.as_bytes());
        }
    }
}

/// `\xdeadbeef`
pub(super) fn bytes(out: &mut BytesMut, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.put_slice(b"\\x");
    for byte in value {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_printed_as_postgresql_does() {
        for (value, text) in [
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (1.0, "1"),
            (-0.0, "-0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (-1234.5, "-1234.5"),
        ] {
            assert_eq!(written(|out| float64(out, value)), text);
        }
        assert_eq!(written(|out| float32(out, 16_777_216.0)), "1.6777216e+07");
        assert_eq!(written(|out| float32(out, 0.1)), "0.1");
    }

    #[test]
    fn times_are_printed_as_postgresql_does() {
        let utc = Some(Zone::UTC);
        let instant = 1_767_323_045_678_901;
        assert_eq!(written(|out| timestamp(out, instant, utc)), "2026-01-02 03:04:05.678901+00");
        assert_eq!(written(|out| timestamp(out, 1_767_323_045_600_000, None)), "2026-01-02 03:04:05.6");
        assert_eq!(written(|out| timestamp(out, 1_767_323_045_000_000, Zone::named("America/New_York"))), "2026-01-01 22:04:05-05");
        assert_eq!(written(|out| timestamp(out, 1_767_323_045_000_000, Zone::named("Asia/Kolkata"))), "2026-01-02 08:34:05+05:30");
        assert_eq!(written(|out| timestamp(out, -63_517_824_000_000_000, utc)), "0044-03-15 00:00:00+00 BC");
        assert_eq!(written(|out| timestamp(out, i64::MAX, utc)), "infinity");
        assert_eq!(written(|out| date(out, 20_455)), "2026-01-02");
        assert_eq!(written(|out| time(out, 11_045_100_000)), "03:04:05.1");
        assert!(Zone::named("Mars/Olympus").is_none());
    }

    #[test]
    fn intervals_are_printed_as_postgresql_does() {
        assert_eq!(written(|out| interval(out, 0, 1, 7_384_500_000)), "1 day 02:03:04.5");
        assert_eq!(written(|out| interval(out, -1, 3, 0)), "-1 mons +3 days");
        assert_eq!(written(|out| interval(out, 0, 0, 0)), "00:00:00");
        assert_eq!(written(|out| interval(out, 14, -1, -1_000_000)), "1 year 2 mons -1 days -00:00:01");
        assert_eq!(written(|out| interval(out, 0, -1, 3_600_000_000)), "-1 days +01:00:00");
    }
}
