"""psycopg 2, which puts parameters into the text itself: named cursors, COPY, errors, autocommit and blocks."""
import io

import psycopg2
import psycopg2.errors
import psycopg2.extras
from checks import DSN, check, end, equal

connection = psycopg2.connect(DSN)


@check("connect and query")
def _():
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT %s, %s::numeric, %s", (1, 1.5, [1, 2]))
        found = cursor.fetchone()
        equal((found[0], str(found[1]), found[2]), (1, "1.5", [1, 2]))


@check("named cursors")
def _():
    with connection, connection.cursor("srv") as cursor:
        cursor.itersize = 9
        cursor.execute("SELECT price FROM bids")
        equal(sum(1 for _ in cursor), 200)


@check("rows as dictionaries, jsonb as a document")
def _():
    with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT extra, tags FROM bids LIMIT 1")
        equal(dict(cursor.fetchone()), {"extra": {"a": 1}, "tags": ["a", "b"]})


@check("COPY")
def _():
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE psycopg2_copy (a BIGINT, b TEXT)")
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY psycopg2_copy FROM STDIN", io.StringIO("1\tx\n2\t\\N\n"))
        equal(cursor.rowcount, 2)
    out = io.StringIO()
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY psycopg2_copy TO STDOUT (FORMAT csv)", out)
        cursor.execute("DROP TABLE psycopg2_copy")
    equal(out.getvalue(), "1,x\n2,\n")


@check("errors end the block, ROLLBACK opens the way")
def _():
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT * FROM nope")
        raise AssertionError("no error")
    except psycopg2.errors.UndefinedTable as error:
        equal(error.pgcode, "42P01")
    try:
        cursor.execute("SELECT 1")
        raise AssertionError("no error")
    except psycopg2.errors.InFailedSqlTransaction:
        connection.rollback()
    cursor.execute("SELECT 1")
    connection.rollback()


@check("execute_values")
def _():
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE psycopg2_values (a BIGINT, b TEXT)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO psycopg2_values VALUES %s", [(n, str(n)) for n in range(250)])
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), max(b) FROM psycopg2_values")
        equal(cursor.fetchone(), (250, "99"))
        cursor.execute("DROP TABLE psycopg2_values")


end()
