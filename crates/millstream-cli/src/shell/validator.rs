//! Tells the line editor whether Enter runs the text or begins another line.

use reedline::{ValidationResult, Validator};

use super::input::is_complete;

/// Goes by the engine's own tokens, so a semicolon in a string ends nothing.
pub(crate) struct StatementValidator;

impl Validator for StatementValidator {
    fn validate(&self, text: &str) -> ValidationResult {
        if is_complete(text) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}
