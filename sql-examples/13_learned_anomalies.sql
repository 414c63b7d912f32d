-- Days on which an industrial machine behaved unlike the day before, by a model that learns as it goes.
--
-- Shows: CREATE MODEL … TYPE, LEARN (each row with the prediction made before the model learned it), a window over what comes out.
-- The model compares each reading with the median of the 288 readings before it, in typical deviations from it. `labelled` counts
-- readings inside a period that the engineers of the machine named anomalous.

CREATE TABLE readings (
    "timestamp" TIMESTAMP(3),
    value DOUBLE,
    in_anomaly_window BOOLEAN,
    WATERMARK FOR "timestamp" AS "timestamp" - INTERVAL '5' MINUTE
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/machine_temperature.csv', 'format' = 'csv');

CREATE MODEL robust TYPE robust_z_score FEATURES (value) WITH ('window_size' = '288', 'threshold' = '6');

CREATE VIEW watched AS
SELECT "timestamp", value, in_anomaly_window, prediction AS unusual, score
FROM TABLE(LEARN(TABLE readings, MODEL robust, DESCRIPTOR(value)));

SELECT window_start,
       count(*) FILTER (WHERE unusual) AS unusual,
       round(max(score), 1) AS highest_score,
       round(min(value), 1) AS lowest,
       round(max(value), 1) AS highest,
       count(*) FILTER (WHERE in_anomaly_window) AS labelled
FROM TABLE(TUMBLE(TABLE watched, DESCRIPTOR("timestamp"), INTERVAL '1' DAY))
GROUP BY window_start, window_end
HAVING count(*) FILTER (WHERE unusual) >= 12
ORDER BY window_start;
