-- A classifier of web pages that learns page by page, beside two that look at nothing.
--
-- Shows: LEARN with a label, its F1 by window, and the two baselines that every such figure belongs beside: to say what the page
-- before was (`no_change`), and to say what most pages were so far (`majority_class`). Each row is predicted before it is learned,
-- so all figures are about pages that the model had not seen.

CREATE TABLE pages (
    seq BIGINT,
    empty_server_form_handler DOUBLE, popup_window DOUBLE, https DOUBLE, request_from_other_domain DOUBLE,
    anchor_from_other_domain DOUBLE, is_popular DOUBLE, long_url DOUBLE, age_of_domain DOUBLE, ip_in_url DOUBLE,
    label BIGINT,
    seen AS to_timestamp_millis(seq * 1000),
    WATERMARK FOR seen
) WITH ('connector' = 'file', 'path' = 'sql-examples/data/phishing.csv', 'format' = 'csv');

CREATE MODEL phishing TYPE logistic_regression
FEATURES (empty_server_form_handler, popup_window, https, request_from_other_domain, anchor_from_other_domain,
          is_popular, long_url, age_of_domain, ip_in_url)
LABEL label WITH ('optimizer' = 'adam', 'learning_rate' = '0.01');

CREATE MODEL same_as_before TYPE no_change FEATURES (seq) LABEL label;
CREATE MODEL most_common TYPE majority_class FEATURES (seq) LABEL label;

CREATE VIEW with_no_change AS
SELECT seq, empty_server_form_handler, popup_window, https, request_from_other_domain, anchor_from_other_domain,
       is_popular, long_url, age_of_domain, ip_in_url, label, seen, prediction AS no_change
FROM TABLE(LEARN(TABLE pages, MODEL same_as_before));

CREATE VIEW with_baselines AS
SELECT empty_server_form_handler, popup_window, https, request_from_other_domain, anchor_from_other_domain,
       is_popular, long_url, age_of_domain, ip_in_url, label, seen, no_change, prediction AS majority
FROM TABLE(LEARN(TABLE with_no_change, MODEL most_common));

CREATE VIEW judged AS
SELECT seen, label, no_change, majority, prediction, score FROM TABLE(LEARN(TABLE with_baselines, MODEL phishing));

SELECT window_start,
       count(*) AS pages,
       round(f1_score(label, prediction), 4) AS f1,
       round(f1_score(label, no_change), 4) AS no_change_f1,
       round(f1_score(label, majority), 4) AS majority_f1,
       round(accuracy(label, prediction), 4) AS accuracy,
       round(log_loss(label, score), 4) AS log_loss,
       round(roc_auc(label, score), 4) AS roc_auc
FROM TABLE(TUMBLE(TABLE judged, DESCRIPTOR(seen), INTERVAL '250' SECOND, INTERVAL '1' SECOND))
GROUP BY window_start, window_end
ORDER BY window_start;
