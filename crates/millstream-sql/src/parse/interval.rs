//! Interval literals as exact milliseconds.
//!
//! `INTERVAL '10' SECOND`, `INTERVAL '1:30' MINUTE TO SECOND`, `INTERVAL '1 hour 30 minutes'`, `INTERVAL '01:02:03.5'`
//! and their negations. Sums are kept in nanoseconds in 128 bits, so nothing is rounded on the way; a rest below one
//! millisecond is an error, as are months and years, which have no fixed length.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DateTimeField, Expr, Ident, Interval, UnaryOperator, Value, ValueWithSpan};

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

const NANOS_PER_MILLI: i128 = 1_000_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_MINUTE: i128 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: i128 = 60 * NANOS_PER_MINUTE;
const NANOS_PER_DAY: i128 = 24 * NANOS_PER_HOUR;

/// The value of an interval literal in milliseconds; it may be zero or negative.
///
/// # Errors
/// Not an interval, a calendar unit, mixed signs, a part below a millisecond, or more than 292 million years.
pub fn interval_ms(expr: &Expr) -> SqlResult<i64> {
    let nanos = interval_nanos(expr)?;
    if nanos % NANOS_PER_MILLI != 0 {
        return Err(interval_error(expr, "an interval must be whole milliseconds"));
    }
    i64::try_from(nanos / NANOS_PER_MILLI).map_err(|_| interval_error(expr, "an interval is too long"))
}

/// The delay of `column` or `column - INTERVAL …` behind `column`, in milliseconds.
pub(crate) fn delay_behind(column: &Ident, expr: &Expr) -> SqlResult<i64> {
    let form = || {
        SqlError::unsupported(format!("a watermark is the column or the column minus an interval, got {expr}"))
            .with_hint(format!("WATERMARK FOR {column} AS {column} - INTERVAL '5' SECOND"))
            .with_span(column.span)
    };
    match expr {
        Expr::Nested(inner) => delay_behind(column, inner),
        Expr::Identifier(name) if same_name(name, column) => Ok(0),
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => {
            let Expr::Identifier(name) = left.as_ref() else { return Err(form()) };
            if !same_name(name, column) {
                return Err(form());
            }
            let delay = interval_ms(right)?;
            if delay < 0 {
                return Err(interval_error(right, "a watermark's delay must not be negative"));
            }
            Ok(delay)
        }
        _ => Err(form()),
    }
}

fn same_name(a: &Ident, b: &Ident) -> bool {
    let folded = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    folded(a) == folded(b)
}

/// `what: got INTERVAL …`
pub(crate) fn interval_error(expr: &Expr, what: &str) -> SqlError {
    SqlError::new(SqlErrorKind::Window, format!("{what}: got {expr}")).with_span(literal_span(expr))
}

/// Where an interval's text stands; sqlparser keeps no span for the word INTERVAL.
fn literal_span(expr: &Expr) -> datafusion::sql::sqlparser::tokenizer::Span {
    use datafusion::sql::sqlparser::ast::Spanned as _;
    match expr {
        Expr::Interval(interval) => literal_span(&interval.value),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => literal_span(expr),
        Expr::Value(value) => value.span,
        other => other.span(),
    }
}

fn interval_nanos(expr: &Expr) -> SqlResult<i128> {
    match expr {
        Expr::Interval(interval) => literal_nanos(expr, interval),
        Expr::Nested(inner) => interval_nanos(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(-interval_nanos(expr)?),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => interval_nanos(expr),
        Expr::Cast { expr: inner, .. } if matches!(inner.as_ref(), Expr::Value(_)) => text_nanos(expr, &text_of(expr, inner)?.0),
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => text_nanos(expr, text),
            _ => Err(not_an_interval(expr)),
        },
        _ => Err(not_an_interval(expr)),
    }
}

fn not_an_interval(expr: &Expr) -> SqlError {
    interval_error(expr, "expected an interval literal").with_hint("write INTERVAL '10' SECOND")
}

fn literal_nanos(expr: &Expr, interval: &Interval) -> SqlResult<i128> {
    let (text, negative) = text_of(expr, &interval.value)?;
    let nanos = match (&interval.leading_field, &interval.last_field) {
        (None, _) => text_nanos(expr, &text)?,
        (Some(unit), None) => {
            let unit = field_nanos(expr, unit)?;
            match amount_nanos(text.trim(), unit) {
                Some(nanos) => nanos,
                // `INTERVAL '1:30' MINUTE` and the like: PostgreSQL reads the fields, we ask for the range.
                None => return Err(bad_text(expr, &text)),
            }
        }
        (Some(first), Some(last)) => range_nanos(expr, &text, first, last)?,
    };
    Ok(if negative { -nanos } else { nanos })
}

/// The quoted text or bare number of an interval, and whether a minus sign stands before it.
fn text_of(expr: &Expr, value: &Expr) -> SqlResult<(String, bool)> {
    match value {
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Ok((text.clone(), false)),
            Value::Number(text, _) => Ok((text.clone(), false)),
            _ => Err(not_an_interval(expr)),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
            let (text, negative) = text_of(expr, inner)?;
            Ok((text, !negative))
        }
        Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => text_of(expr, inner),
        _ => Err(not_an_interval(expr)),
    }
}

fn field_nanos(expr: &Expr, field: &DateTimeField) -> SqlResult<i128> {
    unit_nanos(expr, &field.to_string())
}

/// The fixed length of a unit of time.
fn unit_nanos(expr: &Expr, unit: &str) -> SqlResult<i128> {
    let folded = unit.to_lowercase();
    let nanos = match folded.as_str() {
        "ns" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "microsecond" | "microseconds" => 1_000,
        "ms" | "millisecond" | "milliseconds" => NANOS_PER_MILLI,
        "s" | "sec" | "secs" | "second" | "seconds" => NANOS_PER_SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => NANOS_PER_MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => NANOS_PER_HOUR,
        "d" | "day" | "days" => NANOS_PER_DAY,
        "w" | "week" | "weeks" => 7 * NANOS_PER_DAY,
        "mon" | "mons" | "month" | "months" | "quarter" | "quarters" | "y" | "year" | "years" | "decade" | "decades" | "century"
        | "centuries" | "millennium" | "millennia" => {
            let hint = "use a fixed length: SECOND, MINUTE, HOUR, DAY (24 hours) or WEEK";
            let what = format!("{} has no fixed length and is not supported here", folded.to_uppercase());
            let mut err = interval_error(expr, &what).with_hint(hint);
            if err.kind() != SqlErrorKind::Unsupported {
                err = SqlError::unsupported(err.message()).with_hint(hint).with_span(literal_span(expr));
            }
            return Err(err);
        }
        _ => {
            let err = interval_error(expr, &format!("unknown unit of time '{unit}'"));
            return Err(match closest(&folded, UNITS) {
                Some(better) => err.with_hint(format!("did you mean '{better}'?")),
                None => err.with_hint(format!("units are: {}", UNITS.join(", "))),
            });
        }
    };
    Ok(nanos)
}

const UNITS: [&str; 6] = ["milliseconds", "seconds", "minutes", "hours", "days", "weeks"];

/// `10`, `-1.5`, `.5` times a unit; `None` if the text is no such number, is finer than a nanosecond or overflows.
fn amount_nanos(text: &str, unit: i128) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scaled = part.checked_mul(unit)?;
    if scaled % scale != 0 {
        return None;
    }
    let nanos = whole.checked_mul(unit)?.checked_add(scaled / scale)?;
    // Far beyond what milliseconds in 64 bits hold, far below what 128 bits hold: later sums cannot overflow.
    (nanos < NANOS_PER_DAY * 1_000_000_000_000).then_some(if negative { -nanos } else { nanos })
}

/// `'1:30' MINUTE TO SECOND`, `'2 03:04:05' DAY TO SECOND`
fn range_nanos(expr: &Expr, text: &str, first: &DateTimeField, last: &DateTimeField) -> SqlResult<i128> {
    let steps = [NANOS_PER_DAY, NANOS_PER_HOUR, NANOS_PER_MINUTE, NANOS_PER_SECOND];
    let position = |field: &DateTimeField| -> SqlResult<usize> {
        let nanos = field_nanos(expr, field)?;
        steps.iter().position(|step| *step == nanos).ok_or_else(|| bad_text(expr, text))
    };
    let (from, to) = (position(first)?, position(last)?);
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let parts: Vec<&str> = digits.split([':', ' ']).filter(|part| !part.is_empty()).collect();
    if from > to || parts.len() != to - from + 1 {
        return Err(bad_text(expr, text));
    }
    let mut nanos = 0_i128;
    for (part, step) in parts.iter().zip(&steps[from..=to]) {
        if part.starts_with(['-', '+']) {
            return Err(interval_error(expr, "an interval must not mix signs"));
        }
        nanos += amount_nanos(part, *step).ok_or_else(|| bad_text(expr, text))?;
    }
    Ok(if negative { -nanos } else { nanos })
}

/// `'10 seconds'`, `'1 hour 30 minutes'`, `'1h30m'`, `'00:01:30'`, `'2 days 03:04:05'`
fn text_nanos(expr: &Expr, text: &str) -> SqlResult<i128> {
    let mut total = 0_i128;
    let mut signs = (false, false);
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad_text(expr, text));
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.:".contains(c))).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let tail = tail.trim_start();
        let nanos = if number.contains(':') {
            rest = tail;
            clock_nanos(number).ok_or_else(|| bad_text(expr, text))?
        } else {
            let unit_end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(unit_end);
            rest = after.trim_start();
            if number.is_empty() {
                return Err(bad_text(expr, text));
            }
            // A bare number counts seconds, as in PostgreSQL.
            let unit = if unit.is_empty() { NANOS_PER_SECOND } else { unit_nanos(expr, unit)? };
            amount_nanos(number, unit).ok_or_else(|| bad_text(expr, text))?
        };
        signs = (signs.0 || nanos > 0, signs.1 || nanos < 0);
        total = total.checked_add(nanos).ok_or_else(|| bad_text(expr, text))?;
    }
    if signs == (true, true) {
        return Err(interval_error(expr, "an interval must not mix signs"));
    }
    Ok(total)
}

/// `hours:minutes[:seconds]`
fn clock_nanos(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    if parts.len() > 3 || digits.contains(['-', '+']) {
        return None;
    }
    let mut nanos = 0;
    for (part, step) in parts.iter().zip([NANOS_PER_HOUR, NANOS_PER_MINUTE, NANOS_PER_SECOND]) {
        nanos += amount_nanos(part, step)?;
    }
    Some(if negative { -nanos } else { nanos })
}

fn bad_text(expr: &Expr, text: &str) -> SqlError {
    interval_error(expr, &format!("'{text}' is no interval"))
        .with_hint("write INTERVAL '10' SECOND, INTERVAL '1:30' MINUTE TO SECOND or INTERVAL '1 hour 30 minutes'")
}
