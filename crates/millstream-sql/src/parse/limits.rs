//! Bounds on size and nesting, checked on tokens before anything recursive sees the statement.
//!
//! Parentheses nest the parser's calls, and a flat chain of operators (`a OR b OR c …`) nests the tree it returns: the
//! first operator lies deepest. Cloning, comparing and dropping a tree recurse without any guard on the stack's size,
//! so the tree must not become deeper than a 2 MiB stack bears. [`check`] bounds the depth from above: the open
//! brackets plus, at each level, the operators since the last comma or clause keyword.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{SqlError, SqlErrorKind, SqlResult};

/// Longest script.
pub const SCRIPT_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting of parentheses, brackets and type parameters; also the parser's own limit on nested calls.
pub const NESTING_DEPTH_MAX: usize = 64;

/// Longest chain of operators in one expression, and of UNIONs or JOINs in one query.
pub const EXPRESSION_DEPTH_MAX: usize = 500;

/// The error for too deep nesting.
pub(crate) fn nesting_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, format!("the statement nests deeper than {NESTING_DEPTH_MAX} levels"))
        .with_hint("name inner queries with WITH, or create a view for them")
}

fn chain_error() -> SqlError {
    SqlError::new(SqlErrorKind::Limit, format!("an expression chains more than {EXPRESSION_DEPTH_MAX} operators"))
        .with_hint("write x IN (…) for a long list of ORs, join with a VALUES table, or split the statement")
}

/// Operators seen at one level of brackets.
#[derive(Default)]
struct Level {
    /// Since the last comma or clause keyword.
    operators: usize,
    /// UNION, JOIN and the like since the level opened.
    relations: usize,
}

/// Refuses a statement whose tree could become too deep.
pub(super) fn check(tokens: &[TokenWithSpan]) -> SqlResult<()> {
    let mut open: Vec<Level> = vec![Level::default()];
    let mut angles = 0_usize;
    let mut depth_below = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                depth_below += open.last().map_or(0, |level| level.operators + level.relations);
                open.push(Level::default());
                if open.len() > NESTING_DEPTH_MAX {
                    return Err(nesting_error().with_span(token.span));
                }
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if open.len() > 1 {
                    open.pop();
                    let reopened = open.last().map_or(0, |level| level.operators + level.relations);
                    depth_below = depth_below.saturating_sub(reopened);
                }
            }
            // Type parameters are recursive in the parser without a guard; comparisons reset at the next clause.
            Token::Lt => angles += 1,
            Token::Gt | Token::ShiftRight => angles = angles.saturating_sub(2),
            _ => {}
        }
        let Some(level) = open.last_mut() else { break };
        match class(&token.token) {
            Class::Operator => level.operators += 1,
            Class::Relation => {
                level.operators = 0;
                level.relations += 1;
            }
            Class::Clause => {
                level.operators = 0;
                angles = 0;
            }
            Class::Plain => {}
        }
        if depth_below + level.operators + level.relations > EXPRESSION_DEPTH_MAX || angles > EXPRESSION_DEPTH_MAX {
            return Err(chain_error().with_span(token.span));
        }
    }
    Ok(())
}

enum Class {
    /// Deepens the expression it stands in.
    Operator,
    /// Deepens the query it stands in.
    Relation,
    /// Ends the expression before it.
    Clause,
    Plain,
}

fn class(token: &Token) -> Class {
    match token {
        Token::Comma | Token::SemiColon => Class::Clause,
        Token::Word(word) if word.quote_style.is_none() => word_class(&word.value),
        Token::Word(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Whitespace(_)
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::LBrace
        | Token::RBrace
        | Token::EOF => Class::Plain,
        _ => Class::Operator,
    }
}

fn word_class(word: &str) -> Class {
    /// Words that nest what follows or what precedes them.
    const OPERATORS: [&str; 20] = [
        "AND", "OR", "NOT", "XOR", "IS", "ISNULL", "NOTNULL", "IN", "LIKE", "ILIKE", "SIMILAR", "BETWEEN", "COLLATE", "AT", "INTERVAL",
        "CASE", "ARRAY", "EXPLAIN", "OPERATOR", "PRIOR",
    ];
    const RELATIONS: [&str; 5] = ["UNION", "EXCEPT", "INTERSECT", "MINUS", "JOIN"];
    const CLAUSES: [&str; 11] = ["SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "ON", "WHEN", "THEN", "VALUES", "AS"];
    let is = |candidates: &[&str]| candidates.iter().any(|candidate| word.eq_ignore_ascii_case(candidate));
    if is(&OPERATORS) {
        Class::Operator
    } else if is(&RELATIONS) {
        Class::Relation
    } else if is(&CLAUSES) {
        Class::Clause
    } else {
        Class::Plain
    }
}
