-- The classic: words counted as they are typed.
--
-- In one terminal:      nc -lk 9999
-- in another:           target/debug/millstream run sql-examples/10_word_count_socket.sql
-- Type lines into the first one. Five seconds after the first word of a window the counts come out by the clock; Ctrl-C or the
-- end of nc ends it.
--
-- Shows: a socket, one TEXT column per line, a window by the time of processing (PROCTIME), UNNEST. A socket cannot be read
-- twice: what is in flight in a crash is gone (at most once).

CREATE TABLE lines (
    line TEXT,
    at AS PROCTIME()
) WITH ('connector' = 'socket', 'hostname' = 'localhost', 'port' = '9999', 'format' = 'raw');

CREATE VIEW words AS
SELECT at, unnest(string_to_array(lower(line), ' ')) AS word FROM lines;

SELECT word, count(*) AS times
FROM TABLE(TUMBLE(TABLE words, DESCRIPTOR(at), INTERVAL '5' SECOND))
WHERE word <> ''
GROUP BY window_start, window_end, word
ORDER BY window_start, times DESC, word;
