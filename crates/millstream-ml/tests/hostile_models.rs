//! Damaged and hostile files: an error or a model, never a panic, a hang or memory without bound.
#![expect(clippy::unwrap_used, reason = "a test, also outside of its test functions")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, StringArray};
use millstream_ml::error::{ModelErrorKind, ModelResult};
use millstream_ml::model::{FeatureKind, Model, Patient};
use millstream_ml::onnx::{EmbeddingModel, EmbeddingOptions, LoadLimits, OnnxModel, Runtime};
use proptest::prelude::*;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)).unwrap()
}

/// Small ones, so that no damage can make a test slow.
fn limits() -> LoadLimits {
    LoadLimits { row_elements_max: 1 << 16, chunk_elements_max: 1 << 18, row_work_max: 1 << 24, ..LoadLimits::default() }
}

/// Reads the file and, if that can be done, predicts three rows.
fn read(bytes: &[u8]) -> ModelResult<()> {
    let model = OnnxModel::load(bytes, Some(3), &limits())?;
    let column = |kind: FeatureKind| match kind {
        FeatureKind::Text => Arc::new(StringArray::from(vec!["a", "", "ü"])) as ArrayRef,
        _ => Arc::new(Float32Array::from(vec![1.0, 0.0, 7.0])),
    };
    let features: Vec<ArrayRef> = model.signature().features.iter().map(|feature| column(feature.kind)).collect();
    model.predict(&features, 3, &Patient).map(|_| ())
}

const MODELS: [&str; 11] = [
    "tree_binary.onnx",
    "logistic_multiclass.onnx",
    "iris_zip.onnx",
    "mlp_multiclass_text.onnx",
    "mixed_one_hot.onnx",
    "sgd_log_loss.onnx",
    "linear_regression.onnx",
    "svm_binary_poly.onnx",
    "trees_5_float.onnx",
    "text_words.onnx",
    "catboost_binary.onnx",
];

#[test]
fn a_file_cut_short_is_refused() {
    for name in MODELS {
        let bytes = file(name);
        read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for length in 0..bytes.len() {
            // Some of what follows the graph can be missing.
            let _ = read(&bytes[..length]);
        }
        for length in [0, 1, bytes.len() / 2] {
            assert_eq!(read(&bytes[..length]).unwrap_err().kind(), ModelErrorKind::Invalid, "{name}, {length} bytes");
        }
    }
}

#[test]
fn no_byte_of_a_file_is_trusted() {
    for name in MODELS {
        let bytes = file(name);
        // A few hundred places.
        for at in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            for change in [0x01, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                let _ = read(&damaged);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_from_anywhere(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
    }

    #[test]
    fn several_changes(model in 0..MODELS.len(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = file(MODELS[model]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn a_part_repeated_or_left_out(model in 0..MODELS.len(), from in any::<prop::sample::Index>(), length in 0_usize..200, repeat in any::<bool>()) {
        let mut bytes = file(MODELS[model]);
        let from = from.index(bytes.len());
        let to = (from + length).min(bytes.len());
        let part = bytes[from..to].to_vec();
        bytes.splice(if repeat { from..from } else { from..to }, if repeat { part } else { Vec::new() });
        let _ = read(&bytes);
    }
}

/// A field of a message, as protobuf writes it.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value as u64)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// A value of rows × `width` floats.
fn value(name: &str, width: i64) -> Vec<u8> {
    let dims = [field(1, &[]), field(1, &number(1, width))].concat();
    let tensor = [number(1, 1), field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

fn node(operator: &str, domain: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    bytes.extend([field(2, output.as_bytes()), field(4, operator.as_bytes()), field(7, domain.as_bytes())].concat());
    bytes.extend(attributes.iter().flat_map(|attribute| field(5, attribute)));
    bytes
}

fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    [field(1, name.as_bytes()), values.iter().flat_map(|value| number(8, *value)).collect()].concat()
}

fn floats(name: &str, values: &[f32]) -> Vec<u8> {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [field(1, name.as_bytes()), field(7, &packed)].concat()
}

fn strings(name: &str, values: &[&str]) -> Vec<u8> {
    [field(1, name.as_bytes()), values.iter().flat_map(|value| field(9, value.as_bytes())).collect()].concat()
}

/// A model of one input `x` of three features and one output `y`.
fn model(nodes: &[Vec<u8>]) -> Vec<u8> {
    let mut graph: Vec<u8> = nodes.iter().flat_map(|node| field(1, node)).collect();
    graph.extend([field(11, &value("x", 3)), field(12, &value("y", 1))].concat());
    field(7, &graph)
}

/// A tree of two branches and three leaves, with these children of the branches and features.
fn tree(yes: [i64; 2], no: [i64; 2], features: [i64; 2], target: i64) -> Vec<u8> {
    let ml = "ai.onnx.ml";
    let attributes = [
        ints("nodes_treeids", &[0; 5]),
        ints("nodes_nodeids", &[0, 1, 2, 3, 4]),
        ints("nodes_featureids", &[features[0], features[1], 0, 0, 0]),
        ints("nodes_truenodeids", &[yes[0], yes[1], 0, 0, 0]),
        ints("nodes_falsenodeids", &[no[0], no[1], 0, 0, 0]),
        floats("nodes_values", &[0.5, 0.5, 0.0, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"]),
        ints("target_treeids", &[0; 3]),
        ints("target_nodeids", &[2, 3, 4]),
        ints("target_ids", &[target; 3]),
        floats("target_weights", &[1.0, 2.0, 3.0]),
    ];
    model(&[node("TreeEnsembleRegressor", ml, &["x"], "y", &attributes)])
}

#[track_caller]
fn assert_refused(bytes: &[u8], kind: ModelErrorKind, words: &str) {
    let error = OnnxModel::load(bytes, None, &limits()).expect_err("it is refused");
    assert!(error.kind() == kind && error.to_string().contains(words), "{:?}: {error}", error.kind());
}

#[test]
fn trees_that_are_none_are_refused() {
    use ModelErrorKind::{Invalid, TooLarge};
    read(&tree([1, 2], [4, 3], [0, 1], 0)).unwrap();
    assert_refused(&tree([1, 0], [2, 3], [0, 1], 0), Invalid, "as in a cycle");
    assert_refused(&tree([1, 0], [4, 3], [0, 1], 0), Invalid, "as in a cycle");
    assert_refused(&tree([1, 1], [4, 3], [0, 1], 0), Invalid, "two roots");
    assert_refused(&tree([1, 2], [2, 3], [0, 1], 0), Invalid, "two roots");
    assert_refused(&tree([1, 2], [9, 3], [0, 1], 0), Invalid, "tree 0 has no node 9");
    assert_refused(&tree([1, 2], [-1, 3], [0, 1], 0), Invalid, "tree 0 has no node -1");
    assert_refused(&tree([1, 2], [4, 3], [0, 3], 0), Invalid, "the trees use 4 features, they are given 3");
    assert_refused(&tree([1, 2], [4, 3], [0, i64::MAX], 0), Invalid, "feature");
    assert_refused(&tree([1, 2], [4, 3], [-1, 0], 0), Invalid, "feature -1");
    assert_refused(&tree([1, 2], [4, 3], [0, 1], 1), Invalid, "votes for a target that is not there");
    let few = LoadLimits { tree_nodes_max: 4, ..limits() };
    assert_eq!(OnnxModel::load(&tree([1, 2], [4, 3], [0, 1], 0), None, &few).unwrap_err().kind(), TooLarge);
}

#[test]
fn growth_without_bound_is_refused() {
    use ModelErrorKind::{Invalid, TooLarge, Unsupported};
    // Each step doubles the width.
    let names: Vec<String> = (0..60).map(|at| format!("v{at}")).collect();
    let mut nodes = vec![node("Identity", "", &["x"], "v0", &[])];
    let axis = [field(1, b"axis"), number(3, 1)].concat();
    for pair in names.windows(2) {
        nodes.push(node("Concat", "", &[&pair[0], &pair[0]], &pair[1], std::slice::from_ref(&axis)));
    }
    nodes.push(node("Identity", "", &["v59"], "y", &[]));
    assert_refused(&model(&nodes), TooLarge, "the operators make more than 65536 values");
    // A circle, an operator nobody knows, one of another domain.
    let circle = [node("Neg", "", &["b"], "a", &[]), node("Neg", "", &["a"], "b", &[]), node("Neg", "", &["b"], "y", &[])];
    assert_refused(&model(&circle), Invalid, "value b is used before it is made");
    assert_refused(
        &model(&[node("Conv", "", &["x"], "y", &[])]),
        Unsupported,
        "operator Conv of ai.onnx version 1 is not evaluated (hint:",
    );
    assert_refused(&model(&[node("Relu", "com.acme", &["x"], "y", &[])]), Unsupported, "operator Relu of com.acme");
    // What mixes rows.
    let mean = [ints("axes", &[0]), [field(1, b"keepdims"), number(3, 0)].concat()];
    assert!(OnnxModel::load(&model(&[node("ReduceMean", "", &["x"], "y", &mean)]), None, &limits()).is_err());
    let gram = [[field(1, b"transB"), number(3, 1)].concat()];
    assert_refused(&model(&[node("Gemm", "", &["x", "x"], "y", &gram)]), Unsupported, "output y");
}

#[test]
fn huge_declarations_are_refused() {
    use ModelErrorKind::{Invalid, TooLarge};
    let dims = |dims: &[i64]| dims.iter().flat_map(|dim| number(1, *dim)).collect::<Vec<u8>>();
    let constant =
        |dims: Vec<u8>| field(7, &[field(5, &[dims, number(2, 1), field(8, b"c")].concat()), field(11, &value("x", 3))].concat());
    assert_refused(&constant(dims(&[i64::MAX, i64::MAX])), TooLarge, "an empty tensor");
    assert_refused(&constant(dims(&[-1])), Invalid, "dimension -1");
    assert_refused(&constant(dims(&[1; 9])), TooLarge, "9 dimensions");
    assert_refused(&constant(dims(&[1 << 40, 0])), TooLarge, "an empty tensor");
    let wide = field(7, &[field(11, &value("x", i64::MAX)), field(12, &value("x", 3))].concat());
    assert_refused(&wide, TooLarge, "features");
    let empty_nodes = field(7, &[0x0a, 0x00].repeat(10_000));
    assert_refused(&empty_nodes, TooLarge, "more than 4096 operators");
    let few = LoadLimits { file_bytes_max: 10, ..limits() };
    assert_eq!(OnnxModel::load(&empty_nodes, None, &few).unwrap_err().kind(), TooLarge);
}

#[test]
fn onnxruntime_is_given_no_file_that_reads_others() {
    let outside = [field(8, b"c"), number(14, 1)].concat();
    let entry = [field(8, b"c"), field(13, b"\x0a\x08location\x12\x0b/etc/passwd")].concat();
    let attribute = |number: u64, bytes: &[u8]| [field(1, b"a"), field(number, bytes)].concat();
    let within = |attribute: Vec<u8>| node("Anything", "", &["x"], "y", &[attribute]);
    let nested = |depth: usize| (0..depth).fold(within(attribute(5, &outside)), |inner, _| within(attribute(6, &field(1, &inner))));
    for bytes in [
        field(7, &field(5, &outside)),
        field(7, &field(5, &entry)),
        field(7, &field(15, &field(1, &outside))),
        model(&[within(attribute(5, &outside))]),
        model(&[within(attribute(10, &entry))]),
        model(&[nested(9)]),
        model(&[node("EPContext", "com.microsoft", &["x"], "y", &[])]),
        [model(&[]), field(25, &field(7, &within(attribute(5, &outside))))].concat(),
    ] {
        let error = OnnxModel::load_for(&bytes, None, &limits(), Runtime::Library, 1).expect_err("it is refused");
        assert!(error.to_string().contains("other files"), "{error}");
    }
    let deep = OnnxModel::load_for(&model(&[nested(40)]), None, &limits(), Runtime::Library, 1).unwrap_err();
    assert_eq!(deep.kind(), ModelErrorKind::TooLarge);
    for bytes in [&b"no model"[..], &[], &[0xff; 40]] {
        assert_eq!(OnnxModel::load_for(bytes, None, &limits(), Runtime::Library, 1).unwrap_err().kind(), ModelErrorKind::Invalid);
    }
}

#[test]
fn no_byte_of_a_tokenizer_is_trusted() {
    let (network, tokenizer) = (file("tokens.onnx"), file("tokens.json"));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["the film was good", "", "\u{0}\u{fffd}ü中"]));
    for at in (0..tokenizer.len()).step_by(3) {
        let mut damaged = tokenizer.clone();
        damaged[at] ^= 0x15;
        let read = EmbeddingModel::load(&network, &damaged, EmbeddingOptions::default(), &limits(), (Runtime::Native, 1));
        // A piece may have a number that the network has no vector for: an error, or what another word gives.
        let _ = read.and_then(|model| model.predict(std::slice::from_ref(&texts), 3, &Patient));
    }
}

#[test]
fn what_is_not_evaluated_is_named() {
    assert_refused(&file("nearest_neighbours.refused.onnx"), ModelErrorKind::Unsupported, "IF, LOOP and SCAN are not evaluated");
}
