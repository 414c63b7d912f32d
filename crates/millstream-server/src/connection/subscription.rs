//! `SUBSCRIBE`: rows as they come, each with what happened to it and where the subscription stands.
//!
//! ```text
//!  stream, continuous query ──▶ the query itself, in streaming mode: only insertions, never taken back
//!  stored table, materialized view ──▶ its rows from a place on, looked for again and again
//! ```
//! Rows of a materialized view that no checkpoint covers yet are provisional: after a failure they may come again. The resume token of
//! a table is the place behind the row; a stream has none, its rows are not kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{GroupByExpr, ObjectNamePart, SelectItem, SetExpr, TableFactor};
use millstream::{Clock, Query, Relation, RelationKind, Session};
use millstream_sql::parse::SelectQuery;

use crate::error::{Result, WireError};
use crate::server::ServerState;
use crate::statement::SubscribeOptions;

/// How often a table is looked at for new rows.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running subscription.
pub(crate) struct Subscription {
    source: Source,
    schema: SchemaRef,
    counted: Option<Counted>,
}

/// A subscription in the server's figures, for as long as it is open.
struct Counted(Arc<ServerState>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Source {
    Query(Box<Query>),
    Table(TableFollower),
}

struct TableFollower {
    session: Session,
    clock: Arc<dyn Clock>,
    table: String,
    next: u64,
    /// What every token ends with, so that one of another run is known.
    run: String,
}

impl Subscription {
    /// Of a query that runs in streaming mode.
    pub(crate) fn of_query(query: Query) -> Self {
        let schema = with_progress(&query.schema());
        Self { source: Source::Query(Box::new(query)), schema, counted: None }
    }

    /// Of rows that are kept; without a snapshot only what comes from now on. `started_ms` tells runs of the server apart.
    pub(crate) fn of_table(
        session: Session,
        clock: Arc<dyn Clock>,
        table: &Relation,
        options: &SubscribeOptions,
        started_ms: i64,
    ) -> Result<Self> {
        // Rows that have gone for their age are not counted any more after a restart.
        let run = if has_retention(table) { format!("@{started_ms}") } else { String::new() };
        let next = match &options.resume {
            Some(token) => {
                let place = token.strip_suffix(run.as_str()).and_then(|place| place.parse::<u64>().ok());
                let next =
                    place.ok_or_else(|| WireError::new("22023", format!("this is no resume token of {}: \"{token}\"", table.name)))?;
                let from = session.table_tail(&table.name, next)?.from;
                if from > next {
                    let message = format!("rows {next} to {from} of {} were dropped for their age", table.name);
                    return Err(WireError::new("22023", message).with_hint("SUBSCRIBE without RESUME begins with what is there"));
                }
                next
            }
            None if options.snapshot => 0,
            None => session.table_tail(&table.name, u64::MAX)?.to,
        };
        let schema = with_progress(&table.schema);
        let follower = TableFollower { session, clock, table: table.name.clone(), next, run };
        Ok(Self { source: Source::Table(follower), schema, counted: None })
    }

    /// Counted among those that are open.
    pub(crate) fn counted(mut self, server: &Arc<ServerState>) -> Self {
        server.metrics.subscriptions.fetch_add(1, Ordering::Relaxed);
        self.counted = Some(Counted(Arc::clone(server)));
        self
    }

    /// The next rows; `None`: the query has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.source {
            Source::Query(query) => {
                let Some(batch) = query.next().await.transpose()? else { return Ok(None) };
                let epoch = i64::try_from(query.status().epochs).unwrap_or(i64::MAX);
                let rows = batch.num_rows();
                let no_tokens: ArrayRef = Arc::new(StringArray::new_null(rows));
                progress(&self.schema, &batch, vec![epoch; rows], vec![false; rows], no_tokens).map(Some)
            }
            Source::Table(follower) => follower.next(&self.schema).await.map(Some),
        }
    }
}

impl TableFollower {
    async fn next(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        loop {
            let tail = self.session.table_tail(&self.table, self.next)?;
            if tail.to < self.next {
                let message = format!("rows of {} that were provisional have been taken back and come again", self.table);
                return Err(WireError::new("40001", message).with_hint("SUBSCRIBE again"));
            }
            if let Some(batch) = tail.batches.first() {
                let from = tail.from;
                let places: Vec<u64> = (from..from + batch.num_rows() as u64).collect();
                let provisional = places.iter().map(|place| *place >= tail.published_to).collect();
                let tokens = StringArray::from_iter_values(places.iter().map(|place| format!("{}{}", place + 1, self.run)));
                let epochs = vec![i64::try_from(tail.to).unwrap_or(i64::MAX); places.len()];
                let batch = progress(schema, batch, epochs, provisional, Arc::new(tokens))?;
                self.next = from + places.len() as u64;
                return Ok(batch);
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }
}

/// True if rows of it go when they are old.
fn has_retention(table: &Relation) -> bool {
    let statements = table.sql.as_deref().and_then(|sql| millstream_sql::parse::parse(sql).ok()).unwrap_or_default();
    statements.iter().any(|parsed| parsed.statement.options().iter().any(|option| option.key == "retention"))
}

/// The columns of a subscription: what happened first, then the row.
pub(crate) fn with_progress(columns: &Schema) -> SchemaRef {
    let mut fields = vec![
        Arc::new(Field::new("op", DataType::Utf8, false)),
        Arc::new(Field::new("epoch", DataType::Int64, false)),
        Arc::new(Field::new("provisional", DataType::Boolean, false)),
        Arc::new(Field::new("resume_token", DataType::Utf8, true)),
    ];
    fields.extend(columns.fields().iter().cloned());
    Arc::new(Schema::new(fields))
}

fn progress(schema: &SchemaRef, batch: &RecordBatch, epochs: Vec<i64>, provisional: Vec<bool>, tokens: ArrayRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n("insert", rows))),
        Arc::new(Int64Array::from(epochs)),
        Arc::new(BooleanArray::from(provisional)),
        tokens,
    ];
    columns.extend(batch.columns().iter().cloned());
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The table or materialized view, if that is all the query says (`SELECT * FROM name`).
pub(crate) fn kept_table(engine: &millstream::Engine, select: &SelectQuery) -> Option<Relation> {
    let SetExpr::Select(body) = select.query.body.as_ref() else { return None };
    let plain = select.query.order_by.is_none()
        && select.query.limit_clause.is_none()
        && select.query.with.is_none()
        && body.selection.is_none()
        && body.distinct.is_none()
        && matches!(body.projection.as_slice(), [SelectItem::Wildcard(_)])
        && matches!(&body.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let [from] = body.from.as_slice() else { return None };
    let TableFactor::Table { name, args: None, .. } = &from.relation else { return None };
    if !plain || !from.joins.is_empty() {
        return None;
    }
    let ObjectNamePart::Identifier(ident) = name.0.last()? else { return None };
    let name = crate::statement::name_text(ident);
    let kept = |relation: &Relation| matches!(relation.kind, RelationKind::Table | RelationKind::MaterializedView);
    engine.relations().into_iter().find(|relation| relation.name == name && relation.sql.is_some() && kept(relation))
}
