#!/usr/bin/env bash
# psql: the \d family, completion, variables, COPY, cursors, errors, cancel, SUBSCRIBE. Expects PGHOST and PGPORT in the environment.
set -uo pipefail
failed=0
run() { psql -X -q -A -t "$@" 2>&1; }

check() { # name, expected (a pattern of grep -E over the output in one line), command …
  local name="$1" expected="$2"
  shift 2
  local found
  found="$("$@" | tr '\n' ' ')"
  if printf '%s' "$found" | grep -qE -- "$expected"; then
    echo "ok $name"
  else
    echo "FAILED $name"
    echo "  found    $found"
    echo "  expected $expected"
    failed=1
  fi
}

none() { # name, command …: prints no error
  local name="$1"
  shift
  local found
  found="$("$@" 2>&1)"
  if printf '%s' "$found" | grep -qE 'ERROR|FATAL|server closed|lost'; then
    echo "FAILED $name"
    printf '%s\n' "$found" | head -5
    failed=1
  else
    echo "ok $name"
  fi
}

check connect '^1 $' run -c 'SELECT 1'
check 'version' 'PostgreSQL 15' run -c 'SELECT version()'
check '\d lists' 'bids\|table.*mv_tumble\|materialized view.*v_bids\|view' run -c '\d'
check '\dt' 'bids.*nexmark_bids' run -c '\dt'
check '\dv' 'v_bids' run -c '\dv'
check '\dm' 'mv_tumble' run -c '\dm'
check '\d of a table' 'extra\|jsonb.*PRIMARY KEY, btree \(auction, bidder, ts\)' psql -X -A -c '\d bids'
check '\d+ of a view' 'SELECT auction, count' psql -X -A -c '\d+ v_bids'
check '\d of a materialized view' 'n\|bigint' run -c '\d mv_tumble'
check '\dn' 'public' run -c '\dn'
check '\du' 'me' run -c '\du'
check '\l' 'stream' run -c '\l'
for command in '\df now' '\dT' '\d+' '\dt+' '\dS bids' '\di' '\ds' '\dp' '\z bids' '\dx' '\dy' '\des' '\dew' '\dC' '\dD' '\dL' '\do' '\dO' '\db' '\dc' '\drds' \
  '\dF' '\dFd' '\dRp' '\dRs' '\ddp' '\dd' '\dA' '\dE' '\dX' '\dconfig' '\sv v_bids' '\d pg_catalog.pg_class' '\d bids_pkey' '\d nothing*'; do
  none "$command" run -c "$command"
done
check '\dt of nothing' 'Did not find' bash -c "psql -X -c '\\dt nothing' 2>&1"
check '\gdesc' 'count\|bigint' bash -c "echo 'SELECT count(*) FROM bids \\gdesc' | psql -X -q -A -t"
check '\crosstabview' 'city' bash -c "echo 'SELECT city, id % 2 AS odd, count(*) FROM person GROUP BY 1, 2 \\crosstabview' | psql -X -q -A"
check '\watch' '1 .*1' bash -c "echo 'SELECT 1 \\watch 0.2' | timeout -s INT 2 psql -X -q -A -t"
check '\gset and variables' '^20 $' bash -c "printf '%s\n' \"SELECT 'person' AS t \\gset\" 'SELECT count(*) FROM :t;' | psql -X -q -A -t"
check 'several statements' '^1 2 $' run -c 'SELECT 1; SELECT 2'
check 'FETCH_COUNT' '^200 $' bash -c "psql -X -q -A -t -v FETCH_COUNT=7 -c 'SELECT auction FROM bids' | wc -l"
check 'NULL and types' '^1.5\|t\|2026-01-01\|\{a,b\} $' run -c "SELECT 1.5::numeric, true, date '2026-01-01', ARRAY['a','b']"

completion() { # what is typed; the TAB must not give an error
  python3 - "$1" <<'PY'
import os, pty, select, sys, time
typed = sys.argv[1]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PAGER="cat", PSQL_HISTORY="/dev/null")
    os.execvp("psql", ["psql", "-X", "-q"])
def read(seconds):
    found, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            found += part
        elif found and not seconds > 3:
            continue
    return found
read(1.5)
os.write(fd, typed.encode() + b"\t")
time.sleep(0.5)
os.write(fd, b"\t")
found = read(2.5)
os.write(fd, b"\x03\\q\n")
os.close(fd)
print(found.decode(errors="replace"))
PY
}
check 'completion of tables' 'person' completion 'SELECT * FROM per'
check 'completion of columns' 'auction' completion 'SELECT * FROM bids WHERE auc'
check 'completion of settings' 'statement_timeout' completion 'SET statement_ti'

check 'CREATE, COPY FROM, COPY TO as CSV' 'a,b .*1,"x ""y""" .*2, $' bash -c "psql -X -q -c 'CREATE TABLE copied (a BIGINT, b TEXT)' &&
  printf '1,\"x \"\"y\"\"\"\n2,\n' | psql -X -q -c '\copy copied FROM STDIN (FORMAT csv)' && psql -X -q -c '\copy copied TO STDOUT (FORMAT csv, HEADER)'"
check 'COPY of a query as text' '^1[[:space:]]\\N $' run -c "COPY (SELECT 1, NULL::text) TO STDOUT"
check 'COPY that fails inserts nothing' 'COPY copied.*line 2.* 2 $' bash -c "printf '7,a\nx,b\n' | psql -X -q -c '\copy copied FROM STDIN (FORMAT csv)' 2>&1;
  psql -X -q -A -t -c 'SELECT count(*) FROM copied'"
check 'errors with SQLSTATE and place' '42703.*LINE 1.*\^' run -v VERBOSITY=verbose -c 'SELECT nope FROM bids'
check '\errverbose' '42P01' run -c 'SELECT * FROM nope' -c '\errverbose'
check 'statement_timeout' 'canceling statement due to statement timeout' run -c "SET statement_timeout = '100ms'" -c "SELECT count(*) FROM generate_series(1, 100000000000) a"
check 'cancel' 'canceling statement due to user request' timeout 20 bash -c "psql -X -q -c 'SELECT count(*) FROM generate_series(1, 100000000000)' 2>&1 & pid=\$!;
  sleep 1; kill -INT \$pid; wait \$pid"
check 'COPY (SUBSCRIBE)' 'insert.*c1.*insert' bash -c "timeout -s INT 3 psql -X -q -c 'COPY (SUBSCRIBE person) TO STDOUT' 2>/dev/null | head -20"
check 'a transaction that is rolled back' '^2 $' run -c 'BEGIN' -c "INSERT INTO copied VALUES (9, 'z')" -c 'ROLLBACK' -c 'SELECT count(*) FROM copied'
run -c 'DROP TABLE copied'
exit "$failed"
