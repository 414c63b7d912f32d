"""asyncpg, which speaks binary only: prepared statements, cursors, COPY, types it must look up, errors, cancel, pools."""
import asyncio
import datetime
import decimal
import uuid

import asyncpg
from checks import URL, check, end, equal

loop = asyncio.new_event_loop()
wait = loop.run_until_complete
connection = wait(asyncpg.connect(URL))
UTC = datetime.timezone.utc


@check("connect")
def _():
    equal(wait(connection.fetchval("SELECT 1")), 1)
    equal(connection.get_server_version().major, 15)


@check("types round trip in binary")
def _():
    wait(connection.execute("DROP TABLE IF EXISTS asyncpg_types"))
    wait(connection.execute(
        "CREATE TABLE asyncpg_types (b BOOLEAN, s SMALLINT, i INTEGER, l BIGINT, r REAL, f DOUBLE PRECISION, n NUMERIC(10,4), t TEXT,"
        " y BYTEA, d DATE, m TIME, ts TIMESTAMP, tz TIMESTAMPTZ, u UUID, j JSONB, a TEXT[], v INTERVAL)"))
    values = (
        True, 7, 8, 9, 0.5, 0.1, decimal.Decimal("12.3400"), "é", b"\0\xff", datetime.date(2026, 1, 2), datetime.time(3, 4, 5),
        datetime.datetime(2026, 1, 2, 3, 4, 5, 678901), datetime.datetime(2026, 1, 2, tzinfo=UTC), uuid.UUID(int=5), '{"a": 1}',
        ["x", None], datetime.timedelta(days=3, seconds=5),
    )
    marks = ", ".join(f"${n + 1}" for n in range(len(values)))
    wait(connection.execute(f"INSERT INTO asyncpg_types VALUES ({marks})", *values))
    equal(tuple(wait(connection.fetchrow("SELECT * FROM asyncpg_types"))), values)


@check("parameters")
def _():
    rows = wait(connection.fetch("SELECT price FROM bids WHERE auction = $1 AND ts >= $2 AND price = ANY($3::bigint[])",
                                 1, datetime.datetime(2026, 1, 1, tzinfo=UTC), [10, 60, 110]))
    equal(sorted(row["price"] for row in rows), [10, 60, 110])


@check("types that it must look up")
def _():
    row = wait(connection.fetchrow("SELECT relacl FROM pg_class WHERE relname = 'bids'"))
    equal(row["relacl"], None)
    equal(tuple(wait(connection.fetchval("SELECT ROW(1, 'a')"))), (1, "a"))


@check("cursors and prefetch")
def _():
    async def go():
        async with connection.transaction():
            cursor = await connection.cursor("SELECT price FROM bids ORDER BY price")
            first = await cursor.fetch(3)
            await cursor.forward(10)
            rest = await cursor.fetch(1000)
            count = 0
            async for _ in connection.cursor("SELECT price FROM bids", prefetch=11):
                count += 1
            return [row["price"] for row in first], len(rest), count

    equal(wait(go()), ([10, 20, 30], 187, 200))


@check("executemany and COPY in binary")
def _():
    wait(connection.execute("DROP TABLE IF EXISTS asyncpg_copy"))
    wait(connection.execute("CREATE TABLE asyncpg_copy (id BIGINT, name TEXT, at TIMESTAMPTZ, tags TEXT[])"))
    at = datetime.datetime(2026, 1, 2, tzinfo=UTC)
    wait(connection.executemany("INSERT INTO asyncpg_copy VALUES ($1, $2, $3, $4)", [(n, "a", at, []) for n in range(10)]))
    wait(connection.copy_records_to_table("asyncpg_copy", records=[(n, None, at, ["x"]) for n in range(100)]))
    equal(wait(connection.fetchval("SELECT count(*) FROM asyncpg_copy")), 110)
    wait(connection.execute("DROP TABLE asyncpg_copy"))


@check("errors")
def _():
    for sql, kind in [("SELECT * FROM nope", asyncpg.UndefinedTableError), ("SELECT 1/0", asyncpg.DivisionByZeroError),
                      ("SELEC", asyncpg.PostgresSyntaxError)]:
        try:
            wait(connection.fetch(sql))
        except kind:
            continue
        raise AssertionError(f"{sql} did not raise {kind.__name__}")


@check("a block that fails is undone")
def _():
    async def go():
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO asyncpg_types (l) VALUES (-1)")
                raise ZeroDivisionError
        except ZeroDivisionError:
            return await connection.fetchval("SELECT count(*) FROM asyncpg_types WHERE l = -1")

    equal(wait(go()), 0)


@check("a time limit cancels")
def _():
    try:
        wait(connection.fetch("SELECT count(*) FROM generate_series(1, 100000000000)", timeout=0.5))
        raise AssertionError("it was not cancelled")
    except (asyncio.TimeoutError, TimeoutError):
        pass
    equal(wait(connection.fetchval("SELECT 2")), 2)


@check("pools reset their sessions")
def _():
    async def go():
        async with asyncpg.create_pool(URL, min_size=2, max_size=5) as pool:
            return await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(40)))

    equal(wait(go()), list(range(40)))


@check("SUBSCRIBE by a cursor")
def _():
    async def go():
        async with connection.transaction():
            await connection.execute("DECLARE followed CURSOR FOR SUBSCRIBE person")
            return await connection.fetch("FETCH 20 FROM followed WITH (timeout = '2s')")

    rows = wait(go())
    equal((len(rows), rows[0]["op"], rows[-1]["resume_token"] is not None), (20, "insert", True))


wait(connection.execute("DROP TABLE asyncpg_types"))
wait(connection.close())
end()
