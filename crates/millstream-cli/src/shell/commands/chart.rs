//! `\chart`: draws a query, live in the terminal or into a picture file.

use std::fs;

use millstream_time::Clock;

use super::super::backend::Flow;
use super::super::chart::{ChartView, Spec, picture_bytes};
use super::super::input::Call;
use super::super::live::{Live, Look};
use super::super::statement::View;
use super::super::{Failure, Ran, Shell, places};
use super::live::{LOOK_EVERY, REST_FACTOR};
use super::{ArgKind, Command, query_of};

pub(super) const COMMAND: Command = Command {
    names: &["chart", "plot"],
    usage: "[live] [KIND] X Y [by S]",
    about: "draw a query; > file.svg or .png saves it",
    help: include_str!("../help/charts.txt"),
    arg: ArgKind::Text,
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let (args, file) = split_file(&call.args);
    let (spec, query) = split_query(args);
    let is_again = spec.trim().is_empty() && query.is_empty() && call.query.is_none();
    let spec = match shell.last_chart.take().filter(|(_, drawn)| is_again && shell.last_query.as_ref() == Some(drawn)) {
        Some((spec, _)) => spec,
        None => Spec::parse(spec)?,
    };
    let query = query_of(shell, call, query)?;
    shell.last_chart = Some((spec.clone(), query.clone()));
    let is_drawn = file.is_none() && shell.shows_rows();
    if spec.is_live && is_drawn {
        return keep_up(shell, spec, query);
    }
    let start = shell.clock.monotonic();
    let rows = shell.start_query(&query)?;
    shell.last_query = Some(query);
    let mut view = ChartView::new(spec, rows.flow() != Flow::Snapshot, is_drawn, shell.screen.has_color());
    let ended = shell.show(rows, &mut view, start)?;
    if let Some(problem) = view.problem() {
        return Err(Failure::Message(problem));
    }
    match file {
        Some(file) => {
            let path = places::expand_home(file);
            let bytes = picture_bytes(file, view.spec(), view.data())?;
            fs::write(&path, bytes).map_err(|error| format!("cannot write '{file}': {error}"))?;
            shell.screen.note(&format!("'{file}' is written ({} rows)", ended.rows));
        }
        None => {
            if !is_drawn {
                let text = view.text();
                shell.print(&text)?;
            }
            let note = view.data().dropped_note();
            shell.tell(&ended, note);
        }
    }
    Ok(())
}

/// Draws the chart again and again until the person leaves; that of a stream goes on by itself.
fn keep_up(shell: &mut Shell<'_>, spec: Spec, query: String) -> Ran {
    shell.last_query = Some(query.clone());
    let mut live = Live::default();
    let mut drawn: Option<ChartView> = None;
    loop {
        let start = shell.clock.monotonic();
        let rows = shell.start_query(&query)?;
        let is_stream = rows.flow() != Flow::Snapshot;
        let has_color = shell.screen.has_color();
        let view = drawn.get_or_insert_with(|| ChartView::new(spec.clone(), is_stream, true, has_color));
        let ended = shell.show(rows, view, start)?;
        if let Some(problem) = view.problem() {
            return Err(Failure::Message(problem));
        }
        if ended.stopped.is_some() || ended.left || ended.progress.rows_in > 0 {
            let note = view.data().dropped_note();
            shell.tell(&ended, note);
            return Ok(());
        }
        match live.wait(shell, LOOK_EVERY.max(ended.elapsed * REST_FACTOR))? {
            Look::Again => {}
            Look::Cleared => view.resized(shell.screen)?,
            Look::Leave => return live.end(shell.screen),
        }
    }
}

/// The rest and the file of `… > file.svg`.
fn split_file(args: &str) -> (&str, Option<&str>) {
    let Some((head, file)) = args.rsplit_once('>') else { return (args, None) };
    let file = file.trim().trim_matches('\'');
    let is_picture = [".svg", ".png"].iter().any(|ending| file.to_ascii_lowercase().ends_with(ending));
    if is_picture { (head.trim_end(), Some(file)) } else { (args, None) }
}

/// The words for the chart and the query behind them.
fn split_query(args: &str) -> (&str, &str) {
    let mut offset = 0;
    for word in args.split_inclusive(char::is_whitespace) {
        let bare = word.trim().trim_start_matches('(').to_ascii_lowercase();
        if ["select", "with", "values", "table"].contains(&bare.as_str()) {
            return args.split_at(offset);
        }
        offset += word.len();
    }
    (args, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_query_and_file() {
        let (args, file) = split_file("line x y SELECT a FROM t WHERE a > 3 > 'out.svg'");
        assert_eq!(file, Some("out.svg"));
        assert_eq!(split_query(args), ("line x y ", "SELECT a FROM t WHERE a > 3"));
        assert_eq!(split_file("line x y SELECT a FROM t WHERE a > 3").1, None);
        assert_eq!(split_query("bar x y"), ("bar x y", ""));
    }
}
