-- The three sellers with the greatest takings of every ten seconds.
--
-- Shows: Top-N per window by ROW_NUMBER over a window aggregate. A bid counts for the auction's seller, so a stream of bids is
-- joined with a stream of auctions inside each window.

CREATE TABLE auction (
    id BIGINT, seller BIGINT, category BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time
) WITH ('connector' = 'nexmark', 'table' = 'auction', 'events' = '300000', 'event_rate' = '5000');

CREATE TABLE bid (
    auction BIGINT, price BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '300000', 'event_rate' = '5000');

WITH best_bids AS (
    SELECT window_start, window_end, auction, max(price) AS price
    FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
    GROUP BY window_start, window_end, auction
),
takings AS (
    SELECT a.window_start, a.window_end, a.seller, count(*) AS auctions, sum(b.price) AS takings
    FROM TUMBLE(auction, date_time, INTERVAL '10 seconds') AS a
    JOIN best_bids AS b ON a.id = b.auction AND a.window_start = b.window_start AND a.window_end = b.window_end
    GROUP BY a.window_start, a.window_end, a.seller
)
SELECT window_start, place, seller, auctions, takings
FROM (
    SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY takings DESC, seller) AS place
    FROM takings
) AS ranked
WHERE place <= 3
ORDER BY window_start, place;
