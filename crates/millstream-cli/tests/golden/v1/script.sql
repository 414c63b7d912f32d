-- The pipelines of the kept data folder. Neither this file nor any other beside it ever changes: see ../README.md.
CREATE TABLE readings (sensor BIGINT, value DOUBLE, site VARCHAR, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'file', 'path' = 'readings.csv', 'format' = 'csv', 'csv.header' = 'false');
CREATE VIEW high AS SELECT sensor, value, ts FROM readings WHERE value > 50;
CREATE TABLE kept (sensor BIGINT, value DOUBLE, ts TIMESTAMP(3));
CREATE SINK copying INTO kept AS SELECT sensor, value, ts FROM high;
CREATE MATERIALIZED VIEW per_minute AS
SELECT window_start, count(*) AS n, count(DISTINCT site) AS sites, max(value) AS most
FROM TUMBLE(readings, ts, INTERVAL '1 minute') GROUP BY window_start;
CREATE SINK tumbling WITH ('connector' = 'file', 'path' = 'out/tumbling', 'format' = 'csv', 'csv.header' = 'false') AS
SELECT window_start, sensor, count(*) AS n, sum(value) AS total, min(site) AS first_site, stddev(value) > 20 AS spread
FROM TUMBLE(readings, ts, INTERVAL '1 minute') GROUP BY window_start, sensor;
CREATE SINK hopping WITH ('connector' = 'file', 'path' = 'out/hopping', 'format' = 'csv', 'csv.header' = 'false') AS
SELECT window_start, site, count(*) AS n, max(value) AS most
FROM HOP(readings, ts, INTERVAL '20 seconds', INTERVAL '2 minutes') GROUP BY window_start, site;
CREATE SINK joined WITH ('connector' = 'file', 'path' = 'out/joined', 'format' = 'csv', 'csv.header' = 'false') AS
SELECT a.window_start, a.sensor, a.value AS low, b.value AS much
FROM TUMBLE(readings, ts, INTERVAL '30 seconds') a JOIN TUMBLE(high, ts, INTERVAL '30 seconds') b
ON a.window_start = b.window_start AND a.sensor = b.sensor WHERE a.value < 5;
CREATE SINK ranked WITH ('connector' = 'file', 'path' = 'out/ranked', 'format' = 'csv', 'csv.header' = 'false') AS
SELECT window_start, place, sensor, value FROM
(SELECT window_start, sensor, value, row_number() OVER (PARTITION BY window_start ORDER BY value DESC, sensor, ts) AS place
 FROM TUMBLE(readings, ts, INTERVAL '1 minute')) WHERE place <= 3;
