"""/metrics as Prometheus reads it: by the reference parser, and by promtool where it is installed."""
import os
import shutil
import subprocess
import urllib.request

from checks import check, end, equal
from prometheus_client.parser import text_string_to_metric_families

URL = f"http://127.0.0.1:{os.environ['HTTP_PORT']}/metrics"
answer = urllib.request.urlopen(URL, timeout=30)
text = answer.read().decode()


@check("the reference parser reads it")
def _():
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4"), answer.headers["content-type"]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name in ["pipeline_rows_in", "pipeline_watermark_lag_seconds", "pipeline_late_rows", "pipeline_rejected_rows", "pipeline_running",
                 "pipeline_checkpoint_number", "pg_connections", "pg_statement_duration_seconds", "source_rows", "process_resident_memory_bytes"]:
        assert "millstream_" + name in families, name
    equal(families["millstream_pg_statement_duration_seconds"].type, "histogram")
    running = families["millstream_pipeline_running"].samples
    assert any(sample.labels["pipeline"] == "mv_tumble" for sample in running), running


@check("promtool finds nothing wrong" + ("" if shutil.which("promtool") else " (SKIPPED: promtool is not installed)"))
def _():
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr


end()
