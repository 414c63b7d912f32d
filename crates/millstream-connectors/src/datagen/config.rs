//! The options of the `datagen` connector, typed.

use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{ConnectorError, Result};
use crate::format::config::hint;
use crate::format::type_name::sql_type;
use crate::options::{ConfigReader, OptionSpec, OptionSpecs, Options};

/// Every option.
pub(super) const OPTIONS: OptionSpecs = &[&[
    OptionSpec::new("rows-per-second", "1000", "rows per second of wall time, 0: as fast as possible; default 10000").or(&["rate"]),
    OptionSpec::new("number-of-rows", "1000000", "rows in all; default: endless, or as far as the shortest sequence goes").or(&["rows"]),
    OptionSpec::new("event_rate", "1000", "rows per second of event time; default: rows-per-second, or 1000 if that is 0"),
    OptionSpec::new("start_time", "2024-01-01 00:00:00", "event time of the first row; default 2024-01-01 00:00:00 UTC"),
    OptionSpec::new("seed", "42", "another seed gives other values; default 0"),
    OptionSpec::new("fields.*.kind", "sequence", "random or sequence; default random (a TIMESTAMP is always event time)"),
    OptionSpec::new("fields.*.min", "0", "least random number; default: least of an integer type, 0 for others"),
    OptionSpec::new("fields.*.max", "100", "greatest random number; default: greatest of an integer type, 1 for others"),
    OptionSpec::new("fields.*.start", "1", "first number of a sequence"),
    OptionSpec::new("fields.*.end", "1000", "last number of a sequence; rows end with it"),
    OptionSpec::new("fields.*.length", "20", "letters of a random text; default 100"),
    OptionSpec::new("fields.*.null-rate", "0.1", "share of NULLs; default 0"),
    OptionSpec::new("fields.*.max-past", "5s", "a TIMESTAMP is earlier than event time by up to this; default 0"),
]];

/// Longest random text.
const LENGTH_MAX: u64 = crate::random::Letters::TEXT_MAX as u64;

/// The options.
#[derive(Clone, Debug)]
pub struct DatagenConfig {
    /// Rows per second of wall time; `None`: as fast as possible.
    pub rate: Option<u64>,
    /// Rows in all; `None`: endless.
    pub rows: Option<u64>,
    /// Rows per second of event time.
    pub event_rate: u64,
    /// Event time of the first row, milliseconds since 1970.
    pub start_ms: i64,
    /// What the values depend on.
    pub seed: u64,
    /// For each column how its values are made.
    pub(super) fields: Vec<FieldConfig>,
}

/// How values of a column are made.
#[derive(Clone, Debug)]
pub(super) struct FieldConfig {
    pub(super) kind: FieldKind,
    pub(super) null_rate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FieldKind {
    Sequence { start: i64 },
    Integer { min: i64, max: i64 },
    Float { min: f64, max: f64 },
    Text { length: usize },
    Boolean,
    Time { max_past_ms: u64 },
}

impl DatagenConfig {
    /// From raw options, for these columns.
    pub fn parse(options: Options, columns: &Schema) -> Result<Self> {
        let config = ConfigReader::new("datagen", options, OPTIONS)?;
        check_columns_exist(&config, columns)?;
        let rate = Some(config.count("rows-per-second")?.unwrap_or(10_000)).filter(|rate| *rate > 0);
        let start = config.parsed("start_time", "a timestamp", "2024-01-01 00:00:00", |text| {
            arrow::compute::kernels::cast_utils::string_to_datetime(&chrono::Utc, text.trim()).ok()
        })?;
        let mut rows = config.count("number-of-rows")?;
        let mut fields = Vec::new();
        for field in columns.fields() {
            let options = FieldOptions { config: &config, field, name: field.name().to_lowercase() };
            let (parsed, end) = options.parse()?;
            rows = [rows, end].into_iter().flatten().min();
            fields.push(parsed);
        }
        Ok(Self {
            rate,
            rows,
            event_rate: config.positive("event_rate")?.unwrap_or(rate.unwrap_or(1_000)),
            start_ms: start.map_or(1_704_067_200_000, |time| time.timestamp_millis()),
            seed: config.count("seed")?.unwrap_or(0),
            fields,
        })
    }
}

fn check_columns_exist(config: &ConfigReader, columns: &Schema) -> Result<()> {
    for (rest, _) in config.with_prefix("fields.") {
        let name = rest.rsplit_once('.').map_or(rest, |(name, _)| name);
        if !columns.fields().iter().any(|field| field.name().eq_ignore_ascii_case(name)) {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            let near = hint(name, names.iter().copied());
            return Err(ConnectorError::config(format!("option 'fields.{rest}' names no column: columns are {}{near}", names.join(", "))));
        }
    }
    Ok(())
}

/// The options of one column.
struct FieldOptions<'a> {
    config: &'a ConfigReader,
    field: &'a Field,
    /// As in option names: lower case.
    name: String,
}

impl FieldOptions<'_> {
    fn option(&self, what: &str) -> String {
        format!("fields.{}.{what}", self.name)
    }

    /// How values are made, and how many there are.
    fn parse(&self) -> Result<(FieldConfig, Option<u64>)> {
        let null_rate = self
            .config
            .parsed(&self.option("null-rate"), "a number from 0 to 1", "0.1", |text| {
                text.trim().parse().ok().filter(|rate| (0.0..=1.0).contains(rate))
            })?
            .unwrap_or(0.0);
        if null_rate > 0.0 && !self.field.is_nullable() {
            return Err(ConnectorError::config(format!("option '{}' is set: column is NOT NULL", self.option("null-rate"))));
        }
        let sequence = self.config.choice(&self.option("kind"), &["random", "sequence"])? == Some("sequence");
        let (kind, end) = if sequence { self.sequence()? } else { (self.random()?, None) };
        self.refuse_what_does_not_apply(kind)?;
        Ok((FieldConfig { kind, null_rate }, end))
    }

    fn sequence(&self) -> Result<(FieldKind, Option<u64>)> {
        let data_type = self.field.data_type();
        let counts = data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        if !counts {
            return Err(ConnectorError::config(format!(
                "option '{}' is 'sequence': column is {} (hint: sequences are for numbers and TEXT)",
                self.option("kind"),
                sql_type(data_type)
            )));
        }
        let integer = |what: &str| self.config.parsed(&self.option(what), "a whole number", "1", |text| text.trim().parse::<i64>().ok());
        let start = integer("start")?.unwrap_or(1);
        let count = match integer("end")? {
            None => None,
            Some(end) if end >= start => Some(end.abs_diff(start).saturating_add(1)),
            Some(end) => {
                return Err(ConnectorError::config(format!("option '{}' is below the start: {end} < {start}", self.option("end"))));
            }
        };
        Ok((FieldKind::Sequence { start }, count))
    }

    fn random(&self) -> Result<FieldKind> {
        let integers = |min: i64, max: i64| self.integers(min, max);
        match self.field.data_type() {
            DataType::Int8 => integers(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => integers(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => integers(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => integers(i64::MIN, i64::MAX),
            DataType::UInt8 => integers(0, u8::MAX.into()),
            DataType::UInt16 => integers(0, u16::MAX.into()),
            DataType::UInt32 => integers(0, u32::MAX.into()),
            DataType::UInt64 => integers(0, i64::MAX),
            // Days since 1970: some day of the years 2000 to 2029.
            DataType::Date32 => Ok(FieldKind::Integer { min: 10_957, max: 21_914 }),
            DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                let number = |what: &str| {
                    let finite = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                    self.config.parsed(&self.option(what), "a number", "0.5", finite)
                };
                let (min, max) = (number("min")?.unwrap_or(0.0), number("max")?.unwrap_or(1.0));
                self.check_order(min, max).map(|()| FieldKind::Float { min, max })
            }
            DataType::Boolean => Ok(FieldKind::Boolean),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let expected = format!("a count up to {LENGTH_MAX}");
                let length = self.config.parsed(&self.option("length"), &expected, "20", |text| {
                    crate::options::parse_count(text).filter(|length| *length <= LENGTH_MAX)
                })?;
                Ok(FieldKind::Text { length: length.unwrap_or(100) as usize })
            }
            DataType::Timestamp(..) => {
                let past = self.config.duration(&self.option("max-past"))?.unwrap_or_default();
                Ok(FieldKind::Time { max_past_ms: u64::try_from(past.as_millis()).unwrap_or(u64::MAX) })
            }
            other => Err(ConnectorError::config(format!(
                "connector 'datagen' cannot make column '{}': type {} (hint: it makes numbers, TEXT, BOOLEAN, DATE and TIMESTAMP)",
                self.field.name(),
                sql_type(other)
            ))),
        }
    }

    fn integers(&self, least: i64, most: i64) -> Result<FieldKind> {
        let expected = format!("a whole number from {least} to {most}");
        let bound = |what: &str| {
            let fits = |text: &str| text.trim().parse::<i64>().ok().filter(|number| (least..=most).contains(number));
            self.config.parsed(&self.option(what), &expected, "100", fits)
        };
        let (min, max) = (bound("min")?.unwrap_or(least), bound("max")?.unwrap_or(most));
        self.check_order(min, max).map(|()| FieldKind::Integer { min, max })
    }

    fn check_order<T: PartialOrd + std::fmt::Display>(&self, min: T, max: T) -> Result<()> {
        if min <= max {
            return Ok(());
        }
        Err(ConnectorError::config(format!("option '{}' is above the maximum: {min} > {max}", self.option("min"))))
    }

    /// An option without effect is a misunderstanding.
    fn refuse_what_does_not_apply(&self, kind: FieldKind) -> Result<()> {
        let (name, applicable): (_, &[&str]) = match kind {
            FieldKind::Sequence { .. } => ("a sequence", &["start", "end"]),
            FieldKind::Integer { .. } if self.field.data_type() == &DataType::Date32 => ("a random DATE", &[]),
            FieldKind::Integer { .. } | FieldKind::Float { .. } => ("a random number", &["min", "max"]),
            FieldKind::Text { .. } => ("a random TEXT", &["length"]),
            FieldKind::Boolean => ("a random BOOLEAN", &[]),
            FieldKind::Time { .. } => ("event time", &["max-past"]),
        };
        for what in ["min", "max", "start", "end", "length", "max-past"] {
            let option = self.option(what);
            if self.config.text(&option).is_some() && !applicable.contains(&what) {
                let hint = if matches!(what, "start" | "end") {
                    format!("hint: '{}' = 'sequence'", self.option("kind"))
                } else {
                    format!(
                        "hint: options here are kind, null-rate{}",
                        applicable.iter().map(|name| format!(", {name}")).collect::<String>()
                    )
                };
                return Err(ConnectorError::config(format!("option '{option}' has no effect: the column is {name} ({hint})")));
            }
        }
        Ok(())
    }
}
