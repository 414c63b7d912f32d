//! `FROM 'data/*.parquet'`: a file, or several of one kind, as a table that nobody has declared.
//!
//! A name that no table has and that looks like a file is opened when a statement that uses it is planned: its columns are found
//! out then, and it is read once per query. DataFusion reads it, so a query takes only the columns it needs. Files of this machine are
//! opened when the planner asks for them; those of an object store (`s3://…`) before it does, because that takes time. A stream over
//! files, with event time and new files as they come, is a table with the connector `file`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider, UrlTableFactory};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use millstream_checkpoint::store_of;
use millstream_connectors::file::{TextHead, infer_head};
use millstream_connectors::options::did_you_mean;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

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

/// What makes a name a pattern.
const PATTERN_SIGNS: [char; 3] = ['*', '?', '['];
/// So much of a file of text is looked at to find out its columns.
const HEAD_BYTES_MAX: u64 = 1024 * 1024;
/// Files that one name may stand for.
const FILES_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Csv,
    Json,
}

/// Opens files of this machine as tables. Those behind a URL take their time: [`StatementFiles`] opens them before a statement is
/// planned.
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
}

/// Opens a file, or the files that a pattern stands for.
pub(crate) async fn open_file(state: &SessionState, name: &str) -> Result<Arc<dyn TableProvider>, Error> {
    let Some(kind) = Kind::of(name) else { return Err(unknown_kind(name)) };
    let failed = |error: DataFusionError| unreadable(name, &error);
    let url = listing_url(name)?;
    connect(state, name, &url)?;
    let store = state.runtime_env().object_store(&url).map_err(failed)?;
    let listed = url.list_all_files(state, store.as_ref(), "").await.map_err(failed)?.try_collect().await;
    let files: Vec<ObjectMeta> = listed.map_err(|error| if is_remote(name) { failed(error) } else { missing(name) })?;
    let Some(first) = files.iter().find(|file| file.size > 0).or(files.first()) else { return Err(missing(name)) };
    if files.len() > FILES_MAX {
        return Err(Error::user("54000", format!("'{name}' are {} files, more than {FILES_MAX}", files.len())));
    }
    let (format, schema) = match kind {
        Kind::Parquet => {
            let format: Arc<dyn FileFormat> = Arc::new(ParquetFormat::default().with_force_view_types(false));
            let options = ListingOptions::new(Arc::clone(&format)).with_file_extension("");
            (format, options.infer_schema(state, &url).await.map_err(failed)?)
        }
        Kind::Csv => {
            let head = text_head(store.as_ref(), first, name).await?;
            (Arc::new(CsvFormat::default().with_has_header(head.has_header)) as _, head.schema)
        }
        Kind::Json => (Arc::new(JsonFormat::default()) as _, text_head(store.as_ref(), first, name).await?.schema),
    };
    let options = ListingOptions::new(format).with_file_extension("");
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config).map_err(failed)?))
}

/// Where DataFusion finds the files; it knows patterns of local names only.
fn listing_url(name: &str) -> Result<ListingTableUrl, Error> {
    let failed = |error: DataFusionError| unreadable(name, &error);
    let pattern = name.find(PATTERN_SIGNS).filter(|_| is_remote(name));
    match pattern.and_then(|at| name[..at].rfind('/')) {
        Some(slash) if name[slash + 1..].contains('/') => {
            let fact = format!("a pattern of files by URL stands behind the last '/': got '{name}'");
            Err(Error::user("0A000", format!("{fact} (hint: name the folder, such as '{}2024/*.csv')", &name[..=slash])))
        }
        None => ListingTableUrl::parse(name).map_err(failed),
        Some(slash) => ListingTableUrl::parse(&name[..=slash]).and_then(|url| url.with_glob(&name[slash + 1..])).map_err(failed),
    }
}

/// Makes the store of a URL known, with the credentials that the environment has now.
fn connect(state: &SessionState, name: &str, url: &ListingTableUrl) -> Result<(), Error> {
    if !is_remote(name) {
        return Ok(());
    }
    let store = store_of(name).map_err(|reason| Error::user("58030", reason))?;
    let scheme = name.split_once("://").map_or("", |(scheme, _)| scheme);
    let hint = "hint: s3://bucket/…, gs://bucket/…, az://container/… or a path; others must be copied to this machine first";
    let Some(store) = store else {
        return Err(Error::user("0A000", format!("files cannot be read from {scheme}://: got '{name}' ({hint})")));
    };
    state.runtime_env().register_object_store(url.object_store().as_ref(), store);
    Ok(())
}

/// What the beginning of a file of text says about its columns.
async fn text_head(store: &dyn ObjectStore, file: &ObjectMeta, name: &str) -> Result<TextHead, Error> {
    let failed = |error: object_store::Error| unreadable(name, &error.into());
    let head = store.get_range(&file.location, 0..file.size.min(HEAD_BYTES_MAX)).await.map_err(failed)?;
    let end = match file.size > HEAD_BYTES_MAX {
        true => head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1),
        false => head.len(),
    };
    let is_own_name = !is_remote(name) && !name.contains(PATTERN_SIGNS);
    let shown = if is_own_name { name } else { file.location.filename().unwrap_or(name) };
    Ok(infer_head(shown, &head[..end])?)
}

/// What one statement has opened: in front of the engine's tables while it is planned.
#[derive(Debug)]
pub(crate) struct StatementFiles {
    inner: Arc<dyn CatalogProviderList>,
    opened: Arc<HashMap<String, Arc<dyn TableProvider>>>,
}

impl StatementFiles {
    /// Opens what a statement names by a URL. `None`: nothing.
    pub(crate) async fn open(state: &SessionState, statement: &DFStatement) -> Result<Option<Arc<Self>>, Error> {
        let mut opened = HashMap::new();
        for name in remote_names(statement) {
            let table = open_file(state, &name).await?;
            opened.insert(name, table);
        }
        let inner = Arc::clone(state.catalog_list());
        Ok((!opened.is_empty()).then(|| Arc::new(Self { inner, opened: Arc::new(opened) })))
    }
}

/// What a statement reads from that is the URL of a file.
fn remote_names(statement: &DFStatement) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let DFStatement::Statement(statement) = statement else { return names };
    let _: ControlFlow<()> = ast::visit_relations(statement.as_ref(), |name| {
        if let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice()
            && is_remote(&ident.value)
        {
            names.insert(ident.value.clone());
        }
        ControlFlow::Continue(())
    });
    names
}

impl CatalogProviderList for StatementFiles {
    fn register_catalog(&self, name: String, catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        Some(Arc::new(StatementCatalog { inner, opened: Arc::clone(&self.opened) }))
    }
}

#[derive(Debug)]
struct StatementCatalog {
    inner: Arc<dyn CatalogProvider>,
    opened: Arc<HashMap<String, Arc<dyn TableProvider>>>,
}

impl CatalogProvider for StatementCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(StatementSchema { inner, opened: Arc::clone(&self.opened) }))
    }
}

#[derive(Debug)]
struct StatementSchema {
    inner: Arc<dyn SchemaProvider>,
    opened: Arc<HashMap<String, Arc<dyn TableProvider>>>,
}

#[async_trait]
impl SchemaProvider for StatementSchema {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.opened.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        self.inner.table(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

impl Kind {
    /// What a name stands for, if it looks like a file.
    fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let ending = ending.to_ascii_lowercase();
        KINDS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
    }
}

/// True for a name that would be opened as a file, or it would be said why not.
pub(crate) fn is_file_name(name: &str) -> bool {
    Kind::of(name).is_some() || name.contains('/')
}

/// True for a file of another machine.
pub(crate) fn is_remote(name: &str) -> bool {
    name.split_once("://").is_some_and(|(scheme, _)| scheme != "file" && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if !is_file_name(name) {
            return Ok(None);
        }
        let make_state = || SessionContext::new_with_config_rt(self.config.clone(), Arc::clone(&self.runtime)).state();
        let opened = match is_remote(name) {
            // Whoever asks for tables waits without letting go of its thread, and a store may take long to answer.
            true => Err(Error::internal(format!("'{name}' was not opened before it was planned"))),
            false => open_file(self.state.get_or_init(make_state), name).await,
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
    let message = message.lines().next().unwrap_or_default();
    let message = message.strip_prefix("Object Store error: ").unwrap_or(message);
    let hint = match name.split_once("://") {
        Some(("s3" | "s3a", _)) => {
            " (hint: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment, AWS_SKIP_SIGNATURE=true for a public \
             bucket, AWS_ENDPOINT for another store)"
        }
        Some(("gs", _)) => " (hint: GOOGLE_APPLICATION_CREDENTIALS in the environment)",
        Some(("az", _)) => " (hint: AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment)",
        _ => "",
    };
    Error::user("58030", format!("cannot read '{name}': {message}{hint}"))
}

/// There is no such file; one beside it may be meant.
fn missing(name: &str) -> Error {
    if is_remote(name) && !name.contains(PATTERN_SIGNS) {
        return Error::user("42P01", format!("there is no file '{name}'"));
    }
    let path = Path::new(name);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if name.contains(PATTERN_SIGNS) {
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
        let text = answer(&format!("SELECT sum(n) AS total FROM '{}'", at("b*.csv"))).await.unwrap();
        assert!(text.contains("| 7     |"), "{text}");
        std::fs::write(at("plain.csv"), "5,five\n6,six\n").unwrap();
        let text = answer(&format!("SELECT sum(column_1) AS total, min(column_2) AS first FROM '{}'", at("plain.csv"))).await.unwrap();
        assert!(text.contains("| 11    | five  |"), "{text}");
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
        let error = answer("SELECT * FROM 'ftp://host/x.parquet'").await.unwrap_err();
        assert!(error.sqlstate() == "0A000" && error.to_string().contains("s3://bucket/"), "{error}");
        let error = answer("SELECT * FROM 'data/x.cvs'").await.unwrap_err();
        assert!(error.to_string().contains("parquet, pq, csv"), "{error}");
        std::fs::write(at("broken.parquet"), "no parquet").unwrap();
        let error = answer(&format!("SELECT * FROM '{}'", at("broken.parquet"))).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot read '"), "{error}");
    }
}
