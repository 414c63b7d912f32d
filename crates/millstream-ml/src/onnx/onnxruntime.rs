//! onnxruntime, for what the evaluator of this crate does not know. It is a shared library, looked for when the first model asks.
//!
//! Who runs the program chooses the library, by the environment or by what is installed; no statement can name it. A session of
//! onnxruntime runs one batch at a time, so there is one for each batch that is evaluated beside others, up to a limit. Each uses the
//! thread of its caller and no other. A second thread watches it, because only onnxruntime itself can stop between two operators.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{Array, StringArray};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, ValueType};

use crate::error::{ModelError, ModelResult};
use crate::model::{FeatureKind, Watch};

use super::tensor::{Data, Tensor};

/// Names that the loader of shared libraries is asked for, in order. The first of them is that of a release's main version.
const LIBRARY_NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_os = "macos") {
    &["libonnxruntime.1.dylib", "libonnxruntime.dylib"]
} else {
    &["libonnxruntime.so.1", "libonnxruntime.so"]
};

/// The environment variable that names the library's file.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// How often a session that is waited for is looked at, and a running one's watch is asked.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True if the library is there and fits.
pub fn is_installed() -> bool {
    environment().is_ok()
}

/// The one environment of this process. What is missing now may be there at the next try.
fn environment() -> ModelResult<Environment> {
    let mut environment = locked(&ENVIRONMENT);
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let opened = catch_unwind(load).unwrap_or_else(|_| Err("the library does not fit".to_owned()));
    let opened = opened.map_err(|why| {
        ModelError::unsupported(format!(
            "onnxruntime would be needed, and cannot be loaded: {why} (hint: install libonnxruntime 1.17 or newer where the system finds shared \
             libraries, or start the program with {LIBRARY_VARIABLE} set to its file; the Python package onnxruntime carries one, in onnxruntime/capi)"
        ))
    })?;
    Ok(environment.insert(opened).clone())
}

fn load() -> Result<Environment, String> {
    let named = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty());
    let names: Vec<std::path::PathBuf> = match named {
        Some(path) => vec![path.into()],
        None => LIBRARY_NAMES.iter().map(Into::into).collect(),
    };
    let mut why = String::new();
    for name in names {
        match ort::init_from(&name) {
            Ok(builder) => return builder.with_name("millstream").with_telemetry(false).build().map_err(|error| error.to_string()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// An input of a file as onnxruntime reads it.
#[derive(Clone, Debug)]
pub(super) struct LibraryPort {
    pub(super) name: String,
    pub(super) kind: FeatureKind,
    /// -1: any.
    pub(super) dims: Vec<i64>,
}

/// Sessions of one model.
pub(super) struct Sessions {
    bytes: Arc<[u8]>,
    pool: Mutex<Pool>,
    returned: Condvar,
    sessions_max: usize,
    types: Vec<TensorElementType>,
    pub(super) inputs: Vec<LibraryPort>,
    pub(super) outputs: Vec<String>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Session>,
    made: usize,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("inputs", &self.inputs).field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

/// A session in use; it goes back when this is dropped, except after a panic.
struct Lent<'a> {
    session: Option<Session>,
    home: &'a Sessions,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = locked(&self.home.pool);
        match self.session.take() {
            Some(session) if !std::thread::panicking() => pool.idle.push(session),
            _ => pool.made -= 1,
        }
        drop(pool);
        self.home.returned.notify_one();
    }
}

fn told(error: impl std::fmt::Display) -> ModelError {
    ModelError::invalid(format!("onnxruntime: {error}"))
}

fn open(bytes: &[u8]) -> ModelResult<Session> {
    let environment = environment()?;
    let options = Session::builder(&environment).map_err(told)?;
    let options = options.with_intra_threads(1).map_err(told)?.with_inter_threads(1).map_err(told)?;
    let mut options = options.with_intra_op_spinning(false).map_err(told)?.with_log_level(LogLevel::Error).map_err(told)?;
    options.commit_from_memory(bytes).map_err(told)
}

impl Sessions {
    /// Opens the first session; what the file takes and gives is known then.
    pub(super) fn open(bytes: &[u8], sessions_max: usize) -> ModelResult<Self> {
        let session = catch_unwind(AssertUnwindSafe(|| open(bytes))).unwrap_or_else(|_| Err(told("it failed while it read the file")))?;
        let mut inputs = Vec::new();
        let mut types = Vec::new();
        for input in session.inputs() {
            let (port, element) = port(input).map_err(|error| error.at(&format!("input {}", input.name())))?;
            inputs.push(port);
            types.push(element);
        }
        let outputs = session.outputs().iter().map(|output| output.name().to_owned()).collect();
        if let Some(output) = session.outputs().iter().find(|output| !matches!(output.dtype(), ValueType::Tensor { .. })) {
            let hint = "hint: export classifiers without ZipMap, options={'zipmap': False}";
            return Err(ModelError::unsupported(format!("output {} is no tensor ({hint})", output.name())));
        }
        let pool = Mutex::new(Pool { idle: vec![session], made: 1 });
        Ok(Self { bytes: bytes.into(), pool, returned: Condvar::new(), sessions_max: sessions_max.max(1), types, inputs, outputs })
    }

    fn lend(&self, watch: &dyn Watch) -> ModelResult<Lent<'_>> {
        let mut pool = locked(&self.pool);
        loop {
            if let Some(session) = pool.idle.pop() {
                return Ok(Lent { session: Some(session), home: self });
            }
            if pool.made < self.sessions_max {
                pool.made += 1;
                drop(pool);
                let mut lent = Lent { session: None, home: self };
                lent.session = Some(open(&self.bytes)?);
                return Ok(lent);
            }
            pool = self.returned.wait_timeout(pool, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0;
            watch.check()?;
        }
    }

    /// Computes the outputs.
    pub(super) fn run(&self, inputs: Vec<Tensor>, watch: &dyn Watch) -> ModelResult<Vec<Arc<Tensor>>> {
        let mut given = Vec::with_capacity(inputs.len());
        for ((tensor, element), port) in inputs.into_iter().zip(&self.types).zip(&self.inputs) {
            given.push(value_of(tensor, *element).map_err(|error| error.at(&format!("input {}", port.name)))?);
        }
        let mut lent = self.lend(watch)?;
        let Some(session) = lent.session.as_mut() else { return Err(told("no session")) };
        let options = RunOptions::new().map_err(told)?;
        let done = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    std::thread::park_timeout(LOOK_AGAIN);
                    if watch.check().is_err() {
                        // It stops before its next operator.
                        let _ = options.terminate();
                        return;
                    }
                }
            });
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let outputs = session.run_with_options(given.as_slice(), &options).map_err(told)?;
                (0..outputs.len()).map(|at| tensor_of(&outputs[at]).map(Arc::new)).collect::<ModelResult<Vec<_>>>()
            }));
            done.store(true, Ordering::Release);
            watcher.thread().unpark();
            outcome
        });
        match outcome {
            Ok(Ok(outputs)) => Ok(outputs),
            // What has been stopped says only that it was.
            Ok(Err(error)) => Err(watch.check().err().unwrap_or(error)),
            Err(_) => {
                lent.session = None;
                Err(told("it failed on this batch"))
            }
        }
    }
}

fn port(input: &Outlet) -> ModelResult<(LibraryPort, TensorElementType)> {
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(ModelError::unsupported("is no tensor (hint: export the model with tensors for inputs)"));
    };
    let kind = match ty {
        TensorElementType::Float32 => FeatureKind::Float32,
        TensorElementType::Float64 => FeatureKind::Float64,
        TensorElementType::Int64
        | TensorElementType::Int32
        | TensorElementType::Int16
        | TensorElementType::Int8
        | TensorElementType::Uint8 => FeatureKind::Int64,
        TensorElementType::Bool => FeatureKind::Boolean,
        TensorElementType::String => FeatureKind::Text,
        other => return Err(ModelError::unsupported(format!("has elements of type {other:?}, which are not computed with"))),
    };
    Ok((LibraryPort { name: input.name().to_owned(), kind, dims: shape.to_vec() }, *ty))
}

fn value_of(tensor: Tensor, element: TensorElementType) -> ModelResult<SessionInputValue<'static>> {
    let dims: Vec<i64> = tensor.dims.iter().map(|dim| *dim as i64).collect();
    fn narrow<T: TryFrom<i64>>(values: Vec<i64>) -> ModelResult<Vec<T>> {
        let one = |value: i64| T::try_from(value).map_err(|_| ModelError::input(format!("{value} is too large for what the model takes")));
        values.into_iter().map(one).collect()
    }
    let value: DynValue = match (tensor.data, element) {
        (Data::F32(values), _) => OrtTensor::from_array((dims, values)).map_err(told)?.into_dyn(),
        (Data::F64(values), _) => OrtTensor::from_array((dims, values)).map_err(told)?.into_dyn(),
        (Data::Bool(values), _) => OrtTensor::from_array((dims, values)).map_err(told)?.into_dyn(),
        (Data::I64(values), TensorElementType::Int32) => OrtTensor::from_array((dims, narrow::<i32>(values)?)).map_err(told)?.into_dyn(),
        (Data::I64(values), TensorElementType::Int16) => OrtTensor::from_array((dims, narrow::<i16>(values)?)).map_err(told)?.into_dyn(),
        (Data::I64(values), TensorElementType::Int8) => OrtTensor::from_array((dims, narrow::<i8>(values)?)).map_err(told)?.into_dyn(),
        (Data::I64(values), TensorElementType::Uint8) => OrtTensor::from_array((dims, narrow::<u8>(values)?)).map_err(told)?.into_dyn(),
        (Data::I64(values), _) => OrtTensor::from_array((dims, values)).map_err(told)?.into_dyn(),
        (Data::Text(values), _) => {
            let texts: Vec<String> = (0..values.len()).map(|at| values.value(at).to_owned()).collect();
            OrtTensor::from_string_array((dims, texts.as_slice())).map_err(told)?.into_dyn()
        }
    };
    Ok(value.into())
}

fn tensor_of(value: &DynValue) -> ModelResult<Tensor> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return Err(ModelError::unsupported("an output is no tensor")) };
    let dims =
        shape.iter().map(|dim| usize::try_from(*dim).map_err(|_| told("a dimension is negative"))).collect::<ModelResult<Vec<_>>>()?;
    macro_rules! wide {
        ($narrow:ty) => {
            Data::I64(value.try_extract_tensor::<$narrow>().map_err(told)?.1.iter().map(|value| i64::from(*value)).collect())
        };
    }
    let data = match ty {
        TensorElementType::Float32 => Data::F32(value.try_extract_tensor::<f32>().map_err(told)?.1.to_vec()),
        TensorElementType::Float64 => Data::F64(value.try_extract_tensor::<f64>().map_err(told)?.1.to_vec()),
        TensorElementType::Int64 => Data::I64(value.try_extract_tensor::<i64>().map_err(told)?.1.to_vec()),
        TensorElementType::Bool => Data::Bool(value.try_extract_tensor::<bool>().map_err(told)?.1.to_vec()),
        TensorElementType::Int32 => wide!(i32),
        TensorElementType::Int16 => wide!(i16),
        TensorElementType::Int8 => wide!(i8),
        TensorElementType::Uint8 => wide!(u8),
        TensorElementType::Uint16 => wide!(u16),
        TensorElementType::Uint32 => wide!(u32),
        TensorElementType::String => {
            let texts = value.try_extract_strings().map_err(told)?.1;
            Data::Text(StringArray::from_iter_values(texts))
        }
        other => return Err(ModelError::unsupported(format!("an output has elements of type {other:?}"))),
    };
    Tensor::new(dims, data)
}
