//! The pipelines that are killed: queries 1, 2, 5, 7 and 8 of Nexmark, a window join, a Top-N and file input, all into files.

/// Tables, shared by the script and by the batch run; `{events}` and `{input}` are filled in.
pub(super) const TABLES: &str = "
CREATE TABLE bid (
    auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE person (
    id BIGINT, name TEXT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'person', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE auction (
    id BIGINT, seller BIGINT, reserve BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'auction', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE reading (
    sensor BIGINT, celsius DOUBLE, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'file', 'path' = '{input}', 'format' = 'csv', 'csv.header' = 'true');
";

/// A pipeline, and the same question to a batch engine that knows no windows.
pub(super) struct Pipeline {
    /// Name of its sink.
    pub(super) sink: &'static str,
    /// The continuous query.
    pub(super) query: &'static str,
    /// Plain SQL over all rows at once.
    pub(super) batch: &'static str,
}

/// What runs.
pub(super) const PIPELINES: &[Pipeline] = &[
    Pipeline {
        sink: "q1_currency",
        query: "SELECT auction, bidder, 0.908 * price AS euros, date_time FROM bid",
        batch: "SELECT auction, bidder, 0.908 * price AS euros, date_time FROM bid",
    },
    Pipeline {
        sink: "q2_selection",
        query: "SELECT auction, price * 2 AS doubled, channel FROM bid WHERE auction % 123 = 0",
        batch: "SELECT auction, price * 2 AS doubled, channel FROM bid WHERE auction % 123 = 0",
    },
    Pipeline {
        sink: "q5_hot_items",
        query: "SELECT counts.window_start, counts.auction, counts.bids FROM \
                (SELECT window_start, window_end, auction, count(*) AS bids \
                 FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, auction) AS counts \
                JOIN (SELECT window_start, window_end, max(bids) AS most FROM \
                 (SELECT window_start, window_end, count(*) AS bids \
                  FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, auction) AS per_auction \
                 GROUP BY window_start, window_end) AS best \
                ON counts.window_start = best.window_start AND counts.window_end = best.window_end AND counts.bids >= best.most",
        batch: "WITH counts AS (SELECT date_bin(INTERVAL '2 seconds', date_time) - shift.back AS window_start, auction, count(*) AS bids \
                 FROM bid CROSS JOIN (VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds'), (INTERVAL '6 seconds'), \
                 (INTERVAL '8 seconds')) AS shift (back) GROUP BY 1, 2) \
                SELECT counts.window_start, counts.auction, counts.bids FROM counts \
                JOIN (SELECT window_start, max(bids) AS most FROM counts GROUP BY 1) AS best \
                ON counts.window_start = best.window_start AND counts.bids = best.most",
    },
    Pipeline {
        sink: "q7_highest_bid",
        query: "SELECT b.window_start, b.auction, b.bidder, b.price, b.date_time FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') AS b \
                JOIN (SELECT window_start, window_end, max(price) AS highest FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') \
                 GROUP BY window_start, window_end) AS best \
                ON b.price = best.highest AND b.window_start = best.window_start AND b.window_end = best.window_end",
        batch: "SELECT best.window_start, b.auction, b.bidder, b.price, b.date_time FROM bid AS b \
                JOIN (SELECT date_bin(INTERVAL '10 seconds', date_time) AS window_start, max(price) AS highest FROM bid GROUP BY 1) AS best \
                ON b.price = best.highest AND date_bin(INTERVAL '10 seconds', b.date_time) = best.window_start",
    },
    Pipeline {
        sink: "q8_new_users",
        query: "SELECT p.window_start, p.id, p.name, a.auctions FROM \
                (SELECT window_start, window_end, id, name FROM TUMBLE(person, date_time, INTERVAL '10 seconds') \
                 GROUP BY window_start, window_end, id, name) AS p \
                JOIN (SELECT window_start, window_end, seller, count(*) AS auctions FROM TUMBLE(auction, date_time, INTERVAL '10 seconds') \
                 GROUP BY window_start, window_end, seller) AS a \
                ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end",
        batch: "SELECT p.window_start, p.id, p.name, a.auctions FROM \
                (SELECT DISTINCT date_bin(INTERVAL '10 seconds', date_time) AS window_start, id, name FROM person) AS p \
                JOIN (SELECT date_bin(INTERVAL '10 seconds', date_time) AS window_start, seller, count(*) AS auctions FROM auction GROUP BY 1, 2) AS a \
                ON p.id = a.seller AND p.window_start = a.window_start",
    },
    Pipeline {
        sink: "left_join",
        query: "SELECT p.window_start, p.id, p.name, a.reserve FROM TUMBLE(person, date_time, INTERVAL '10 seconds') AS p \
                LEFT JOIN TUMBLE(auction, date_time, INTERVAL '10 seconds') AS a \
                ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end",
        batch: "SELECT date_bin(INTERVAL '10 seconds', p.date_time) AS window_start, p.id, p.name, a.reserve FROM person AS p \
                LEFT JOIN auction AS a ON p.id = a.seller \
                AND date_bin(INTERVAL '10 seconds', p.date_time) = date_bin(INTERVAL '10 seconds', a.date_time)",
    },
    Pipeline {
        sink: "hottest",
        query: "SELECT window_start, auction, n FROM (SELECT window_start, window_end, auction, n, ROW_NUMBER() OVER \
                (PARTITION BY window_start, window_end ORDER BY n DESC, auction) AS place FROM \
                (SELECT window_start, window_end, auction, count(*) AS n FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') \
                GROUP BY window_start, window_end, auction)) WHERE place <= 3",
        batch: "SELECT window_start, auction, n FROM (SELECT window_start, auction, n, ROW_NUMBER() OVER \
                (PARTITION BY window_start ORDER BY n DESC, auction) AS place FROM \
                (SELECT date_bin(INTERVAL '10 seconds', date_time) AS window_start, auction, count(*) AS n FROM bid GROUP BY 1, 2)) WHERE place <= 3",
    },
    Pipeline {
        sink: "hopped",
        query: "SELECT window_start, sensor, count(*) AS n, min(celsius) AS lowest FROM HOP(reading, ts, INTERVAL '2 seconds', INTERVAL '6 seconds') \
                GROUP BY window_start, window_end, sensor",
        batch: "SELECT date_bin(INTERVAL '2 seconds', ts) - shift.back AS window_start, sensor, count(*) AS n, \
                min(celsius) AS lowest FROM reading CROSS JOIN (VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds')) AS shift (back) GROUP BY 1, 2",
    },
];
