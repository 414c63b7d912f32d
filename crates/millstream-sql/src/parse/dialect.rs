//! PostgreSQL's dialect with what streaming SQL adds.
//!
//! sqlparser decides some things by the dialect's type and some by its `supports_*` methods. [`MillstreamDialect`]
//! answers both as [`PostgreSqlDialect`] does and differs in six points:
//!
//! * `` `name` `` quotes an identifier, as `"name"` does;
//! * `TABLE bids` in an argument is the subquery `SELECT * FROM bids` (`TUMBLE(TABLE bids, …)`); the keys of
//!   `TABLE bids PARTITION BY a` are kept in the subquery's `DISTRIBUTE BY`;
//! * an argument may be named: `SIZE => INTERVAL '1' MINUTE`;
//! * `EMIT`, `ALLOWED LATENESS` and `LATE ROWS` after a table or column start a clause and are not its alias;
//! * the name of a named argument is a plain identifier. PostgreSQL's dialect tries every argument as an expression
//!   first and parses it again if it was no name, which doubles the work per nested call: `f(f(f(…)))` hangs;
//! * reading gives up after a number of operands.

use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, SetExpr, Statement, TableFactor};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The SQL dialect of Millstream; see the module's head.
#[derive(Debug)]
pub struct MillstreamDialect {
    base: PostgreSqlDialect,
    /// How many more operands the parser may start to read. On wrong SQL sqlparser tries again at each level of calls,
    /// so nested ones take exponential time.
    operands_left: AtomicUsize,
}

impl Default for MillstreamDialect {
    fn default() -> Self {
        Self::with_operands(usize::MAX)
    }
}

impl MillstreamDialect {
    /// A dialect for one statement, which gives up after it began to read `operands_max` operands.
    pub(super) fn with_operands(operands_max: usize) -> Self {
        Self { base: PostgreSqlDialect {}, operands_left: AtomicUsize::new(operands_max) }
    }

    /// Whether the parser gave up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.operands_left.load(Ordering::Relaxed) == 0
    }
}

/// Forwards yes/no questions to PostgreSQL's dialect: exactly those for which it differs from the default.
macro_rules! as_postgres {
    ($($method:ident),* $(,)?) => {
        $(fn $method(&self) -> bool { self.base.$method() })*
    };
}

impl Dialect for MillstreamDialect {
    fn dialect(&self) -> TypeId {
        self.base.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.base.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || self.base.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.base.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.base.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        ch != '`' && self.base.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.base.is_reserved_for_identifier(keyword)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.base.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.base.prec_value(precedence)
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let spent = |left: usize| left.checked_sub(1);
        if self.operands_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).is_err() {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        let [first, second] = parser.peek_tokens_ref();
        let is_table = matches!(&first.token, Token::Word(word) if word.keyword == Keyword::TABLE);
        let is_name = matches!(&second.token, Token::Word(_));
        (is_table && is_name).then(|| table_argument(parser))
    }

    fn is_select_item_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        (explicit || !starts_stream_clause(parser)) && self.base.is_select_item_alias(explicit, keyword, parser)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        (explicit || !starts_stream_clause(parser)) && self.base.is_table_factor_alias(explicit, keyword, parser)
    }

    as_postgres!(
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_alter_column_type_using,
        supports_array_typedef_with_brackets,
        supports_bitwise_shift_operators,
        supports_comma_separated_trim,
        supports_comment_on,
        supports_comment_optimizer_hint,
        supports_create_index_with_clause,
        supports_create_table_like_parenthesized,
        supports_empty_projections,
        supports_explain_with_utility_options,
        supports_factorial_operator,
        supports_filter_during_aggregation,
        supports_geometric_types,
        supports_group_by_expr,
        supports_insert_table_alias,
        supports_interval_options,
        supports_listen_notify,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_nested_comments,
        supports_notnull_operator,
        supports_numeric_literal_underscores,
        supports_select_wildcard_with_alias,
        supports_set_names,
        supports_string_escape_constant,
        supports_unicode_string_literal,
        supports_xml_expressions,
    );
}

/// `TABLE name [PARTITION BY key, …]` as a subquery.
fn table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_keyword_is(Keyword::TABLE)?;
    let name = parser.parse_object_name(false)?;
    let mut query = select_all_from(name)?;
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        // A comma here may also end the argument, so several keys need parentheses; one key needs none.
        let keys = if parser.consume_token(&Token::LParen) {
            let keys = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
            keys
        } else {
            vec![parser.parse_expr()?]
        };
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.distribute_by = keys;
        }
    }
    Ok(Expr::Subquery(query))
}

/// The query `SELECT * FROM name`, with the name's own positions.
pub(crate) fn select_all_from(name: ObjectName) -> Result<Box<Query>, ParserError> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT * FROM x")?;
    if let Some(Statement::Query(mut query)) = parsed.into_iter().next()
        && let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Table { name: placeholder, .. } = &mut from.relation
    {
        *placeholder = name;
        return Ok(query);
    }
    Err(ParserError::ParserError("internal error: SELECT * FROM x is not a query".to_owned()))
}

/// Whether the word just read and the next one start a clause of ours.
fn starts_stream_clause(parser: &Parser) -> bool {
    let is = |token: &Token, word: &str| matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
    let word = &parser.get_current_token().token;
    let next = &parser.peek_token_ref().token;
    let emit_follows = ["ON", "EVERY", "CHANGES", "FINAL"].iter().any(|w| is(next, w));
    (is(word, "EMIT") && emit_follows) || (is(word, "ALLOWED") && is(next, "LATENESS")) || (is(word, "LATE") && is(next, "ROWS"))
}
