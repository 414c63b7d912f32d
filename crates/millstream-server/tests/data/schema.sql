-- The tables that the recorded statements of real clients ask about, in Millstream's dialect. Schemas other than public, indexes,
-- foreign keys and functions in SQL have no counterpart.
CREATE TABLE person (id BIGINT PRIMARY KEY, name TEXT, city TEXT, created TIMESTAMP);
CREATE TABLE bids (auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT, channel TEXT, url VARCHAR(255), ts TIMESTAMPTZ NOT NULL,
    extra JSONB, score DOUBLE PRECISION, amt NUMERIC(18,4), ok BOOLEAN, d DATE, tags TEXT[], PRIMARY KEY (auction, bidder, ts))
    COMMENT 'nexmark bids';
CREATE TABLE hop_counts (window_start TIMESTAMPTZ, window_end TIMESTAMPTZ, auction BIGINT, num BIGINT, r REAL, s SMALLINT, i INTEGER);
CREATE VIEW v_bids AS SELECT auction, count(*) AS n, max(price) AS mx FROM bids GROUP BY auction;
CREATE TABLE nexmark_bids (auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '3000');
CREATE MATERIALIZED VIEW mv_tumble AS SELECT window_start AS w, count(*) AS n
    FROM TUMBLE(nexmark_bids, date_time, INTERVAL '1 second') GROUP BY window_start;
INSERT INTO person SELECT i, 'p' || i, 'c' || (i % 3), now() FROM generate_series(1, 20) AS t(i);
INSERT INTO bids SELECT i % 5, 1 + i % 20, i * 10, 'ch', 'http://x', to_timestamp(1767225600 + i),
    '{"a": 1}', i * 0.5, i * 1.25, true, DATE '2026-01-01', ARRAY['a', 'b'] FROM generate_series(1, 200) AS t(i);
