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
-- not yet: SELECT current_setting('server_version_num')::int/100 as version
-- not yet: => version int4
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'bids' ORDER BY ordinal_position
=> column_name name, data_type varchar
SELECT auction, ts FROM bids WHERE ts BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z' ORDER BY ts LIMIT 10
=> auction int8, ts timestamptz
-- what a person types
-- not yet: SELECT n.oid, n.* FROM pg_catalog.pg_namespace n
-- not yet: => oid oid, oid oid, nspname name, nspowner oid, nspacl _aclitem
-- not yet: SELECT 'bids'::regclass::oid, 'bids'::regclass::text, 1, -1, 'x', true, NULL
-- not yet: => oid oid, text text, ?column? int4, ?column? int4, ?column? text, ?column? bool, ?column? text
SELECT count(*), count(*) + 1, max(price), min(ts), 'a'::varchar, '1 day'::interval, date '2026-01-01' FROM bids
=> count int8, ?column? int8, max int8, min timestamptz, varchar varchar, interval interval, date date
-- not yet: SELECT db.* FROM pg_database db WHERE 1 <> 1
-- not yet: => oid oid, datname name, datdba oid, encoding int4, datlocprovider char, datistemplate bool, datallowconn bool, datconnlimit int4, datfrozenxid xid, datminmxid xid, dattablespace oid, datcollate text, datctype text, daticulocale text, datcollversion text, datacl _aclitem
