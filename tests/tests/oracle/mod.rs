//! The batch run is the oracle: generated queries over generated rows give, in epochs of any size over any number of lanes and
//! partitions and in any arrival order within the watermark's delay, what plain DataFusion gives over all rows at once.
//!
//! `MILLSTREAM_ORACLE_CASES=5000` runs that many cases, `MILLSTREAM_ORACLE_SEED=17` just one, with its SQL shown. Seeds of cases
//! that once failed are in `regressions.txt` and run always; those that still fail are in `known_failures.txt` and do not.

mod batch_run;
pub(crate) mod comparison;
mod data;
mod query;
mod restored_run;
mod stream_run;

use std::collections::BTreeMap;

use millstream_testkit::Random;

use data::Dataset;
use query::Case;

/// As many as take less than a minute in a debug build on two cores.
const CASES: u64 = 30;

/// The case of a seed: its rows and its query.
fn generate(seed: u64) -> (Dataset, Case, Random) {
    let mut random = Random::new(seed);
    let data = Dataset::generate(&mut random);
    let case = Case::generate(&mut random, &data);
    (data, case, random)
}

/// `Ok(None)`: it agrees. `Ok(Some(refusal))`: refused on purpose. `Err`: what differs.
async fn check(seed: u64) -> Result<Option<String>, String> {
    let (data, case, mut random) = generate(seed);
    let expected = batch_run::run(&data, &case).await.map_err(|error| format!("the batch run fails: {error}"))?;
    for number in 0..3 {
        let variant = stream_run::Variant::generate(&mut random, number);
        let got = match stream_run::run(&data, &case, &variant, &mut random).await {
            Ok(got) => got,
            Err(error) if REFUSALS.iter().any(|refusal| error.contains(refusal)) => return Ok(Some(error)),
            Err(error) => return Err(format!("{variant:?}: {error}")),
        };
        comparison::compare(&expected, &got, case.ordered_columns).map_err(|difference| format!("{variant:?}: {difference}"))?;
    }
    let restored = restored_run::run(&data, &case, &mut random).await.map_err(|error| format!("restored: {}", error.strip_backtrace()))?;
    if let Some(restored) = restored {
        comparison::compare(&expected, &restored, case.ordered_columns)
            .map_err(|difference| format!("restored at random epochs: {difference}"))?;
    }
    Ok(None)
}

/// What the engine may refuse of generated queries.
const REFUSALS: &[&str] = &["is not supported yet", "are not supported yet", "this subquery over a stream is not supported"];

fn cases() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("MILLSTREAM_ORACLE_SEED") {
        let (_, case, _) = generate(seed);
        eprintln!("-- engine\n{}\n-- batch\n{}", case.ours(), case.stock());
        return vec![seed];
    }
    let first = number("MILLSTREAM_ORACLE_FIRST").unwrap_or(1);
    let known = seeds(include_str!("known_failures.txt"));
    let kept = seeds(include_str!("regressions.txt"));
    let all = kept.into_iter().chain(first..first + number("MILLSTREAM_ORACLE_CASES").unwrap_or(CASES));
    all.filter(|seed| !known.contains(seed)).collect()
}

/// The first word of each line; the rest says why.
fn seeds(lines: &str) -> Vec<u64> {
    lines.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_give_what_a_batch_gives() {
    let seeds = cases();
    let (mut failures, mut refused) = (Vec::new(), BTreeMap::<String, usize>::new());
    let total = seeds.len();
    for pair in seeds.chunks(2) {
        let runs = pair.iter().map(|&seed| tokio::spawn(async move { (seed, tokio::spawn(check(seed)).await) }));
        for run in runs.collect::<Vec<_>>() {
            let (seed, outcome) = run.await.unwrap();
            match outcome.unwrap_or_else(|panic| Err(format!("panics: {panic}"))) {
                Ok(None) => {}
                Ok(Some(refusal)) => *refused.entry(refusal.chars().take(80).collect()).or_default() += 1,
                Err(why) => {
                    eprintln!("seed {seed}: {why}\n{}\n", generate(seed).1.ours());
                    failures.push(seed);
                }
            }
        }
    }
    eprintln!("{total} cases, {} failed, refused: {refused:#?}", failures.len());
    assert!(failures.is_empty(), "seeds {failures:?} give other rows than a batch");
    let refused: usize = refused.values().sum();
    assert!(total < 20 || refused * 10 < total, "{refused} of {total} queries are refused: the generator asks for too much");
}
