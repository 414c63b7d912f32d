//! Bounds on size and nesting, checked on tokens before anything recursive sees the statement.
//!
//! Brackets nest the parser's calls, and a flat chain of operators (`a OR b OR c …`) nests the tree it returns: the
//! first operator lies deepest. DataFusion's planner and the tree's own Clone recurse over it, at up to 15 KiB a level in
//! a debug build (measured): any tree within these limits is planned on [`DEEP_STACK_BYTES`] of stack, and dropped on
//! much less. [`with_deep_stack`] provides that; parsing uses it for trees that are not shallow.
//!
//! [`check`] bounds the depth from above. Within brackets, what stands between two commas is at most as deep as it has
//! operators, plus its deepest bracket. Nothing but commas and brackets ends a chain: any other word could be a column.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{SqlError, SqlErrorKind, SqlResult};

/// Longest script.
pub const SCRIPT_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting of brackets and of types.
pub const NESTING_DEPTH_MAX: usize = 64;

/// Deepest expression: operators chained without a comma, those in nested brackets included. JOIN counts as one, UNION as two.
pub const EXPRESSION_DEPTH_MAX: usize = 500;

/// Most JOINs in one statement: the time to plan them grows with the square of their number.
pub const JOINS_MAX: usize = 100;

/// A stack on which every statement within the limits can be cloned, compared and planned, in a debug build too. A
/// runtime's threads should have it; it is address space, not memory.
pub const DEEP_STACK_BYTES: usize = 8 << 20;

/// The parser's own stack: its debug build takes over 100 KiB for a nested query.
const PARSER_STACK_BYTES: usize = 64 << 20;

/// Up to here a statement is parsed on the caller's stack.
const SHALLOW: Depth = Depth { nesting: 6, expression: 60 };

/// How deep a statement is, from above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Depth {
    nesting: usize,
    expression: usize,
}

impl Depth {
    /// Runs `parse` where it has the stack it needs.
    pub(super) fn run<R: Send>(self, parse: impl FnOnce() -> SqlResult<R> + Send) -> SqlResult<R> {
        if self.nesting <= SHALLOW.nesting && self.expression <= SHALLOW.expression {
            return parse();
        }
        on_stack(PARSER_STACK_BYTES, parse)
    }
}

/// What a stack of our own has besides what is promised.
const SPARE_BYTES: usize = 256 << 10;

/// Runs `work` on a stack for everything that the limits allow: the caller's where enough of it is left, else one of its own.
///
/// # Errors
/// What `work` returns; an internal error if `work` panics.
pub fn with_deep_stack<R: Send>(work: impl FnOnce() -> SqlResult<R> + Send) -> SqlResult<R> {
    on_stack(DEEP_STACK_BYTES, work)
}

fn on_stack<R: Send>(stack_bytes: usize, work: impl FnOnce() -> SqlResult<R> + Send) -> SqlResult<R> {
    // What a panic leaves behind is dropped with it.
    let work = std::panic::AssertUnwindSafe(work);
    stacker::maybe_grow(stack_bytes, stack_bytes + SPARE_BYTES, || std::panic::catch_unwind(work))
        .unwrap_or_else(|_| Err(SqlError::new(SqlErrorKind::Internal, "the SQL parser failed")))
}

/// The error for too deep nesting.
pub(crate) fn nesting_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, format!("the statement nests deeper than {NESTING_DEPTH_MAX} levels"))
        .with_hint("name inner queries with WITH, or create a view for them")
}

/// The error of a statement for which the parser gave up.
pub(super) fn tangled_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, "the statement is no valid SQL and nests too deeply to say where it goes wrong")
        .with_hint("look for a bracket that is not closed, and for CAST, SUBSTRING or POSITION with wrong arguments")
}

/// How many operands a statement of so many tokens may make the parser read, with all its second tries.
pub(super) fn operands_max(tokens: usize) -> usize {
    20_000 + 4 * tokens
}

fn chain_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, format!("an expression chains more than {EXPRESSION_DEPTH_MAX} operators"))
        .with_hint("write x IN (…) for a long list of ORs, join with a VALUES table, or split the statement")
}

fn join_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, format!("the statement has more than {JOINS_MAX} JOINs"))
        .with_hint("create a materialized view for a part of them")
}

/// Deepest nesting of `((SELECT …`: the parser tries each twice.
const DOUBLED_QUERIES_MAX: usize = 8;

/// First words of a query.
const QUERY_WORDS: [&str; 5] = ["SELECT", "WITH", "VALUES", "TABLE", "FROM"];

/// What is known about one level of brackets.
#[derive(Default)]
struct Level {
    /// Operators since the last comma.
    operators: usize,
    /// Deepest bracket since the last comma.
    bracket: usize,
    /// Deepest part before the last comma.
    before: usize,
    /// If it holds a query: the brackets directly around its own.
    doubled: usize,
    /// Operators up to the last CASE since the last comma; 0: there is none.
    case: usize,
    /// Deepest branch of a CASE that has ended since then.
    branches: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.operators + self.bracket.max(self.branches))
    }

    /// Branches of a CASE stand beside each other: one that has ended is no deeper than a bracket would be.
    fn end_branch(&mut self) {
        self.branches = self.branches.max(self.operators - self.case + self.bracket);
        self.bracket = 0;
        self.operators = self.case;
    }
}

/// Measures a statement; refuses it if its tree could become too deep.
pub(super) fn check(tokens: &[TokenWithSpan]) -> SqlResult<Depth> {
    let mut scan = Scan { open: vec![Level::default()], ..Scan::default() };
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        scan.step(&token.token).map_err(|err| err.with_span(token.span))?;
    }
    Ok(scan.deepest)
}

/// What is known about the tokens so far.
#[derive(Default)]
struct Scan<'a> {
    /// Open brackets, the statement itself first.
    open: Vec<Level>,
    /// Open `ARRAY<`.
    types: usize,
    joins: usize,
    /// Opening brackets directly before this token.
    run: usize,
    /// The sum of `doubled` of the open levels.
    doubled: usize,
    previous: Option<&'a Token>,
    deepest: Depth,
}

impl<'a> Scan<'a> {
    fn step(&mut self, token: &'a Token) -> SqlResult<()> {
        self.measure(token);
        self.types = nested_types(self.types, self.previous, token);
        self.joins += usize::from(is_word(token, "JOIN"));
        let follows = |word| self.previous.is_some_and(|previous| is_word(previous, word));
        // The parser recurses here without counting, and no such statement has a meaning.
        if is_word(token, "INTERVAL") && follows("INTERVAL") {
            return Err(SqlError::syntax("INTERVAL needs a value, found another INTERVAL"));
        }
        self.previous = Some(token);
        let expression = self.open.last().map_or(0, Level::depth);
        let nesting = self.open.len().max(self.types);
        self.deepest.nesting = self.deepest.nesting.max(nesting);
        self.deepest.expression = self.deepest.expression.max(expression);
        if nesting > NESTING_DEPTH_MAX || self.doubled > DOUBLED_QUERIES_MAX {
            Err(nesting_error())
        } else if expression > EXPRESSION_DEPTH_MAX {
            Err(chain_error())
        } else if self.joins > JOINS_MAX {
            Err(join_error())
        } else {
            Ok(())
        }
    }

    fn measure(&mut self, token: &Token) {
        let nested = self.open.len() > 1;
        let Some(level) = self.open.last_mut() else { return };
        match token {
            Token::Comma | Token::SemiColon => {
                *level = Level { before: level.depth(), doubled: level.doubled, ..Level::default() };
            }
            Token::RParen | Token::RBracket | Token::RBrace if nested => self.close(),
            Token::LParen | Token::LBracket | Token::LBrace => {
                // Subscripts chain: a[1][2].
                level.operators += usize::from(*token != Token::LParen);
                self.open.push(Level::default());
                self.run += 1;
                return;
            }
            Token::Word(_) if self.run > 1 && QUERY_WORDS.iter().any(|word| is_word(token, word)) => {
                level.doubled = self.run - 1;
                self.doubled += level.doubled;
            }
            // Behind a literal these words can only go on with a CASE: a column would need an operator before it.
            Token::Word(_)
                if level.case > 0 && self.previous.is_some_and(is_literal) && BRANCHES.iter().any(|word| is_word(token, word)) =>
            {
                level.end_branch();
            }
            other => {
                level.operators += weight(other);
                if is_word(other, "CASE") {
                    level.case = level.operators;
                }
            }
        }
        self.run = 0;
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        self.doubled -= closed.doubled;
        if let Some(level) = self.open.last_mut() {
            level.bracket = level.bracket.max(closed.depth() + 1);
        }
    }
}

const BRANCHES: [&str; 3] = ["WHEN", "THEN", "ELSE"];

fn is_literal(token: &Token) -> bool {
    matches!(token, Token::Number(..) | Token::SingleQuotedString(_))
}

/// How many `ARRAY<` are open; the parser recurses there without counting.
fn nested_types(types: usize, previous: Option<&Token>, token: &Token) -> usize {
    match token {
        Token::Lt if previous.is_some_and(|previous| is_word(previous, "ARRAY")) => types + 1,
        Token::Gt => types.saturating_sub(1),
        Token::ShiftRight => types.saturating_sub(2),
        _ => types,
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// How many levels deeper a token can put what stands before it, or what follows. Every sign counts unless it is known
/// not to; a level of set operations takes as much stack as two of operators.
fn weight(token: &Token) -> usize {
    match token {
        _ if SET_OPERATIONS.iter().any(|word| is_word(token, word)) => 2,
        _ => usize::from(deepens(token)),
    }
}

const SET_OPERATIONS: [&str; 4] = ["UNION", "EXCEPT", "INTERSECT", "MINUS"];

fn deepens(token: &Token) -> bool {
    /// Operators and clauses that are words.
    const WORDS: [&str; 25] = [
        "AND", "OR", "NOT", "XOR", "IS", "ISNULL", "NOTNULL", "IN", "LIKE", "ILIKE", "SIMILAR", "RLIKE", "REGEXP", "BETWEEN", "COLLATE",
        "AT", "CASE", "DIV", "OVERLAPS", "OPERATOR", "MEMBER", "JOIN", "APPLY", "PIVOT", "UNPIVOT",
    ];
    match token {
        Token::Word(word) => word.quote_style.is_none() && WORDS.iter().any(|deep| word.value.eq_ignore_ascii_case(deep)),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::Placeholder(_)
        | Token::Period
        | Token::RArrow
        | Token::EOF => false,
        _ => true,
    }
}
