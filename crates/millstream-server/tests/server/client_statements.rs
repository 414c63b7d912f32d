//! Statements that clients send when a person browses: each runs and gives the columns that the client expects.

use crate::TestServer;

/// `-- recorded from <client>`, a statement on one line, and `=> columns`.
const STATEMENTS: &str = include_str!("../data/client_statements.sql");

const SCHEMA: &str = include_str!("../data/schema.sql");

#[tokio::test(flavor = "multi_thread")]
async fn browsing_clients_find_what_they_look_for() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute(SCHEMA).await.unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut lines = STATEMENTS.lines().filter(|line| !line.starts_with("--") && !line.is_empty());
    while let (Some(sql), Some(expected)) = (lines.next(), lines.next()) {
        count += 1;
        let expected = expected.strip_prefix("=> ").unwrap();
        let found = match client.prepare(sql).await {
            Ok(statement) => {
                let columns = statement.columns().iter().map(|column| format!("{} {}", column.name(), column.type_().name()));
                let columns = columns.collect::<Vec<_>>().join(", ");
                match statement.params().is_empty() {
                    false => columns,
                    true => client.query(&statement, &[]).await.map_or_else(|error| format!("{error:?}"), |_| columns),
                }
            }
            Err(error) => format!("{error:?}"),
        };
        if found != expected {
            wrong.push(format!("{sql}\n  gives    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty() && count >= 20, "{count} statements, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_listed() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute(SCHEMA).await.unwrap();
    let list = async |sql: &str| {
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join(" ")
    };
    let names = "bids hop_counts mv_tumble nexmark_bids person v_bids";
    assert_eq!(list("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1").await, names);
    assert_eq!(list("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public' AND relkind IN ('r','v','m') ORDER BY 1").await, names);
    assert_eq!(list("SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'bids'::regclass AND i.indisprimary ORDER BY a.attnum").await, "auction bidder ts");
    assert_eq!(list("SELECT obj_description('bids'::regclass::oid, 'pg_class')").await, "nexmark bids");
    assert_eq!(list("SELECT data_type FROM information_schema.columns WHERE table_name = 'bids' AND column_name IN ('ts', 'amt', 'tags') ORDER BY ordinal_position").await, "timestamp with time zone numeric ARRAY");
    assert_eq!(list("SELECT matviewname FROM pg_matviews").await, "mv_tumble");
    assert!(list("SELECT version()").await.starts_with("PostgreSQL 15."));
    server.stop().await;
}
