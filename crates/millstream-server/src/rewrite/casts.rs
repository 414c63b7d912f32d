//! Casts to types that only PostgreSQL has: `'bids'::regclass`, `oid::regtype::text`, `x::name`, `x::oid`, `x::pg_catalog.text`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, CastKind, DataType, ExactNumberInfo, Expr, Query, Value, VisitMut, VisitorMut};

use super::call;
use crate::values::{Format, PgType, parameter_literal};

/// Types whose values are numbers shown as names.
const REG_TYPES: &[&str] = &["regclass", "regtype", "regproc", "regnamespace", "regrole"];

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Casts);
    Ok(())
}

struct Casts;

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // A literal before its type: `regclass 'bids'`.
        if let Expr::TypedString(typed) = expr
            && reg_type(&typed.data_type).is_some()
        {
            let value = Expr::Value(typed.value.clone());
            *expr = cast(value, typed.data_type.clone());
        }
        let Expr::Cast { expr: inner, data_type, kind, .. } = expr else { return ControlFlow::Continue(()) };
        if let Some(name) = reg_type(data_type) {
            *expr = call(&format!("{name}_in"), vec![inner.as_ref().clone()]);
            return ControlFlow::Continue(());
        }
        if is_reg_array(data_type) {
            // Their names, as `text[]`.
            *expr = call("regtype_array", vec![inner.as_ref().clone()]);
            return ControlFlow::Continue(());
        }
        if let (Some(pg_type), Some(text)) = (array_type(data_type), super::literal_text(inner))
            && let Ok(list) = parameter_literal(Some(text.as_bytes()), Format::Text, &pg_type)
        {
            *expr = cast(list, plain_type(data_type).unwrap_or_else(|| data_type.clone()));
            return ControlFlow::Continue(());
        }
        if let (DataType::Bytea, Some(bytes)) = (&*data_type, hex_of(inner)) {
            **inner = Expr::Value(Value::HexStringLiteral(bytes).into());
        }
        if let Some(scale) = scale_of(data_type, inner) {
            *data_type = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(37, scale));
        }
        if let Some(plain) = plain_type(data_type) {
            // The name of what the number stands for.
            if is_text(&plain)
                && let Some((name, argument)) = reg_call(inner)
            {
                *expr = call(&format!("{name}_out"), vec![argument]);
                return ControlFlow::Continue(());
            }
            if plain == DataType::IntegerUnsigned(None)
                && let Some(("regproc", argument)) = reg_call(inner)
            {
                *expr = call("regproc_oid", vec![argument]);
                return ControlFlow::Continue(());
            }
            *data_type = plain;
            *kind = CastKind::Cast;
        }
        ControlFlow::Continue(())
    }
}

/// The array type that `'{…}'::type[]` names.
fn array_type(data_type: &DataType) -> Option<PgType> {
    matches!(data_type, DataType::Array(_)).then(|| crate::values::type_of_sql(data_type)).flatten()
}

/// `regtype[]`
fn is_reg_array(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) if reg_type(element).as_deref() == Some("regtype"))
}

/// The digits of bytes written as `'\\x00ff'`.
fn hex_of(expr: &Expr) -> Option<String> {
    let Expr::Value(value) = expr else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let digits = text.strip_prefix("\\x")?;
    (digits.len() % 2 == 0 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| digits.to_owned())
}

/// Digits behind the point of a literal that becomes a NUMERIC without digits: those stay.
fn scale_of(data_type: &DataType, expr: &Expr) -> Option<i64> {
    if !matches!(data_type, DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None)) {
        return None;
    }
    let Expr::Value(value) = expr else { return None };
    let (Value::Number(text, _) | Value::SingleQuotedString(text)) = &value.value else { return None };
    let text = text.trim().trim_start_matches(['-', '+']);
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() <= 30;
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    (is_plain && !text.is_empty()).then_some(i64::try_from(scale).ok()?)
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn type_name(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Custom(name, arguments) if arguments.is_empty() => {
            let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).collect();
            match parts.as_slice() {
                [name] => Some(name.clone()),
                [schema, name] if schema == "pg_catalog" || schema == "information_schema" => Some(name.clone()),
                _ => None,
            }
        }
        DataType::Regclass => Some("regclass".to_owned()),
        _ => None,
    }
}

pub(super) fn reg_type(data_type: &DataType) -> Option<String> {
    type_name(data_type).filter(|name| REG_TYPES.contains(&name.as_str()))
}

/// `regclass_in(x)`: the cast below this one, already rewritten.
fn reg_call(expr: &Expr) -> Option<(&'static str, Expr)> {
    let expr = match expr {
        Expr::Nested(inner) => inner.as_ref(),
        expr => expr,
    };
    let Expr::Function(function) = expr else { return None };
    let name = function.name.to_string();
    let reg = REG_TYPES.iter().find(|reg| name == format!("{reg}_in"))?;
    Some((reg, expr.clone()))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Text)
}

/// The type that the planner knows for one of PostgreSQL's; `None`: it knows this one.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, size)) = data_type {
        let element = plain_type(element)?;
        return Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), *size)));
    }
    let plain = match data_type {
        DataType::Text => DataType::Text,
        DataType::JSON | DataType::JSONB | DataType::Uuid => DataType::Text,
        _ => match type_name(data_type)?.as_str() {
            "oid" | "xid" => DataType::IntegerUnsigned(None),
            "text" | "name" | "char" | "bpchar" | "varchar" | "json" | "jsonb" | "uuid" | "xml" | "unknown" | "cstring" | "citext"
            | "sql_identifier" | "character_data" | "yes_or_no" | "inet" => DataType::Text,
            "int2" => DataType::SmallInt(None),
            "int4" | "cardinal_number" => DataType::Integer(None),
            "int8" => DataType::BigInt(None),
            "float4" => DataType::Real,
            "float8" => DataType::DoublePrecision,
            "bool" => DataType::Boolean,
            "bytea" => DataType::Bytea,
            "timestamptz" => DataType::Timestamp(None, datafusion::sql::sqlparser::ast::TimezoneInfo::WithTimeZone),
            _ => return None,
        },
    };
    Some(plain)
}
