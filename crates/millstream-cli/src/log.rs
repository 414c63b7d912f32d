//! Log lines on standard error, chosen by `MILLSTREAM_LOG` or `RUST_LOG`.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::screen::Messages;

const VARIABLES: [&str; 2] = ["MILLSTREAM_LOG", "RUST_LOG"];
const FILTER_DEFAULT: &str = "warn";

/// Starts logging. A filter that cannot be understood is an error with a complete message.
pub(crate) fn start(messages: &Messages) -> Result<(), String> {
    let filter = match VARIABLES.iter().find_map(|name| Some((name, std::env::var(name).ok()?)).filter(|(_, value)| !value.is_empty())) {
        Some((name, value)) => EnvFilter::try_new(&value)
            .map_err(|error| format!("{name} is no log filter: got '{value}': {error} (hint: {name}=info,millstream=debug)"))?,
        None => EnvFilter::new(FILTER_DEFAULT),
    };
    let messages = messages.clone();
    let has_color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(has_color).with_writer(move || messages.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())
}
