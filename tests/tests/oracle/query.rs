//! Generated queries, each in two wordings: with window functions for the engine, with joins and `date_bin` for plain DataFusion.

use millstream_testkit::Random;

use super::data::Dataset;

/// One text in both wordings.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    ours: String,
    stock: String,
}

impl From<&str> for Sql {
    fn from(text: &str) -> Self {
        Self { ours: text.to_owned(), stock: text.to_owned() }
    }
}

/// `template` with `$0`, `$1`, … replaced.
fn fill(template: &str, parts: &[&Sql]) -> Sql {
    let mut filled = Sql::from(template);
    for (number, part) in parts.iter().enumerate().rev() {
        let place = format!("${number}");
        filled.ours = filled.ours.replace(&place, &part.ours);
        filled.stock = filled.stock.replace(&place, &part.stock);
    }
    filled
}

/// The windows of one TUMBLE or HOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) slide_ms: i64,
    pub(super) size_ms: i64,
    pub(super) offset_ms: i64,
}

impl Windows {
    fn generate(random: &mut Random, span_ms: i64) -> Self {
        let size_ms = match random.below(4) {
            0 => random.pick(&[1, 7, 250]) * (span_ms / 1_000).max(1),
            1 => span_ms / 5,
            2 => span_ms * 2,
            _ => random.pick(&[1_000, 5_000, 10_000, 60_000]),
        };
        let slide_ms = match random.below(5) {
            0 | 1 => size_ms,
            2 => (size_ms / 5).max(1),
            3 => (size_ms * 3 / 10).max(1),
            _ => random.within(size_ms / 12..size_ms + 1).max(1),
        };
        let offset_ms = if random.chance(30) { random.within(0..slide_ms) } else { 0 };
        Self { slide_ms, size_ms, offset_ms }
    }

    fn is_tumble(self) -> bool {
        self.slide_ms == self.size_ms
    }

    /// Name of the table of all windows in the batch run.
    pub(super) fn series_name(&self) -> String {
        format!("w_{}_{}_{}", self.slide_ms, self.size_ms, self.offset_ms)
    }

    /// `source` with window columns. A name may be spelled as a table, anything else is a subquery.
    fn over(self, random: &mut Random, source: &Sql, time: &str) -> Sql {
        let named = !source.ours.starts_with('(');
        let (slide, size, offset) = (interval(random, self.slide_ms), interval(random, self.size_ms), interval(random, self.offset_ms));
        let hop = !self.is_tumble() || random.chance(10);
        let function = if hop { "HOP" } else { "TUMBLE" };
        let lengths = if hop { format!("{slide}, {size}") } else { size.clone() };
        let last = if self.offset_ms != 0 { format!(", {offset}") } else { String::new() };
        let name = &source.ours;
        let ours = match random.below(4) {
            0 if named => format!("TABLE({function}(TABLE {name}, DESCRIPTOR({time}), {lengths}{last}))"),
            1 if named => {
                let slide = if hop { format!("SLIDE => {slide}, ") } else { String::new() };
                let offset = if self.offset_ms != 0 { format!(", OFFSET => {offset}") } else { String::new() };
                format!("TABLE({function}(DATA => TABLE {name}, TIMECOL => DESCRIPTOR({time}), {slide}SIZE => {size}{offset}))")
            }
            2 => format!("TABLE({function}({name}, DESCRIPTOR({time}), {lengths}{last}))"),
            _ => format!("{function}({name}, {time}, {lengths}{last})"),
        };
        let name = &source.stock;
        let Self { size_ms, offset_ms, .. } = self;
        let stock = if hop || random.chance(30) {
            let series = self.series_name();
            format!(
                "(SELECT src.*, w.window_start, w.window_end, w.window_time FROM {name} AS src JOIN {series} AS w ON src.{time} >= w.window_start AND src.{time} < w.window_end)"
            )
        } else {
            format!(
                "(SELECT bin.*, window_start + INTERVAL '{size_ms} milliseconds' AS window_end, window_start + INTERVAL '{} milliseconds' AS window_time \
                 FROM (SELECT src.*, date_bin(INTERVAL '{size_ms} milliseconds', src.{time}, to_timestamp_millis({offset_ms})) AS window_start FROM {name} AS src) AS bin)",
                size_ms - 1
            )
        };
        Sql { ours, stock }
    }
}

fn interval(random: &mut Random, ms: i64) -> String {
    match ms {
        _ if ms % 60_000 == 0 && random.chance(50) => format!("INTERVAL '{}' MINUTE", ms / 60_000),
        _ if ms % 1_000 == 0 && random.chance(50) => format!("INTERVAL '{}' SECOND", ms / 1_000),
        _ if ms % 1_000 == 0 => format!("INTERVAL '{} seconds'", ms / 1_000),
        _ if random.chance(50) => format!("INTERVAL '{ms} milliseconds'"),
        _ => format!("INTERVAL '{ms}' MILLISECOND"),
    }
}

/// One generated query.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) windows: Vec<Windows>,
    /// `CREATE VIEW` statements to run first.
    pub(super) views: Vec<Sql>,
    pub(super) query: Sql,
    /// So many first columns come sorted.
    pub(super) ordered_columns: usize,
}

impl Case {
    pub(super) fn generate(random: &mut Random, data: &Dataset) -> Self {
        let mut generator = Generator { random, span_ms: data.span_ms, windows: Vec::new(), views: Vec::new() };
        let (query, leads_with_window) = generator.query();
        let (query, ordered_columns) = generator.wrap(query, leads_with_window);
        let Generator { windows, views, .. } = generator;
        Self { windows, views, query, ordered_columns }
    }

    pub(super) fn ours(&self) -> String {
        self.views.iter().chain([&self.query]).map(|sql| sql.ours.clone() + ";\n").collect()
    }

    pub(super) fn stock(&self) -> String {
        self.views.iter().chain([&self.query]).map(|sql| sql.stock.clone() + ";\n").collect()
    }

    pub(super) fn render_ours(&self, sql: &Sql) -> String {
        sql.ours.clone()
    }

    pub(super) fn render_stock(&self, sql: &Sql) -> String {
        sql.stock.clone()
    }
}

struct Generator<'a> {
    random: &'a mut Random,
    span_ms: i64,
    windows: Vec<Windows>,
    views: Vec<Sql>,
}

/// Aggregates over the columns of a stream. Names that begin with `approx` are compared loosely.
const AGGREGATES: &[&str] = &[
    "count(*)",
    "count(a)",
    "count(DISTINCT a)",
    "count(DISTINCT g)",
    "count(DISTINCT d)",
    "sum(a)",
    "sum(b)",
    "sum(d)",
    "sum(m)",
    "sum(a * 2 + 1)",
    "sum(CASE WHEN f THEN a ELSE -a END)",
    "sum(DISTINCT a)",
    "avg(a)",
    "avg(d)",
    "avg(m)",
    "min(a)",
    "max(b)",
    "min(d)",
    "max(d)",
    "min(g)",
    "max(g)",
    "min(m)",
    "max(m)",
    "min(f)",
    "max(f)",
    "min(ts)",
    "max(ts)",
    "stddev(d)",
    "stddev_pop(a)",
    "var_samp(d)",
    "var_pop(d)",
    "covar_samp(d, CAST(a AS DOUBLE))",
    "covar_pop(d, CAST(id AS DOUBLE))",
    "corr(CAST(id AS DOUBLE), CAST(id AS DOUBLE) * 3.5 + coalesce(d, 0.0))",
    "regr_count(d, CAST(a AS DOUBLE))",
    "approx_distinct(g)",
    "approx_distinct(b)",
    "median(a)",
    "median(d)",
    "first_value(a ORDER BY ts, id)",
    "first_value(g ORDER BY id DESC)",
    "last_value(d ORDER BY b, id)",
    "last_value(g ORDER BY ts DESC, id)",
    "nth_value(a, 2 ORDER BY id)",
    "array_agg(a ORDER BY id)",
    "array_agg(g ORDER BY b DESC, id)",
    "array_agg(DISTINCT a ORDER BY a)",
    "string_agg(g, ',' ORDER BY id)",
    "bool_and(f)",
    "bool_or(f)",
    "bit_and(a)",
    "bit_or(b)",
    "bit_xor(b)",
    "accuracy(k % 2, a % 2)",
    "accuracy(f, a > 0)",
    "precision_score(f, d > 0.0)",
    "recall_score(k % 3, a % 3, 'weighted')",
    "f1_score(f, a > k)",
    "f1_score(g, upper(g), 'macro')",
    "confusion_matrix(k % 3, a % 2)",
    "log_loss(f, 1.0 / (1.0 + d * d))",
    "roc_auc(f, d)",
    "mae(a, k)",
    "rmse(d, a)",
    "r2_score(d, k)",
    "psi(d, a, 8, -10.0, 10.0)",
];

const APPROXIMATE: &[&str] = &["approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY d)", "approx_median(d)"];

const PREDICATES: &[&str] = &[
    "a > 0",
    "k % 2 = 0",
    "g <> 'key-1'",
    "f",
    "NOT f",
    "d IS NOT NULL AND d < 100.0",
    "b BETWEEN -500000000000 AND 500000000000",
    "id % 3 <> 0",
    "a IN (1, 2, 3, 4)",
    "g LIKE 'key-1%'",
    "a IS NULL OR m > 0",
    "k IS NOT NULL",
    "1 = 0",
];

/// Keys of a GROUP BY, each with the name its column gets.
const KEYS: &[&[(&str, &str)]] = &[
    &[],
    &[],
    &[("k", "k")],
    &[("g", "g")],
    &[("k", "k"), ("g", "g")],
    &[("k % 3", "k3")],
    &[("coalesce(g, 'none')", "g"), ("f", "f")],
    &[("f", "f")],
    &[("a", "a"), ("k", "k"), ("f", "f")],
    &[("CAST(m AS DECIMAL(10, 0))", "m0")],
];

/// An aggregate over windows and the names of its columns.
struct Aggregated {
    sql: Sql,
    keys: Vec<&'static str>,
    window_columns: Vec<&'static str>,
}

impl Generator<'_> {
    fn new_windows(&mut self) -> Windows {
        let windows = Windows::generate(self.random, self.span_ms);
        self.remember(windows);
        windows
    }

    fn remember(&mut self, windows: Windows) {
        if !self.windows.contains(&windows) {
            self.windows.push(windows);
        }
    }

    /// A query, and whether its first column is `window_start` of closed windows.
    fn query(&mut self) -> (Sql, bool) {
        match self.random.below(17) {
            0..=4 => {
                let aggregated = self.aggregate();
                (aggregated.sql, aggregated.window_columns.first() == Some(&"window_start"))
            }
            5 => (self.cascade(), true),
            6 | 7 => (self.join_rows(), false),
            8 => (self.join_aggregates(), false),
            9 => (self.semi_join(), false),
            10 | 11 => (self.top_rows(), false),
            12 => (self.union_of_aggregates(), false),
            13 => (self.windowed_projection(), false),
            14 => (self.aggregate_of_aggregate(), true),
            15 => (self.without_windows(), false),
            _ => (self.window_functions(), false),
        }
    }

    /// A stream with the columns of `s`: a name, a subquery, a UNION ALL.
    fn source(&mut self) -> Sql {
        let table = self.random.one_of(&["s", "r"]);
        match self.random.below(8) {
            0 => fill("(SELECT id, k, g, a, b, d, f, m, ts FROM $0 WHERE $1)", &[&table.into(), &self.predicate()]),
            1 => fill("(SELECT id, k + 1 AS k, upper(g) AS g, a, b, d * 2 AS d, f, m, ts FROM $0)", &[&table.into()]),
            2 => {
                // Ids stay unique, so that orderings by them are total.
                "(SELECT id * 2 AS id, k, g, a, b, d, f, m, ts FROM s UNION ALL SELECT id * 2 + 1 AS id, k, g, a, b, d, f, m, ts FROM r)"
                    .into()
            }
            3 => {
                let name = format!("v{}", self.views.len());
                let view = format!("CREATE VIEW {name} AS SELECT id, k, g, a, b, d, f, m, ts FROM {table} WHERE $0");
                let view = fill(&view, &[&self.predicate()]);
                self.views.push(view);
                name.as_str().into()
            }
            _ => table.into(),
        }
    }

    fn predicate(&mut self) -> Sql {
        let one = self.random.one_of(PREDICATES);
        if self.random.chance(20) { format!("({one}) OR ({})", self.random.one_of(PREDICATES)).as_str().into() } else { one.into() }
    }

    fn where_clause(&mut self, on_windows: bool) -> Sql {
        if on_windows && self.random.chance(10) {
            return " WHERE date_part('second', window_start) < 40".into();
        }
        if self.random.chance(60) { "".into() } else { fill(" WHERE $0", &[&self.predicate()]) }
    }

    fn aggregates(&mut self) -> Sql {
        let count = 1 + self.random.below(5);
        let mut list = Vec::new();
        for number in 0..count {
            let loose = self.random.chance(5);
            let call = self.random.one_of(if loose { APPROXIMATE } else { AGGREGATES });
            let filter = if self.random.chance(20) { format!(" FILTER (WHERE {})", self.random.one_of(PREDICATES)) } else { String::new() };
            list.push(format!("{call}{filter} AS {}{number}", if loose { "approx" } else { "x" }));
        }
        list.join(", ").as_str().into()
    }

    fn window_columns(&mut self) -> Vec<&'static str> {
        match self.random.below(6) {
            0 => vec!["window_start"],
            1 => vec!["window_end"],
            2 => vec!["window_start", "window_end", "window_time"],
            _ => vec!["window_start", "window_end"],
        }
    }

    fn aggregate(&mut self) -> Aggregated {
        let windows = self.new_windows();
        let columns = self.window_columns();
        self.aggregate_over(windows, columns)
    }

    fn aggregate_over(&mut self, windows: Windows, window_columns: Vec<&'static str>) -> Aggregated {
        let source = self.source();
        let relation = windows.over(self.random, &source, "ts");
        let keys = KEYS[self.random.below(KEYS.len())];
        let selected: Vec<String> =
            window_columns.iter().map(ToString::to_string).chain(keys.iter().map(|(expr, name)| format!("{expr} AS {name}"))).collect();
        let grouped: Vec<&str> = window_columns.iter().copied().chain(keys.iter().map(|(expr, _)| *expr)).collect();
        let having = match self.random.below(8) {
            0 => " HAVING count(*) > 1",
            1 => " HAVING max(a) > 0",
            _ => "",
        };
        let template = format!("SELECT {}, $1 FROM $0$2 GROUP BY {}{having}", selected.join(", "), grouped.join(", "));
        let sql = fill(&template, &[&relation, &self.aggregates(), &self.where_clause(true)]);
        Aggregated { sql, keys: keys.iter().map(|(_, name)| *name).collect(), window_columns }
    }

    /// Windows over the times of closed windows.
    fn cascade(&mut self) -> Sql {
        let inner = self.new_windows();
        let source = self.source();
        let inner_relation = inner.over(self.random, &source, "ts");
        let factor = self.random.pick(&[1, 2, 3]);
        let mut outer = Windows { slide_ms: inner.size_ms * factor, size_ms: inner.size_ms * factor * 2, offset_ms: 0 };
        if self.random.chance(60) {
            outer.slide_ms = outer.size_ms;
        }
        self.remember(outer);
        let counted = fill(
            "(SELECT window_start AS ws, window_time AS wt, k, count(*) AS n, sum(a) AS x FROM $0$1 GROUP BY window_start, window_time, k)",
            &[&inner_relation, &self.where_clause(false)],
        );
        let relation = outer.over(self.random, &counted, "wt");
        let keys = self.random.one_of(&["", ", k"]);
        fill(
            &format!(
                "SELECT window_start, window_end{keys}, sum(n) AS n, max(n) AS most, count(DISTINCT ws) AS windows, sum(x) AS x FROM $0 GROUP BY window_start, window_end{keys}"
            ),
            &[&relation],
        )
    }

    fn on(&mut self) -> &'static str {
        self.random.one_of(&[
            "l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k",
            "l.window_start = r.window_start AND l.window_end = r.window_end",
            "l.window_end = r.window_end AND l.g = r.g",
            "l.window_start = r.window_start AND l.k = r.k AND l.a < r.a",
            "l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k AND l.f",
        ])
    }

    fn join_rows(&mut self) -> Sql {
        let windows = self.new_windows();
        let (left, right) = (self.source(), self.source());
        let (left, right) = (windows.over(self.random, &left, "ts"), windows.over(self.random, &right, "ts"));
        let join = self.random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let on = self.on();
        let after = if self.random.chance(20) { " WHERE l.a IS NULL OR l.a >= 0" } else { "" };
        fill(
            &format!(
                "SELECT l.window_start, r.window_end, l.id AS left_id, r.id AS right_id, l.k, r.g, l.d + r.d AS d FROM $0 AS l {join} $1 AS r ON {on}{after}"
            ),
            &[&left, &right],
        )
    }

    fn join_aggregates(&mut self) -> Sql {
        let windows = self.new_windows();
        let both = vec!["window_start", "window_end"];
        let (mut left, mut right) = (self.aggregate_over(windows, both.clone()), self.aggregate_over(windows, both));
        let join = self.random.one_of(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let shared: Vec<&str> = left.keys.iter().filter(|key| right.keys.contains(key)).copied().collect();
        // `g` may be text of several wordings but stays text; `k` a number.
        let keys: String = shared.iter().map(|key| format!(" AND l.{key} = r.{key}")).collect();
        (left.window_columns, right.window_columns) = (vec![], vec![]);
        fill(
            &format!(
                "SELECT l.window_start, r.window_end, l.{0} AS {0}_left, r.{1} AS {1}_right FROM ($0) AS l {join} ($1) AS r ON l.window_start = r.window_start AND l.window_end = r.window_end{keys}",
                first_value(&left.sql),
                first_value(&right.sql)
            ),
            &[&left.sql, &right.sql],
        )
    }

    fn semi_join(&mut self) -> Sql {
        let windows = self.new_windows();
        let (left, right) = (self.source(), self.source());
        let (left, right) = (windows.over(self.random, &left, "ts"), windows.over(self.random, &right, "ts"));
        let template = match self.random.below(4) {
            0 => {
                "SELECT l.window_start, l.id, l.g FROM $0 AS l WHERE EXISTS (SELECT 1 FROM $1 AS r WHERE r.window_start = l.window_start AND r.window_end = l.window_end AND r.k = l.k)"
            }
            1 => {
                "SELECT l.window_start, l.id, l.a FROM $0 AS l WHERE NOT EXISTS (SELECT 1 FROM $1 AS r WHERE r.window_start = l.window_start AND r.window_end = l.window_end AND r.k = l.k)"
            }
            2 => "SELECT l.window_end, l.id, l.b FROM $0 AS l WHERE l.k IN (SELECT r.k FROM $1 AS r WHERE r.window_end = l.window_end)",
            _ => {
                "SELECT l.window_start, l.id, l.k FROM $0 AS l WHERE EXISTS (SELECT 1 FROM $1 AS r WHERE r.window_start = l.window_start AND r.g = l.g AND r.a > l.a) AND l.id % 2 = 0"
            }
        };
        fill(template, &[&left, &right])
    }

    /// Top-N and deduplication by ROW_NUMBER, over rows or over counts.
    fn top_rows(&mut self) -> Sql {
        let windows = self.new_windows();
        let source = self.source();
        let relation = windows.over(self.random, &source, "ts");
        let keys = self.random.one_of(&["", ", k", ", g"]);
        let order = self.random.one_of(&["a DESC, id", "ts, id", "d, b DESC, id", "g NULLS LAST, id DESC"]);
        let most = self.random.one_of(&["= 1", "<= 3", "<= 1", "< 6"]);
        if self.random.chance(40) {
            let source = fill(
                "(SELECT window_start, window_end, k, count(*) AS n FROM $0$1 GROUP BY window_start, window_end, k)",
                &[&relation, &self.where_clause(true)],
            );
            return fill(
                &format!(
                    "SELECT window_start, k, n, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC, k) AS place FROM $0 AS c) AS t WHERE place {most}"
                ),
                &[&source],
            );
        }
        fill(
            &format!(
                "SELECT window_start, window_end, id, k, a, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end{keys} ORDER BY {order}) AS place FROM $0 AS w$1) AS t WHERE place {most}"
            ),
            &[&relation, &self.where_clause(true)],
        )
    }

    fn window_functions(&mut self) -> Sql {
        let windows = self.new_windows();
        let source = self.source();
        let relation = windows.over(self.random, &source, "ts");
        let function = self.random.one_of(&[
            "rank() OVER (PARTITION BY window_start, window_end ORDER BY a)",
            "dense_rank() OVER (PARTITION BY window_start, window_end, k ORDER BY g)",
            "lag(a) OVER (PARTITION BY window_start ORDER BY id)",
            "sum(a) OVER (PARTITION BY window_start, window_end ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
            "count(*) OVER (PARTITION BY window_end, k)",
            "first_value(g) OVER (PARTITION BY window_start, window_end ORDER BY ts, id)",
        ]);
        fill(&format!("SELECT window_start, id, k, {function} AS v FROM $0 AS w$1"), &[&relation, &self.where_clause(true)])
    }

    fn union_of_aggregates(&mut self) -> Sql {
        let (one, other) = (self.new_windows(), self.new_windows());
        let (left, right) = (self.source(), self.source());
        let (left, right) = (one.over(self.random, &left, "ts"), other.over(self.random, &right, "ts"));
        fill(
            "SELECT window_start, k, count(*) AS n FROM $0 GROUP BY window_start, k UNION ALL SELECT window_start, k, sum(a) AS n FROM $1 GROUP BY window_start, k",
            &[&left, &right],
        )
    }

    fn windowed_projection(&mut self) -> Sql {
        let windows = self.new_windows();
        let source = self.source();
        let relation = windows.over(self.random, &source, "ts");
        fill(
            "SELECT window_start, window_end, id, coalesce(a, 0) * 2 AS a2, upper(g) AS g, d FROM $0$1",
            &[&relation, &self.where_clause(true)],
        )
    }

    fn aggregate_of_aggregate(&mut self) -> Sql {
        let windows = self.new_windows();
        let source = self.source();
        let relation = windows.over(self.random, &source, "ts");
        let where_clause = self.where_clause(true);
        let counted = fill(
            "(SELECT window_start, window_end, k, g, count(*) AS n, avg(d) AS d FROM $0$1 GROUP BY window_start, window_end, k, g)",
            &[&relation, &where_clause],
        );
        match self.random.below(3) {
            0 => fill(
                "SELECT window_start, window_end, max(n) AS most, sum(n) AS n, max(d) AS d FROM $0 AS c GROUP BY window_start, window_end",
                &[&counted],
            ),
            1 => {
                fill("SELECT window_start, k, count(DISTINCT g) AS groups, sum(n) AS n FROM $0 AS c GROUP BY window_start, k", &[&counted])
            }
            // Who has the most of each window.
            _ => fill(
                "SELECT c.window_start, c.k, c.g, c.n FROM $0 AS c JOIN (SELECT window_start, window_end, max(n) AS most FROM $0 AS i GROUP BY window_start, window_end) AS t ON c.window_start = t.window_start AND c.window_end = t.window_end AND c.n >= t.most",
                &[&counted],
            ),
        }
    }

    /// Bounded streams: rows are held to the end.
    fn without_windows(&mut self) -> Sql {
        let source = self.source();
        match self.random.below(8) {
            0 => fill("SELECT $1 FROM $0 AS t$2", &[&source, &self.aggregates(), &self.where_clause(false)]),
            1 => fill("SELECT k, $1 FROM $0 AS t$2 GROUP BY k", &[&source, &self.aggregates(), &self.where_clause(false)]),
            2 => fill("SELECT id, k, g, a + 1 AS a, d FROM $0 AS t$1", &[&source, &self.where_clause(false)]),
            3 => fill("SELECT DISTINCT k, g FROM $0 AS t$1", &[&source, &self.where_clause(false)]),
            4 => fill("SELECT l.id, r.id AS other FROM $0 AS l JOIN $1 AS r ON l.id = r.id AND l.k = r.k", &[&source, &self.source()]),
            5 => fill(
                "SELECT id, k, v FROM (SELECT id, k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY a, id) AS v FROM $0 AS t) AS x WHERE v <= 2",
                &[&source],
            ),
            6 => fill("SELECT id, v FROM (SELECT id, unnest(make_array(a, a + 1, k)) AS v FROM $0 AS t) AS u$1", &[&source, &"".into()]),
            _ => fill("SELECT k, g, count(*) AS n FROM $0 AS t GROUP BY GROUPING SETS ((k), (g), ())", &[&source]),
        }
    }

    /// The query as it is, or through a CTE, a view, DISTINCT, a sort.
    fn wrap(&mut self, query: Sql, leads_with_window: bool) -> (Sql, usize) {
        match self.random.below(9) {
            0 => (fill("WITH q AS ($0) SELECT * FROM q", &[&query]), 0),
            1 => (fill("SELECT * FROM ($0) AS q", &[&query]), 0),
            2 => {
                let name = format!("v{}", self.views.len());
                self.views.push(fill(&format!("CREATE VIEW {name} AS $0"), &[&query]));
                (format!("SELECT * FROM {name}").as_str().into(), 0)
            }
            3 => (fill("SELECT DISTINCT * FROM ($0) AS q", &[&query]), 0),
            4 | 5 if leads_with_window => (fill("SELECT * FROM ($0) AS q ORDER BY window_start", &[&query]), 1),
            _ => (query, 0),
        }
    }
}

/// Name of the first aggregate of a generated aggregate query.
fn first_value(sql: &Sql) -> &'static str {
    if sql.ours.contains(" AS x0") { "x0" } else { "approx0" }
}
