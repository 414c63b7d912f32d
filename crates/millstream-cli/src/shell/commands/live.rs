//! `\live`: a query whose result is kept up to date in place.

use std::time::Duration;

use millstream::{TextKind, scan};
use millstream_time::Clock;

use super::super::input::Call;
use super::super::live::{Live, Look};
use super::super::live_table::{End, LiveTable, Style};
use super::super::statement::Ended;
use super::super::terminal::SHOW_CURSOR;
use super::super::view_settings::Expanded;
use super::super::{Failure, Ran, Shell};
use super::{ArgKind, Command, query_of, quoted};
use crate::format::OutputFormat;
use crate::status_line::Progress;

pub(super) const COMMAND: Command = Command {
    names: &["live", "follow"],
    usage: "[NAME | QUERY]",
    about: "keep a result up to date in place",
    help: "A materialized view, a stored table or any query over them is drawn anew as it changes; what has changed stands out. Of a query \
           over a stream the newest rows are shown as they come. The line below tells rates, watermark and lag.\nspace holds it still, q or \
           Ctrl-C leaves.\n\n  \\live per_shop\n  \\live SELECT shop, sum(total) FROM per_shop GROUP BY shop ORDER BY 2 DESC LIMIT 10\n  \
           SELECT * FROM per_shop \\live",
    arg: ArgKind::Query,
    run,
};

/// The least time between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A query that takes long is given so many times its own time to rest.
pub(super) const REST_FACTOR: u32 = 4;

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let query = match call.args.split_whitespace().collect::<Vec<_>>().as_slice() {
        [name] if call.query.is_none() => format!("SELECT * FROM {}", quoted(name)),
        _ => query_of(shell, call, &call.args)?,
    };
    if !shell.shows_rows() {
        return Err(Failure::Message("\\live needs a terminal".to_owned()));
    }
    shell.last_query = Some(query.clone());
    let is_expanded = shell.view.expanded == Expanded::On;
    let format = if is_expanded { OutputFormat::Vertical } else { OutputFormat::Table };
    let end = if has_order(&query) { End::First } else { End::Last };
    let style = Style { format, sparklines: shell.view.sparklines, has_color: shell.screen.has_color(), end };
    let mut table = LiveTable::new(style);
    let shown = keep_up(shell, &query, &mut table);
    shell.screen.rows().write_all(SHOW_CURSOR.as_bytes())?;
    shell.screen.flush()?;
    match shown? {
        Some(ended) if ended.stopped.is_some() || ended.left => {
            shell.tell_stopped(&ended);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Runs the query again and again until the person leaves; how it was, if it was left while it ran.
fn keep_up(shell: &mut Shell<'_>, query: &str, table: &mut LiveTable) -> Result<Option<Ended>, Failure> {
    let mut live = Live::default();
    let names = words(query);
    loop {
        let start = shell.clock.monotonic();
        let rows = shell.start_query(query)?;
        table.restart(rows.flow());
        let running = shell.runtime.block_on(shell.backend.pipelines_now()).unwrap_or_default();
        table.tell(start, concerned(running, &names));
        let ended = shell.show(rows, table, start)?;
        if ended.stopped.is_some() || ended.left || ended.progress.rows_in > 0 {
            return Ok(Some(ended));
        }
        let rest = LOOK_EVERY.max(ended.elapsed * REST_FACTOR);
        match live.wait(shell, rest)? {
            Look::Again => {}
            Look::Cleared => table.clear(shell.screen)?,
            Look::Leave => return Ok(None),
        }
    }
}

/// The pipelines that a query reads from; all of them if it names none.
fn concerned(running: Vec<Progress>, names: &[String]) -> Vec<Progress> {
    let running: Vec<Progress> = running.into_iter().filter(|pipeline| pipeline.is_running).collect();
    let named: Vec<Progress> = running.iter().filter(|pipeline| names.contains(&pipeline.name)).cloned().collect();
    if named.is_empty() { running } else { named }
}

fn words(query: &str) -> Vec<String> {
    let parts = scan(query).into_iter().filter(|part| matches!(part.kind, TextKind::Word | TextKind::QuotedName));
    parts.map(|part| query[part.range].trim_matches('"').to_owned()).collect()
}

/// True if the rows come in an order that the query asks for.
fn has_order(query: &str) -> bool {
    let mut depth = 0_i32;
    let mut before = String::new();
    for part in scan(query) {
        match part.kind {
            TextKind::Open => depth += 1,
            TextKind::Close => depth -= 1,
            TextKind::Word if depth == 0 => {
                let word = query[part.range].to_ascii_lowercase();
                if word == "by" && before == "order" {
                    return true;
                }
                before = word;
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_counts_where_it_orders_the_result() {
        assert!(has_order("SELECT a FROM t\nORDER  BY a LIMIT 3"));
        assert!(!has_order("SELECT array_agg(a ORDER BY a) FROM t WHERE x = 'order by'"));
    }
}
