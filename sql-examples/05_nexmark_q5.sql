-- Nexmark query 5, hot items: which auctions had the most bids in the last ten seconds, told every two seconds.
--
-- Shows: a generated stream (the same rows in every run), HOP, and a join of two window aggregates over the same windows.

CREATE TABLE bid (
    auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMP(3), extra TEXT,
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '200000', 'event_rate' = '10000');

SELECT counts.window_start, counts.window_end, counts.auction, counts.bids
FROM (
    SELECT auction, count(*) AS bids, window_start, window_end
    FROM TABLE(HOP(TABLE bid, DESCRIPTOR(date_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
    GROUP BY auction, window_start, window_end
) AS counts
JOIN (
    SELECT max(bids) AS most, window_start, window_end
    FROM (
        SELECT count(*) AS bids, window_start, window_end
        FROM TABLE(HOP(TABLE bid, DESCRIPTOR(date_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
        GROUP BY auction, window_start, window_end
    ) AS per_auction
    GROUP BY window_start, window_end
) AS best
ON counts.window_start = best.window_start AND counts.window_end = best.window_end AND counts.bids >= best.most
ORDER BY counts.window_start, counts.auction;
