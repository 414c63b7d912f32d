//! Measures the server through its clients' protocol, beside PostgreSQL on the same rows; see `--help` and `docs/benchmarks.md`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use millstream_benches::Result;
use millstream_benches::wire::{Arguments, Suite, crowd, fan_out, freshness, lookups, scans, servers};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "wire: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.client_threads).enable_all().build()?;
    runtime.block_on(async {
        if arguments.wants(Suite::Lookups) || arguments.wants(Suite::Scans) {
            let servers = servers::both(arguments).await?;
            for server in &servers {
                servers::fill(server, arguments.rows).await?;
            }
            if arguments.wants(Suite::Lookups) {
                lookups::measure(arguments, &servers).await?;
            }
            if arguments.wants(Suite::Scans) {
                scans::measure(arguments, &servers).await?;
            }
        }
        if arguments.wants(Suite::FanOut) {
            fan_out::measure(arguments).await?;
        }
        if arguments.wants(Suite::Freshness) {
            freshness::measure(arguments).await?;
        }
        if arguments.wants(Suite::Crowd) {
            crowd::measure(arguments).await?;
        }
        Ok(())
    })
}
