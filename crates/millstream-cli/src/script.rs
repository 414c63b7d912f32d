//! Reads the SQL that the command line names, before any of it runs: a missing file is found out at once.

use std::fs;
use std::io::{self, Read};

use crate::args::Input;

/// A piece of SQL and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The file name for messages; none for `-c`.
    pub(crate) name: Option<String>,
    pub(crate) sql: String,
}

/// Reads all inputs. The error is a complete message.
pub(crate) fn read_all(inputs: &[Input]) -> Result<Vec<Script>, String> {
    inputs.iter().map(read).collect()
}

fn read(input: &Input) -> Result<Script, String> {
    match input {
        Input::Text(sql) => Ok(Script { name: None, sql: sql.clone() }),
        Input::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(|error| format!("cannot read standard input: {error}"))?;
            Ok(Script { name: Some("<stdin>".to_owned()), sql: decode(bytes, "standard input")? })
        }
        Input::File(path) => {
            let name = path.display().to_string();
            let bytes = fs::read(path).map_err(|error| format!("cannot read the script '{name}': {error}"))?;
            let sql = decode(bytes, &format!("the script '{name}'"))?;
            Ok(Script { name: Some(name), sql })
        }
    }
}

/// UTF-8, with or without a byte order mark; a `#!` line makes scripts executable and is no SQL.
fn decode(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("{what} is not UTF-8: the first wrong byte is at offset {}", error.utf8_error().valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.starts_with("#!") {
        // A comment keeps line numbers right.
        true => Ok(format!("--{text}")),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_shebangs_are_no_sql() {
        assert_eq!(decode("\u{feff}SELECT 1".into(), "x").unwrap(), "SELECT 1");
        assert_eq!(
            decode("#!/usr/bin/env -S millstream run\nSELECT 1".into(), "x").unwrap(),
            "--#!/usr/bin/env -S millstream run\nSELECT 1"
        );
        assert_eq!(decode(vec![b'a', 0xff], "x").unwrap_err(), "x is not UTF-8: the first wrong byte is at offset 1");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_all(&[Input::File("no/such/file.sql".into())]).unwrap_err();
        assert!(error.starts_with("cannot read the script 'no/such/file.sql': "), "{error}");
    }
}
