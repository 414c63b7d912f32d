//! Arrow columns as PostgreSQL's values, and parameters the other way.
//!
//! `pg_type` says which type a column has, `writer` turns a column into values (text forms in `text`, numbers in `numeric`),
//! `parameter` reads what a client binds.

mod from_text;
mod inferred;
mod nested;
mod numeric;
mod parameter;
mod pg_type;
mod text;
mod writer;

pub(crate) use from_text::column_of_text;
pub(crate) use inferred::{Declared, Lookup, columns_of_plan, type_beside};
pub(crate) use parameter::{array_parts, binary_text, parameter_literal, sql_type_name};
pub(crate) use pg_type::{Column, PG_TYPE, PgType, columns_of, modifier_of_sql, type_of_sql};
pub(crate) use text::Zone;
pub(crate) use writer::{RowWriter, Style};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As psql shows it.
    Text = 0,
    /// PostgreSQL's send functions.
    Binary = 1,
}

impl Format {
    /// Formats of `columns` columns, as Bind names them: none, one for all, or one each.
    pub(crate) fn each(codes: &[i16], columns: usize) -> Option<Vec<Self>> {
        let format = |code: &i16| if *code == 1 { Self::Binary } else { Self::Text };
        match codes {
            [] => Some(vec![Self::Text; columns]),
            [code] => Some(vec![format(code); columns]),
            codes if codes.len() == columns => Some(codes.iter().map(format).collect()),
            _ => None,
        }
    }
}
