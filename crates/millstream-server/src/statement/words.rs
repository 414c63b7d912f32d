//! Reads words, names, numbers and strings of a statement's tokens.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Result, WireError};

/// Tokens of a statement, read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(crate) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub(crate) fn skip(&mut self) {
        self.at += 1;
    }

    fn word_at(&self, n: usize) -> Option<&'a str> {
        match self.tokens.get(self.at + n)? {
            Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    /// True if these words come next.
    pub(crate) fn are(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word_at(n).is_some_and(|found| found.eq_ignore_ascii_case(word)))
    }

    /// Takes these words, all or none.
    pub(crate) fn take(&mut self, words: &[&str]) -> bool {
        let found = self.are(words);
        if found {
            self.at += words.len();
        }
        found
    }

    /// Takes a sign.
    pub(crate) fn sign(&mut self, sign: &Token) -> bool {
        let found = self.peek() == Some(sign);
        if found {
            self.at += 1;
        }
        found
    }

    /// The name that comes next.
    pub(crate) fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() })
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// `a` or `public.a`, without the schema.
    pub(crate) fn object_name(&mut self) -> Result<String> {
        let mut name = self.name()?;
        while self.sign(&Token::Period) {
            if !["public", "pg_temp"].contains(&name.as_str()) && self.tokens.get(self.at + 1) != Some(&Token::Period) {
                return Err(WireError::new("3F000", format!("schema \"{name}\" does not exist")));
            }
            name = self.name()?;
        }
        Ok(name)
    }

    /// A string, a number with its sign, or a word.
    pub(crate) fn value(&mut self) -> Result<String> {
        let sign = if self.sign(&Token::Minus) { "-" } else { "" };
        let value = match self.peek() {
            Some(Token::Number(digits, _)) => format!("{sign}{digits}"),
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) if sign.is_empty() => text.clone(),
            Some(Token::Word(word)) if sign.is_empty() => word.value.clone(),
            _ => return Err(self.expected("a value")),
        };
        self.at += 1;
        Ok(value)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        match self.peek() {
            Some(Token::Number(digits, _)) => {
                let number = digits.parse().ok()?;
                self.at += 1;
                Some(number)
            }
            _ => None,
        }
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.expected("a string")),
        }
    }

    /// Moves behind the bracket that closes the one that comes next.
    pub(crate) fn skip_brackets(&mut self) -> Result<()> {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            self.skip();
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(self.expected(")"))
    }

    pub(crate) fn expected(&self, what: &str) -> WireError {
        match self.peek() {
            Some(token) => WireError::syntax(format!("syntax error at or near \"{token}\": {what} is expected")),
            None => WireError::syntax(format!("syntax error at end of input: {what} is expected")),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<()> {
        if self.is_end() { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }
}
