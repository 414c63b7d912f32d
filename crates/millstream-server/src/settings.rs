//! Settings of a session as PostgreSQL's clients know them: SET, SHOW, RESET, and which are reported when they change.
//!
//! Names with a dot that nobody knows are kept as they are; a bare name that nobody knows is an error. Settings of the engine are the
//! engine's; the connection asks it first.

use std::collections::BTreeMap;

use crate::error::{Result, WireError};
use crate::values::Zone;

/// The version that clients are told; newer ones make them ask for columns that are not there.
pub(crate) const SERVER_VERSION: &str = "15.0";

/// A setting: its name as shown, its default, whether clients are told of changes, whether it can be set.
struct Known {
    name: &'static str,
    default: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Kept; means nothing here.
    Plain,
    /// Kept, and clients are told.
    Reported,
    /// Clients are told; cannot be set.
    Fixed,
    /// Milliseconds.
    Milliseconds,
    Boolean,
}

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind }
}

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known("application_name", "", Kind::Reported),
    known("array_nulls", "on", Kind::Boolean),
    known("backslash_quote", "safe_encoding", Kind::Plain),
    known("block_size", "8192", Kind::Fixed),
    known("bytea_output", "hex", Kind::Plain),
    known("check_function_bodies", "on", Kind::Boolean),
    known("client_encoding", "UTF8", Kind::Reported),
    known("client_min_messages", "notice", Kind::Plain),
    known("constraint_exclusion", "partition", Kind::Plain),
    known("cursor_tuple_fraction", "0.1", Kind::Plain),
    known("DateStyle", "ISO, MDY", Kind::Reported),
    known("default_table_access_method", "heap", Kind::Plain),
    known("default_tablespace", "", Kind::Plain),
    known("default_text_search_config", "pg_catalog.english", Kind::Plain),
    known("default_transaction_deferrable", "off", Kind::Boolean),
    known("default_transaction_isolation", "repeatable read", Kind::Plain),
    known("default_transaction_read_only", "off", Kind::Reported),
    known("enable_hashjoin", "on", Kind::Boolean),
    known("enable_mergejoin", "on", Kind::Boolean),
    known("enable_nestloop", "on", Kind::Boolean),
    known("enable_seqscan", "on", Kind::Boolean),
    known("escape_string_warning", "on", Kind::Boolean),
    known("extra_float_digits", "1", Kind::Plain),
    known("force_parallel_mode", "off", Kind::Plain),
    known("from_collapse_limit", "8", Kind::Plain),
    known("geqo", "on", Kind::Boolean),
    known("idle_in_transaction_session_timeout", "0", Kind::Milliseconds),
    known("idle_session_timeout", "0", Kind::Milliseconds),
    known("in_hot_standby", "off", Kind::Fixed),
    known("integer_datetimes", "on", Kind::Fixed),
    known("IntervalStyle", "postgres", Kind::Reported),
    known("is_superuser", "on", Kind::Fixed),
    known("jit", "off", Kind::Boolean),
    known("join_collapse_limit", "8", Kind::Plain),
    known("lc_collate", "C.UTF-8", Kind::Fixed),
    known("lc_ctype", "C.UTF-8", Kind::Fixed),
    known("lc_messages", "C.UTF-8", Kind::Plain),
    known("lc_monetary", "C.UTF-8", Kind::Plain),
    known("lc_numeric", "C.UTF-8", Kind::Plain),
    known("lc_time", "C.UTF-8", Kind::Plain),
    known("listen_addresses", "localhost", Kind::Fixed),
    known("lock_timeout", "0", Kind::Milliseconds),
    known("log_statement", "none", Kind::Plain),
    known("maintenance_work_mem", "64MB", Kind::Plain),
    known("max_connections", "100", Kind::Fixed),
    known("max_identifier_length", "63", Kind::Fixed),
    known("max_index_keys", "32", Kind::Fixed),
    known("max_parallel_workers_per_gather", "0", Kind::Plain),
    known("plan_cache_mode", "auto", Kind::Plain),
    known("password_encryption", "scram-sha-256", Kind::Plain),
    known("quote_all_identifiers", "off", Kind::Boolean),
    known("random_page_cost", "4", Kind::Plain),
    known("role", "none", Kind::Plain),
    known("row_security", "on", Kind::Boolean),
    known("search_path", "\"$user\", public", Kind::Plain),
    known("server_encoding", "UTF8", Kind::Fixed),
    known("server_version", SERVER_VERSION, Kind::Fixed),
    known("server_version_num", "150000", Kind::Fixed),
    known("session_authorization", "", Kind::Fixed),
    known("session_replication_role", "origin", Kind::Plain),
    known("ssl", "off", Kind::Fixed),
    known("standard_conforming_strings", "on", Kind::Reported),
    known("statement_timeout", "0", Kind::Milliseconds),
    known("synchronous_commit", "on", Kind::Plain),
    known("synchronize_seqscans", "on", Kind::Boolean),
    known("temp_tablespaces", "", Kind::Plain),
    known("TimeZone", "UTC", Kind::Reported),
    known("timezone_abbreviations", "Default", Kind::Plain),
    known("transaction_deferrable", "off", Kind::Boolean),
    known("transaction_isolation", "repeatable read", Kind::Plain),
    known("transaction_read_only", "off", Kind::Boolean),
    known("wal_level", "replica", Kind::Fixed),
    known("work_mem", "4MB", Kind::Plain),
    known("xmlbinary", "base64", Kind::Plain),
    known("xmloption", "content", Kind::Plain),
];

/// A session's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variables {
    /// By lower-case name; only what differs from the defaults.
    values: BTreeMap<String, String>,
    /// What RESET goes back to: what the client asked for when it connected.
    initial: BTreeMap<String, String>,
}

impl Variables {
    /// With what the server knows about the session (`user`), before the client's wishes.
    pub(crate) fn new(user: &str, is_superuser: bool, is_encrypted: bool) -> Self {
        let word = |truth: bool| if truth { "on" } else { "off" }.to_owned();
        let values = BTreeMap::from([
            ("session_authorization".to_owned(), user.to_owned()),
            ("is_superuser".to_owned(), word(is_superuser)),
            ("ssl".to_owned(), word(is_encrypted)),
        ]);
        Self { initial: values.clone(), values }
    }

    /// What is set now is what RESET goes back to.
    pub(crate) fn set_initial(&mut self) {
        self.initial = self.values.clone();
    }

    /// A value; `None`: there is no such setting.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let key = name.to_ascii_lowercase();
        self.values.get(&key).cloned().or_else(|| find(&key).map(|known| known.default.to_owned()))
    }

    /// The name as it is shown.
    pub(crate) fn shown_name(name: &str) -> String {
        find(&name.to_ascii_lowercase()).map_or_else(|| name.to_owned(), |known| known.name.to_owned())
    }

    /// Sets one; the name and value that the client must be told, if it must.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<Option<(String, String)>> {
        let key = name.to_ascii_lowercase();
        let Some(known) = find(&key) else {
            return match key.contains('.') {
                true => {
                    match value {
                        Some(value) => self.values.insert(key, value.to_owned()),
                        None => self.values.remove(&key),
                    };
                    Ok(None)
                }
                false => Err(unknown(name)),
            };
        };
        let value = match value {
            Some(value) => checked(known, value)?,
            None => self.initial.get(&key).cloned().unwrap_or_else(|| known.default.to_owned()),
        };
        if known.kind == Kind::Fixed && self.get(&key).as_deref() != Some(&value) {
            return Err(WireError::new("55P02", format!("parameter \"{}\" cannot be changed", known.name)));
        }
        self.values.insert(key, value.clone());
        Ok((known.kind == Kind::Reported).then(|| (known.name.to_owned(), value)))
    }

    /// Goes back to what was when the session began.
    pub(crate) fn reset_all(&mut self) -> Vec<(String, String)> {
        let before = self.reported();
        self.values = self.initial.clone();
        self.reported().into_iter().filter(|pair| !before.contains(pair)).collect()
    }

    /// What clients are told when they connect.
    pub(crate) fn reported(&self) -> Vec<(String, String)> {
        const ALSO: &[&str] =
            &["in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version", "session_authorization"];
        let told = KNOWN.iter().filter(|known| known.kind == Kind::Reported || ALSO.contains(&known.name));
        told.map(|known| (known.name.to_owned(), self.get(known.name).unwrap_or_default())).collect()
    }

    /// All names with their values.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> =
            KNOWN.iter().map(|known| (known.name.to_owned(), self.get(known.name).unwrap_or_default())).collect();
        let custom = self.values.iter().filter(|(name, _)| name.contains('.'));
        all.extend(custom.map(|(name, value)| (name.clone(), value.clone())));
        all.into_iter().collect()
    }

    /// The zone in which times are shown.
    pub(crate) fn zone(&self) -> Zone {
        self.get("timezone").and_then(|name| zone_named(&name)).unwrap_or(Zone::UTC)
    }

    /// The same, as Arrow calls it.
    pub(crate) fn zone_name(&self) -> String {
        let name = self.get("timezone").unwrap_or_default();
        match name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((offset, _)) => format!("{offset}:00"),
            None if ["utc", "gmt", "z", "etc/utc", "zulu"].contains(&name.to_ascii_lowercase().as_str()) => "UTC".to_owned(),
            None => name,
        }
    }

    /// A time limit; `None`: there is none.
    pub(crate) fn timeout(&self, name: &str) -> Option<std::time::Duration> {
        let ms = milliseconds(&self.get(name)?)?;
        (ms > 0).then(|| std::time::Duration::from_millis(ms))
    }

    /// The role whose rights count, for who has logged in as `user`.
    pub(crate) fn role(&self, user: &str) -> String {
        self.get("role").filter(|role| role != "none").unwrap_or_else(|| user.to_owned())
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "on")
    }
}

fn find(key: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(key))
}

pub(crate) fn unknown(name: &str) -> WireError {
    WireError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

fn checked(known: &Known, value: &str) -> Result<String> {
    let invalid = || WireError::new("22023", format!("invalid value for parameter \"{}\": \"{value}\"", known.name));
    let lower = value.to_ascii_lowercase();
    match known.kind {
        Kind::Boolean => boolean(&lower).map(str::to_owned).ok_or_else(invalid),
        Kind::Milliseconds => milliseconds(value).map(|_| value.to_owned()).ok_or_else(invalid),
        _ => match known.name {
            "TimeZone" => zone_name(value).ok_or_else(invalid),
            "default_transaction_isolation" | "transaction_isolation" => {
                crate::statement::IsolationLevel::named(&lower).map(|level| level.name().to_owned()).ok_or_else(invalid)
            }
            "default_transaction_read_only" => boolean(&lower).map(str::to_owned).ok_or_else(invalid),
            "client_encoding" => match lower.replace(['-', '_', '\''], "").as_str() {
                "utf8" | "unicode" | "sqlascii" | "auto" => Ok("UTF8".to_owned()),
                _ => Err(invalid().with_hint("UTF8 is the only encoding")),
            },
            "DateStyle" if !lower.split(',').any(|part| matches!(part.trim(), "iso" | "mdy" | "dmy" | "ymd" | "default")) => {
                Err(invalid().with_hint("dates are always shown in ISO form"))
            }
            "DateStyle" => {
                let order = lower.split(',').map(str::trim).find(|part| matches!(*part, "dmy" | "ymd")).unwrap_or("mdy");
                Ok(format!("ISO, {}", order.to_uppercase()))
            }
            "IntervalStyle" if lower != "postgres" => Err(invalid().with_hint("intervals are always shown in the style postgres")),
            "standard_conforming_strings" if boolean(&lower) != Some("on") => {
                Err(invalid().with_hint("strings always conform to the standard"))
            }
            "bytea_output" if lower != "hex" => Err(invalid().with_hint("bytea is always shown in hex")),
            "extra_float_digits" if !value.parse::<i32>().is_ok_and(|digits| (-15..=3).contains(&digits)) => Err(invalid()),
            _ => Ok(value.to_owned()),
        },
    }
}

pub(crate) fn boolean(lower: &str) -> Option<&'static str> {
    match lower {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some("on"),
        "off" | "false" | "no" | "0" | "f" | "n" => Some("off"),
        _ => None,
    }
}

/// The zone as it is kept: a name, or an offset where hours are given.
fn zone_name(value: &str) -> Option<String> {
    let value = value.trim_matches('\'');
    if let Ok(hours) = value.parse::<i32>() {
        return (-15..=15).contains(&hours).then(|| format!("<{hours:+03}>{:+03}", -hours));
    }
    zone_named(value).map(|_| if value.eq_ignore_ascii_case("utc") { "UTC".to_owned() } else { value.to_owned() })
}

fn zone_named(name: &str) -> Option<Zone> {
    match name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((offset, _)) => Zone::named(&format!("{offset}:00")),
        None => Zone::named(name),
    }
}

/// `0`, `250`, `1s`, `500ms`, `2min`, `1h`, `1d`
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: between 0 and a thousand years")]
    (0.0..=3e10).contains(&number).then(|| (number * f64::from(unit)).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known_or_have_a_dot() {
        let mut variables = Variables::new("me", true, false);
        assert_eq!(variables.set("timezone", Some("utc")).unwrap(), Some(("TimeZone".to_owned(), "UTC".to_owned())));
        assert_eq!(variables.set("my.setting", Some("7")).unwrap(), None);
        assert_eq!(variables.get("my.setting").as_deref(), Some("7"));
        assert_eq!(variables.set("nonsense", Some("7")).unwrap_err().sqlstate, "42704");
        assert_eq!(variables.set("server_version", Some("9")).unwrap_err().sqlstate, "55P02");
        assert_eq!(variables.set("statement_timeout", Some("abc")).unwrap_err().sqlstate, "22023");
        variables.set("statement_timeout", Some("1.5s")).unwrap();
        assert_eq!(variables.timeout("statement_timeout"), Some(std::time::Duration::from_millis(1500)));
        assert_eq!(variables.reset_all(), []);
        assert_eq!(variables.timeout("statement_timeout"), None);
    }
}
