//! What learners have learned as files: EXPORT MODEL, warm starts, and what the data folder keeps of them.

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use millstream_checkpoint::folder::Folder;
use millstream_ml::learner::{LearnerDefinition, OnlineModel, state_schema};
use millstream_ml::model::ContentHash;
use millstream_sql::parse::ExportModel;

use super::Session;
use super::models::files::read_file;
use super::run_statement::object_name;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::learning::learn_error;
use crate::model::{StoredModel, StoredVersion};
use crate::query::Outcome;

/// Most bytes of a file to begin with.
const STATE_BYTES_MAX: u64 = 1 << 30;
/// Most rows of a state that is read from a file.
const STATE_ROWS_MAX: usize = 1 << 26;

/// `EXPORT MODEL m TO 'file'`: the state of the last committed checkpoint.
pub(super) async fn export_model(session: &Session, export: &ExportModel) -> Result<Outcome> {
    let name = object_name(&export.name)?;
    let Some(learner) = session.engine.inner.learners.get(&name) else {
        let models = &session.engine.inner.models;
        return Err(match models.get(&name) {
            Some(model) => Error::user(
                "0A000",
                format!("model {name} does not learn: it is the file '{}' (hint: copy the file)", model.current().options.path),
            ),
            None => session.engine.inner.learners.find(&name).err().unwrap_or_else(|| Error::internal("a model comes and goes")),
        });
    };
    let Some(state) = learner.state() else {
        return Err(Error::user(
            "55000",
            format!("model {name} has learned nothing yet that a checkpoint holds (hint: CHECKPOINT PIPELINE of the one that trains it)"),
        ));
    };
    let is_onnx = match extension(&export.path) {
        "onnx" => true,
        "parquet" if export.key.is_none() => false,
        "parquet" => {
            return Err(Error::user("0A000", "a Parquet file holds the models of all keys (hint: leave FOR out, or export to '….onnx')"));
        }
        _ => {
            return Err(Error::user(
                "22023",
                format!("a model is exported to '….onnx' or '….parquet': got '{}' (hint: the file's name says the format)", export.path),
            ));
        }
    };
    let key = export.key.clone();
    let make = move || match is_onnx {
        true => OnlineModel::from_state(&[state]).and_then(|model| model.to_onnx(key.as_deref())).map_err(|error| learn_error(&error)),
        false => parquet(&state),
    };
    let bytes = Blocking::of(session.settings().background_threads).run("writing a model", make).await??;
    let size = bytes.len();
    write_file(session, &export.path, bytes).await?;
    Ok(Outcome::Done { message: format!("EXPORT MODEL: {size} bytes to {}", export.path) })
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whole, or not at all: a file beside is renamed.
async fn write_file(session: &Session, path: &str, bytes: Vec<u8>) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::user(
            "58030",
            format!("cannot write the model '{path}': {error} (hint: paths count from the folder the program was started in)"),
        )
    };
    if path.contains("://") {
        let Some((folder, file)) = path.rsplit_once('/') else { return Err(failed(&"no file")) };
        let folder = Folder::from_url(folder).map_err(|error| failed(&error))?;
        folder.delete(file).await.map_err(|error| failed(&error))?;
        folder.create(file, Bytes::from(bytes)).await.map_err(|error| failed(&error))?;
        return Ok(());
    }
    let owned = path.to_owned();
    let write = move || {
        let beside = format!("{owned}.part");
        std::fs::write(&beside, &bytes)?;
        std::fs::rename(&beside, &owned).inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
    };
    Blocking::of(session.settings().background_threads).run("writing a model", write).await?.map_err(|error| failed(&error))
}

/// The rows of a state as a Parquet file; the same state gives the same bytes.
fn parquet(state: &RecordBatch) -> Result<Vec<u8>> {
    let failed = |error: datafusion::parquet::errors::ParquetError| Error::internal(error.to_string());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), state.schema(), Some(properties)).map_err(failed)?;
    writer.write(state).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

fn read_parquet(bytes: Bytes) -> Result<RecordBatch> {
    let damaged = |error: &dyn std::fmt::Display| Error::user("22023", format!("this is no state of a model: {error}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| damaged(&error))?;
    if builder.metadata().file_metadata().num_rows() > STATE_ROWS_MAX as i64 {
        return Err(Error::user("54000", format!("a state of a model has at most {STATE_ROWS_MAX} rows")));
    }
    let reader = builder.build().map_err(|error| damaged(&error))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| damaged(&error))?;
    let schema = state_schema();
    for batch in &batches {
        let names = |schema: &datafusion::arrow::datatypes::Schema| {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
        };
        if names(&batch.schema()) != names(&schema) {
            return Err(damaged(&"it has other columns (hint: a file of EXPORT MODEL has tensor, index, value, …)"));
        }
    }
    concat_batches(&schema, &batches).map_err(|error| damaged(&error))
}

/// The state that `'warm_start' = 'file'` begins with.
pub(super) async fn warm_start(session: &Session, name: &str, definition: &LearnerDefinition, path: &str) -> Result<RecordBatch> {
    let bytes = read_file(session, "model", path, STATE_BYTES_MAX).await?;
    let (definition, is_onnx) = (definition.clone(), extension(path).eq_ignore_ascii_case("onnx"));
    let begin = move || {
        let mut model = OnlineModel::new(definition).map_err(|error| learn_error(&error))?;
        match is_onnx {
            true => model.start_from_onnx(&bytes).map_err(|error| learn_error(&error))?,
            false => {
                let state = read_parquet(bytes)?;
                model.start_from(&[state]).map_err(|error| learn_error(&error))?;
            }
        }
        model.state().map_err(|error| learn_error(&error))
    };
    let begun = Blocking::of(session.settings().background_threads).run("reading a model", begin).await?;
    begun.map_err(|error| Error::user(error.sqlstate(), format!("model {name} cannot begin with '{path}': {error}")))
}

/// The state that a definition of the data folder begins with: what the file was when the statement ran.
pub(super) async fn stored(session: &Session) -> Result<Option<RecordBatch>> {
    let (Some(object), Some(data)) = (&session.replaying, &session.engine.inner.data) else { return Ok(None) };
    let Some(version) = object.model.as_ref().and_then(|model| model.versions.first()) else { return Ok(None) };
    read_parquet(data.learned_file(&version.hash).await?).map(Some)
}

/// Keeps the state that the definition of this id begins with.
pub(super) async fn keep(session: &Session, id: Option<u64>, sql: &str, state: Option<&RecordBatch>) -> Result<()> {
    let (Some(id), Some(data), Some(state)) = (id, &session.engine.inner.data, state) else { return Ok(()) };
    if session.replaying.is_some() {
        return Ok(());
    }
    let bytes = parquet(state)?;
    let hash = ContentHash::of(&bytes);
    data.keep_learned_file(&hash, Bytes::from(bytes)).await?;
    let version = StoredVersion { number: 1, hash: hash.to_string(), tokenizer: None, sql: sql.to_owned() };
    data.set_model(id, StoredModel { current: 1, versions: vec![version] }).await
}
