//! Tables of text in, text out.

mod describe;
mod errors;
mod hostile;
mod statements;
mod types;
mod windows;

use super::parse;

/// The error of a script, rendered.
fn error_of(sql: &str) -> String {
    match parse(sql) {
        Ok(statements) => format!("accepted: {statements:?}"),
        Err(err) => err.to_string(),
    }
}

/// Compares with a golden file; with `MILLSTREAM_BLESS=1` writes it instead.
pub(crate) fn check_golden(name: &str, seen: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/parse/tests").join(name);
    if std::env::var_os("MILLSTREAM_BLESS").is_some() {
        std::fs::write(&path, seen).expect("the golden file is written");
    }
    let expected = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(seen, expected, "MILLSTREAM_BLESS=1 accepts the new text");
}
