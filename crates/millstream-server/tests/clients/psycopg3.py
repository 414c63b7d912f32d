"""psycopg 3: parameters in text and binary, cursors, COPY, errors, cancel, pipelines, SUBSCRIBE."""
import datetime
import decimal
import threading
import time
import uuid

import psycopg
from checks import DSN, check, end, equal
from psycopg.types.json import Jsonb

connection = psycopg.connect(DSN, autocommit=True)
connection.execute("DROP TABLE IF EXISTS psycopg_types")
UTC = datetime.timezone.utc
VALUES = (
    True, 7, 2**31 - 1, 2**62, 0.5, decimal.Decimal("12.3400"), "it's", b"\x00\xff", datetime.date(2026, 1, 2),
    datetime.time(3, 4, 5, 600), datetime.datetime(2026, 1, 2, 3, 4, 5, 678901), datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    uuid.UUID(int=1), {"a": [1, None]}, ["a b", None, 'q"'],
)


@check("connect")
def _():
    equal(connection.execute("SELECT 1").fetchone(), (1,))
    equal(connection.info.parameter_status("server_version")[:3], "15.")
    equal(connection.info.parameter_status("TimeZone"), "UTC")


@check("browse")
def _():
    names = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1").fetchall()
    assert [("bids",), ("mv_tumble",), ("v_bids",)] == [name for name in names if name[0] in ("bids", "mv_tumble", "v_bids")], names


@check("types round trip, text and binary")
def _():
    connection.execute(
        "CREATE TABLE psycopg_types (b BOOLEAN, s SMALLINT, i INTEGER, l BIGINT, f DOUBLE PRECISION, n NUMERIC(10,4), t TEXT, y BYTEA,"
        " d DATE, m TIME, ts TIMESTAMP, tz TIMESTAMPTZ, u UUID, j JSONB, a TEXT[])"
    )
    values = [Jsonb(value) if isinstance(value, dict) else value for value in VALUES]
    marks = {"s": "%s", "b": "%b"}
    for binary in (False, True):
        mark = marks["b" if binary else "s"]
        connection.execute("INSERT INTO psycopg_types VALUES (" + ", ".join([mark] * 15) + ")", values)
        found = connection.execute("SELECT * FROM psycopg_types", binary=binary).fetchall()
        equal(found[-1], VALUES)


@check("prepared statements after five runs")
def _():
    for n in range(12):
        row = connection.execute("SELECT count(*) FROM bids WHERE auction = %s AND price > %s", (n % 5, 10)).fetchone()
        assert row[0] > 30, row


@check("server-side cursors")
def _():
    with connection.transaction(), connection.cursor("held") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT auction FROM bids ORDER BY price")
        equal(len(cursor.fetchmany(10)), 10)
        equal(len(list(cursor)), 190)


@check("COPY out and in, text and binary")
def _():
    connection.execute("DROP TABLE IF EXISTS psycopg_copy")
    connection.execute("CREATE TABLE psycopg_copy (id BIGINT, name TEXT, at TIMESTAMPTZ)")
    at = datetime.datetime(2026, 1, 2, tzinfo=UTC)
    for form in ("TEXT", "BINARY"):
        with connection.cursor().copy(f"COPY psycopg_copy FROM STDIN (FORMAT {form})") as copy:
            copy.set_types(["int8", "text", "timestamptz"])
            for n in range(100):
                copy.write_row((n, None if n % 2 else "a\tb", at))
        with connection.cursor().copy(f"COPY (SELECT * FROM psycopg_copy) TO STDOUT (FORMAT {form})") as copy:
            copy.set_types(["int8", "text", "timestamptz"])
            rows = list(copy.rows())
        equal(rows[-1], (99, None, at))
        equal(rows[-2], (98, "a\tb", at))
    equal(connection.execute("SELECT count(*) FROM psycopg_copy").fetchone(), (200,))
    connection.execute("DROP TABLE psycopg_copy")


@check("errors")
def _():
    for sql, kind in [
        ("SELECT * FROM nope", psycopg.errors.UndefinedTable),
        ("SELECT nope FROM bids", psycopg.errors.UndefinedColumn),
        ("SELEC 1", psycopg.errors.SyntaxError),
        ("SELECT 1/0", psycopg.errors.DivisionByZero),
        ("SELECT 'x'::bigint", psycopg.errors.InvalidTextRepresentation),
        ("SELECT nope(1)", psycopg.errors.UndefinedFunction),
    ]:
        try:
            connection.execute(sql)
        except kind:
            continue
        raise AssertionError(f"{sql} did not raise {kind.__name__}")


@check("transactions")
def _():
    try:
        with connection.transaction():
            connection.execute("INSERT INTO psycopg_types (t) VALUES ('undone')")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    equal(connection.execute("SELECT count(*) FROM psycopg_types WHERE t = 'undone'").fetchone(), (0,))
    with connection.transaction():
        connection.execute("INSERT INTO psycopg_types (t) VALUES ('kept')")
        with connection.transaction() as inner:
            connection.execute("INSERT INTO psycopg_types (t) VALUES ('undone')")
            raise psycopg.Rollback(inner)
    equal(connection.execute("SELECT t FROM psycopg_types WHERE t IN ('kept', 'undone')").fetchall(), [("kept",)])


@check("pipelined statements")
def _():
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(20)]
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(20)))


@check("many rows at once")
def _():
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO psycopg_types (l) VALUES (%s)", [(n,) for n in range(50)])
        equal(cursor.rowcount, 50)


@check("cancel within 100 ms")
def _():
    waited = []

    def cancel():
        time.sleep(0.5)
        waited.append(time.monotonic())
        connection.cancel_safe()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        connection.execute("SELECT count(*) FROM generate_series(1, 100000000000)")
        raise AssertionError("it was not cancelled")
    except psycopg.errors.QueryCanceled:
        waited.append(time.monotonic())
    thread.join()
    assert waited[1] - waited[0] < 1, waited
    equal(connection.execute("SELECT 1").fetchone(), (1,))


@check("SUBSCRIBE by a cursor and by stream()")
def _():
    with connection.transaction():
        connection.execute("DECLARE followed CURSOR FOR SUBSCRIBE person")
        rows = connection.execute("FETCH 5 FROM followed WITH (timeout = '1s')").fetchall()
        equal((len(rows), rows[0][0]), (5, "insert"))
        rows = connection.execute("FETCH 100 FROM followed WITH (timeout = '200ms')").fetchall()
        equal(len(rows), 15)
    count = 0
    with psycopg.connect(DSN, autocommit=True) as other:
        for row in other.cursor().stream("SUBSCRIBE person"):
            equal(row[0], "insert")
            count += 1
            if count == 20:
                break
    equal(count, 20)


connection.execute("DROP TABLE psycopg_types")
end()
