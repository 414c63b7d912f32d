//! Parts of all keys, so that a window of more groups than fit in memory can close part by part.
//!
//! ```text
//!   hash of the keys:  0110…        part 01 of 2 bits  ⊃  part 0110 of 4 bits
//!   part of k bits  =  the keys whose hash begins with those bits
//! ```
//!
//! Files note which part their rows are of, so the hash must not change: [`HASH_VERSION`] is noted with it, and a part noted under
//! another version says nothing. A test below pins the hash.

use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use serde::{Deserialize, Serialize};

/// Raised whenever the hash of any key changes.
const HASH_VERSION: u32 = 1;

/// Columns of keys in state are called so.
const KEY_PREFIX: &str = "key_";

/// Keys whose hash begins with the `bits` bits of `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    hash: u32,
    bits: u8,
    index: u32,
}

impl KeyPart {
    /// Every key.
    pub const ALL: Self = Self { hash: HASH_VERSION, bits: 0, index: 0 };

    /// The most bits.
    pub const BITS_MAX: u8 = 12;

    /// The parts of so many bits, which together are all keys.
    pub fn of_bits(bits: u8) -> impl Iterator<Item = Self> {
        (0..1_u32 << bits).map(move |index| Self { hash: HASH_VERSION, bits, index })
    }

    /// Bits of at least `parts` parts.
    pub fn bits_for(parts: u64) -> u8 {
        (0..Self::BITS_MAX).find(|bits| 1_u64 << bits >= parts).unwrap_or(Self::BITS_MAX)
    }

    /// Whether rows of a file of part `self` can belong to the part `wanted`.
    pub fn meets(self, wanted: Self) -> bool {
        let shared = self.bits.min(wanted.bits);
        self.hash != wanted.hash || self.index >> (self.bits - shared) == wanted.index >> (wanted.bits - shared)
    }

    /// Whether all rows of a file of part `self` belong to the part `wanted`.
    pub fn is_within(self, wanted: Self) -> bool {
        wanted.bits == 0 || (self.bits >= wanted.bits && self.hash == wanted.hash && self.meets(wanted))
    }

    fn holds(self, hash: u64) -> bool {
        place(hash, self.bits) == self.index as usize
    }

    /// The rows of `batch` that belong to this part; `keys` are its key columns.
    pub fn rows(self, batch: &RecordBatch, keys: Range<usize>) -> Result<RecordBatch> {
        if self.bits == 0 {
            return Ok(batch.clone());
        }
        let hashes = key_hashes(&batch.columns()[keys])?;
        let mask = BooleanBuffer::collect_bool(hashes.len(), |row| self.holds(hashes[row]));
        Ok(filter_record_batch(batch, &BooleanArray::new(mask, None))?)
    }
}

/// The rows of `batch` by part, those without rows left out.
pub fn split_by_key(batch: &RecordBatch, keys: Range<usize>, bits: u8) -> Result<Vec<(KeyPart, RecordBatch)>> {
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); 1 << bits];
    for (row, hash) in (0..).zip(key_hashes(&batch.columns()[keys])?) {
        rows[place(hash, bits)].push(row);
    }
    let mut parts = Vec::new();
    for (part, rows) in KeyPart::of_bits(bits).zip(rows).filter(|(_, rows)| !rows.is_empty()) {
        parts.push((part, take_record_batch(batch, &UInt32Array::from(rows))?));
    }
    Ok(parts)
}

/// The key columns of a state's rows.
pub fn key_columns(schema: &SchemaRef) -> Range<usize> {
    let keys = schema.fields().iter().skip(1).take_while(|field| field.name().starts_with(KEY_PREFIX)).count();
    1..1 + keys
}

fn place(hash: u64, bits: u8) -> usize {
    if bits == 0 { 0 } else { usize::try_from(hash >> (64 - bits)).unwrap_or(0) }
}

/// Equal keys have equal hashes, today and in every file.
fn key_hashes(keys: &[ArrayRef]) -> Result<Vec<u64>> {
    let fields = keys.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(keys)?;
    Ok(rows.iter().map(|row| hash(row.as_ref())).collect())
}

/// Multiply and rotate, eight bytes at a time, and a finish that brings every bit to the front.
fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = MULTIPLIER ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
    for shift in [32, 29, 32] {
        state = (state ^ (state >> shift)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    state ^ (state >> 32)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
    };

    use super::*;

    fn numbers(count: i64) -> RecordBatch {
        let starts = Arc::new(TimestampMillisecondArray::from(vec![0; usize::try_from(count).unwrap()]));
        let keys = Arc::new(Int64Array::from((0..count).collect::<Vec<_>>()));
        RecordBatch::try_from_iter([("pane_start", starts as _), ("key_0_id", keys as _)]).unwrap()
    }

    #[test]
    fn parts_are_disjoint_whole_and_of_like_size() {
        let batch = numbers(10_000);
        let keys = key_columns(&batch.schema());
        assert_eq!(keys, 1..2);
        let parts = split_by_key(&batch, keys.clone(), 4).unwrap();
        assert_eq!((parts.len(), parts.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>()), (16, 10_000));
        for (part, rows) in &parts {
            assert!((500..750).contains(&rows.num_rows()), "{}", rows.num_rows());
            assert_eq!(&part.rows(&batch, keys.clone()).unwrap(), rows);
            for wanted in KeyPart::of_bits(2) {
                let here = wanted.rows(rows, keys.clone()).unwrap().num_rows();
                assert_eq!(part.meets(wanted), here > 0);
                assert_eq!(part.is_within(wanted), here == rows.num_rows());
                assert_eq!((wanted.meets(*part), wanted.is_within(*part)), (here > 0, false));
            }
            assert!(part.meets(KeyPart::ALL) && part.is_within(KeyPart::ALL));
        }
    }

    #[test]
    fn a_part_noted_under_another_hash_may_be_any() {
        let other = KeyPart { hash: HASH_VERSION + 1, bits: 2, index: 1 };
        assert!(KeyPart::of_bits(2).all(|wanted| other.meets(wanted) && !other.is_within(wanted)));
    }

    #[test]
    fn so_many_parts_so_many_bits() {
        assert_eq!([0, 1, 2, 3, 16, 17, u64::MAX].map(KeyPart::bits_for), [0, 0, 1, 2, 4, 5, KeyPart::BITS_MAX]);
    }

    /// Files note parts by this hash. If this fails, whatever the reason, raise `HASH_VERSION`.
    #[test]
    fn the_hash_is_what_it_was() {
        let columns: [ArrayRef; 7] = [
            Arc::new(Int64Array::from(vec![Some(42), None])),
            Arc::new(Int32Array::from(vec![Some(-1), None])),
            Arc::new(Float64Array::from(vec![Some(0.5), None])),
            Arc::new(StringArray::from(vec![Some("a longer key than eight bytes"), None])),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(Date32Array::from(vec![Some(20_000), None])),
            Arc::new(Decimal128Array::from(vec![Some(12_345), None]).with_precision_and_scale(10, 2).unwrap()),
        ];
        let each: Vec<u64> = columns.iter().map(|column| key_hashes(std::slice::from_ref(column)).unwrap()[0]).collect();
        let all = key_hashes(&columns).unwrap();
        let expected = [
            0x88bc_55e9_8e5c_3fc2,
            0xcea3_98ed_b502_bbf4,
            0x57fe_2965_29a4_5af6,
            0xc246_96ed_9fd8_9b78,
            0x38e7_ec19_ced8_f998,
            0xb16b_ace7_ba98_f3f2,
            0x726e_4e52_7e92_272c,
        ];
        assert_eq!(each, expected);
        assert_eq!(all, [0xc5b2_bacc_47cf_0370, 0x5820_b1f2_8a19_5421]);
    }
}
