//! Queries put in words that the planner knows: one file a shape, one line in [`RULES`].

use datafusion::sql::sqlparser::ast::Query;

/// A rule; it changes what it knows and leaves the rest.
type Rule = fn(&mut Query) -> millstream::Result<()>;

/// In the order in which they run.
const RULES: &[Rule] = &[];

/// Applies all rules.
pub(crate) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    RULES.iter().try_for_each(|rule| rule(query))
}
