//! Names of the files a checkpoint consists of: whose, of which generation and checkpoint. What may be deleted is read from the
//! name, never from a clock.
//!
//! ```text
//!   state/pane_aggregate-0/3-42-0-9f1c.parquet      staged/results/3-42-0-9f1c.arrow
//!   kind  operator or sink  │ │  │ └ nonce, new for every try
//!                  generation │  └ part
//!                       checkpoint
//! ```

use std::fmt;

use crate::chain::{Generation, Nonce};
use crate::error::{CheckpointError, Result};
use crate::folder::name_is_plain;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Rows an operator remembers.
    State,
    /// Rows a sink will publish.
    Staged,
}

impl FileKind {
    /// The folder of such files.
    pub fn folder(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Staged => "staged",
        }
    }
}

/// A file name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// State or staged rows.
    pub kind: FileKind,
    /// The operator's or sink's id, a plain name.
    pub of: String,
    /// The generation that wrote it.
    pub generation: Generation,
    /// The checkpoint it was written for.
    pub number: u64,
    /// Counts the files of one operator in one checkpoint.
    pub part: u32,
    /// Differs for each try: letters and digits.
    pub nonce: Nonce,
    /// `parquet`, `arrow`, …: letters and digits.
    pub extension: String,
}

impl FileName {
    /// Checks that the name can be read back.
    ///
    /// Errors: an id that is not plain; a nonce or extension of anything but letters and digits.
    pub fn check(self) -> Result<Self> {
        if Self::parse(&self.to_string()).as_ref() == Some(&self) {
            return Ok(self);
        }
        Err(CheckpointError::config(format!(
            "name of a checkpoint file must be plain: got '{self}' (hint: ids of letters, digits, '_', '-', nonces of letters and digits)"
        )))
    }

    /// Reads a name; `None` for every other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let kind = [FileKind::State, FileKind::Staged].into_iter().find(|known| known.folder() == kind)?;
        let (of, file) = rest.split_once('/')?;
        let (stem, extension) = file.split_once('.')?;
        let fields: Vec<&str> = stem.split('-').collect();
        let &[generation, number, part, nonce] = fields.as_slice() else { return None };
        let name = Self {
            kind,
            of: of.to_owned(),
            generation: Generation(generation.parse().ok()?),
            number: number.parse().ok()?,
            part: part.parse().ok()?,
            nonce: nonce.into(),
            extension: extension.to_owned(),
        };
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // One name has one spelling: no leading zeros, no signs.
        let known = name_is_plain(of) && name_is_plain(file) && word(nonce) && word(extension) && name.to_string() == text;
        known.then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, of, generation, number, part, nonce, extension } = self;
        write!(f, "{}/{of}/{}-{number}-{part}-{}.{extension}", kind.folder(), generation.0, nonce.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_back() {
        let text = "state/agg-0/3-42-1-9f1c.parquet";
        let name = FileName::parse(text).unwrap();
        assert_eq!((name.generation, name.number, name.part, name.of.as_str()), (Generation(3), 42, 1, "agg-0"));
        assert_eq!(name.to_string(), text);
        assert_eq!(name.clone().check().unwrap(), name);
        for wrong in
            ["", "state/a", "state/a/1-2-3.parquet", "state/a/1-2-3-x", "other/a/1-2-3-x.p", "state/a/01-2-3-x.p", "state/../1-2-3-x.p"]
        {
            assert_eq!(FileName::parse(wrong), None, "{wrong}");
        }
        assert!(FileName { nonce: "a-b".into(), ..name.clone() }.check().is_err());
        assert!(FileName { of: "a/b".into(), ..name }.check().is_err());
    }
}
