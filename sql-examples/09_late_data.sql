-- Late rows are told, never lost in silence.
--
-- The file holds twelve boardings. The watermark stays 30 seconds behind the latest boarding seen, so a row may come up to half
-- a minute out of order and still count. Three rows come later than that: the window they belong to has closed. They are not in
-- the result, and the program says so at the end on standard error: `warning: query_1: 3 late rows`.
--
-- Shows: what a watermark does; `late_rows = 'strict'`, by which a row is late when the watermark just before it has passed its
-- window, however the input is cut into epochs. By the default, 'lenient', rows that come in the same epoch are waited for: then
-- all twelve count here, because so short a file is one epoch.

CREATE TABLE boardings (
    boat TEXT,
    boarded_at TIMESTAMP(3),
    passengers INT,
    WATERMARK FOR boarded_at AS boarded_at - INTERVAL '30' SECOND
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/ferry_crossings.csv', 'late_rows' = 'strict');

SELECT window_start, window_end, boat, count(*) AS boardings, sum(passengers) AS passengers
FROM TUMBLE(boardings, boarded_at, INTERVAL '1 minute')
GROUP BY window_start, window_end, boat
ORDER BY window_start, boat;
