-- Nexmark query 7, highest bid: the bids with the highest price of each ten seconds.
--
-- Shows: a join of the rows of a window with an aggregate of the same window.

CREATE TABLE bid (
    auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '500000', 'event_rate' = '10000');

SELECT b.window_start, b.auction, b.bidder, b.price, b.date_time
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '10' SECOND)) AS b
JOIN (
    SELECT max(price) AS highest, window_start, window_end
    FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(date_time), INTERVAL '10' SECOND))
    GROUP BY window_start, window_end
) AS top
ON b.price = top.highest AND b.window_start = top.window_start AND b.window_end = top.window_end
ORDER BY b.window_start, b.auction, b.bidder;
