import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** pgjdbc: metadata calls as tools make them, parameters, binary transfer, fetch size, batches, COPY, errors, cancel. */
public final class Jdbc {
    private static boolean failed = false;

    interface Check {
        void run() throws Exception;
    }

    private static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("FAILED " + name);
            error.printStackTrace(System.out);
        }
    }

    private static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    private static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(name));
        }
        return values;
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/stream";
        Properties properties = new Properties();
        properties.setProperty("user", "me");
        Connection connection = DriverManager.getConnection(url, properties);
        DatabaseMetaData meta = connection.getMetaData();

        check("connect", () -> {
            equal(meta.getDatabaseProductName(), "PostgreSQL");
            equal(meta.getDatabaseMajorVersion(), 15);
            equal(connection.getSchema(), "public");
            equal(connection.isValid(5), true);
        });
        check("getTables", () -> {
            List<String> names = column(meta.getTables(null, "public", "%", null), "TABLE_NAME");
            equal(names.containsAll(Arrays.asList("bids", "v_bids", "mv_tumble", "nexmark_bids")), true);
            equal(column(meta.getTables(null, null, "mv%", new String[] {"MATERIALIZED VIEW"}), "TABLE_NAME"), List.of("mv_tumble"));
        });
        check("getColumns", () -> {
            ResultSet rows = meta.getColumns(null, "public", "bids", "%");
            List<String> types = new ArrayList<>();
            while (rows.next()) {
                types.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME") + " " + rows.getInt("COLUMN_SIZE"));
            }
            equal(types.size(), 12);
            equal(types.contains("url varchar 255") && types.contains("amt numeric 18"), true);
        });
        check("getPrimaryKeys, getIndexInfo, getBestRowIdentifier", () -> {
            equal(column(meta.getPrimaryKeys(null, "public", "bids"), "COLUMN_NAME"), List.of("auction", "bidder", "ts"));
            equal(column(meta.getIndexInfo(null, "public", "bids", false, false), "COLUMN_NAME"), List.of("auction", "bidder", "ts"));
            equal(column(meta.getBestRowIdentifier(null, "public", "person", 0, false), "COLUMN_NAME"), List.of("id"));
        });
        check("other metadata", () -> {
            column(meta.getImportedKeys(null, "public", "bids"), "FK_NAME");
            column(meta.getExportedKeys(null, "public", "bids"), "FK_NAME");
            column(meta.getSchemas(), "TABLE_SCHEM");
            column(meta.getCatalogs(), "TABLE_CAT");
            column(meta.getTableTypes(), "TABLE_TYPE");
            equal(column(meta.getTypeInfo(), "TYPE_NAME").contains("int8"), true);
            column(meta.getProcedures(null, null, "x%"), "PROCEDURE_NAME");
            column(meta.getFunctions(null, null, "now%"), "FUNCTION_NAME");
            column(meta.getUDTs(null, null, "%", null), "TYPE_NAME");
            column(meta.getTablePrivileges(null, "public", "bids"), "PRIVILEGE");
            column(meta.getColumnPrivileges(null, "public", "bids", "price"), "PRIVILEGE");
            column(meta.getClientInfoProperties(), "NAME");
            equal(meta.getSQLKeywords().length() > 10, true);
        });
        check("result set metadata", () -> {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT price AS cost, url, amt FROM bids LIMIT 1")) {
                ResultSetMetaData columns = rows.getMetaData();
                equal(columns.getColumnType(1), Types.BIGINT);
                equal(columns.getColumnLabel(1), "cost");
                equal(((org.postgresql.PGResultSetMetaData) columns).getBaseColumnName(1), "price");
                equal(columns.getTableName(1), "bids");
                equal(columns.getPrecision(2), 255);
                equal(columns.getScale(3), 4);
            }
        });
        check("parameters, past the switch to server-side and binary", () -> {
            String sql = "SELECT count(*), max(price), max(ts), max(amt) FROM bids WHERE auction = ? AND channel = ? AND amt > ?";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                for (int n = 0; n < 12; n++) {
                    statement.setLong(1, n % 5);
                    statement.setString(2, "ch");
                    statement.setBigDecimal(3, new BigDecimal("0.5"));
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    equal(rows.getLong(1), 40L);
                    equal(rows.getTimestamp(3).after(new Timestamp(0)), true);
                }
            }
        });
        check("types round trip", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE jdbc_types (b BOOLEAN, i INTEGER, l BIGINT, f DOUBLE PRECISION, n NUMERIC(10,4), t TEXT,"
                    + " y BYTEA, d DATE, ts TIMESTAMP, tz TIMESTAMPTZ, u UUID, a TEXT[])");
            }
            java.util.UUID id = new java.util.UUID(1, 2);
            java.time.OffsetDateTime at = java.time.OffsetDateTime.parse("2026-01-02T03:04:05.678901Z");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_types VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")) {
                insert.setBoolean(1, true);
                insert.setInt(2, 7);
                insert.setLong(3, 8);
                insert.setDouble(4, 0.1);
                insert.setBigDecimal(5, new BigDecimal("12.3400"));
                insert.setString(6, "it's");
                insert.setBytes(7, new byte[] {0, -1});
                insert.setObject(8, java.time.LocalDate.of(2026, 1, 2));
                insert.setObject(9, java.time.LocalDateTime.of(2026, 1, 2, 3, 4, 5));
                insert.setObject(10, at);
                insert.setObject(11, id);
                insert.setArray(12, connection.createArrayOf("text", new String[] {"a b", null}));
                for (int n = 0; n < 7; n++) {
                    equal(insert.executeUpdate(), 1);
                }
            }
            try (PreparedStatement select = connection.prepareStatement("SELECT * FROM jdbc_types")) {
                for (int n = 0; n < 7; n++) {
                    ResultSet rows = select.executeQuery();
                    rows.next();
                    equal(rows.getBigDecimal(5), new BigDecimal("12.3400"));
                    equal(Arrays.toString(rows.getBytes(7)), "[0, -1]");
                    equal(rows.getObject(8, java.time.LocalDate.class), java.time.LocalDate.of(2026, 1, 2));
                    equal(rows.getObject(10, java.time.OffsetDateTime.class).toInstant(), at.toInstant());
                    equal(rows.getObject(11), id);
                    equal(Arrays.toString((Object[]) rows.getArray(12).getArray()), "[a b, null]");
                }
            }
        });
        check("fetch size", () -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(7);
                ResultSet rows = statement.executeQuery("SELECT price FROM bids");
                int count = 0;
                while (rows.next()) {
                    count++;
                }
                equal(count, 200);
            }
            connection.commit();
            connection.setAutoCommit(true);
        });
        check("batches and blocks", () -> {
            connection.setAutoCommit(false);
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_types (l) VALUES (?)")) {
                for (int n = 0; n < 20; n++) {
                    insert.setLong(1, -n - 1);
                    insert.addBatch();
                }
                equal(insert.executeBatch().length, 20);
            }
            connection.rollback();
            connection.setAutoCommit(true);
            try (Statement statement = connection.createStatement()) {
                ResultSet rows = statement.executeQuery("SELECT count(*) FROM jdbc_types WHERE l < 0");
                rows.next();
                equal(rows.getLong(1), 0L);
            }
        });
        check("read-only connections", () -> {
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("INSERT INTO jdbc_types (l) VALUES (1)");
                throw new AssertionError("it was not refused");
            } catch (SQLException error) {
                equal(error.getSQLState(), "25006");
            }
            connection.rollback();
            connection.setReadOnly(false);
            connection.setAutoCommit(true);
        });
        check("COPY", () -> {
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE jdbc_copy (a BIGINT, b TEXT)");
                equal(copy.copyIn("COPY jdbc_copy FROM STDIN (FORMAT csv)", new java.io.StringReader("1,x\n2,\n")), 2L);
                java.io.StringWriter out = new java.io.StringWriter();
                copy.copyOut("COPY jdbc_copy TO STDOUT", out);
                equal(out.toString(), "1\tx\n2\t\\N\n");
                statement.execute("DROP TABLE jdbc_copy");
            }
        });
        check("errors", () -> {
            String[][] cases = {{"SELECT * FROM nope", "42P01"}, {"SELECT 1/0", "22012"}, {"SELEC", "42601"}, {"SELECT nope FROM bids", "42703"}};
            for (String[] pair : cases) {
                try (Statement statement = connection.createStatement()) {
                    statement.execute(pair[0]);
                    throw new AssertionError("no error: " + pair[0]);
                } catch (SQLException error) {
                    equal(error.getSQLState(), pair[1]);
                }
            }
        });
        check("a time limit cancels", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                statement.executeQuery("SELECT count(*) FROM generate_series(1, 100000000000)");
                throw new AssertionError("it was not cancelled");
            } catch (SQLException error) {
                equal(error.getSQLState(), "57014");
            }
        });
        check("updatable result sets find the key", () -> {
            try (Statement statement = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_UPDATABLE);
                    ResultSet rows = statement.executeQuery("SELECT id, name FROM person WHERE id = 1")) {
                equal(rows.next(), true);
                equal(rows.getString(2), "p1");
            }
        });
        check("SUBSCRIBE with a fetch size", () -> {
            try (Connection follower = DriverManager.getConnection(url, properties)) {
                follower.setAutoCommit(false);
                Statement statement = follower.createStatement();
                statement.setFetchSize(10);
                ResultSet rows = statement.executeQuery("SUBSCRIBE person");
                for (int n = 0; n < 20; n++) {
                    equal(rows.next(), true);
                    equal(rows.getString("op"), "insert");
                }
                follower.abort(Runnable::run);
            }
        });
        try (Statement statement = connection.createStatement()) {
            statement.execute("DROP TABLE jdbc_types");
        }
        System.exit(failed ? 1 : 0);
    }
}
