#!/usr/bin/env bash
# Real clients against the built server: psql, psycopg 3, psycopg 2, asyncpg, SQLAlchemy, pandas, pgcli, node-pg, pgjdbc, ODBC,
# Prometheus' parser, and the status page in a headless Chromium (screenshots are in target/clients/screenshots).
#
#   crates/millstream-server/tests/clients/run.sh              every client
#   crates/millstream-server/tests/clients/run.sh psql jdbc    only these
#
# What a client needs is fetched from the language registries and from Debian into target/clients, where the next run finds it. A
# client that cannot be had is skipped, and the table at the end says so. Fails if a check of any client fails.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../../.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
home="$target/clients"
server="${MILLSTREAM:-$target/debug/millstream}"
mkdir -p "$home"

[ -x "$server" ] || { echo "there is no server at $server: cargo build --workspace --bin millstream" >&2; exit 2; }
command -v python3 >/dev/null || { echo "python3 is needed to begin with" >&2; exit 2; }

# --- the server ---------------------------------------------------------------------------------------------------------------
work="$(mktemp -d "$home/run.XXXXXX")"
export PGHOST=127.0.0.1 PGUSER=me PGDATABASE=stream PGCONNECT_TIMEOUT=10
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
PGPORT="$(free_port)" HTTP_PORT="$(free_port)" SCREENSHOTS="$home/screenshots" WRONG_FILE="$work/wrong.jsonl"
export PGPORT HTTP_PORT SCREENSHOTS WRONG_FILE
mkdir -p "$SCREENSHOTS"
printf '{"n": 1}\n{"n": "no number"}\n' >"$WRONG_FILE"
"$server" serve --data "$work/data" --server-files --pg "127.0.0.1:$PGPORT" --http "127.0.0.1:$HTTP_PORT" >"$work/server.log" 2>&1 &
server_pid=$!
finish() {
  kill "$server_pid" 2>/dev/null
  wait "$server_pid" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT
for _ in $(seq 100); do
  python3 -c "import socket; socket.create_connection(('127.0.0.1', $PGPORT), 1)" 2>/dev/null && break
  sleep 0.1
done

# --- what clients need --------------------------------------------------------------------------------------------------------
have_python() {
  [ -x "$home/venv/bin/python" ] || python3 -m venv "$home/venv" >"$work/install.log" 2>&1 || return 1
  "$home/venv/bin/python" -c "import $2" 2>/dev/null || "$home/venv/bin/pip" install -q "$1" >"$work/install.log" 2>&1
}

have_debian() { # package, file within
  [ -e "$home/debian/$2" ] && return 0
  mkdir -p "$home/debian"
  (cd "$home/debian" && apt-get download -q "$1" && for package in "$1"_*.deb; do dpkg-deb -x "$package" .; done) >"$work/install.log" 2>&1
  [ -e "$home/debian/$2" ]
}

have_node() {
  command -v node >/dev/null && command -v npm >/dev/null || return 1
  [ -d "$home/node/node_modules/pg-copy-streams" ] ||
    npm install --silent --no-audit --no-fund --prefix "$home/node" pg pg-cursor pg-copy-streams >"$work/install.log" 2>&1
}

have_jdbc() {
  command -v java >/dev/null && command -v javac >/dev/null || return 1
  jar="$(ls "$home"/jdbc/postgresql-*.jar 2>/dev/null | head -1)"
  if [ -z "$jar" ] && command -v mvn >/dev/null; then
    mvn -q -B dependency:copy -Dartifact=org.postgresql:postgresql:42.7.4 -DoutputDirectory="$home/jdbc" >"$work/install.log" 2>&1
    jar="$(ls "$home"/jdbc/postgresql-*.jar 2>/dev/null | head -1)"
  fi
  if [ -z "$jar" ] && have_debian libpostgresql-jdbc-java usr/share/java/postgresql.jar; then
    jar="$home/debian/usr/share/java/postgresql.jar"
  fi
  [ -n "$jar" ]
}

have_browser() {
  have_node || return 1
  [ -d "$home/node/node_modules/playwright-core" ] ||
    npm install --silent --no-audit --no-fund --prefix "$home/node" playwright-core >"$work/install.log" 2>&1 || return 1
  CHROMIUM="$(command -v chromium || command -v chromium-browser || command -v google-chrome)"
  [ -n "$CHROMIUM" ] || { echo "there is no Chromium: apt-get install chromium" >"$work/install.log"; return 1; }
  export CHROMIUM
}

# --- clients ------------------------------------------------------------------------------------------------------------------
run_psql() {
  command -v psql >/dev/null || return 77
  bash "$here/psql.sh"
}
run_psycopg3() { have_python 'psycopg[binary]' psycopg || return 77; "$home/venv/bin/python" "$here/psycopg3.py"; }
run_psycopg2() { have_python psycopg2-binary psycopg2 || return 77; "$home/venv/bin/python" "$here/psycopg2_client.py"; }
run_asyncpg() { have_python asyncpg asyncpg || return 77; "$home/venv/bin/python" "$here/asyncpg_client.py"; }
run_sqlalchemy() {
  have_python 'psycopg[binary]' psycopg && have_python sqlalchemy sqlalchemy && have_python pandas pandas || return 77
  "$home/venv/bin/python" "$here/sqlalchemy_client.py"
}
run_pgcli() { have_python pgcli pgcli || return 77; "$home/venv/bin/python" "$here/pgcli_client.py"; }
run_node() { have_node || return 77; NODE_PATH="$home/node/node_modules" node "$here/node_client.js"; }
run_jdbc() {
  have_jdbc || return 77
  mkdir -p "$work/jdbc" && javac -cp "$jar" -d "$work/jdbc" "$here/Jdbc.java" && java -cp "$work/jdbc:$jar" Jdbc
}
run_odbc() {
  local driver=usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so
  local libraries=usr/lib/x86_64-linux-gnu
  have_debian libodbc2 "$libraries/libodbc.so.2" && have_debian libodbcinst2 "$libraries/libodbcinst.so.2" || return 77
  have_debian libltdl7 "$libraries/libltdl.so.7" && have_debian odbc-postgresql "$driver" || return 77
  export LD_LIBRARY_PATH="$home/debian/$libraries"
  have_python pyodbc pyodbc || return 77
  ODBC_DRIVER="$home/debian/$driver" "$home/venv/bin/python" "$here/odbc_client.py"
}

run_metrics() { have_python prometheus_client prometheus_client || return 77; "$home/venv/bin/python" "$here/metrics_client.py"; }
run_browser() { have_browser || return 77; NODE_PATH="$home/node/node_modules" node "$here/browser_client.js"; }

all=(psql psycopg3 psycopg2 asyncpg sqlalchemy pgcli node jdbc odbc metrics browser)
[ $# -gt 0 ] && chosen=("$@") || chosen=("${all[@]}")
python3 "$here/load.py" "$root/crates/millstream-server/tests/data/schema.sql" || { cat "$work/server.log" >&2; exit 2; }

table=""
failed=0
for client in "${chosen[@]}"; do
  output="$work/$client.out"
  timeout "${CLIENT_SECONDS:-600}" bash -c "$(declare -f); $(declare -p here home work root PGHOST PGPORT PGUSER PGDATABASE 2>/dev/null); jar=; run_$client" >"$output" 2>&1
  status=$?
  checks="$(grep -c '^ok ' "$output")"
  wrong="$(grep -c '^FAILED ' "$output")"
  if [ "$status" = 77 ]; then
    result="SKIPPED: it is not installed and could not be fetched"
    tail -5 "$work/install.log" 2>/dev/null | sed 's/^/    /' >&2
  elif [ "$status" = 0 ] && [ "$wrong" = 0 ] && [ "$checks" -gt 0 ]; then
    result="$checks checks passed"
  else
    result="$wrong of $((checks + wrong)) checks failed, exit code $status"
    failed=1
    grep -v '^ok ' "$output" | sed 's/^/    /' >&2
  fi
  table="$table$(printf '%-12s %s' "$client" "$result")"$'\n'
done
echo
printf '%s' "$table"
exit "$failed"
