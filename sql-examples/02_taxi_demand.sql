-- Taxi passengers of New York: the six-hour stretches with the greatest and the least demand.
--
-- Shows: HOP, a window of six hours every two hours, in the short spelling; a result that is a table of windows, filtered from
-- outside.

CREATE TABLE rides (
    "timestamp" TIMESTAMP(3),
    value BIGINT,
    in_anomaly_window BOOLEAN,
    WATERMARK FOR "timestamp"
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/nyc_taxi.csv');

SELECT window_start, window_end, passengers, busiest_half_hour, labelled_half_hours
FROM (
    SELECT window_start, window_end,
           sum(value) AS passengers,
           max(value) AS busiest_half_hour,
           count(*) FILTER (WHERE in_anomaly_window) AS labelled_half_hours
    FROM HOP(rides, "timestamp", INTERVAL '2 hours', INTERVAL '6 hours')
    GROUP BY window_start, window_end
    HAVING count(*) = 12
) AS demand
WHERE passengers > 316000 OR passengers < 10000
ORDER BY window_start;
