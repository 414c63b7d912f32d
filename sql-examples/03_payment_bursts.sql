-- Cards that pay suspiciously often: five payments or more, and more than 1000 in all, within one minute.
--
-- Shows: JSON lines, a watermark that waits three seconds for payments that come out of order, HOP (one minute, every ten
-- seconds) so that a burst is seen wherever it lies, HAVING over two aggregates, and a computed column.

CREATE TABLE payments (
    id BIGINT,
    card TEXT,
    shop TEXT,
    amount DECIMAL(10, 2),
    paid_at TIMESTAMP(3),
    last_digits AS right(card, 4),
    WATERMARK FOR paid_at AS paid_at - INTERVAL '3' SECOND
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/payments.jsonl', 'format' = 'json');

SELECT window_start, window_end, last_digits, count(*) AS payments, sum(amount) AS total, count(DISTINCT shop) AS shops
FROM TABLE(HOP(TABLE payments, DESCRIPTOR(paid_at), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, last_digits
HAVING count(*) >= 5 AND sum(amount) > 1000
ORDER BY window_start, last_digits;
