"""What the clients in Python share: named checks that say `ok` or `FAILED`, and the way to the server."""
import os
import sys
import traceback

HOST, PORT = os.environ["PGHOST"], int(os.environ["PGPORT"])
DSN = f"host={HOST} port={PORT} user=me dbname=stream"
URL = f"postgresql://me@{HOST}:{PORT}/stream"

_failed = []


def check(name):
    """Runs the function at once; what it raises is a failed check."""

    def run(function):
        try:
            function()
            print("ok", name, flush=True)
        except Exception:
            _failed.append(name)
            print("FAILED", name, flush=True)
            traceback.print_exc()
        return function

    return run


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}")


def end():
    sys.exit(1 if _failed else 0)
