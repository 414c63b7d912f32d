-- Statements that clients were seen to send, shortened, and the columns that PostgreSQL 15 gives.
-- recorded from psql
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2
=> Schema name, Name name, Type text, Owner name
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(bids)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3
=> oid oid, nspname name, relname name
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16413' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
=> attname name, format_type text, pg_get_expr text, attnotnull bool, attcollation name, attidentity char, attgenerated char
SELECT pol.polname, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(array(select rolname from pg_catalog.pg_roles where oid = any (pol.polroles) order by 1),',') END FROM pg_catalog.pg_policy pol WHERE pol.polrelid = '16413' ORDER BY 1
=> polname name, polpermissive bool, array_to_string text
SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE c.oid = i.inhparent AND i.inhrelid = '16413' AND c.relkind != 'p' AND c.relkind != 'I' ORDER BY inhseqno
=> oid regclass
-- recorded from pgjdbc
SELECT current_database(), current_schema(), version()
=> current_database name, current_schema name, version text
SELECT nspname AS TABLE_SCHEM, current_database() AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' ORDER BY TABLE_SCHEM
=> table_schem name, table_catalog name
-- recorded from psycopg and SQLAlchemy
SELECT 1
=> ?column? int4
SELECT pg_catalog.version()
=> version text
SELECT CURRENT_SCHEMA()
=> current_schema name
SHOW standard_conforming_strings
=> standard_conforming_strings text
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg/_%' ESCAPE '/' ORDER BY nspname
=> nspname name
SELECT t.oid, typarray FROM pg_type t WHERE typname = 'hstore'
=> oid oid, typarray oid
SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog'
=> relname name
-- recorded from ODBC
select relname, nspname, relkind from pg_catalog.pg_class c, pg_catalog.pg_namespace n where relkind in ('r', 'v', 'm', 'f', 'p') and nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'pg_temp_1') and n.oid = relnamespace order by nspname, relname
=> relname name, nspname name, relkind char
-- recorded from node-pg and asyncpg
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog','information_schema') ORDER BY 1,2
=> table_schema name, table_name name, table_type varchar
SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new
=> cur text, new text
SELECT pg_advisory_unlock_all()
=> pg_advisory_unlock_all void
-- recorded from Grafana and Metabase
SELECT current_setting('server_version_num')::int/100 as version
=> version int4
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'bids' ORDER BY ordinal_position
=> column_name name, data_type varchar
SELECT auction, ts FROM bids WHERE ts BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z' ORDER BY ts LIMIT 10
=> auction int8, ts timestamptz
-- what a person types
SELECT n.oid, n.* FROM pg_catalog.pg_namespace n
=> oid oid, oid oid, nspname name, nspowner oid, nspacl _aclitem
SELECT 'bids'::regclass::oid, 'bids'::regclass::text, 1, -1, 'x', true, NULL
=> oid oid, text text, ?column? int4, ?column? int4, ?column? text, ?column? bool, ?column? text
SELECT count(*), count(*) + 1, max(price), min(ts), 'a'::varchar, '1 day'::interval, date '2026-01-01' FROM bids
=> count int8, ?column? int8, max int8, min timestamptz, varchar varchar, interval interval, date date
SELECT db.* FROM pg_database db WHERE 1 <> 1
=> oid oid, datname name, datdba oid, encoding int4, datlocprovider char, datistemplate bool, datallowconn bool, datconnlimit int4, datfrozenxid xid, datminmxid xid, dattablespace oid, datcollate text, datctype text, daticulocale text, datcollversion text, datacl _aclitem
-- recorded from pgjdbc: keys, indexes, user-defined types, columns
SELECT result.table_name, result.column_name, result.key_seq, result.pk_name FROM (SELECT ct.relname AS table_name, a.attname AS column_name, (information_schema._pg_expandarray(i.indkey)).n AS key_seq, ci.relname AS pk_name, information_schema._pg_expandarray(i.indkey) AS keys, a.attnum AS a_attnum FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE ct.relname = 'bids' AND i.indisprimary) result WHERE result.a_attnum = (result.keys).x ORDER BY result.key_seq
=> table_name name, column_name name, key_seq int4, pk_name name
SELECT pos.n AS key_seq, CASE con.confupdtype WHEN 'c' THEN 0 WHEN 'n' THEN 2 ELSE NULL END AS update_rule FROM pg_catalog.pg_constraint con, pg_catalog.generate_series(1, 32) pos(n) WHERE con.conkey[pos.n] = 1
=> key_seq int4, update_rule int4
SELECT row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') AS attidentity FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attrelid = 'bids'::regclass
=> attnum int8, attidentity char
-- recorded from psql
SELECT r.rolname, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) AS memberof FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1
=> rolname name, memberof _name
SELECT t.tgname, CASE WHEN t.tgparentid != 0 THEN (SELECT u.tgrelid::pg_catalog.regclass FROM pg_catalog.pg_trigger AS u WHERE u.tgname = t.tgname LIMIT 1) END AS parent FROM pg_catalog.pg_trigger t WHERE t.tgrelid = '16413'
=> tgname name, parent regclass
SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('v') UNION ALL SELECT NULL::pg_catalog.text, n.nspname FROM pg_catalog.pg_namespace n LIMIT 1000
=> relname name, text text
EXPLAIN SELECT * FROM bids
=> QUERY PLAN text
-- recorded from SQLAlchemy
SELECT c.relname, CASE WHEN (am.amname IS NOT NULL AND am.amname != current_setting('default_table_access_method')) THEN am.amname ELSE NULL END AS access_method_name FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_am am ON c.relam = am.oid
=> relname name, access_method_name name
SELECT a.attname, CASE WHEN (a.attidentity != '') THEN (SELECT json_build_object('start', s.seqstart) AS o FROM pg_catalog.pg_sequence s WHERE s.seqrelid = a.attrelid) ELSE NULL END AS identity_options FROM pg_catalog.pg_attribute a
=> attname name, identity_options json
-- recorded from ODBC
select a.attname, i.indisprimary from pg_catalog.pg_attribute a, pg_catalog.pg_index i where a.attrelid = i.indrelid and i.indisprimary = 't' and a.attnum = i.indkey[0]
=> attname name, indisprimary bool
select conrelid, generate_series(array_lower(conkey, 1), array_upper(conkey, 1)) as i, conname from pg_catalog.pg_constraint where contype = 'p'
=> conrelid oid, i int8, conname name
-- recorded from asyncpg: a type that it does not know
SELECT t.typname AS name, (CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE b(oid, depth) AS (SELECT u.typbasetype AS oid, 0 AS depth FROM pg_type u WHERE u.oid = t.oid UNION ALL SELECT u.typbasetype AS oid, b.depth + 1 AS depth FROM pg_type u, b WHERE b.oid = u.oid AND u.typbasetype != 0) SELECT oid FROM b ORDER BY depth DESC LIMIT 1) ELSE NULL END) AS basetype, (CASE WHEN t.typtype = 'c' THEN (SELECT array_agg(ia.attname::text ORDER BY ia.attnum) FROM pg_attribute ia INNER JOIN pg_class c ON (ia.attrelid = c.oid) WHERE c.reltype = t.oid) ELSE NULL END) AS attrnames FROM pg_catalog.pg_type AS t
=> name name, basetype oid, attrnames _text
-- what a person types about values
SELECT extra, extra ->> 'a' AS a, url, 1.5::numeric AS n, row(1, 'x') FROM bids LIMIT 1
=> extra jsonb, a text, url varchar, n numeric, row record
SELECT b.extra, p.name, coalesce(b.url, 'none') AS url FROM bids b LEFT JOIN person p ON p.id = b.bidder
=> extra jsonb, name text, url varchar
