-- A model scores what each card does within a minute.
--
-- Shows: CREATE MODEL from an ONNX file, and the function of its name over the result of a window: the features are aggregates.
-- `models/make_fraud_model.py` makes the file.

CREATE MODEL fraud_score
    INPUT (payments BIGINT, total DOUBLE, greatest DOUBLE, shops BIGINT)
    OUTPUT (score DOUBLE)
    WITH ('format' = 'onnx', 'path' = 'sql-examples/models/fraud_score.onnx');

CREATE TABLE payments (
    id BIGINT,
    card TEXT,
    shop TEXT,
    amount DECIMAL(10, 2),
    paid_at TIMESTAMP(3),
    last_digits AS right(card, 4),
    WATERMARK FOR paid_at AS paid_at - INTERVAL '3' SECOND
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/payments.jsonl', 'format' = 'json');

CREATE VIEW minutes AS
SELECT window_start, last_digits, count(*) AS payments, sum(amount) AS total, max(amount) AS greatest, count(DISTINCT shop) AS shops
FROM TUMBLE(payments, paid_at, INTERVAL '1 minute')
GROUP BY window_start, window_end, last_digits;

SELECT window_start, last_digits, payments, total, round(fraud_score(payments, total, greatest, shops), 3) AS score
FROM minutes
WHERE fraud_score(payments, total, greatest, shops) > 0.5
ORDER BY window_start, last_digits;
