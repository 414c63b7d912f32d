//! A look at the bytes before they are decoded.
//!
//! An empty message takes two bytes in the file and hundreds in memory. So the messages that a file would become are counted
//! first, on its bytes alone.

use crate::error::{ModelError, ModelResult};

use super::limits::LoadLimits;

/// One field of a message.
enum Field<'a> {
    /// A message, text or packed numbers.
    Bytes(&'a [u8]),
    /// A number.
    Number,
}

/// Iterates over the fields of a message.
struct Fields<'a> {
    rest: &'a [u8],
}

fn cut() -> ModelError {
    ModelError::invalid("the file is no ONNX model, or it is cut short (hint: export it again)")
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> ModelResult<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(cut)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(cut())
    }

    fn take(&mut self, length: u64) -> ModelResult<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| cut())?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn next(&mut self) -> ModelResult<Option<(u64, Field<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => {
                self.varint()?;
                Field::Number
            }
            1 => {
                self.take(8)?;
                Field::Number
            }
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Number
            }
            _ => return Err(cut()),
        };
        Ok(Some((tag >> 3, field)))
    }
}

/// What has been counted so far.
#[derive(Default)]
struct Counts {
    nodes: usize,
    attributes: usize,
    tensors: usize,
    values: usize,
    texts: usize,
}

/// Refuses files that would take too much memory once decoded, or that hold what is never evaluated.
pub(super) fn check(bytes: &[u8], limits: &LoadLimits) -> ModelResult<()> {
    if bytes.len() as u64 > limits.file_bytes_max {
        return Err(ModelError::too_large(format!(
            "the file has {} bytes, at most {} are read (hint: use fewer or smaller trees or layers)",
            bytes.len(),
            limits.file_bytes_max
        )));
    }
    let mut counts = Counts::default();
    let mut fields = Fields { rest: bytes };
    let mut graphs = 0;
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (7, Field::Bytes(graph)) => {
                graphs += 1;
                check_graph(graph, &mut counts, limits)?;
            }
            (8, Field::Bytes(_)) => add(&mut counts.values, limits.values_max, "declarations")?,
            (25, _) => {
                return Err(ModelError::unsupported(
                    "functions within a model are not evaluated (hint: export it with the functions inlined)",
                ));
            }
            _ => {}
        }
    }
    if graphs != 1 {
        return Err(cut());
    }
    Ok(())
}

fn add(count: &mut usize, max: usize, what: &str) -> ModelResult<()> {
    *count += 1;
    if *count > max {
        return Err(ModelError::too_large(format!("the model has more than {max} {what}")));
    }
    Ok(())
}

fn check_graph(bytes: &[u8], counts: &mut Counts, limits: &LoadLimits) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        let Field::Bytes(bytes) = field else { continue };
        match number {
            1 => {
                add(&mut counts.nodes, limits.operators_max, "operators")?;
                check_node(bytes, counts, limits)?;
            }
            5 => {
                add(&mut counts.tensors, limits.values_max, "constants")?;
                check_tensor(bytes, counts, limits)?;
            }
            11 | 12 => {
                add(&mut counts.values, limits.values_max, "inputs and outputs")?;
                if bytes.len() > VALUE_BYTES_MAX {
                    return Err(ModelError::too_large(format!("the declaration of an input or output has {} bytes", bytes.len())));
                }
            }
            15 => return Err(ModelError::unsupported("sparse constants are not evaluated (hint: export the model with dense ones)")),
            _ => {}
        }
    }
    Ok(())
}

/// A name and a shape.
const VALUE_BYTES_MAX: usize = 4096;

fn check_node(bytes: &[u8], counts: &mut Counts, limits: &LoadLimits) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        let Field::Bytes(bytes) = field else { continue };
        match number {
            1 | 2 => add(&mut counts.texts, limits.texts_max, "texts")?,
            5 => {
                add(&mut counts.attributes, limits.values_max, "attributes")?;
                check_attribute(bytes, counts, limits)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_attribute(bytes: &[u8], counts: &mut Counts, limits: &LoadLimits) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        let Field::Bytes(bytes) = field else { continue };
        match number {
            5 => {
                add(&mut counts.tensors, limits.values_max, "constants")?;
                check_tensor(bytes, counts, limits)?;
            }
            6 | 11 => return Err(ModelError::unsupported("IF, LOOP and SCAN are not evaluated: the model holds a graph within its graph")),
            9 => add(&mut counts.texts, limits.texts_max, "texts")?,
            _ => {}
        }
    }
    Ok(())
}

fn check_tensor(bytes: &[u8], counts: &mut Counts, limits: &LoadLimits) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (6, Field::Bytes(_)) => add(&mut counts.texts, limits.texts_max, "texts")?,
            (13, _) => return Err(external()),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn external() -> ModelError {
    ModelError::unsupported("the model keeps constants in other files, which are not read (hint: save it as one file)")
}

/// Graphs within graphs within graphs, at most.
const NESTING_MAX: usize = 16;

/// Refuses what onnxruntime shall not be given: files that are no ONNX model, that are too large, or that would make it read others.
pub(super) fn check_for_library(bytes: &[u8], limits: &LoadLimits) -> ModelResult<()> {
    if bytes.len() as u64 > limits.library_file_bytes_max {
        let max = limits.library_file_bytes_max;
        return Err(ModelError::too_large(format!("the file has {} bytes, onnxruntime is given at most {max}", bytes.len())));
    }
    let mut fields = Fields { rest: bytes };
    let mut graphs = 0;
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (7, Field::Bytes(graph)) => {
                graphs += 1;
                no_other_files_in_graph(graph, 0)?;
            }
            // A function of the model, whose nodes are its seventh field.
            (25, Field::Bytes(function)) => no_other_files(function, 7, 0)?,
            _ => {}
        }
    }
    if graphs == 1 { Ok(()) } else { Err(cut()) }
}

fn no_other_files_in_graph(bytes: &[u8], depth: usize) -> ModelResult<()> {
    if depth > NESTING_MAX {
        return Err(ModelError::too_large(format!("graphs within graphs, more than {NESTING_MAX} deep")));
    }
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (5, Field::Bytes(tensor)) => no_other_file(tensor)?,
            (15, Field::Bytes(sparse)) => no_other_file_in_sparse(sparse)?,
            _ => {}
        }
    }
    no_other_files(bytes, 1, depth)
}

/// The nodes of a graph or function.
fn no_other_files(bytes: &[u8], nodes: u64, depth: usize) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        let (true, Field::Bytes(node)) = (number == nodes, field) else { continue };
        let mut fields = Fields { rest: node };
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                // It runs what another file has compiled.
                (4, Field::Bytes(b"EPContext")) => return Err(external()),
                (5, Field::Bytes(attribute)) => no_other_files_in_attribute(attribute, depth)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn no_other_files_in_attribute(bytes: &[u8], depth: usize) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (5 | 10, Field::Bytes(tensor)) => no_other_file(tensor)?,
            (6 | 11, Field::Bytes(graph)) => no_other_files_in_graph(graph, depth + 1)?,
            (22 | 23, Field::Bytes(sparse)) => no_other_file_in_sparse(sparse)?,
            _ => {}
        }
    }
    Ok(())
}

fn no_other_file_in_sparse(bytes: &[u8]) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, field)) = fields.next()? {
        if let (1 | 2, Field::Bytes(tensor)) = (number, field) {
            no_other_file(tensor)?;
        }
    }
    Ok(())
}

/// A tensor whose values are in another file says so in two fields.
fn no_other_file(bytes: &[u8]) -> ModelResult<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, _)) = fields.next()? {
        if matches!(number, 13 | 14) {
            return Err(external());
        }
    }
    Ok(())
}
