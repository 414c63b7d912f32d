"""pgcli: its completer's queries, and a statement by its command line."""
import os
import subprocess
import sys

from checks import HOST, PORT, check, end, equal
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial

execute = PGExecute("stream", "me", "", HOST, str(PORT), "")


@check("completion: schemas, tables, views, columns, types, databases")
def _():
    assert "public" in list(execute.schemata())
    assert ("public", "bids") in list(execute.tables())
    assert {("public", "v_bids"), ("public", "mv_tumble")} <= set(execute.views())
    columns = [column[2] for column in execute.table_columns() if column[1] == "bids"]
    equal(columns[:3], ["auction", "bidder", "price"])
    assert any(column[1] == "v_bids" for column in execute.view_columns())
    assert "stream" in list(execute.databases())
    equal(list(execute.foreignkeys()), [])
    list(execute.datatypes())


@check("functions")
def _():
    list(execute.functions())


@check("statements and special commands")
def _():
    for command in ["SELECT count(*) FROM bids", "\\d", "\\d bids", "\\dt", "\\dv", "\\dm", "\\l", "\\du", "\\dn", "\\df", "\\dT", "\\di"]:
        for title, rows, headers, status, sql, success, is_special in execute.run(command, PGSpecial()):
            assert success, (command, status)


@check("the program")
def _():
    program = os.path.join(os.path.dirname(sys.executable), "pgcli")
    done = subprocess.run([program, "-h", HOST, "-p", str(PORT), "-U", "me", "-d", "stream", "--less-chatty", "-l"],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "stream" in done.stdout, done.stdout + done.stderr


end()
