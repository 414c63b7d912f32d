//! How large a model may be. Models come from outside: each of these bounds memory or time.

/// Limits of loading and of evaluating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Bytes of the file.
    pub file_bytes_max: u64,
    /// Bytes of a file that onnxruntime runs.
    pub library_file_bytes_max: u64,
    /// Values that onnxruntime is given for one row.
    pub library_features_max: usize,
    /// Operators of the graph.
    pub operators_max: usize,
    /// Constants, attributes, inputs and outputs, each.
    pub values_max: usize,
    /// Texts: labels, categories, names.
    pub texts_max: usize,
    /// Nodes of all trees of an ensemble.
    pub tree_nodes_max: usize,
    /// Features.
    pub features_max: usize,
    /// Elements that the operators make for one row, together.
    pub row_elements_max: usize,
    /// Elements that the operators make in one go; longer batches are cut.
    pub chunk_elements_max: usize,
    /// Multiplications, comparisons and the like for one row, about.
    pub row_work_max: u64,
    /// The same for what is computed in one go; longer batches are cut, so that a timeout holds.
    pub chunk_work_max: u64,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            file_bytes_max: 64 << 20,
            library_file_bytes_max: 1 << 30,
            library_features_max: 4 << 20,
            operators_max: 4096,
            values_max: 65_536,
            texts_max: 4 << 20,
            tree_nodes_max: 16 << 20,
            features_max: 16_384,
            row_elements_max: 4 << 20,
            chunk_elements_max: 16 << 20,
            row_work_max: 1 << 30,
            chunk_work_max: 1 << 29,
        }
    }
}
