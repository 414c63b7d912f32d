//! `millstream selftest`: kills this very program again and again while it runs pipelines, and compares what they wrote with what
//! DataFusion alone makes of the same rows in one go.
//!
//! ```text
//! round:  start `millstream run pipelines.sql --data DIR` ── SIGKILL at a random instant, or death at a step of the commit
//!         protocol ── start again, the same command ── … ── until it ends by itself
//! then:   rows of every sink, sorted  =  rows of the batch query, sorted;  0 lost, 0 twice
//! ```

mod child;
mod expected;
mod pipelines;
mod progress;
mod scenario;

use std::path::Path;

use millstream::CRASH_POINTS;

use self::child::{Ending, run_until};
use self::pipelines::PIPELINES;
use self::progress::Progress;
use self::scenario::Scenario;
use crate::args::SelfTest;
use crate::screen::Screen;

/// Runs a child gets before its round is given up: with each one it must come nearer to its end.
const RUNS_MAX: u32 = 400;

/// Half of the instants are within this time of the start, the others within the next.
const KILL_EARLY_MS: u64 = 400;
const KILL_LATE_MS: u64 = 3_000;

/// Kills until `kills` children have died; 0 if everything was exact.
pub(crate) async fn run(options: &SelfTest, screen: &mut Screen) -> u8 {
    let mut random = Random(options.seed);
    tell(screen, &format!("selftest: {} kills, seed {}", options.kills, options.seed));
    let expected = match expected_rows(options).await {
        Ok(expected) => expected,
        Err(message) => {
            screen.error(&format!("selftest cannot start: {message}"));
            return 1;
        }
    };
    let mut killed = 0;
    let mut round = 0;
    while killed < options.kills {
        round += 1;
        match run_round(options, &expected, killed, &mut random).await {
            Ok(report) => {
                killed += report.kills;
                tell(screen, &format!("round {round}: {}", report.text));
            }
            Err(message) => {
                screen.error(&format!("selftest failed in round {round}: {message} (hint: repeat it with --seed {})", options.seed));
                return 1;
            }
        }
    }
    tell(screen, &format!("selftest passed: {killed} kills in {round} rounds, no row lost, none twice"));
    0
}

/// Progress is what this command prints.
fn tell(screen: &mut Screen, line: &str) {
    // Whoever closed standard output has had enough; the exit code still says how it ended.
    let _ = writeln!(screen.rows(), "{line}").and_then(|()| screen.flush());
}

struct Round {
    kills: u32,
    text: String,
}

/// The same in every round: the events depend on nothing but their number.
async fn expected_rows(options: &SelfTest) -> Result<Vec<Vec<String>>, String> {
    let folder = new_folder()?;
    expected::rows(&Scenario::write(folder.path(), options.events)?.tables).await
}

fn new_folder() -> Result<tempfile::TempDir, String> {
    tempfile::Builder::new().prefix("millstream-selftest-").tempdir().map_err(|error| error.to_string())
}

async fn run_round(options: &SelfTest, expected: &[Vec<String>], killed: u32, random: &mut Random) -> Result<Round, String> {
    let kills_max = options.kills - killed;
    let folder = new_folder()?;
    let scenario = Scenario::write(folder.path(), options.events)?;
    let mut progress = Progress::default();
    let (mut kills, mut further) = (0, 0);
    for _ in 0..RUNS_MAX {
        let death = (kills < kills_max).then(|| Death::choose(killed + kills, random));
        match run_until(&scenario, death).await? {
            Ending::Killed => kills += 1,
            Ending::Finished => {
                let rows = compare(&scenario, expected).inspect_err(|_| keep(folder.path()))?;
                return Ok(Round { kills, text: format!("{kills} kills, readers saw more after {further} of them, {rows} rows exact") });
            }
            Ending::Failed(message) => {
                keep(folder.path());
                return Err(format!("after {kills} kills the pipelines failed: {message}"));
            }
        }
        let now = Progress::of(&scenario).and_then(|now| now.after(&progress)).inspect_err(|_| keep(folder.path()))?;
        further += u32::from(now.is_further_than(&progress));
        progress = now;
    }
    Err(format!("no end after {RUNS_MAX} runs: restarts make no progress"))
}

/// How a child is to die.
enum Death {
    /// By SIGKILL, so many milliseconds after its start.
    After(u64),
    /// By itself, at a step of the commit protocol: `after-manifest:2`, when it comes there the second time.
    At(String),
}

impl Death {
    /// First every step once; then steps and instants by chance, most instants early, so that starting is interrupted too.
    fn choose(kill: u32, random: &mut Random) -> Self {
        if let Some(point) = CRASH_POINTS.get(kill as usize) {
            return Self::At((*point).to_owned());
        }
        if random.below(3) < 2 {
            let span = if random.below(2) == 0 { KILL_EARLY_MS } else { KILL_LATE_MS };
            return Self::After(20 + random.below(span));
        }
        let point = CRASH_POINTS[random.below(CRASH_POINTS.len() as u64) as usize];
        Self::At(format!("{point}:{}", 1 + random.below(20)))
    }
}

/// What is needed to look into a failure stays.
fn keep(folder: &Path) {
    let kept = folder.with_extension("kept");
    // It is a help for a person: if it fails, the message is all there is.
    let _ = std::fs::rename(folder, &kept);
}

fn compare(scenario: &Scenario, expected: &[Vec<String>]) -> Result<usize, String> {
    let mut total = 0;
    for (pipeline, rows) in PIPELINES.iter().zip(expected) {
        let found = scenario.published_rows(pipeline)?;
        let name = pipeline.sink;
        let (lost, extra) = difference(rows, &found);
        if !lost.is_empty() || !extra.is_empty() {
            let example = |rows: &[String]| rows.first().map(|row| format!(", the first: {row}")).unwrap_or_default();
            return Err(format!(
                "sink {name} has {} rows, {} are expected: {} lost{}; {} too many{}",
                found.len(),
                rows.len(),
                lost.len(),
                example(&lost),
                extra.len(),
                example(&extra)
            ));
        }
        total += rows.len();
    }
    Ok(total)
}

/// What is only in the first, and what is only in the second; both sorted, rows may occur several times.
fn difference(expected: &[String], found: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut lost, mut extra) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a == b => {
                left.next();
                right.next();
            }
            (Some(a), Some(b)) if a < b => lost.extend(left.next().cloned()),
            (_, Some(_)) => extra.extend(right.next().cloned()),
            (Some(_), None) => lost.extend(left.next().cloned()),
            (None, None) => return (lost, extra),
        }
    }
}

/// SplitMix64 (Steele et al., 2014): a seed gives the same kills again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_rows_are_found() {
        let rows = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(difference(&rows("a b c"), &rows("a b c")), (vec![], vec![]));
        assert_eq!(difference(&rows("a b c"), &rows("a c c d")), (rows("b"), rows("c d")));
    }
}
