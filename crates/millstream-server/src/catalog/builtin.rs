//! What every PostgreSQL has: types, functions, operators, collations. Their rows come with the crate `datafusion-pg-catalog`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options, concat_batches};
use datafusion::arrow::datatypes::{DataType, Int16Type, UInt32Type};
use datafusion_pg_catalog::pg_catalog::{ArrowTable, PgCatalogStaticTables};

use super::shape::{Shape, shape};
use crate::error::Result;

static TABLES: LazyLock<Option<PgCatalogStaticTables>> = LazyLock::new(|| match PgCatalogStaticTables::try_new() {
    Ok(tables) => Some(tables),
    Err(error) => {
        tracing::error!(%error, "the rows of pg_catalog cannot be read");
        None
    }
});

/// Rows of a relation that are the same everywhere; `None`: it has none.
pub(super) fn rows(shape: &Shape) -> Option<Result<RecordBatch>> {
    let tables = TABLES.as_ref()?;
    if shape.schema_name != "pg_catalog" {
        return None;
    }
    let table: &Arc<ArrowTable> = match shape.name.as_str() {
        "pg_aggregate" => &tables.pg_aggregate,
        "pg_am" => &tables.pg_am,
        "pg_amop" => &tables.pg_amop,
        "pg_amproc" => &tables.pg_amproc,
        "pg_cast" => &tables.pg_cast,
        "pg_collation" => &tables.pg_collation,
        "pg_conversion" => &tables.pg_conversion,
        "pg_language" => &tables.pg_language,
        "pg_opclass" => &tables.pg_opclass,
        "pg_operator" => &tables.pg_operator,
        "pg_opfamily" => &tables.pg_opfamily,
        "pg_proc" => &tables.pg_proc,
        "pg_range" => &tables.pg_range,
        "pg_tablespace" => &tables.pg_tablespace,
        "pg_ts_config" => &tables.pg_ts_config,
        "pg_ts_dict" => &tables.pg_ts_dict,
        "pg_ts_parser" => &tables.pg_ts_parser,
        "pg_ts_template" => &tables.pg_ts_template,
        "pg_type" => &tables.pg_type,
        _ => return None,
    };
    Some(conform(table, shape))
}

/// The words that SQL keeps for itself.
pub(super) fn keywords() -> Option<Arc<ArrowTable>> {
    TABLES.as_ref().map(|tables| Arc::clone(&tables.pg_get_keywords))
}

/// The table's rows in the columns that PostgreSQL 15 has.
fn conform(table: &ArrowTable, shape: &Shape) -> Result<RecordBatch> {
    let all = concat_batches(&table.schema(), table.data())?;
    let columns = shape.schema.fields().iter().map(|field| match all.column_by_name(field.name()) {
        Some(column) => as_type(column, field.data_type()),
        None => new_null_array(field.data_type(), all.num_rows()),
    });
    Ok(RecordBatch::try_new(Arc::clone(&shape.schema), columns.collect())?)
}

fn as_type(column: &ArrayRef, data_type: &DataType) -> ArrayRef {
    if column.data_type() == data_type {
        return Arc::clone(column);
    }
    if let (DataType::List(_), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) = (data_type, column.data_type()) {
        return vector(column, data_type);
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(column, data_type, &options).unwrap_or_else(|_| new_null_array(data_type, column.len()))
}

/// `23 25` or `{23,25}` as a list.
fn vector(column: &ArrayRef, data_type: &DataType) -> ArrayRef {
    use datafusion::arrow::array::{ListBuilder, PrimitiveBuilder, StringBuilder};
    let text = as_type(column, &DataType::Utf8);
    let text: &StringArray = text.as_string();
    let DataType::List(element) = data_type else { return Arc::clone(column) };
    let parts = |text: &str| -> Vec<String> {
        text.trim_matches(['{', '}', ' ']).split([' ', ',']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    macro_rules! lists {
        ($builder:expr, $convert:expr) => {{
            let mut builder = ListBuilder::new($builder);
            for value in text {
                match value {
                    Some(value) => builder.append_value(parts(value).iter().map(|part| $convert(part))),
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match element.data_type() {
        DataType::UInt32 => lists!(PrimitiveBuilder::<UInt32Type>::new(), |part: &String| part.parse().ok()),
        DataType::Int16 => lists!(PrimitiveBuilder::<Int16Type>::new(), |part: &String| part.parse().ok()),
        DataType::Utf8 => lists!(StringBuilder::new(), |part: &String| Some(part.clone())),
        _ => new_null_array(data_type, column.len()),
    }
}

/// A type of `pg_type`.
#[derive(Clone, Debug)]
pub(super) struct TypeFact {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) length: i16,
    pub(super) by_value: bool,
    pub(super) align: String,
    pub(super) storage: String,
    pub(super) element: u32,
    /// What a domain is made of; 0: it is none.
    pub(super) base: u32,
    pub(super) collation: u32,
}

/// The types, by name.
pub(super) static TYPES: LazyLock<HashMap<String, TypeFact>> = LazyLock::new(|| types().unwrap_or_default());

/// The types, by number.
pub(super) static TYPES_BY_OID: LazyLock<HashMap<u32, TypeFact>> =
    LazyLock::new(|| TYPES.values().map(|fact| (fact.oid, fact.clone())).collect());

fn types() -> Option<HashMap<String, TypeFact>> {
    let batch = rows(shape("pg_catalog", "pg_type")?)?.ok()?;
    let oids = |name: &str| batch.column_by_name(name).map(|column| column.as_primitive::<UInt32Type>().clone());
    let texts = |name: &str| batch.column_by_name(name).map(|column| column.as_string::<i32>().clone());
    let (oid, name): (UInt32Array, StringArray) = (oids("oid")?, texts("typname")?);
    let (element, base, collation) = (oids("typelem")?, oids("typbasetype")?, oids("typcollation")?);
    let lengths = batch.column_by_name("typlen")?.as_primitive::<Int16Type>().clone();
    let by_value = batch.column_by_name("typbyval")?.as_boolean().clone();
    let (align, storage) = (texts("typalign")?, texts("typstorage")?);
    let fact = |row: usize| TypeFact {
        oid: oid.value(row),
        name: name.value(row).to_owned(),
        length: lengths.value(row),
        by_value: by_value.value(row),
        align: align.value(row).to_owned(),
        storage: storage.value(row).to_owned(),
        element: element.value(row),
        base: base.value(row),
        collation: collation.value(row),
    };
    Some((0..batch.num_rows()).map(fact).map(|fact| (fact.name.clone(), fact)).collect())
}

/// Names of built-in functions by number, for `regproc`.
pub(super) static FUNCTIONS: LazyLock<HashMap<u32, String>> = LazyLock::new(|| {
    let batch = shape("pg_catalog", "pg_proc").and_then(rows).and_then(Result::ok);
    let Some(batch) = batch else { return HashMap::new() };
    let (Some(oid), Some(name)) = (batch.column_by_name("oid"), batch.column_by_name("proname")) else { return HashMap::new() };
    let (oid, name) = (oid.as_primitive::<UInt32Type>(), name.as_string::<i32>());
    (0..batch.num_rows()).map(|row| (oid.value(row), name.value(row).to_owned())).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_functions_are_there() {
        assert_eq!((TYPES["int8"].oid, TYPES["_text"].element), (20, 25));
        assert!(FUNCTIONS.values().any(|name| name == "int8in"));
        let class = rows(shape("pg_catalog", "pg_opclass").unwrap()).unwrap().unwrap();
        assert!(class.num_rows() > 100 && class.column_by_name("opcname").unwrap().null_count() == 0);
        let proc = rows(shape("pg_catalog", "pg_proc").unwrap()).unwrap().unwrap();
        let arguments: &datafusion::arrow::array::ListArray = proc.column_by_name("proargtypes").unwrap().as_list();
        assert!(arguments.values().len() > 1000);
    }
}
