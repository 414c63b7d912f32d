//! Measures Millstream; see `--help` and `docs/benchmarks.md`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use millstream::connectors::nexmark::Table;
use millstream_benches::arguments::{Arguments, Suite};
use millstream_benches::floors::Floors;
use millstream_benches::{Result, aggregates, auction_site, checkpoint_cost, epoch_cost, first_result, idle_cost, models};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(reached) if reached || !arguments.strict => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "nexmark: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False if a floor was checked and missed.
fn measure(arguments: &Arguments) -> Result<bool> {
    let mut floors = Floors::default();
    if arguments.wants(Suite::Start) {
        first_result::measure(arguments, &mut floors)?;
    }
    if arguments.wants(Suite::Idle) {
        idle_cost::measure(arguments, &mut floors)?;
    }
    if arguments.wants(Suite::Epochs) {
        epoch_cost::measure(arguments, &mut floors)?;
    }
    if arguments.wants(Suite::Aggregates) {
        aggregates::measure(arguments, &mut floors)?;
    }
    if arguments.wants(Suite::Bids) {
        let events = arguments.rows as u64 / 46 * 50;
        aggregates::measure_bids(arguments, &auction_site::generate(Table::Bid, events)?)?;
    }
    if arguments.wants(Suite::Nexmark) {
        auction_site::measure(arguments)?;
    }
    if arguments.wants(Suite::Checkpoints) {
        checkpoint_cost::measure(arguments, &mut floors)?;
    }
    if arguments.wants(Suite::Models) {
        models::measure(arguments, &mut floors)?;
    }
    if arguments.check { floors.tell() } else { Ok(true) }
}
