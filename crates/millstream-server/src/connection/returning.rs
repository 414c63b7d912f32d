//! `INSERT … VALUES … RETURNING`: the rows go in, and then are all that there is to read of the table.

use millstream::{Isolation, Outcome, ParsedStatement, Transaction};
use millstream_sql::parse::Statement;

use super::Connection;
use super::rows::ResultRows;
use crate::error::{Result, WireError};

impl Connection {
    pub(super) async fn insert_returning(&mut self, insert: &ParsedStatement, table: &str, rows: &ParsedStatement) -> Result<ResultRows> {
        let (Statement::Insert(what), Statement::Query(select)) = (&insert.statement, &rows.statement) else {
            return Err(WireError::syntax("RETURNING belongs to INSERT"));
        };
        let relation = self.server.engine.relation(table);
        let is_kept = relation.is_none_or(|relation| relation.kind == millstream::RelationKind::Table);
        if !is_kept || !matches!(what.query.query.body.as_ref(), datafusion::sql::sqlparser::ast::SetExpr::Values(_)) {
            return Err(WireError::unsupported("RETURNING is for INSERT INTO a stored table VALUES …"));
        }
        self.check_rights(&insert.statement)?;
        let open = self.transaction.work().or_else(|| self.implicit.clone());
        let work = open.clone().unwrap_or_else(|| Transaction::new(Isolation::Statement));
        let mark = work.mark();
        let mut session = self.streaming.clone();
        session.set_transaction(Some(std::sync::Arc::clone(&work)));
        let outcome = self.guarded(async { session.run(insert).await.map_err(WireError::from) }).await?;
        if !matches!(outcome, Outcome::Done { .. }) {
            return Err(WireError::new("XX000", "an INSERT of values does not go on"));
        }
        let view = work.written_since(&mark, &self.server.engine, table);
        let mut session = self.session.clone();
        session.set_transaction(Some(view));
        let returned = self.run_query(&session, select, &rows.text).await?;
        if open.is_none() {
            work.commit(&self.server.engine).await?;
        }
        Ok(returned)
    }
}
