//! `FROM 'data/*.parquet'`: a file, or several of one kind, as a table that nobody has declared.
//!
//! A name that no table has and that looks like a file is opened when a statement that uses it is planned: its columns are found
//! out then, and it is read once per query. DataFusion reads it, so a query takes only the columns it needs. A stream over files,
//! with event time and new files as they come, is a table with the connector `file`.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use millstream_connectors::options::did_you_mean;
use millstream_connectors::{ConnectorRegistry, Options};

use crate::error::Error;

/// Endings of names and what stands in such files.
const KINDS: &[(&str, Kind)] = &[
    ("parquet", Kind::Parquet),
    ("pq", Kind::Parquet),
    ("csv", Kind::Csv),
    ("jsonl", Kind::Json),
    ("ndjson", Kind::Json),
    ("json", Kind::Json),
];

/// Files that one name may stand for.
const FILES_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Csv,
    Json,
}

/// Opens files as tables.
#[derive(Debug)]
pub(crate) struct FileTables {
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    /// What DataFusion finds out columns with; made when the first file is opened.
    state: OnceLock<SessionState>,
}

impl FileTables {
    pub(crate) fn new(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Self {
        Self { config, runtime, state: OnceLock::new() }
    }

    async fn open(&self, name: &str, kind: Kind) -> Result<Arc<dyn TableProvider>, Error> {
        if let Some((scheme, _)) = name.split_once("://").filter(|(scheme, _)| *scheme != "file") {
            let hint = "hint: copy them to this machine first";
            return Err(Error::user("0A000", format!("files cannot be read from {scheme}:// yet: got '{name}' ({hint})")));
        }
        let make_state = || SessionContext::new_with_config_rt(self.config.clone(), Arc::clone(&self.runtime)).state();
        let state = self.state.get_or_init(make_state);
        let failed = |error: DataFusionError| unreadable(name, &error);
        let url = ListingTableUrl::parse(name).map_err(failed)?;
        let store = state.runtime_env().object_store(&url).map_err(failed)?;
        let files: Vec<_> =
            url.list_all_files(state, store.as_ref(), "").await.map_err(failed)?.try_collect().await.map_err(|_| missing(name))?;
        if files.is_empty() {
            return Err(missing(name));
        }
        if files.len() > FILES_MAX {
            return Err(Error::user("54000", format!("'{name}' are {} files, more than {FILES_MAX}", files.len())));
        }
        let options = ListingOptions::new(kind.format()).with_file_extension("");
        let schema = match kind {
            Kind::Parquet => options.infer_schema(state, &url).await.map_err(failed)?,
            Kind::Csv | Kind::Json => {
                let path = if name.contains(['*', '?', '[']) { format!("/{}", files[0].location) } else { name.to_owned() };
                let options = Options::from_pairs([("connector", "file"), ("path", path.as_str())]);
                ConnectorRegistry::default().infer_schema(options)?.ok_or_else(|| missing(name))?
            }
        };
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
        Ok(Arc::new(ListingTable::try_new(config).map_err(failed)?))
    }
}

impl Kind {
    /// What a name stands for, if it looks like a file.
    fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let ending = ending.to_ascii_lowercase();
        KINDS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
    }

    fn format(self) -> Arc<dyn FileFormat> {
        match self {
            Self::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
            Self::Csv => Arc::new(CsvFormat::default().with_has_header(true)),
            Self::Json => Arc::new(JsonFormat::default()),
        }
    }
}

/// True for a name that [`FileTables`] would open, or say why not.
pub(crate) fn is_file_name(name: &str) -> bool {
    Kind::of(name).is_some() || name.contains('/')
}

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if !is_file_name(name) {
            return Ok(None);
        }
        let opened = match Kind::of(name) {
            Some(kind) => self.open(name, kind).await,
            None => Err(unknown_kind(name)),
        };
        opened.map(Some).map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

fn unknown_kind(name: &str) -> Error {
    let known: Vec<&str> = KINDS.iter().map(|(ending, _)| *ending).collect();
    let fact = format!("a file is known by its ending, one of {}: got '{name}'", known.join(", "));
    Error::user("42P01", format!("{fact} (hint: for others, CREATE TABLE … WITH ('connector' = 'file', 'path' = '{name}', 'format' = …))"))
}

fn unreadable(name: &str, error: &DataFusionError) -> Error {
    let message = error.find_root().strip_backtrace();
    Error::user("58030", format!("cannot read '{name}': {}", message.lines().next().unwrap_or_default()))
}

/// There is no such file; one beside it may be meant.
fn missing(name: &str) -> Error {
    let path = Path::new(name);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if name.contains(['*', '?', '[']) {
        return Error::user("42P01", format!("no file matches '{name}'"));
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return Error::user("42P01", format!("there is no file '{name}': there is no folder '{}'", folder.display()));
    };
    let beside: Vec<String> = entries.flatten().take(1_000).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let own = path.file_name().map(|own| own.to_string_lossy().into_owned()).unwrap_or_default();
    let near = did_you_mean(&own, beside.iter().map(String::as_str).filter(|other| Kind::of(other).is_some()));
    let hint = near.map(|near| format!(" (hint: did you mean '{}'?)", path.with_file_name(near).display())).unwrap_or_default();
    Error::user("42P01", format!("there is no file '{name}'{hint}"))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;

    use crate::Engine;

    async fn answer(sql: &str) -> Result<String, crate::Error> {
        let engine = Engine::builder().build().await.unwrap();
        let batches = engine.session().query(sql).await?.collect().await?;
        Ok(pretty_format_batches(&batches).unwrap().to_string())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_of_each_kind_are_tables() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("a.jsonl"), "{\"n\": 1, \"at\": \"2024-01-01 00:00:01\"}\n{\"n\": 2, \"at\": null}\n").unwrap();
        std::fs::write(at("b.csv"), "n,name\n3,three\n4,four\n").unwrap();
        let text = answer(&format!("SELECT n, at FROM '{}' ORDER BY n", at("a.jsonl"))).await.unwrap();
        assert!(text.contains("| 1 | 2024-01-01T00:00:01 |"), "{text}");
        let text = answer(&format!("SELECT sum(n) AS total FROM '{}'", at("*.csv"))).await.unwrap();
        assert!(text.contains("| 7     |"), "{text}");
        let text = answer(&format!("DESCRIBE '{}'", at("b.csv"))).await.unwrap();
        assert!(text.contains("| name   | TEXT   |"), "{text}");
        let sql = "INSERT INTO copied SELECT n, name FROM '{}'".replace("{}", &at("b.csv"));
        let engine = Engine::builder().build().await.unwrap();
        let session = engine.session();
        let target = at("c.parquet");
        std::fs::create_dir(&target).unwrap();
        let create =
            format!("CREATE TABLE copied (n BIGINT, name TEXT) WITH ('connector' = 'file', 'path' = '{target}', 'format' = 'parquet')");
        session.execute(&create).await.unwrap();
        session.execute(&sql).await.unwrap();
        engine.wait().await.unwrap();
        let text = answer(&format!("SELECT max(name) AS last FROM '{target}/*.parquet'")).await.unwrap();
        assert!(text.contains("three"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_is_not_there_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("bids.csv"), "n\n1\n").unwrap();
        let error = answer(&format!("SELECT * FROM '{}'", at("bid.csv"))).await.unwrap_err();
        assert!(error.to_string().contains("bids.csv'?)"), "{error}");
        let error = answer(&format!("SELECT * FROM '{}'", at("*.json"))).await.unwrap_err();
        assert!(error.to_string().starts_with("no file matches '"), "{error}");
        let error = answer("SELECT * FROM 's3://bucket/x.parquet'").await.unwrap_err();
        assert_eq!(error.sqlstate(), "0A000");
        let error = answer("SELECT * FROM 'data/x.cvs'").await.unwrap_err();
        assert!(error.to_string().contains("parquet, pq, csv"), "{error}");
        std::fs::write(at("broken.parquet"), "no parquet").unwrap();
        let error = answer(&format!("SELECT * FROM '{}'", at("broken.parquet"))).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot read '"), "{error}");
    }
}
