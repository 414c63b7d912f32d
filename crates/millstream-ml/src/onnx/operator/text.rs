//! Text to words to counts: StringNormalizer, Tokenizer and TfIdfVectorizer, as exporters chain them.

use std::collections::HashMap;

use arrow::array::{Array, StringArray, StringBuilder};
use regex::Regex;

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::{Budget, Inputs, Operator};

fn text_of<'a>(input: &'a Tensor, operator: &str) -> ModelResult<&'a StringArray> {
    match &input.data {
        Data::Text(values) => Ok(values),
        other => Err(ModelError::invalid(format!("{operator} of {}", other.word()))),
    }
}

/// Text in one case.
#[derive(Clone, Copy, Debug)]
pub(super) enum StringNormalizer {
    AsItIs,
    Lower,
    Upper,
}

impl StringNormalizer {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        if !node.strings("stopwords").is_empty() {
            // They would leave rows out.
            return Err(ModelError::unsupported(
                "stop words in a StringNormalizer (hint: give them to the vectorizer, which leaves them out)",
            ));
        }
        Ok(match node.text("case_change_action", "NONE")? {
            "NONE" => Self::AsItIs,
            "LOWER" => Self::Lower,
            "UPPER" => Self::Upper,
            other => return Err(ModelError::invalid(format!("case_change_action '{other}'"))),
        })
    }
}

impl Operator for StringNormalizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let texts = text_of(input, "StringNormalizer")?;
        let changed = match self {
            Self::AsItIs => texts.clone(),
            Self::Lower => texts.iter().flatten().map(|text| Some(text.to_lowercase())).collect(),
            Self::Upper => texts.iter().flatten().map(|text| Some(text.to_uppercase())).collect(),
        };
        Ok(vec![Tensor::new(input.dims.clone(), Data::Text(changed))?])
    }
}

/// Where words end.
#[derive(Debug)]
enum Cut {
    /// What the pattern matches are the words.
    Words(Regex),
    /// What any of them matches is between words; none: each character is a word.
    Between(Vec<Regex>),
}

/// Text to words: one more dimension, filled up to the longest.
#[derive(Debug)]
pub(super) struct Tokenizer {
    cut: Cut,
    filler: String,
    characters_min: usize,
}

/// A compiled pattern may take this much memory.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The classes of a pattern in the ASCII meaning that exporters have in mind.
fn pattern(bytes: &[u8]) -> ModelResult<Regex> {
    let text = std::str::from_utf8(bytes).map_err(|_| ModelError::invalid("a pattern is not UTF-8"))?;
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    let mut inside = false;
    while let Some(character) = characters.next() {
        if character != '\\' {
            inside = (inside && character != ']') || character == '[';
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('w') => plain.push_str(if inside { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
            Some('d') => plain.push_str(if inside { "0-9" } else { "[0-9]" }),
            Some('s') => plain.push_str(if inside { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
            Some('W') => plain.push_str("[^0-9A-Za-z_]"),
            Some('D') => plain.push_str("[^0-9]"),
            Some('S') => plain.push_str(r"[^\t\n\f\r ]"),
            Some('b') => plain.push_str(r"(?-u:\b)"),
            Some('B') => plain.push_str(r"(?-u:\B)"),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    let regex = regex::RegexBuilder::new(&plain).size_limit(PATTERN_BYTES_MAX).build();
    regex.map_err(|error| ModelError::unsupported(format!("the pattern '{text}' of a Tokenizer: {error}")))
}

impl Tokenizer {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        if node.int("mark", 0) != 0 {
            return Err(ModelError::unsupported("a Tokenizer that marks the ends of texts"));
        }
        let words = node.text("tokenexp", "")?;
        let separators = node.strings("separators");
        let cut = match (words, separators) {
            ("", []) => return Err(ModelError::invalid("a Tokenizer without a pattern")),
            ("", [only]) if only.is_empty() => Cut::Between(Vec::new()),
            ("", separators) => Cut::Between(separators.iter().map(|text| pattern(text)).collect::<ModelResult<_>>()?),
            (words, []) => Cut::Words(pattern(words.as_bytes())?),
            _ => return Err(ModelError::invalid("a Tokenizer with patterns of words and of what is between them")),
        };
        let characters_min = usize::try_from(node.int("mincharnum", 1)).unwrap_or(1);
        Ok(Self { cut, filler: node.text("pad_value", "")?.to_owned(), characters_min })
    }

    fn words<'a>(&self, text: &'a str, out: &mut Vec<&'a str>) {
        let first = out.len();
        match &self.cut {
            Cut::Words(pattern) => out.extend(pattern.find_iter(text).map(|found| found.as_str())),
            Cut::Between(patterns) if patterns.is_empty() => {
                let ends = text.char_indices().map(|(at, character)| &text[at..at + character.len_utf8()]);
                out.extend(ends);
            }
            Cut::Between(patterns) => {
                let mut parts = vec![text];
                for pattern in patterns {
                    parts = parts.into_iter().flat_map(|part| pattern.split(part)).collect();
                }
                out.extend(parts);
            }
        }
        let long_enough = |word: &&str| !word.is_empty() && word.chars().count() >= self.characters_min;
        let kept: Vec<&str> = out.drain(first..).filter(long_enough).collect();
        out.extend(kept);
    }
}

impl Operator for Tokenizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let texts = text_of(input, "Tokenizer")?;
        budget.work(&[texts.value_data().len()])?;
        let mut words = Vec::new();
        let mut ends = Vec::with_capacity(texts.len());
        for text in texts.iter().flatten() {
            self.words(text, &mut words);
            ends.push(words.len());
        }
        let mut start = 0;
        let longest = ends.iter().map(|end| end - std::mem::replace(&mut start, *end)).max().unwrap_or(0);
        let dims: Vec<usize> = input.dims.iter().copied().chain([longest]).collect();
        let count = budget.elements(&dims)?;
        let mut out = StringBuilder::with_capacity(count, texts.value_data().len());
        start = 0;
        for end in ends {
            words[start..end].iter().for_each(|word| out.append_value(word));
            (end - start..longest).for_each(|_| out.append_value(&self.filler));
            start = end;
        }
        Ok(vec![Tensor::new(dims, Data::Text(out.finish()))?])
    }
}

/// What a count is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Count,
    /// The weight of what is there at all.
    Weight,
    /// Both multiplied.
    Both,
}

/// How often each known sequence of words is in a row.
#[derive(Debug)]
pub(super) struct TfIdfVectorizer {
    mode: Mode,
    words: Words,
    /// From a place in the tree of sequences, 0 at first, by a word to the next place.
    next: HashMap<(u32, u32), u32>,
    /// What ends at a place: column and weight.
    ends: Vec<Option<(u32, f32)>>,
    longest: usize,
    skips: usize,
    columns: usize,
}

/// Numbers of words.
#[derive(Debug)]
enum Words {
    Text(HashMap<String, u32>),
    Integer(HashMap<i64, u32>),
}

impl Words {
    fn of(pool: &Data) -> ModelResult<(Self, Vec<u32>)> {
        fn number<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> (HashMap<K, u32>, Vec<u32>) {
            let mut known = HashMap::new();
            let numbers = keys.map(|key| {
                let next = known.len() as u32;
                *known.entry(key).or_insert(next)
            });
            let numbers = numbers.collect();
            (known, numbers)
        }
        Ok(match pool {
            Data::Text(pool) => {
                let (known, numbers) = number(pool.iter().flatten().map(str::to_owned));
                (Self::Text(known), numbers)
            }
            Data::I64(pool) => {
                let (known, numbers) = number(pool.iter().copied());
                (Self::Integer(known), numbers)
            }
            other => return Err(ModelError::invalid(format!("sequences of {}", other.word()))),
        })
    }

    /// `u32::MAX` for what is in no sequence.
    fn numbers(&self, values: &Data) -> ModelResult<Vec<u32>> {
        Ok(match (self, values) {
            (Self::Text(known), Data::Text(values)) => {
                values.iter().map(|word| word.and_then(|word| known.get(word)).copied().unwrap_or(u32::MAX)).collect()
            }
            (Self::Integer(known), Data::I64(values)) => values.iter().map(|word| known.get(word).copied().unwrap_or(u32::MAX)).collect(),
            (_, other) => return Err(ModelError::invalid(format!("a TfIdfVectorizer is given {}", other.word()))),
        })
    }
}

/// Columns that a vectorizer makes at most.
const COLUMNS_MAX: usize = 1 << 20;

impl TfIdfVectorizer {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let mode = match node.text("mode", "TF")? {
            "TF" => Mode::Count,
            "IDF" => Mode::Weight,
            "TFIDF" => Mode::Both,
            other => return Err(ModelError::invalid(format!("mode '{other}'"))),
        };
        let length = |name: &str| usize::try_from(node.int(name, 0)).ok().filter(|length| *length < 64);
        let wrong = || ModelError::invalid("lengths of sequences that are none");
        let shortest = length("min_gram_length").filter(|length| *length > 0).ok_or_else(wrong)?;
        let longest = length("max_gram_length").filter(|length| *length >= shortest).ok_or_else(wrong)?;
        let skips = length("max_skip_count").ok_or_else(wrong)?;
        let pool = match node.has("pool_strings") {
            true => Data::Text(node.texts("pool_strings")?),
            false => Data::I64(node.ints("pool_int64s").to_vec()),
        };
        let (words, pool) = Words::of(&pool)?;
        let mut vectorizer = Self { mode, words, next: HashMap::new(), ends: vec![None], longest, skips, columns: 0 };
        vectorizer.read_sequences(node, &pool, shortest)?;
        Ok(vectorizer)
    }

    /// The pool has all sequences of one word, then all of two, …
    fn read_sequences(&mut self, node: &Node<'_>, pool: &[u32], shortest: usize) -> ModelResult<()> {
        let broken = |what: String| ModelError::invalid(format!("the sequences are damaged: {what}"));
        let columns = node.ints("ngram_indexes");
        let weights = node.floats("weights");
        if !(weights.is_empty() || weights.len() == columns.len()) {
            return Err(broken(format!("{} weights of {} sequences", weights.len(), columns.len())));
        }
        let starts = node.ints("ngram_counts").iter().map(|start| usize::try_from(*start).ok().filter(|start| *start <= pool.len()));
        let mut starts: Vec<usize> = starts.collect::<Option<_>>().ok_or_else(|| broken("a length starts nowhere".to_owned()))?;
        starts.push(pool.len());
        let mut sequence = 0;
        for (at, range) in starts.windows(2).enumerate() {
            let length = at + 1;
            let words = pool.get(range[0]..range[1]).ok_or_else(|| broken("lengths are not in order".to_owned()))?;
            if !words.len().is_multiple_of(length) {
                return Err(broken(format!("{} words in sequences of {length}", words.len())));
            }
            for words in words.chunks_exact(length) {
                let column =
                    columns.get(sequence).and_then(|column| u32::try_from(*column).ok()).filter(|column| (*column as usize) < COLUMNS_MAX);
                let column = column.ok_or_else(|| broken(format!("sequence {sequence} has no column")))?;
                self.columns = self.columns.max(column as usize + 1);
                let weight = weights.get(sequence).copied().unwrap_or(1.0);
                sequence += 1;
                if length >= shortest && length <= self.longest {
                    self.add(words, column, weight);
                }
            }
        }
        match sequence == columns.len() {
            true => Ok(()),
            false => Err(broken(format!("{sequence} sequences and {} columns", columns.len()))),
        }
    }

    fn add(&mut self, words: &[u32], column: u32, weight: f32) {
        let mut place = 0;
        for word in words {
            let fresh = self.ends.len() as u32;
            place = *self.next.entry((place, *word)).or_insert(fresh);
            if place == fresh {
                self.ends.push(None);
            }
        }
        self.ends[place as usize] = Some((column, weight));
    }

    fn count(&self, words: &[u32], counts: &mut [f32]) {
        for skip in 1..=self.skips + 1 {
            for first in 0..words.len() {
                let mut place = 0;
                let mut at = first;
                for length in 1..=self.longest {
                    let Some(next) = words.get(at).and_then(|word| self.next.get(&(place, *word))) else { break };
                    place = *next;
                    // Of one word there is nothing to skip.
                    if let Some((column, weight)) = self.ends[place as usize]
                        && (length > 1 || skip == 1)
                    {
                        let count = &mut counts[column as usize];
                        match self.mode {
                            Mode::Count => *count += 1.0,
                            Mode::Weight => *count = weight,
                            Mode::Both => *count += weight,
                        }
                    }
                    at += skip;
                }
            }
        }
    }
}

impl Operator for TfIdfVectorizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let (rows, words, dims) = match input.dims.as_slice() {
            [words] => (1, *words, vec![self.columns]),
            [rows, words] => (*rows, *words, vec![*rows, self.columns]),
            dims => return Err(ModelError::invalid(format!("rows of words are needed, the tensor has dimensions {dims:?}"))),
        };
        let count = budget.elements(&dims)?;
        budget.work(&[input.data.len(), self.longest, self.skips + 1])?;
        let numbers = self.words.numbers(&input.data)?;
        let mut out = vec![0_f32; count];
        if self.columns > 0 {
            for (row, counts) in out.chunks_mut(self.columns).enumerate().take(rows) {
                self.count(&numbers[row * words..(row + 1) * words], counts);
            }
        }
        Ok(vec![Tensor::new(dims, Data::F32(out))?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_ascii() {
        let words =
            |text: &str, of: &str| pattern(text.as_bytes()).unwrap().find_iter(of).map(|word| word.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(words(r"\w+", "Größe 12_a"), ["Gr", "e", "12_a"]);
        assert_eq!(words(r"[\w-]+", "a-b c"), ["a-b", "c"]);
        assert_eq!(words(r"\b\w\w+\b", "I am it"), ["am", "it"]);
        assert_eq!(words(".", "äb"), ["ä", "b"]);
        assert!(pattern(b"(a{1000}){1000}{1000}").unwrap_err().to_string().contains("Tokenizer"));
        assert!(pattern(b"(?=a)").is_err());
    }
}
