//! Text to the ids of word pieces, as BERT and the networks after it read it.
//!
//! A `tokenizer.json` says which pieces there are and what becomes of text before it is cut; a `vocab.txt` has the pieces alone. Cut is
//! by the longest piece that fits, again and again: Schuster and Nakajima, "Japanese and Korean voice search", 2012. Names of special
//! tokens within a text are text like any other.

use std::collections::HashMap;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::error::{ModelError, ModelResult};

/// A `tokenizer.json` or `vocab.txt` may be this large.
const BYTES_MAX: usize = 64 << 20;

/// What becomes of text before it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cleaning {
    /// Control characters go, any white space becomes a space.
    clean: bool,
    /// Each Chinese character is a word.
    chinese: bool,
    lowercase: bool,
    accents_off: bool,
}

/// Cuts texts into pieces.
#[derive(Debug)]
pub(super) struct Tokenizer {
    /// Pieces that start a word.
    first: HashMap<String, u32>,
    /// Pieces within a word, without the mark that says so.
    inner: HashMap<String, u32>,
    unknown: u32,
    word_characters_max: usize,
    piece_bytes_max: usize,
    cleaning: Cleaning,
    before: Vec<u32>,
    after: Vec<u32>,
    pub(super) padding: i64,
    tokens_max: usize,
}

fn wrong(what: impl std::fmt::Display) -> ModelError {
    ModelError::invalid(format!("the tokenizer does not read: {what} (hint: it is the tokenizer.json or vocab.txt beside the model)"))
}

impl Tokenizer {
    /// Reads the file; texts get `tokens_max` tokens at most.
    pub(super) fn read(bytes: &[u8], tokens_max: usize) -> ModelResult<Self> {
        if bytes.len() > BYTES_MAX {
            return Err(ModelError::too_large(format!("the tokenizer has {} bytes, at most {BYTES_MAX} are read", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        if text.trim_start().starts_with('{') { Self::of_json(text, tokens_max) } else { Self::of_words(text, tokens_max) }
    }

    fn of_json(text: &str, tokens_max: usize) -> ModelResult<Self> {
        let file: Value = serde_json::from_str(text).map_err(wrong)?;
        let model = &file["model"];
        match model["type"].as_str() {
            Some("WordPiece") | None => {}
            Some(other) => {
                let hint = "hint: word pieces are, as in BERT, MiniLM, MPNet, E5, BGE and GTE";
                return Err(ModelError::unsupported(format!("tokenizers of kind {other} are not evaluated ({hint})")));
            }
        }
        let vocabulary = model["vocab"].as_object().ok_or_else(|| wrong("it has no vocabulary of word pieces"))?;
        let mut pieces = Vec::with_capacity(vocabulary.len());
        for (piece, id) in vocabulary {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(format!("piece '{piece}' has no number")))?;
            pieces.push((piece.as_str(), id));
        }
        for token in file["added_tokens"].as_array().into_iter().flatten() {
            if let (Some(piece), Some(id)) = (token["content"].as_str(), token["id"].as_u64().and_then(|id| u32::try_from(id).ok())) {
                pieces.push((piece, id));
            }
        }
        let cleaning = cleaning(&file["normalizer"])?;
        match file["pre_tokenizer"]["type"].as_str() {
            Some("BertPreTokenizer") => {}
            other => return Err(ModelError::unsupported(format!("a tokenizer with the splitter {}", other.unwrap_or("none")))),
        }
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("##");
        let unknown = model["unk_token"].as_str().unwrap_or("[UNK]");
        let word_characters_max = model["max_input_chars_per_word"].as_u64().unwrap_or(100).min(1000) as usize;
        let mut tokenizer = Self::new(&pieces, prefix, unknown, tokens_max)?;
        (tokenizer.cleaning, tokenizer.word_characters_max) = (cleaning, word_characters_max);
        (tokenizer.before, tokenizer.after) = frame(&file["post_processor"], &pieces)?;
        tokenizer.padding = file["padding"]["pad_id"].as_i64().unwrap_or(tokenizer.padding);
        tokenizer.check()
    }

    /// A piece a line, numbered from 0.
    fn of_words(text: &str, tokens_max: usize) -> ModelResult<Self> {
        let pieces: Vec<(&str, u32)> = text.lines().zip(0..).collect();
        let mut tokenizer = Self::new(&pieces, "##", "[UNK]", tokens_max)?;
        let special = |name: &str| tokenizer.first.get(name).copied().ok_or_else(|| wrong(format!("it has no {name}")));
        (tokenizer.before, tokenizer.after) = (vec![special("[CLS]")?], vec![special("[SEP]")?]);
        tokenizer.cleaning = Cleaning { clean: true, chinese: true, lowercase: true, accents_off: true };
        tokenizer.check()
    }

    fn new(pieces: &[(&str, u32)], prefix: &str, unknown: &str, tokens_max: usize) -> ModelResult<Self> {
        let mut first = HashMap::with_capacity(pieces.len());
        let mut inner = HashMap::new();
        let mut piece_bytes_max = 0;
        for (piece, id) in pieces {
            piece_bytes_max = piece_bytes_max.max(piece.len());
            if let Some(piece) = piece.strip_prefix(prefix).filter(|piece| !prefix.is_empty() && !piece.is_empty()) {
                inner.insert(piece.to_owned(), *id);
            }
            first.insert((*piece).to_owned(), *id);
        }
        if prefix.is_empty() {
            inner.clone_from(&first);
        }
        let unknown = first.get(unknown).copied().ok_or_else(|| wrong(format!("it has no piece {unknown} for what is unknown")))?;
        let padding = first.get("[PAD]").map_or(0, |id| i64::from(*id));
        Ok(Self {
            first,
            inner,
            unknown,
            word_characters_max: 100,
            piece_bytes_max,
            cleaning: Cleaning::default(),
            before: Vec::new(),
            after: Vec::new(),
            padding,
            tokens_max,
        })
    }

    fn check(self) -> ModelResult<Self> {
        let frame = self.before.len() + self.after.len();
        match frame < self.tokens_max {
            true => Ok(self),
            false => Err(wrong(format!("{frame} tokens stand around each text, of {} at most", self.tokens_max))),
        }
    }

    /// The ids of a text's pieces, with what stands around each text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let room = self.tokens_max - self.after.len();
        let mut ids = self.before.clone();
        let cleaned = self.cleaned(text);
        for word in cleaned.split_whitespace() {
            let mut rest = word;
            while let Some((at, mark)) = rest.char_indices().find(|(_, character)| is_punctuation(*character)) {
                let end = at + mark.len_utf8();
                self.pieces(&rest[..at], &mut ids);
                self.pieces(&rest[at..end], &mut ids);
                rest = &rest[end..];
            }
            self.pieces(rest, &mut ids);
            if ids.len() >= room {
                break;
            }
        }
        ids.truncate(room);
        ids.extend_from_slice(&self.after);
        ids
    }

    fn cleaned(&self, text: &str) -> String {
        let Cleaning { clean, chinese, lowercase, accents_off } = self.cleaning;
        let mut cleaned = String::with_capacity(text.len());
        for character in text.chars() {
            if clean && is_noise(character) {
                continue;
            }
            match chinese && is_chinese(character) {
                true => cleaned.extend([' ', character, ' ']),
                false => cleaned.push(character),
            }
        }
        if accents_off {
            cleaned = cleaned.nfd().filter(|character| character.general_category() != GeneralCategory::NonspacingMark).collect();
        }
        if lowercase { cleaned.to_lowercase() } else { cleaned }
    }

    /// The longest pieces that make up a word; if any part of it is no piece, the word is unknown.
    fn pieces(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let before = ids.len();
        let mut rest = word;
        if word.chars().take(self.word_characters_max + 1).count() > self.word_characters_max {
            return ids.push(self.unknown);
        }
        while !rest.is_empty() {
            let known = if rest.len() == word.len() { &self.first } else { &self.inner };
            let ends = rest.char_indices().map(|(at, character)| at + character.len_utf8()).take_while(|end| *end <= self.piece_bytes_max);
            let ends: Vec<usize> = ends.collect();
            let Some((end, id)) = ends.into_iter().rev().find_map(|end| Some((end, *known.get(&rest[..end])?))) else {
                ids.truncate(before);
                return ids.push(self.unknown);
            };
            ids.push(id);
            rest = &rest[end..];
        }
    }
}

fn cleaning(normalizer: &Value) -> ModelResult<Cleaning> {
    let flag = |name: &str, default: bool| normalizer[name].as_bool().unwrap_or(default);
    Ok(match normalizer["type"].as_str() {
        None => Cleaning::default(),
        Some("BertNormalizer") => {
            let lowercase = flag("lowercase", true);
            let accents_off = flag("strip_accents", lowercase);
            Cleaning { clean: flag("clean_text", true), chinese: flag("handle_chinese_chars", true), lowercase, accents_off }
        }
        Some("Lowercase") => Cleaning { lowercase: true, ..Cleaning::default() },
        Some("NFD" | "StripAccents") => Cleaning { accents_off: true, ..Cleaning::default() },
        Some("Sequence") => {
            let mut all = Cleaning::default();
            for normalizer in normalizer["normalizers"].as_array().into_iter().flatten() {
                let one = cleaning(normalizer)?;
                all.clean |= one.clean;
                all.chinese |= one.chinese;
                all.lowercase |= one.lowercase;
                all.accents_off |= one.accents_off;
            }
            all
        }
        Some(other) => return Err(ModelError::unsupported(format!("a tokenizer with the normalizer {other}"))),
    })
}

/// The tokens before and behind each text.
fn frame(processor: &Value, pieces: &[(&str, u32)]) -> ModelResult<(Vec<u32>, Vec<u32>)> {
    let id_of = |name: &str| {
        let found = pieces.iter().rev().find(|(piece, _)| *piece == name);
        found.map(|(_, id)| *id).ok_or_else(|| wrong(format!("it has no token {name}")))
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    match processor["type"].as_str() {
        None => {}
        Some("BertProcessing" | "RobertaProcessing") => {
            before.push(id_of(processor["cls"][0].as_str().unwrap_or("[CLS]"))?);
            after.push(id_of(processor["sep"][0].as_str().unwrap_or("[SEP]"))?);
        }
        Some("TemplateProcessing") => {
            let mut behind = false;
            for part in processor["single"].as_array().into_iter().flatten() {
                match part["SpecialToken"]["id"].as_str() {
                    Some(name) => (if behind { &mut after } else { &mut before }).push(id_of(name)?),
                    None => behind = true,
                }
            }
        }
        Some(other) => return Err(ModelError::unsupported(format!("a tokenizer with the processor {other}"))),
    }
    Ok((before, after))
}

fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation() || (!character.is_ascii() && character.general_category_group() == GeneralCategoryGroup::Punctuation)
}

fn is_noise(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        character if character.is_ascii() => character.is_ascii_control(),
        character => matches!(
            character.general_category(),
            GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Surrogate
        ),
    }
}

fn is_chinese(character: char) -> bool {
    matches!(u32::from(character),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x20000..=0x2a6df | 0x2a700..=0x2b73f | 0x2b740..=0x2b81f | 0x2b920..=0x2ceaf | 0xf900..=0xfaff
        | 0x2f800..=0x2fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\n,\nnaive\n中\n!";

    #[test]
    fn the_longest_pieces_are_taken() {
        let tokenizer = Tokenizer::read(WORDS.as_bytes(), 16).unwrap();
        assert_eq!(tokenizer.encode("UNaffable, na\u{ef}ve!"), [2, 4, 5, 6, 7, 8, 10, 3]);
        assert_eq!(tokenizer.encode("unaffordable\u{0}  中中"), [2, 1, 9, 9, 3]);
        assert_eq!(tokenizer.encode(""), [2, 3]);
        assert_eq!(tokenizer.encode(&"x".repeat(1000)), [2, 1, 3]);
        assert_eq!(tokenizer.encode(&"un ".repeat(1000)).len(), 16);
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        for (text, words) in [
            ("", "no piece [UNK]"),
            ("{", "does not read"),
            ("{}", "no vocabulary"),
            (r#"{"model": {"type": "BPE", "vocab": {}}}"#, "kind BPE"),
            (r#"{"model": {"type": "WordPiece", "vocab": {"[UNK]": -1}}}"#, "no number"),
            (r#"{"model": {"type": "WordPiece", "vocab": {"[UNK]": 0}}, "normalizer": {"type": "Replace"}}"#, "normalizer Replace"),
        ] {
            let error = Tokenizer::read(text.as_bytes(), 16).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(Tokenizer::read(WORDS.as_bytes(), 2).unwrap_err().to_string().contains("2 tokens stand around"));
    }
}
