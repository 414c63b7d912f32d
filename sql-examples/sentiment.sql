-- How kind people write about a product, hour by hour.
--
-- Shows: CREATE MODEL of text. The file holds everything: words, their weights and the classifier behind; it needs no shared library.
-- A model in an aggregate's input, its FILTER and its ORDER BY. `models/make_sentiment_model.py` makes the file and the comments.

CREATE MODEL sentiment WITH ('format' = 'onnx', 'path' = 'sql-examples/models/sentiment.onnx');

CREATE TABLE comments (
    product TEXT,
    text TEXT,
    written_at TIMESTAMP(3),
    WATERMARK FOR written_at AS written_at
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/comments.jsonl', 'format' = 'json');

SELECT window_start, product, count(*) AS comments, count(*) FILTER (WHERE sentiment(text) > 0.5) AS kind,
       first_value(text ORDER BY sentiment(text)) AS unkindest
FROM TUMBLE(comments, written_at, INTERVAL '1 hour')
GROUP BY window_start, window_end, product
ORDER BY window_start, product;
