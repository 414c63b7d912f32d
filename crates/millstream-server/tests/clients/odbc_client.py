"""ODBC by psqlodbc: catalog functions as Excel, Power BI and Tableau call them, parameters, blocks, errors."""
import datetime
import decimal
import os

import pyodbc
from checks import HOST, PORT, check, end, equal

pyodbc.pooling = False
connection = pyodbc.connect(
    f"DRIVER={os.environ['ODBC_DRIVER']};Server={HOST};Port={PORT};Database=stream;UID=me;UseServerSidePrepare=1", autocommit=True)
cursor = connection.cursor()


@check("connect")
def _():
    equal(cursor.execute("SELECT 1").fetchone()[0], 1)
    equal(connection.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")


@check("SQLTables")
def _():
    names = {row.table_name for row in cursor.tables()}
    assert {"bids", "v_bids", "person"} <= names, names


@check("SQLColumns, SQLPrimaryKeys, SQLStatistics, SQLForeignKeys, SQLSpecialColumns, SQLGetTypeInfo, SQLProcedures")
def _():
    columns = {row.column_name: row for row in cursor.columns("bids")}
    equal((columns["price"].type_name, columns["url"].column_size), ("int8", 255))
    equal([row.column_name for row in cursor.primaryKeys("bids")], ["auction", "bidder", "ts"])
    cursor.statistics("bids").fetchall()
    equal(cursor.foreignKeys("bids").fetchall(), [])
    cursor.rowIdColumns("bids").fetchall()
    assert len(cursor.getTypeInfo().fetchall()) > 10
    cursor.procedures().fetchall()


@check("parameters and types")
def _():
    row = cursor.execute("SELECT count(*), max(ts), max(amt), max(score) FROM bids WHERE auction = ? AND channel = ?", 1, "ch").fetchone()
    equal((row[0], type(row[1]), type(row[2])), (40, datetime.datetime, decimal.Decimal))
    equal(cursor.execute("SELECT ok FROM bids WHERE ok = 't' LIMIT 1").fetchone() is not None, True)


@check("insert, many rows, undo")
def _():
    cursor.execute("CREATE TABLE odbc_rows (a BIGINT, b TEXT, c DATE)")
    cursor.executemany("INSERT INTO odbc_rows VALUES (?, ?, ?)", [(n, "é" if n else None, datetime.date(2026, 1, 2)) for n in range(30)])
    equal(tuple(cursor.execute("SELECT * FROM odbc_rows WHERE a = 3").fetchone()), (3, "é", datetime.date(2026, 1, 2)))
    connection.autocommit = False
    cursor.execute("INSERT INTO odbc_rows VALUES (99, 'undone', NULL)")
    connection.rollback()
    connection.autocommit = True
    equal(cursor.execute("SELECT count(*) FROM odbc_rows").fetchone()[0], 30)
    cursor.execute("DROP TABLE odbc_rows")


@check("errors, each statement in a savepoint of its own")
def _():
    connection.autocommit = False
    try:
        cursor.execute("SELECT * FROM nope")
        raise AssertionError("no error")
    except pyodbc.Error as error:
        equal(error.args[0], "42P01")
    connection.rollback()
    connection.autocommit = True
    equal(cursor.execute("SELECT 2").fetchone()[0], 2)


@check("many rows are fetched")
def _():
    equal(len(cursor.execute("SELECT * FROM generate_series(1, 5000) AS t(n)").fetchall()), 5000)


end()
