//! Arrow's names of types and DataFusion's notation of literals, said in SQL.

/// Arrow's names and SQL's.
const TYPE_NAMES: [(&str, &str); 17] = [
    ("Utf8View", "TEXT"),
    ("LargeUtf8", "TEXT"),
    ("Utf8", "TEXT"),
    ("Int64", "BIGINT"),
    ("Int32", "INTEGER"),
    ("Int16", "SMALLINT"),
    ("Int8", "TINYINT"),
    ("UInt64", "BIGINT UNSIGNED"),
    ("UInt32", "INTEGER UNSIGNED"),
    ("Float64", "DOUBLE"),
    ("Float32", "REAL"),
    ("Boolean", "BOOLEAN"),
    ("Date32", "DATE"),
    ("Binary", "BYTES"),
    ("Timestamp", "TIMESTAMP"),
    ("Decimal128", "DECIMAL"),
    ("Null", "NULL"),
];

/// Replaces `Int64` by `BIGINT`, and `Int64(1)` or `Utf8("x")` by the literal alone.
pub(super) fn in_sql(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_alphanumeric()) {
        said.push_str(&rest[..start]);
        let word_on = &rest[start..];
        let end = word_on.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(word_on.len());
        let (word, after) = word_on.split_at(end);
        let Some((_, name)) = TYPE_NAMES.iter().find(|(arrow, _)| *arrow == word) else {
            said.push_str(word);
            rest = after;
            continue;
        };
        match literal(after) {
            Some((value, behind)) if !matches!(word, "Timestamp" | "Decimal128") => {
                said.push_str(&value);
                rest = behind;
            }
            _ => {
                said.push_str(name);
                rest = after;
            }
        }
    }
    said.push_str(rest);
    said
}

/// The value in `(1)` or `("x")`, and what follows.
fn literal(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('(')?;
    if let Some(quoted) = inner.strip_prefix('"') {
        let end = quoted.find("\")")?;
        return Some((format!("'{}'", &quoted[..end]), &quoted[end + 2..]));
    }
    let end = inner.find(')')?;
    Some((inner[..end].to_owned(), &inner[end + 1..]))
}
