//! One entry of a chain, and its bytes.
//!
//! ```text
//!   {"format_version":1,"chain":"manifest","number":7,…,"body":{…}   the head, hashed
//!   ,"sha256":"<64 hex digits>"}\n                                   the seal, of fixed length
//! ```
//!
//! The whole is one JSON object. The hash is over the bytes of the head as they are, so nobody has to agree on how JSON is written.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{CheckpointError, Result};

/// The version of the envelope. The body has one of its own if it needs one.
pub const FORMAT_VERSION: u64 = 1;

const SEAL_START: &[u8] = b",\"sha256\":\"";
const SEAL_END: &[u8] = b"\"}\n";
const SEAL_BYTES: usize = SEAL_START.len() + 64 + SEAL_END.len();

/// An owner's random text, new for every claim of every process: it tells our own entries from others'.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nonce(pub String);

impl From<&str> for Nonce {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Grows by one with each claim of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// Names exactly one entry: who wrote it and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The writer.
    pub owner: Nonce,
    /// The hash in the entry's seal.
    pub hash: Digest,
}

/// An entry as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<B> {
    /// Of the envelope.
    pub format_version: u64,
    /// The chain's name.
    pub chain: String,
    /// From 1, without gaps while nothing is retired.
    pub number: u64,
    /// How often the chain was claimed so far, from 1.
    pub generation: Generation,
    /// Who wrote it.
    pub owner: Nonce,
    /// The entry before it; none for the first.
    pub predecessor: Option<Link>,
    /// What the chain is for.
    pub body: B,
}

/// An entry that is in the store, with the hash of its seal.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry<B> {
    /// The entry.
    pub entry: Entry<B>,
    /// Its hash.
    pub hash: Digest,
}

impl<B> StoredEntry<B> {
    /// What the next entry says of this one.
    pub fn link(&self) -> Link {
        Link { owner: self.entry.owner.clone(), hash: self.hash }
    }
}

/// Every entry but the first names the one before, and numbers and generations count from 1.
///
/// Prevents a chain that is cut in two without anybody noticing.
pub fn stands_on_predecessor<B>(entry: &Entry<B>) -> bool {
    entry.number >= 1 && entry.generation.0 >= 1 && (entry.number == 1) == entry.predecessor.is_none()
}

/// An entry's name and what it says of itself agree.
///
/// Prevents that a file copied or renamed by hand passes for another checkpoint.
pub fn is_where_it_belongs<B>(entry: &Entry<B>, chain: &str, number: u64) -> bool {
    entry.chain == chain && entry.number == number
}

/// The bytes of an entry, and its hash.
pub(super) fn encode<B: Serialize>(entry: &Entry<B>) -> Result<(Bytes, Digest)> {
    if !stands_on_predecessor(entry) {
        return Err(CheckpointError::bug(format!("entry {} of '{}' does not stand on the one before", entry.number, entry.chain)));
    }
    let written = serde_json::to_vec(entry);
    let mut bytes = written.map_err(|error| CheckpointError::bug(format!("entry of '{}' is no JSON: {error}", entry.chain)))?;
    // The seal becomes the last field.
    if bytes.pop() != Some(b'}') {
        return Err(CheckpointError::bug(format!("entry of '{}' is no JSON object", entry.chain)));
    }
    let hash = Digest::of(&bytes);
    bytes.extend_from_slice(SEAL_START);
    bytes.extend_from_slice(hash.to_string().as_bytes());
    bytes.extend_from_slice(SEAL_END);
    Ok((bytes.into(), hash))
}

/// Reads and checks the entry that `file` should hold.
///
/// Errors: [`CheckpointError::Damaged`] with both hashes, [`CheckpointError::NewerFormat`].
pub(super) fn decode<B: DeserializeOwned>(bytes: &[u8], file: &str, chain: &str, number: u64) -> Result<StoredEntry<B>> {
    let (head, hash) = check_seal(bytes, file)?;
    let mut json = head.to_vec();
    json.push(b'}');
    let damaged = |detail: String| CheckpointError::Damaged { file: file.to_owned(), expected: hash.to_string(), found: hash, detail };
    #[derive(Deserialize)]
    struct Version {
        format_version: u64,
    }
    let version: Version = serde_json::from_slice(&json).map_err(|error| damaged(format!("sealed, but no entry: {error}")))?;
    if version.format_version > FORMAT_VERSION {
        return Err(CheckpointError::NewerFormat { file: file.to_owned(), found: version.format_version, known: FORMAT_VERSION });
    }
    let entry: Entry<B> = serde_json::from_slice(&json).map_err(|error| damaged(format!("sealed, but not understood: {error}")))?;
    if !is_where_it_belongs(&entry, chain, number) {
        return Err(damaged(format!("it is entry {} of '{}'", entry.number, entry.chain)));
    }
    if !stands_on_predecessor(&entry) {
        return Err(damaged("it does not stand on the entry before".to_owned()));
    }
    Ok(StoredEntry { entry, hash })
}

/// The hashed head and its hash.
fn check_seal<'a>(bytes: &'a [u8], file: &str) -> Result<(&'a [u8], Digest)> {
    let head_bytes = bytes.len().saturating_sub(SEAL_BYTES);
    let (head, seal) = bytes.split_at(head_bytes);
    let found = Digest::of(head);
    let stated = seal.strip_prefix(SEAL_START).and_then(|rest| rest.strip_suffix(SEAL_END)).and_then(|hex| std::str::from_utf8(hex).ok());
    match stated {
        Some(stated) if stated == found.to_string() => Ok((head, found)),
        stated => Err(CheckpointError::Damaged {
            file: file.to_owned(),
            expected: stated.map_or_else(|| "unknown, its seal is gone".to_owned(), str::to_owned),
            found,
            detail: format!("{} bytes", bytes.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry() -> Entry<Value> {
        let predecessor = Some(Link { owner: "p".into(), hash: Digest::of(b"p") });
        Entry {
            format_version: 1,
            chain: "c".into(),
            number: 2,
            generation: Generation(1),
            owner: "o".into(),
            predecessor,
            body: json!({"a": [1, "ä"]}),
        }
    }

    #[test]
    fn an_entry_reads_back_and_is_json() {
        let (bytes, hash) = encode(&entry()).unwrap();
        let read: StoredEntry<Value> = decode(&bytes, "c-2.json", "c", 2).unwrap();
        assert_eq!(read, StoredEntry { entry: entry(), hash });
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["sha256"], hash.to_string());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let (bytes, _) = encode(&entry()).unwrap();
        let refused = |bytes: &[u8], what: String| match decode::<Value>(bytes, "c-2.json", "c", 2) {
            Err(CheckpointError::Damaged { file, .. }) => assert_eq!(file, "c-2.json"),
            other => panic!("{what}: {other:?}"),
        };
        for length in 0..bytes.len() {
            refused(&bytes[..length], format!("cut at {length}"));
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&flipped, format!("bit {bit}"));
        }
    }

    #[test]
    fn a_newer_version_and_a_wrong_place_are_told() {
        let newer = Entry { format_version: 2, ..entry() };
        let (bytes, _) = encode(&newer).unwrap();
        let error = decode::<Value>(&bytes, "c-2.json", "c", 2).unwrap_err().to_string();
        assert!(error.starts_with("'c-2.json' has format version 2: this program knows versions up to 1"), "{error}");
        let (bytes, _) = encode(&entry()).unwrap();
        assert!(decode::<Value>(&bytes, "c-3.json", "c", 3).is_err());
        assert!(decode::<Value>(&bytes, "d-2.json", "d", 2).is_err());
        assert!(encode(&Entry { predecessor: None, ..entry() }).is_err());
    }
}
