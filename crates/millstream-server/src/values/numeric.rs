//! Numbers with a fixed number of digits behind the point.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::i256;

/// The decimal point put into digits: `-12345678` with scale 3 is `-12345.678`.
pub(super) fn text(out: &mut BytesMut, unscaled: &str, scale: i8) {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |digits| ("-", digits));
    out.put_slice(sign.as_bytes());
    let Ok(scale) = usize::try_from(scale) else {
        out.put_slice(digits.as_bytes());
        let zeros = usize::from(scale.unsigned_abs());
        if digits != "0" {
            (0..zeros).for_each(|_| out.put_u8(b'0'));
        }
        return;
    };
    if scale == 0 {
        return out.put_slice(digits.as_bytes());
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.put_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    out.put_u8(b'.');
    (fraction.len()..scale).for_each(|_| out.put_u8(b'0'));
    out.put_slice(fraction.as_bytes());
}

/// Without zeros at the end of what is behind the point.
pub(super) fn trimmed(mut unscaled: i128, mut scale: i8) -> (i128, i8) {
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    (unscaled, scale)
}

/// PostgreSQL's own form: digits to base 10,000, the weight of the first, the sign, the digits shown behind the point.
pub(super) fn binary(out: &mut BytesMut, unscaled: &str, scale: i8) {
    let mut plain = BytesMut::new();
    text(&mut plain, unscaled, scale);
    let plain = String::from_utf8_lossy(&plain).into_owned();
    let (is_negative, plain) = plain.strip_prefix('-').map_or((false, plain.as_str()), |rest| (true, rest));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let whole = format!("{whole:0>width$}", width = whole.len().div_ceil(4) * 4);
    let padded = format!("{fraction:0<width$}", width = fraction.len().div_ceil(4) * 4);
    let groups = |text: &str| {
        text.as_bytes().chunks(4).map(|group| group.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'))).collect::<Vec<_>>()
    };
    let mut digits = groups(&whole);
    let mut weight = i16::try_from(digits.len()).unwrap_or(1) - 1;
    digits.extend(groups(&padded));
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    out.put_u16(u16::try_from(digits.len()).unwrap_or(0));
    out.put_i16(weight);
    out.put_u16(if is_negative && !digits.is_empty() { 0x4000 } else { 0 });
    out.put_u16(u16::try_from(fraction.len()).unwrap_or(0));
    digits.iter().for_each(|digit| out.put_u16(*digit));
}

/// A number in PostgreSQL's own form as text; `None` if it is none.
pub(super) fn from_binary(bytes: &[u8]) -> Option<String> {
    let word = |n: usize| Some(u16::from_be_bytes([*bytes.get(n * 2)?, *bytes.get(n * 2 + 1)?]));
    let (count, weight, sign, scale) = (usize::from(word(0)?), word(1)?.cast_signed(), word(2)?, usize::from(word(3)?));
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    if bytes.len() != 8 + count * 2 || weight.unsigned_abs() > 0x2000 || scale > 0x3fff {
        return None;
    }
    let digit = |place: i32| -> Option<u16> {
        let index = i32::from(weight) - place;
        usize::try_from(index).ok().filter(|n| *n < count).map_or(Some(0), |n| word(4 + n)).filter(|digit| *digit < 10_000)
    };
    let mut text = String::new();
    for place in (0..=i32::from(weight).max(0)).rev() {
        text.push_str(&format!("{:04}", digit(place)?));
    }
    let whole = text.trim_start_matches('0');
    let mut number = if whole.is_empty() { "0".to_owned() } else { whole.to_owned() };
    if scale > 0 {
        let mut fraction = String::new();
        for place in 1..=i32::try_from(scale.div_ceil(4)).ok()? {
            fraction.push_str(&format!("{:04}", digit(-place)?));
        }
        number.push('.');
        number.push_str(&fraction[..scale]);
    }
    Some(if sign == 0x4000 { format!("-{number}") } else { number })
}

/// The digits of an unscaled value.
pub(super) fn digits_256(value: i256) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(unscaled: &str, scale: i8) -> String {
        let mut out = BytesMut::new();
        binary(&mut out, unscaled, scale);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn numbers_have_postgresqls_form() {
        assert_eq!(hex("12345678", 4), "000200000000000404d2162e");
        assert_eq!(hex("12500", 4), "00020000000000040001".to_owned() + "09c4");
        assert_eq!(hex("0", 0), "0000000000000000");
        assert_eq!(hex("-12345678", 3), "0003000140000003000109291a7c");
    }

    #[test]
    fn and_come_back() {
        for (unscaled, scale, text) in [
            ("12500", 4, "1.2500"),
            ("-12345678", 3, "-12345.678"),
            ("0", 0, "0"),
            ("5", 6, "0.000005"),
            ("1230000000000", 2, "12300000000.00"),
        ] {
            let mut out = BytesMut::new();
            binary(&mut out, unscaled, scale);
            assert_eq!(from_binary(&out).unwrap(), text);
        }
        assert_eq!(from_binary(b"\0\xff\0\0\0\0\0\0"), None);
    }
}
