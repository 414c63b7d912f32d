-- Requests of a web shop by minute and class of status, and the minutes in which it was ill.
--
-- Shows: a view over a stream, CASE in the key of a window aggregate, two queries over the same stream, a percentile.

CREATE TABLE requests (
    requested_at TIMESTAMP(3),
    method TEXT,
    path TEXT,
    status INT,
    bytes BIGINT,
    ms INT,
    WATERMARK FOR requested_at
) WITH ('connector' = 'filesystem', 'path' = 'sql-examples/data/web_log.csv', 'format' = 'csv', 'csv.header' = 'true');

CREATE VIEW classified AS
SELECT requested_at, path, bytes, ms,
       CASE WHEN status >= 500 THEN 'error' WHEN status >= 400 THEN 'refused' WHEN status >= 300 THEN 'elsewhere' ELSE 'ok' END AS class
FROM requests;

SELECT window_start, class, count(*) AS requests, sum(bytes) AS bytes
FROM TUMBLE(classified, requested_at, INTERVAL '1 minute')
GROUP BY window_start, class
ORDER BY window_start, class;

SELECT window_start, count(*) AS requests, count(*) FILTER (WHERE class = 'error') AS errors, median(ms) AS median_ms, max(ms) AS slowest_ms
FROM TABLE(TUMBLE(TABLE classified, DESCRIPTOR(requested_at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end
HAVING count(*) FILTER (WHERE class = 'error') > 5
ORDER BY window_start;
