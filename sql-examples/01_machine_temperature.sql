-- Hours in which an industrial machine ran too hot or too cold.
--
-- Shows: a CSV file as a stream, TUMBLE in its canonical spelling, several aggregates of one window, FILTER, and HAVING as a
-- simple anomaly condition. The file carries labels of its engineers; `labelled` counts readings inside a labelled period, so
-- that one can see how far a plain rule comes.

CREATE TABLE readings (
    "timestamp" TIMESTAMP(3),
    value DOUBLE,
    in_anomaly_window BOOLEAN,
    WATERMARK FOR "timestamp" AS "timestamp" - INTERVAL '5' MINUTE
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/machine_temperature.csv', 'format' = 'csv');

SELECT window_start,
       round(avg(value), 1) AS mean,
       round(max(value), 1) AS highest,
       round(stddev(value), 2) AS spread,
       count(*) FILTER (WHERE in_anomaly_window) AS labelled
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR("timestamp"), INTERVAL '1' HOUR))
GROUP BY window_start, window_end
HAVING avg(value) NOT BETWEEN 40 AND 105.5
ORDER BY window_start;
