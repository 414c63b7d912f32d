//! Which PostgreSQL type a column has.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

/// Metadata of a field that names its type where Arrow's does not say it, such as `name` and `json`.
pub(crate) const PG_TYPE: &str = "pg.type";

/// A PostgreSQL type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PgType(Type);

impl PgType {
    pub(crate) const BOOL: Self = Self(Type::BOOL);
    pub(crate) const INT2: Self = Self(Type::INT2);
    pub(crate) const INT4: Self = Self(Type::INT4);
    pub(crate) const INT8: Self = Self(Type::INT8);
    pub(crate) const FLOAT4: Self = Self(Type::FLOAT4);
    pub(crate) const FLOAT8: Self = Self(Type::FLOAT8);
    pub(crate) const NUMERIC: Self = Self(Type::NUMERIC);
    pub(crate) const TEXT: Self = Self(Type::TEXT);
    pub(crate) const BYTEA: Self = Self(Type::BYTEA);
    pub(crate) const DATE: Self = Self(Type::DATE);
    pub(crate) const TIME: Self = Self(Type::TIME);
    pub(crate) const TIMESTAMP: Self = Self(Type::TIMESTAMP);
    pub(crate) const TIMESTAMPTZ: Self = Self(Type::TIMESTAMPTZ);
    pub(crate) const INTERVAL: Self = Self(Type::INTERVAL);
    pub(crate) const OID: Self = Self(Type::OID);
    pub(crate) const JSON: Self = Self(Type::JSON);
    pub(crate) const JSONB: Self = Self(Type::JSONB);
    pub(crate) const UUID: Self = Self(Type::UUID);
    pub(crate) const UNKNOWN: Self = Self(Type::UNKNOWN);

    /// The type with this number; `None` for those that exist in no PostgreSQL.
    pub(crate) fn from_oid(oid: u32) -> Option<Self> {
        Type::from_oid(oid).map(Self)
    }

    pub(crate) fn oid(&self) -> u32 {
        self.0.oid()
    }

    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    /// Bytes of a value; −1: they differ.
    pub(crate) fn size(&self) -> i16 {
        match self.0 {
            Type::BOOL | Type::CHAR => 1,
            Type::INT2 => 2,
            Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID | Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::XID => 4,
            Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
            Type::INTERVAL | Type::UUID => 16,
            Type::NAME => 64,
            Type::UNKNOWN => -2,
            _ => -1,
        }
    }

    /// The type of an array's elements.
    pub(crate) fn element(&self) -> Option<Self> {
        match self.0 {
            Type::INT2_VECTOR => Some(Self::INT2),
            Type::OID_VECTOR => Some(Self::OID),
            // An array is called as its element is, with a line before it.
            _ => self.0.name().strip_prefix('_').and_then(Self::from_name),
        }
    }

    /// The array of this type.
    pub(crate) fn array(&self) -> Self {
        Self(match self.0 {
            Type::BOOL => Type::BOOL_ARRAY,
            Type::INT2 => Type::INT2_ARRAY,
            Type::INT4 => Type::INT4_ARRAY,
            Type::INT8 => Type::INT8_ARRAY,
            Type::FLOAT4 => Type::FLOAT4_ARRAY,
            Type::FLOAT8 => Type::FLOAT8_ARRAY,
            Type::NUMERIC => Type::NUMERIC_ARRAY,
            Type::BYTEA => Type::BYTEA_ARRAY,
            Type::DATE => Type::DATE_ARRAY,
            Type::TIME => Type::TIME_ARRAY,
            Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
            Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
            Type::INTERVAL => Type::INTERVAL_ARRAY,
            Type::OID => Type::OID_ARRAY,
            Type::NAME => Type::NAME_ARRAY,
            Type::CHAR => Type::CHAR_ARRAY,
            Type::VARCHAR => Type::VARCHAR_ARRAY,
            Type::JSON => Type::JSON_ARRAY,
            Type::JSONB => Type::JSONB_ARRAY,
            Type::UUID => Type::UUID_ARRAY,
            _ => Type::TEXT_ARRAY,
        })
    }

    /// The type with this name in `pg_type`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        const KNOWN: &[Type] = &[
            Type::BOOL,
            Type::CHAR,
            Type::NAME,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::NUMERIC,
            Type::TEXT,
            Type::VARCHAR,
            Type::BPCHAR,
            Type::BYTEA,
            Type::DATE,
            Type::TIME,
            Type::TIMESTAMP,
            Type::TIMESTAMPTZ,
            Type::INTERVAL,
            Type::OID,
            Type::JSON,
            Type::JSONB,
            Type::UUID,
            Type::REGCLASS,
            Type::REGTYPE,
            Type::REGPROC,
            Type::XID,
            Type::INT2_VECTOR,
            Type::OID_VECTOR,
            Type::PG_NODE_TREE,
            Type::ACLITEM_ARRAY,
            Type::ANYARRAY,
            Type::TEXT_ARRAY,
            Type::NAME_ARRAY,
            Type::OID_ARRAY,
            Type::INT2_ARRAY,
            Type::INT4_ARRAY,
            Type::CHAR_ARRAY,
            Type::FLOAT4_ARRAY,
            Type::TIMESTAMPTZ_ARRAY,
            Type::INET,
            Type::ACLITEM,
            Type::RECORD,
            Type::VARCHAR_ARRAY,
            Type::INT8_ARRAY,
            Type::FLOAT8_ARRAY,
            Type::BOOL_ARRAY,
            Type::NUMERIC_ARRAY,
            Type::BYTEA_ARRAY,
            Type::DATE_ARRAY,
            Type::TIME_ARRAY,
            Type::TIMESTAMP_ARRAY,
            Type::INTERVAL_ARRAY,
            Type::UUID_ARRAY,
            Type::JSON_ARRAY,
            Type::JSONB_ARRAY,
            Type::UNKNOWN,
            Type::VOID,
        ];
        KNOWN.iter().find(|known| known.name() == name).cloned().map(Self)
    }

    /// The type of an Arrow type.
    pub(crate) fn from_arrow(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::BOOL,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::INT2,
            DataType::Int32 | DataType::UInt16 => Self::INT4,
            DataType::Int64 => Self::INT8,
            // The catalog's object numbers; so they stay what they are in every expression.
            DataType::UInt32 => Self::OID,
            DataType::Float16 | DataType::Float32 => Self::FLOAT4,
            DataType::Float64 => Self::FLOAT8,
            DataType::UInt64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Self::NUMERIC
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Self::BYTEA,
            DataType::Date32 | DataType::Date64 => Self::DATE,
            DataType::Time32(_) | DataType::Time64(_) => Self::TIME,
            DataType::Timestamp(_, None) => Self::TIMESTAMP,
            DataType::Timestamp(_, Some(_)) => Self::TIMESTAMPTZ,
            DataType::Interval(_) | DataType::Duration(_) => Self::INTERVAL,
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) => {
                match Self::from_field(field) {
                    element if element.element().is_some() => element,
                    element => element.array(),
                }
            }
            DataType::Dictionary(_, value) => Self::from_arrow(value),
            DataType::Struct(fields) if is_row(fields) => Self(Type::RECORD),
            DataType::Struct(_) | DataType::Map(..) => Self::JSON,
            _ => Self::TEXT,
        }
    }

    /// The type of a field: what its metadata says, if its values can be that, or else its Arrow type.
    pub(crate) fn from_field(field: &Field) -> Self {
        let arrow = Self::from_arrow(field.data_type());
        let Some(named) = field.metadata().get(PG_TYPE).and_then(|name| Self::from_name(name)) else { return arrow };
        let is_text = arrow == Self::TEXT;
        let fits = match named.0 {
            Type::REGCLASS | Type::REGTYPE | Type::REGPROC => is_text,
            Type::XID => arrow == Self::OID,
            Type::INT2_VECTOR | Type::OID_VECTOR | Type::PG_NODE_TREE => is_text || arrow.element().is_some(),
            _ => is_text || arrow == named || (named.element().is_some() && arrow.element().is_some()),
        };
        if fits { named } else { arrow }
    }
}

/// Whether a struct was made by `ROW(…)`, which names its fields by their places.
pub(super) fn is_row(fields: &datafusion::arrow::datatypes::Fields) -> bool {
    !fields.is_empty() && fields.iter().enumerate().all(|(n, field)| *field.name() == format!("c{n}"))
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) pg_type: PgType,
    /// Precision and scale, or length.
    pub(crate) modifier: i32,
    /// The number of the table it comes from; 0: none.
    pub(crate) table: u32,
    /// Its place there, from 1.
    pub(crate) number: i16,
}

impl Column {
    pub(crate) fn new(name: &str, pg_type: PgType) -> Self {
        Self { name: name.to_owned(), pg_type, modifier: -1, table: 0, number: 0 }
    }

    fn of_field(field: &Field) -> Self {
        let modifier = modifier_of(field.data_type());
        Self { modifier, ..Self::new(crate::rewrite::shown_name(field.name()), PgType::from_field(field)) }
    }
}

/// Precision and scale of a decimal, as `pg_attribute` has them; -1: nothing is said.
fn modifier_of(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            (i32::from(*precision) << 16 | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// Columns of a schema.
pub(crate) fn columns_of(schema: &Schema) -> Vec<Column> {
    schema.fields().iter().map(|field| Column::of_field(field)).collect()
}

/// The PostgreSQL type that a type in SQL names.
pub(crate) fn type_of_sql(data_type: &ast::DataType) -> Option<PgType> {
    let text = data_type.to_string().to_lowercase();
    let text = text.strip_prefix("pg_catalog.").unwrap_or(&text).trim().to_owned();
    if let Some(element) = text.strip_suffix("[]") {
        return plain_type(element).map(|element| element.array());
    }
    plain_type(&text)
}

/// Digits or length that a type in SQL says: `numeric(18,4)`, `varchar(255)`; `None`: it says none.
pub(crate) fn modifier_of_sql(data_type: &ast::DataType, pg_type: &PgType) -> Option<i32> {
    let text = data_type.to_string();
    let (_, arguments) = text.split_once('(')?;
    let mut numbers = arguments.split(')').next()?.split(',').map(|number| number.trim().parse::<i32>().ok());
    let first = numbers.next()??;
    match pg_type.name() {
        "varchar" | "bpchar" => first.checked_add(4),
        "numeric" => Some((first << 16 | numbers.next().flatten().unwrap_or(0)) + 4),
        "timestamp" | "timestamptz" | "time" => Some(first),
        _ => None,
    }
}

fn plain_type(text: &str) -> Option<PgType> {
    let bare = text.split('(').next().unwrap_or(text).trim();
    let zoned = text.contains("with time zone");
    let name = match bare {
        "bigint" => "int8",
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "boolean" => "bool",
        "real" => "float4",
        "double" | "double precision" | "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character varying" | "varchar" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp" if zoned => "timestamptz",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        other => other,
    };
    PgType::from_name(name)
}
