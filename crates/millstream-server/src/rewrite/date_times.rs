//! Dates and times as PostgreSQL writes them: `x AT TIME ZONE 'z'`, `timestamp '2026-01-02 03:04'`, `interval '1 day 02:03:04'`, and
//! the patterns of `to_char`, `to_date` and `to_timestamp` (`YYYY-MM-DD HH24:MI`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value, VisitMut, VisitorMut,
};

use super::{call, string};

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let mut visitor = DateTimes { error: None };
    let _ = VisitMut::visit(query, &mut visitor);
    visitor.error.map_or(Ok(()), Err)
}

struct DateTimes {
    error: Option<millstream::Error>,
}

impl VisitorMut for DateTimes {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expr = call("timezone", vec![time_zone.as_ref().clone(), timestamp.as_ref().clone()]);
            }
            Expr::TypedString(typed) => {
                if let Value::SingleQuotedString(text) = &mut typed.value.value {
                    complete(text, &typed.data_type);
                }
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Expr::Value(value) = inner.as_mut()
                    && let Value::SingleQuotedString(text) = &mut value.value
                {
                    complete(text, data_type);
                }
            }
            Expr::Interval(interval) => {
                if let Expr::Value(value) = interval.value.as_mut()
                    && let Value::SingleQuotedString(text) = &mut value.value
                    && let (Some(plain), None) = (interval_in_words(text), &interval.leading_field)
                {
                    *text = plain;
                }
            }
            Expr::Function(function) => self.pattern(function),
            _ => {}
        }
        match self.error {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

impl DateTimes {
    /// The planner's patterns have percent signs: one without any is PostgreSQL's.
    fn pattern(&mut self, function: &mut ast::Function) {
        let name = function.name.to_string().to_lowercase();
        if !["to_char", "to_date", "to_timestamp"].contains(&name.as_str()) {
            return;
        }
        let FunctionArguments::List(list) = &mut function.args else { return };
        let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(pattern))] = list.args.as_mut_slice() else { return };
        let Some(text) = super::literal_text(pattern).filter(|text| !text.contains('%')) else { return };
        match percent_pattern(text) {
            Ok(converted) => *pattern = string(&converted),
            Err(part) => {
                let message = format!("{name}: the pattern {part} is not supported: got '{text}'");
                self.error = Some(millstream::Error::user("0A000", message));
            }
        }
    }
}

/// Puts into a literal what the planner wants to see and PostgreSQL does not.
fn complete(text: &mut String, data_type: &DataType) {
    match data_type {
        DataType::Timestamp(..) | DataType::TimestampNtz(..) | DataType::Datetime(_) => {
            if let Some(whole) = with_seconds(text) {
                *text = whole;
            }
        }
        DataType::Interval { .. } => {
            if let Some(plain) = interval_in_words(text) {
                *text = plain;
            }
        }
        DataType::Custom(name, _) if name.to_string().eq_ignore_ascii_case("timestamptz") => {
            if let Some(whole) = with_seconds(text) {
                *text = whole;
            }
        }
        _ => {}
    }
}

/// `2026-01-02 03:04+00` → `2026-01-02 03:04:00+00`
fn with_seconds(text: &str) -> Option<String> {
    let text = text.trim();
    let (head, tail) = (text.get(..16)?, text.get(16..)?);
    let shape = |(n, byte): (usize, u8)| match n {
        4 | 7 => byte == b'-',
        10 => byte == b' ' || byte == b'T',
        13 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    let is_zone = tail.is_empty() || tail.starts_with(['+', '-', 'Z', 'z', ' ']);
    (head.bytes().enumerate().all(shape) && is_zone).then(|| format!("{head}:00{tail}"))
}

/// `1 day -02:03:04.5` → `1 day -2 hours -3 minutes -4.5 seconds`
fn interval_in_words(text: &str) -> Option<String> {
    let (before, clock) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
    let (sign, digits) = match clock.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", clock.strip_prefix('+').unwrap_or(clock)),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(is_number) {
        return None;
    }
    let units = ["hours", "minutes", "seconds"];
    let words: Vec<String> = parts.iter().zip(units).map(|(part, unit)| format!("{sign}{part} {unit}")).collect();
    Some(format!("{before} {}", words.join(" ")).trim_start().to_owned())
}

/// Parts of a pattern, longer ones before those that they begin with.
const PARTS: &[(&str, &str)] = &[
    ("IYYY", "%G"),
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("FMMonth", "%B"),
    ("Month", "%B"),
    ("Mon", "%b"),
    ("MM", "%m"),
    ("MI", "%M"),
    ("MS", "%3f"),
    ("FMDay", "%A"),
    ("Day", "%A"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("Dy", "%a"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("SS", "%S"),
    ("US", "%6f"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
    ("TZ", "%Z"),
];

/// What the planner has no pattern for.
const UNKNOWN: &[&str] =
    &["FM", "TM", "CC", "WW", "RM", "Q", "J", "D", "W", "Y", "I", "OF", "SSSS", "BC", "AD", "MONTH", "MON", "DAY", "DY"];

/// The pattern in percent signs; the part that has none.
fn percent_pattern(pattern: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
            out.push_str(rest[1..end].trim_end_matches('"'));
            rest = &rest[end..];
            continue;
        }
        let starts = |part: &str| rest.get(..part.len()).is_some_and(|start| start == part);
        let lower =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) && starts(&part.to_lowercase());
        let unknown = UNKNOWN.iter().filter(|part| starts(part)).max_by_key(|part| part.len());
        let known = PARTS.iter().find(|(part, _)| starts(part) || (lower(part) && !matches!(*part, "AM" | "PM")));
        match (known, unknown) {
            (Some((part, percent)), unknown) if unknown.is_none_or(|unknown| unknown.len() <= part.len()) => {
                out.push_str(percent);
                rest = &rest[part.len()..];
            }
            (_, Some(unknown)) => return Err((*unknown).to_owned()),
            _ => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_completed() {
        assert_eq!(with_seconds("2026-01-02 03:04").as_deref(), Some("2026-01-02 03:04:00"));
        assert_eq!(with_seconds("2026-01-02T03:04+02").as_deref(), Some("2026-01-02T03:04:00+02"));
        assert_eq!((with_seconds("2026-01-02 03:04:05"), with_seconds("2026-01-02"), with_seconds("ä026-01-02 03:04")), (None, None, None));
        assert_eq!(interval_in_words("1 day -02:03:04.5").as_deref(), Some("1 day -02 hours -03 minutes -04.5 seconds"));
        assert_eq!((interval_in_words("1 day"), interval_in_words("02:03").as_deref()), (None, Some("02 hours 03 minutes")));
    }

    #[test]
    fn patterns_become_percent_signs() {
        assert_eq!(percent_pattern("YYYY-MM-DD\"T\"HH24:MI:SS.MS").as_deref(), Ok("%Y-%m-%dT%H:%M:%S.%3f"));
        assert_eq!(percent_pattern("yyyy/mm/dd, FMMonth Dy hh12 AM").as_deref(), Ok("%Y/%m/%d, %B %a %I %p"));
        assert_eq!(percent_pattern("YYYY-Q"), Err("Q".to_owned()));
        assert_eq!(percent_pattern("MONTH"), Err("MONTH".to_owned()));
    }
}
