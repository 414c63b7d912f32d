//! From the start of the `millstream` binary to its first row on a pipe.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::case::median;
use crate::floors::Floors;
use crate::meter::Meter;
use crate::report::{self, rounded};

/// Endless: what comes first cannot come from the end of the input.
const SCRIPT: &str = "
    CREATE TABLE bid (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
    WITH ('connector' = 'nexmark', 'table' = 'bid');
    SELECT window_start, auction, count(*) AS bids, max(price) AS highest
    FROM TUMBLE(bid, date_time, INTERVAL '10' SECOND) GROUP BY window_start, auction;";

/// Measures the binary that lies beside this program.
///
/// # Errors
/// The binary does not run or gives no row.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let binary = std::env::current_exe()?.with_file_name("millstream");
    if !binary.exists() {
        let why = "there is no millstream binary beside this program (hint: cargo build --release)";
        return report::line("first_result", &json!({ "skipped": why }));
    }
    let mut milliseconds = Vec::new();
    for round in 0..=arguments.runs {
        let meter = Meter::start();
        let mut child = Command::new(&binary)
            .args(["--format", "csv", "-c", SCRIPT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let first = read_rows(&mut child);
        let elapsed = meter.elapsed();
        child.kill()?;
        child.wait()?;
        first?;
        if round > 0 {
            milliseconds.push(elapsed.as_secs_f64() * 1e3);
        }
    }
    let middle = median(milliseconds.clone());
    let runs: Vec<f64> = milliseconds.iter().map(|ms| rounded(*ms, 1)).collect();
    report::line("first_result", &json!({ "milliseconds": rounded(middle, 1), "runs": runs }))?;
    floors.at_most("milliseconds from the start of the binary to its first row", 100.0, middle);
    Ok(())
}

/// Reads until there is more than a header.
fn read_rows(child: &mut std::process::Child) -> Result<()> {
    let Some(stdout) = &mut child.stdout else { return Err("no pipe".into()) };
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while text.iter().filter(|byte| **byte == b'\n').count() < 2 {
        let count = stdout.read(&mut buffer)?;
        if count == 0 {
            return Err("the binary ended without a row".into());
        }
        text.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}
