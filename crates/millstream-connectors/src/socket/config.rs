//! The options of the `socket` connector, typed.

use std::time::Duration;

use crate::error::{ConnectorError, Result};
use crate::format::{FORMAT_OPTIONS, Format, LineOptions};
use crate::options::{ConfigReader, OptionSpec, OptionSpecs, Options};

/// Every option.
pub(super) const OPTIONS: OptionSpecs = &[
    &[
        OptionSpec::new("hostname", "localhost", "host to connect to, or address to listen at; default localhost").or(&["host"]),
        OptionSpec::new("port", "9999", "TCP port"),
        OptionSpec::new("mode", "listen", "connect to a server, or listen for clients; default connect"),
        OptionSpec::new("reconnect", "1s", "wait and connect again when there is no connection; default: the end of it is the end"),
        OptionSpec::new("clients_max", "64", "clients served at once when listening, others wait; default 64"),
        OptionSpec::new("byte-delimiter", "10", "accepted for Flink scripts: lines end in a newline, which is 10"),
    ],
    FORMAT_OPTIONS,
];

/// Who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// We connect to a server; `Some`: and again after this long whenever there is no connection.
    Connect {
        /// Wait between attempts.
        reconnect: Option<Duration>,
    },
    /// Clients connect to us.
    Listen {
        /// Served at once.
        clients_max: usize,
    },
}

/// The options.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// Host to connect to, or address to listen at.
    pub hostname: String,
    /// TCP port.
    pub port: u16,
    /// Who connects to whom.
    pub mode: Mode,
    /// What lines hold.
    pub format: Format,
    /// Details of it.
    pub lines: LineOptions,
}

impl SocketConfig {
    /// From raw options.
    pub fn parse(options: Options) -> Result<Self> {
        let config = ConfigReader::new("socket", options, OPTIONS)?;
        config.required("port", "9999")?;
        let port = config.parsed("port", "a TCP port from 1 to 65535", "9999", |text| text.trim().parse().ok().filter(|port| *port > 0))?;
        config.parsed("byte-delimiter", "10, a newline", "10", |text| matches!(text, "10" | "\n" | "\\n").then_some(()))?;
        let format = Format::from_config(&config)?.unwrap_or(Format::Raw);
        let reconnect = config.duration("reconnect")?;
        let clients_max = config.positive("clients_max")?;
        let mode = match config.choice("mode", &["connect", "listen"])? {
            Some("listen") if reconnect.is_some() => {
                return Err(ConnectorError::config(
                    "option 'reconnect' has no effect: mode is 'listen' (hint: clients may always come again)",
                ));
            }
            Some("listen") => Mode::Listen { clients_max: clients_max.unwrap_or(64).min(1 << 16) as usize },
            _ => Mode::Connect { reconnect: reconnect.map(|wait| wait.max(Duration::from_millis(10))) },
        };
        let hostname = config.text("hostname").unwrap_or("localhost").to_owned();
        Ok(Self { hostname, port: port.unwrap_or_default(), mode, format, lines: LineOptions::from_config(&config)? })
    }

    /// `host:port`
    pub fn address(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }
}
