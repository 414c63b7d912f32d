//! What a client sends after start-up.

use bytes::Bytes;

use crate::error::{Result, WireError};

/// Most parameters of a statement, and most formats named.
const PARAMETERS_MAX: usize = 65_535;

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Query(String),
    /// A Query whose text cannot be read: it is answered as one that fails.
    UnreadableQuery(WireError),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe {
        kind: Target,
        name: String,
    },
    Execute {
        portal: String,
        rows_max: usize,
    },
    Close {
        kind: Target,
        name: String,
    },
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    Password(Bytes),
    Terminate,
}

/// Values for the parameters of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) formats: Vec<i16>,
    pub(crate) values: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<i16>,
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement,
    Portal,
}

impl Message {
    /// Reads the body of a frame; every length in it is checked.
    pub(crate) fn read(kind: u8, body: Bytes) -> Result<Self> {
        match Self::read_body(kind, body) {
            Err(error) if kind == b'Q' && !error.is_fatal => Ok(Self::UnreadableQuery(error)),
            read => read,
        }
    }

    fn read_body(kind: u8, body: Bytes) -> Result<Self> {
        let mut body = Body(body);
        let message = match kind {
            b'Q' => Self::Query(body.text()?),
            b'P' => Self::Parse { name: body.text()?, sql: body.text()?, types: body.list(|body| body.u32())? },
            b'B' => Self::Bind(bind(&mut body)?),
            b'D' => Self::Describe { kind: body.target()?, name: body.text()? },
            b'E' => Self::Execute { portal: body.text()?, rows_max: usize::try_from(body.i32()?).unwrap_or(0) },
            b'C' => Self::Close { kind: body.target()?, name: body.text()? },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'd' => return Ok(Self::CopyData(body.0)),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(body.text()?),
            b'p' => return Ok(Self::Password(body.0)),
            b'X' => Self::Terminate,
            other => return Err(WireError::protocol(format!("invalid frontend message type {other}"))),
        };
        match body.0.is_empty() {
            true => Ok(message),
            false => Err(WireError::new("08P01", "invalid message format: there are bytes left")),
        }
    }

    /// Part of the extended protocol: after an error such messages are skipped up to Sync.
    pub(crate) fn is_extended(&self) -> bool {
        matches!(self, Self::Parse { .. } | Self::Bind(_) | Self::Describe { .. } | Self::Execute { .. } | Self::Close { .. } | Self::Flush)
    }
}

fn bind(body: &mut Body) -> Result<Bind> {
    Ok(Bind {
        portal: body.text()?,
        statement: body.text()?,
        formats: body.list(|body| body.format())?,
        values: body.list(|body| body.value())?,
        result_formats: body.list(|body| body.format())?,
    })
}

/// What is left of a message's body.
pub(crate) struct Body(pub(crate) Bytes);

impl Body {
    fn take(&mut self, count: usize) -> Result<Bytes> {
        match count <= self.0.len() {
            true => Ok(self.0.split_to(count)),
            false => Err(WireError::new("08P01", "insufficient data left in message")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N)?);
        Ok(array)
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn format(&mut self) -> Result<i16> {
        match self.i16()? {
            format @ 0..=1 => Ok(format),
            other => Err(WireError::new("22023", format!("invalid format code: {other}"))),
        }
    }

    /// Bytes with their length before them; −1 is NULL.
    pub(crate) fn value(&mut self) -> Result<Option<Bytes>> {
        match self.i32()? {
            -1 => Ok(None),
            length => Ok(Some(self.take(usize::try_from(length).map_err(|_| WireError::new("08P01", "invalid length of a value"))?)?)),
        }
    }

    /// A text up to its NUL.
    pub(crate) fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let Some(end) = end else { return Err(WireError::new("08P01", "invalid string in message")) };
        let bytes = self.take(end)?;
        self.take(1)?;
        utf8(&bytes)
    }

    fn target(&mut self) -> Result<Target> {
        match self.array::<1>()? {
            [b'S'] => Ok(Target::Statement),
            [b'P'] => Ok(Target::Portal),
            [other] => Err(WireError::new("08P01", format!("invalid DESCRIBE or CLOSE message subtype {other}"))),
        }
    }

    /// A number of things and then the things.
    fn list<T>(&mut self, mut next: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        // Each takes at least two bytes: a false count keeps no memory.
        if count > PARAMETERS_MAX || count * 2 > self.0.len() {
            return Err(WireError::new("08P01", "insufficient data left in message"));
        }
        (0..count).map(|_| next(self)).collect()
    }
}

/// Text of a client.
pub(crate) fn utf8(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let shown: Vec<String> = bytes[at..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
            Err(WireError::new("22021", format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_length_is_an_error() {
        for body in
            [&b""[..], b"a", b"a\0", b"p\0s\0\xff\xff", b"p\0s\0\0\0\0\x01\x7f\xff\xff\xff\0\0", b"p\0s\0\0\0\0\x01\xff\xff\xff\xfe"]
        {
            let error = Message::read(b'B', Bytes::copy_from_slice(body)).unwrap_err();
            assert_eq!(error.sqlstate, "08P01", "{body:?}");
        }
        assert!(Message::read(b'?', Bytes::new()).unwrap_err().is_fatal);
        let unreadable = Message::read(b'Q', Bytes::from_static(b"\xff\0")).unwrap();
        assert!(matches!(unreadable, Message::UnreadableQuery(error) if error.sqlstate == "22021"));
    }

    #[test]
    fn values_and_nulls_are_bound() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\0";
        let Ok(Message::Bind(bind)) = Message::read(b'B', Bytes::from_static(body)) else { panic!("no Bind") };
        assert_eq!(bind.values, [None, Some(Bytes::from_static(b"x"))]);
        assert_eq!((bind.formats, bind.result_formats), (vec![1], vec![]));
    }
}
