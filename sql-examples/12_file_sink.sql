-- A pipeline into files: one line a day about the machine of example 01.
--
-- Shows: CREATE SINK … WITH (…) AS SELECT, which starts a pipeline of its own; the end of the script waits for it. Written files
-- appear whole or not at all. Look at them with: cat target/daily_temperature/*.csv

CREATE TABLE readings (
    "timestamp" TIMESTAMP(3), value DOUBLE, in_anomaly_window BOOLEAN,
    WATERMARK FOR "timestamp"
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/machine_temperature.csv');

CREATE SINK daily WITH ('connector' = 'file', 'path' = 'target/daily_temperature', 'format' = 'csv') AS
SELECT window_start AS day, count(*) AS readings, round(avg(value), 2) AS mean, round(min(value), 2) AS lowest, round(max(value), 2) AS highest
FROM TUMBLE(readings, "timestamp", INTERVAL '1 day')
GROUP BY window_start
ORDER BY window_start;
