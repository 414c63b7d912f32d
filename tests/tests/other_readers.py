"""Reads what Millstream has stored with readers that are not its own, and prints what it finds, one line a reader.

    other_readers.py DATA_FOLDER SINK_FOLDER COLUMN

DATA_FOLDER holds pipelines and tables, SINK_FOLDER published Parquet; COLUMN is summed up in files of state. Nothing is compared here.
"""

import glob
import hashlib
import json
import sys

data, sink, column = sys.argv[1:4]
state = sorted(glob.glob(data + "/pipelines/*/state/*/*.parquet"))
published = sorted(glob.glob(sink + "/*.parquet"))
segments = sorted(glob.glob(data + "/tables/*/*.arrow"))


def chains():
    """Every entry is JSON that ends in the SHA-256 of all bytes before it."""
    entries = sorted(glob.glob(data + "/pipelines/*/manifest-*.json") + glob.glob(data + "/catalog/catalog-*.json"))
    for name in entries:
        line = open(name, "rb").read()
        hashed = line[: line.rindex(b',"sha256":"')]
        assert json.loads(line)["sha256"] == hashlib.sha256(hashed).hexdigest(), name
    return entries


def files(manifest):
    return [file for operator in manifest["operators"] for file in operator["files"]]


def hashes():
    """Files of state have the length and the hash that manifests say."""
    known = {}
    for name in glob.glob(data + "/pipelines/*/manifest-*.json"):
        folder = name.rsplit("/", 1)[0]
        known.update({folder + "/" + file["name"]: file for file in files(json.load(open(name))["body"])})
    for name, file in known.items():
        content = open(name, "rb").read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"]), name
    return sorted(known)


print("json", len(chains()) > 1, hashes() == state, sep="|")
try:
    import duckdb

    total = duckdb.sql(f"SELECT count(*), sum({column}) FROM read_parquet({state})").fetchall()[0]
    rows = duckdb.sql(f"SELECT count(*), sum(price) FROM read_parquet({published})").fetchall()[0]
    print("duckdb", *total, *rows, sep="|")
except ImportError:
    print("missing|duckdb")
try:
    import pyarrow.compute
    import pyarrow.ipc
    import pyarrow.parquet

    tables = [pyarrow.parquet.ParquetFile(name).read() for name in state]
    total = [sum(table.num_rows for table in tables), sum(pyarrow.compute.sum(table[column]).as_py() for table in tables)]
    tables = [pyarrow.parquet.ParquetFile(name).read() for name in published]
    rows = [sum(table.num_rows for table in tables), sum(pyarrow.compute.sum(table["price"]).as_py() for table in tables)]
    print("pyarrow", *total, *rows, sep="|")
    tables = [pyarrow.ipc.open_stream(open(name, "rb")).read_all() for name in segments]
    print("pyarrow segments", sum(table.num_rows for table in tables), sorted(tables[0].to_pylist()[0].keys()), sep="|")
except ImportError:
    print("missing|pyarrow")
