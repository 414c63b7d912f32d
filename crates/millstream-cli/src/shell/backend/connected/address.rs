//! Which server is meant: `HOST:PORT` or `postgres://user@host:port/db?sslmode=…`.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::Trust;

/// The port of `millstream serve`.
const PORT_DEFAULT: u16 = 5433;
const USER_DEFAULT: &str = "millstream";
const DATABASE_DEFAULT: &str = "millstream";
/// A server that has not answered by then is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A peer that has gone without a word is found out after about this long.
const SILENT_AFTER: Duration = Duration::from_secs(15);
const EXAMPLES: &str = "hint: --connect localhost:5433, or postgres://user@host:5433/database?sslmode=require";

/// A server and how to reach it.
#[derive(Clone)]
pub(crate) struct Address {
    pub(super) config: Config,
    pub(super) trust: Trust,
    pub(super) within: Duration,
    /// `host:port`, for messages.
    pub(crate) shown: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads an address; what it leaves out comes from `variable` (the environment). The error is a complete message.
    pub(crate) fn read(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let (mut config, tls) = if is_url { of_url(text)? } else { (of_host(text)?, Vec::new()) };
        let shown = match config.get_hosts() {
            [Host::Tcp(host)] => {
                let port = config.get_ports().first().copied().unwrap_or(PORT_DEFAULT);
                if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
            }
            _ => return Err(format!("an address must name one host: got '{}' ({EXAMPLES})", without_password(text))),
        };
        if config.get_ports().is_empty() {
            config.port(PORT_DEFAULT);
        }
        if config.get_user().is_none() {
            config.user(variable("PGUSER").unwrap_or_else(|| USER_DEFAULT.to_owned()));
        }
        if config.get_dbname().is_none() {
            config.dbname(variable("PGDATABASE").unwrap_or_else(|| DATABASE_DEFAULT.to_owned()));
        }
        if config.get_password().is_none()
            && let Some(password) = variable("MILLSTREAM_PASSWORD").or_else(|| variable("PGPASSWORD"))
        {
            config.password(password);
        }
        let of_tls =
            |name: &str, own: &str| tls.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).or_else(|| variable(own));
        let (mode, trust) = tls_mode(of_tls("sslmode", "PGSSLMODE").as_deref(), of_tls("sslrootcert", "PGSSLROOTCERT").map(PathBuf::from))?;
        let within = config.get_connect_timeout().copied().unwrap_or(CONNECT_WITHIN);
        config.ssl_mode(mode).application_name("millstream").connect_timeout(within);
        config.keepalives_idle(SILENT_AFTER).keepalives_interval(SILENT_AFTER / 3).keepalives_retries(3);
        config.tcp_user_timeout(SILENT_AFTER * 2);
        Ok(Self { config, trust, within, shown })
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or(USER_DEFAULT)
    }
}

/// `host`, `host:port`, `[::1]:port`, `:port`.
fn of_host(text: &str) -> Result<Config, String> {
    let wrong = || format!("an address is written HOST:PORT: got '{}' ({EXAMPLES})", without_password(text));
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            Some(_) => (text, None),
            None => (text, None),
        },
    };
    if text.is_empty() || text.contains(['/', '@', ' ', '=']) {
        return Err(wrong());
    }
    let mut config = Config::new();
    config.host(if host.is_empty() { "localhost" } else { host });
    config.port(match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None => PORT_DEFAULT,
    });
    Ok(config)
}

/// The client library knows fewer values of the parameters for TLS than clients use: they are taken out.
fn of_url(text: &str) -> Result<(Config, Vec<(String, String)>), String> {
    let (head, query) = text.split_once('?').unwrap_or((text, ""));
    let is_tls = |pair: &&str| pair.starts_with("sslmode=") || pair.starts_with("sslrootcert=");
    let (tls, rest): (Vec<&str>, Vec<&str>) = query.split('&').filter(|pair| !pair.is_empty()).partition(is_tls);
    let url = if rest.is_empty() { head.to_owned() } else { format!("{head}?{}", rest.join("&")) };
    let url = with_port(&url);
    let config = url.parse::<Config>().map_err(|error| {
        let reason = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("'{}' is no address of a server{reason} ({EXAMPLES})", without_password(text))
    })?;
    let tls = tls.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")));
    Ok((config, tls.collect()))
}

/// The URL with our port where it names none; the client library would take PostgreSQL's.
fn with_port(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    let host = url[start..end].rsplit_once('@').map_or(&url[start..end], |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port || host.is_empty() { url.to_owned() } else { format!("{}:{PORT_DEFAULT}{}", &url[..end], &url[end..]) }
}

fn tls_mode(mode: Option<&str>, roots: Option<PathBuf>) -> Result<(SslMode, Trust), String> {
    Ok(match mode {
        None | Some("prefer" | "allow") => (SslMode::Prefer, Trust::Anyone),
        Some("disable") => (SslMode::Disable, Trust::Anyone),
        Some("require") if roots.is_none() => (SslMode::Require, Trust::Anyone),
        // As libpq: with a root certificate, require checks the chain.
        Some("require" | "verify-ca") => (SslMode::Require, Trust::Chain { roots }),
        Some("verify-full") => (SslMode::Require, Trust::ChainAndName { roots }),
        Some(other) => {
            return Err(format!("sslmode is disable, prefer, require, verify-ca or verify-full: got '{other}'"));
        }
    })
}

/// A URL as it may be shown.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((login, host)) => format!("{scheme}://{}@{host}", login.split(':').next().unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        Address::read(text, |name| (name == "PGUSER").then(|| "ann".to_owned()))
    }

    #[test]
    fn addresses() {
        for (text, shown, user) in [
            ("localhost:5433", "localhost:5433", "ann"),
            ("db.example", "db.example:5433", "ann"),
            (":6000", "localhost:6000", "ann"),
            ("[::1]:6000", "[::1]:6000", "ann"),
            ("::1", "[::1]:5433", "ann"),
            ("postgres://bob@h:7/d", "h:7", "bob"),
            ("postgres://[::1]/d", "[::1]:5433", "ann"),
            ("postgresql://bob:secret@h/d?sslmode=verify-full&connect_timeout=3", "h:5433", "bob"),
        ] {
            let address = read(text).unwrap();
            assert_eq!((address.shown.as_str(), address.user()), (shown, user), "{text}");
        }
        assert_eq!(read("postgres://h/d?connect_timeout=3").unwrap().within, Duration::from_secs(3));
    }

    #[test]
    fn wrong_addresses_show_no_password() {
        for text in
            ["", "host:port", "a b", "h:0", "host=x", "postgres://u:secret@h:x/d", "postgres://u:secret@h/d?sslmode=never", "/tmp/socket"]
        {
            let error = read(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn modes_of_tls() {
        let mode =
            |text: &str| read(&format!("postgres://h/d?sslmode={text}")).map(|address| (address.config.get_ssl_mode(), address.trust));
        assert_eq!(mode("disable").unwrap(), (SslMode::Disable, Trust::Anyone));
        assert_eq!(mode("require").unwrap(), (SslMode::Require, Trust::Anyone));
        assert_eq!(mode("require&sslrootcert=/ca.pem").unwrap().1, Trust::Chain { roots: Some("/ca.pem".into()) });
        assert_eq!(mode("verify-full").unwrap().1, Trust::ChainAndName { roots: None });
    }
}
