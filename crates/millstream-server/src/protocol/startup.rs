//! The first bytes of a connection: encryption asked for, a cancel request, or the real beginning.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::incoming::Body;
use crate::error::{Result, WireError};

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// TLS, please.
    Ssl,
    /// Kerberos encryption, please.
    Gss,
    /// Stop what connection `process` does.
    Cancel { process: i32, secret: i32 },
    /// A session.
    Startup(StartupRequest),
}

/// A session that a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StartupRequest {
    pub(crate) minor: u16,
    pub(crate) parameters: BTreeMap<String, String>,
}

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Longest start-up message, as in PostgreSQL.
pub(crate) const STARTUP_BYTES_MAX: usize = 10_000;

impl Opening {
    pub(crate) fn read(body: Bytes) -> Result<Self> {
        let mut body = Body(body);
        match body.u32()? {
            SSL_REQUEST => Ok(Self::Ssl),
            GSS_REQUEST => Ok(Self::Gss),
            CANCEL_REQUEST => Ok(Self::Cancel { process: body.i32()?, secret: body.i32()? }),
            version if version >> 16 == 3 => {
                let mut parameters = BTreeMap::new();
                loop {
                    let name = body.text()?;
                    if name.is_empty() {
                        break;
                    }
                    let value = body.text()?;
                    parameters.insert(name, value);
                }
                Ok(Self::Startup(StartupRequest { minor: (version & 0xffff) as u16, parameters }))
            }
            version => Err(WireError::fatal(
                "0A000",
                format!("unsupported frontend protocol {}.{}: server supports 3.0", version >> 16, version & 0xffff),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_told_apart() {
        let read = |bytes: &'static [u8]| Opening::read(Bytes::from_static(bytes));
        assert_eq!(read(b"\x04\xd2\x16\x2f").unwrap(), Opening::Ssl);
        assert_eq!(read(b"\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09").unwrap(), Opening::Cancel { process: 7, secret: 9 });
        let Opening::Startup(startup) = read(b"\0\x03\0\0user\0me\0\0").unwrap() else { panic!("no start-up") };
        assert_eq!(startup.parameters["user"], "me");
        for wrong in [&b""[..], b"\0\x02\0\0\0", b"\0\x03\0\0user", b"\0\x03\0\0user\0me"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
