// node-pg: pools, parameters, prepared statements, cursors, COPY streams, errors, notices, cancel by the server.
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const { to: copyTo, from: copyFrom } = require("pg-copy-streams");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
const assert = require("assert");

let failed = false;
async function check(name, run) {
  try {
    await run();
    console.log("ok " + name);
  } catch (error) {
    failed = true;
    console.log("FAILED " + name);
    console.log(error);
  }
}

(async () => {
  const client = new Client();
  await client.connect();

  await check("connect", async () => {
    assert.deepStrictEqual((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  });
  await check("browse", async () => {
    const found = await client.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
    assert(found.rows.some((row) => row.table_name === "mv_tumble"));
  });
  await check("types", async () => {
    const sql = "SELECT true AS b, 7::int AS i, 9007199254740993::bigint AS l, 1.5::float8 AS f, 12.3400::numeric(8,4) AS n, "
      + "timestamptz '2026-01-02 03:04:05+00' AS t, '{\"a\": 1}'::jsonb AS j, ARRAY['a', NULL] AS a, '\\x00ff'::bytea AS y";
    const row = (await client.query(sql)).rows[0];
    assert.deepStrictEqual([row.b, row.i, row.l, row.f, row.n], [true, 7, "9007199254740993", 1.5, "12.3400"]);
    assert.strictEqual(row.t.toISOString(), "2026-01-02T03:04:05.000Z");
    assert.deepStrictEqual([row.j, row.a, row.y.toString("hex")], [{ a: 1 }, ["a", null], "00ff"]);
  });
  await check("parameters, named and in binary", async () => {
    for (const binary of [false, true]) {
      const query = { text: "SELECT count(*) AS n, max(price) AS p FROM bids WHERE auction = $1 AND channel = $2", values: [1, "ch"], binary };
      assert.strictEqual(String((await client.query(query)).rows[0].n), "40");
    }
    const named = { name: "by-auction", text: "SELECT price FROM bids WHERE auction = $1 LIMIT 3" };
    for (const auction of [1, 2, 3]) {
      assert.strictEqual((await client.query({ ...named, values: [auction] })).rowCount, 3);
    }
  });
  await check("cursors", async () => {
    const cursor = client.query(new Cursor("SELECT price FROM bids ORDER BY price"));
    assert.strictEqual((await cursor.read(30)).length, 30);
    assert.strictEqual((await cursor.read(1000)).length, 170);
    await cursor.close();
  });
  await check("COPY streams", async () => {
    await client.query("CREATE TABLE node_copy (a BIGINT, b TEXT)");
    await pipeline(Readable.from(["1\tx\n2\t", "\\N\n"]), client.query(copyFrom("COPY node_copy FROM STDIN")));
    let text = "";
    const out = client.query(copyTo("COPY node_copy TO STDOUT (FORMAT csv)"));
    for await (const chunk of out) text += chunk;
    assert.strictEqual(text, "1,x\n2,\n");
    await client.query("DROP TABLE node_copy");
  });
  await check("errors", async () => {
    for (const [sql, code] of [["SELECT * FROM nope", "42P01"], ["SELECT 1/0", "22012"], ["SELEC", "42601"]]) {
      await assert.rejects(client.query(sql), (error) => error.code === code);
    }
  });
  await check("transactions", async () => {
    await client.query("CREATE TABLE node_block (a BIGINT)");
    await client.query("BEGIN");
    await client.query("INSERT INTO node_block VALUES ($1)", [1]);
    await client.query("ROLLBACK");
    assert.strictEqual((await client.query("SELECT count(*) AS n FROM node_block")).rows[0].n, "0");
    await client.query("DROP TABLE node_block");
  });
  await check("a time limit of the server", async () => {
    const slow = new Client({ statement_timeout: 200 });
    await slow.connect();
    await assert.rejects(slow.query("SELECT count(*) FROM generate_series(1, 100000000000)"), (error) => error.code === "57014");
    await slow.end();
  });
  await check("pools", async () => {
    const pool = new Pool({ max: 10 });
    const found = await Promise.all([...Array(50).keys()].map((n) => pool.query("SELECT $1::int AS n", [n])));
    assert.deepStrictEqual(found.map((result) => result.rows[0].n), [...Array(50).keys()]);
    await pool.end();
  });
  await check("SUBSCRIBE by pg-cursor", async () => {
    const follower = new Client();
    follower.on("error", () => {}); // It is torn off below.
    await follower.connect();
    const cursor = follower.query(new Cursor("SUBSCRIBE person"));
    const rows = await cursor.read(20);
    assert.deepStrictEqual([rows.length, rows[0].op], [20, "insert"]);
    follower.connection.stream.destroy();
  });

  await client.end();
  process.exit(failed ? 1 : 0);
})();
