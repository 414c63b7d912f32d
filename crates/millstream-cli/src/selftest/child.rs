//! One life of the program under test.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_time::{Clock, SystemClock};

use super::Death;
use super::scenario::Scenario;

/// How often a child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A run that lasts so long hangs.
const RUN_MAX: Duration = Duration::from_secs(120);

/// How it ended.
pub(super) enum Ending {
    /// By us, or at the crash point.
    Killed,
    /// By itself: all inputs have ended.
    Finished,
    /// With an error: its messages.
    Failed(String),
}

/// Starts the program over the scenario, and lets it run until it ends or dies as told.
pub(super) async fn run_until(scenario: &Scenario, death: Option<Death>) -> Result<Ending, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let messages = scenario.messages();
    let stderr = fs::File::create(&messages).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["run", "--quiet", "--data"]).arg(scenario.data()).arg(scenario.script());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut kill_after_ms = None;
    match death {
        Some(Death::At(place)) => drop(command.env("MILLSTREAM_CRASH_AT", place)),
        Some(Death::After(wait)) => kill_after_ms = Some(wait),
        None => {}
    }
    let mut child = command.spawn().map_err(|error| format!("the program does not start: {error}"))?;
    let clock = SystemClock::default();
    let started = clock.monotonic();
    let kill_at = kill_after_ms.map(|wait| started + Duration::from_millis(wait));
    loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("the program is lost: {error}"))? {
            return Ok(match status.code() {
                Some(0) => Ending::Finished,
                None => Ending::Killed,
                Some(_) => Ending::Failed(fs::read_to_string(&messages).unwrap_or_default().trim().to_owned()),
            });
        }
        let now = clock.monotonic();
        let hangs = now > started + RUN_MAX;
        if hangs || kill_at.is_some_and(|at| now >= at) {
            // It may have ended just now; then the next look tells.
            let _ = child.kill();
        }
        if hangs {
            let _ = child.wait();
            return Err(format!("the program did not end within {} s", RUN_MAX.as_secs()));
        }
        clock.sleep(LOOK_EVERY).await;
    }
}
