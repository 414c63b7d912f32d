-- From minutes to five minutes without reading the stream again.
--
-- Shows: a cascade. `window_time` of a closed window is a time attribute, so closed windows can be put into longer windows. The
-- lower aggregate is the only one that sees rows; the upper one sees its results.

CREATE TABLE requests (
    requested_at TIMESTAMP(3), method TEXT, path TEXT, status INT, bytes BIGINT, ms INT,
    WATERMARK FOR requested_at
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/web_log.csv');

CREATE VIEW by_minute AS
SELECT window_time AS minute, path, count(*) AS requests
FROM TUMBLE(requests, requested_at, INTERVAL '1 minute')
GROUP BY window_start, window_end, window_time, path;

SELECT window_start, path, sum(requests) AS requests, max(requests) AS busiest_minute, count(*) AS minutes
FROM TUMBLE(by_minute, minute, INTERVAL '5 minutes')
GROUP BY window_start, path
ORDER BY window_start, requests DESC, path;
