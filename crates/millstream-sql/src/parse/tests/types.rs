//! SQL types in Arrow.

use crate::parse::{ColumnKind, Statement, arrow_type, parse};

fn arrow(text: &str) -> String {
    let parsed = match parse(&format!("CREATE TABLE t (a {text})")) {
        Ok(parsed) => parsed,
        Err(err) => return format!("{} ({})", err.message(), err.hint().unwrap_or("no hint")),
    };
    let Statement::CreateTable(table) = &parsed[0].statement else { panic!("a table") };
    let ColumnKind::Physical { data_type } = &table.columns[0].kind else { panic!("a physical column") };
    match arrow_type(data_type) {
        Ok(arrow) => arrow.to_string(),
        Err(err) => err.to_string(),
    }
}

#[test]
fn types() {
    for (sql, expected) in [
        ("BOOLEAN", "Boolean"),
        ("TINYINT", "Int8"),
        ("SMALLINT", "Int16"),
        ("INT", "Int32"),
        ("integer", "Int32"),
        ("BIGINT", "Int64"),
        ("INT8", "Int64"),
        ("BIGINT UNSIGNED", "UInt64"),
        ("REAL", "Float32"),
        ("FLOAT", "Float32"),
        ("FLOAT(53)", "Float64"),
        ("DOUBLE", "Float64"),
        ("DOUBLE PRECISION", "Float64"),
        ("FLOAT8", "Float64"),
        ("DECIMAL(10, 2)", "Decimal128(10, 2)"),
        ("NUMERIC", "Decimal128(38, 10)"),
        ("NUMERIC(50, 3)", "Decimal256(50, 3)"),
        ("TEXT", "Utf8"),
        ("STRING", "Utf8"),
        ("VARCHAR(20)", "Utf8"),
        ("CHARACTER VARYING", "Utf8"),
        ("BYTES", "Binary"),
        ("BYTEA", "Binary"),
        ("DATE", "Date32"),
        ("TIME", "Time64(µs)"),
        ("TIME(3)", "Time32(ms)"),
        ("TIMESTAMP", "Timestamp(µs)"),
        ("TIMESTAMP(0)", "Timestamp(ms)"),
        ("TIMESTAMP(3)", "Timestamp(ms)"),
        ("TIMESTAMP(6)", "Timestamp(µs)"),
        ("TIMESTAMP(9)", "Timestamp(ns)"),
        ("TIMESTAMPTZ", "Timestamp(µs, \"UTC\")"),
        ("TIMESTAMP_LTZ(3)", "Timestamp(ms, \"UTC\")"),
        ("TIMESTAMP WITH TIME ZONE", "Timestamp(µs, \"UTC\")"),
        ("INT[]", "List(Int32)"),
        ("ARRAY<ARRAY<TEXT>>", "List(List(Utf8))"),
        ("ROW<a INT, B STRING>", "Struct(\"a\": Int32, \"b\": Utf8)"),
        ("STRUCT<a INT>", "Struct(\"a\": Int32)"),
        ("ROW(a INT NOT NULL, b ROW<c INT>)", "Struct(\"a\": Int32, \"b\": Struct(\"c\": Int32))"),
        ("TIMESTAMP(12)", "TIMESTAMP(12) asks for 12 digits of a second (0 to 9 digits are possible)"),
        ("DECIMAL(99)", "DECIMAL(99) is out of range (precision is 1 to 76, scale 0 to precision)"),
        ("DECIMAL(5, 9)", "DECIMAL(5,9) is out of range (precision is 1 to 76, scale 0 to precision)"),
        ("BIGNIT", "type BIGNIT does not exist (did you mean BIGINT?)"),
        ("TIMETZ", "TIME WITH TIME ZONE is not supported (use TIME or TIMESTAMPTZ)"),
        ("ARRAY<INT", "expected >, found ) (no hint)"),
    ] {
        assert_eq!(arrow(sql), expected, "{sql}");
    }
    assert!(arrow("MAP<STRING, BIGINT>").starts_with("Map("), "{}", arrow("MAP<STRING, BIGINT>"));
}
