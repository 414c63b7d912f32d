-- Nexmark query 8, new users: persons who opened an auction within the ten seconds in which they signed up.
--
-- Shows: a window join of two streams. They come from one generator and meet by the window and the seller.

CREATE TABLE person (
    id BIGINT, name TEXT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'person', 'events' = '20000', 'event_rate' = '500');

CREATE TABLE auction (
    seller BIGINT, reserve BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'auction', 'events' = '20000', 'event_rate' = '500');

SELECT p.window_start, p.id, p.name, a.auctions
FROM (
    SELECT id, name, window_start, window_end
    FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(date_time), INTERVAL '10' SECOND))
    GROUP BY id, name, window_start, window_end
) AS p
JOIN (
    SELECT seller, count(*) AS auctions, window_start, window_end
    FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(date_time), INTERVAL '10' SECOND))
    GROUP BY seller, window_start, window_end
) AS a
ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end
WHERE a.auctions > 1
ORDER BY p.window_start, p.id;
