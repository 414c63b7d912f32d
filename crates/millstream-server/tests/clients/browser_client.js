// The status page in a headless Chromium: what it shows, that it shows names as text, asks nobody else, and fits narrow and dark screens.
// Screenshots are left in $SCREENSHOTS for people.
const { Client } = require("pg");
const { chromium } = require("playwright-core");
const assert = require("assert");
const path = require("path");

const url = `http://127.0.0.1:${process.env.HTTP_PORT}/`;
const HOSTILE = `<img src=x onerror="window.hacked=1">'"&`;
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

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

(async () => {
  const client = new Client();
  await client.connect();
  await client.query(`
    CREATE TABLE clicks (user_id BIGINT, page TEXT, took DOUBLE PRECISION, at AS PROCTIME())
      WITH ('connector' = 'datagen', 'rows-per-second' = '400', 'fields.user_id.min' = '1', 'fields.user_id.max' = '5', 'fields.page.length' = '3');
    CREATE MATERIALIZED VIEW clicks_by_user AS SELECT window_start, user_id, count(*) AS clicks, avg(took) AS took
      FROM TUMBLE(clicks, at, INTERVAL '1 second') GROUP BY window_start, user_id;
    CREATE TABLE slow_clicks (user_id BIGINT, took DOUBLE PRECISION);
    INSERT INTO slow_clicks SELECT user_id, took FROM clicks WHERE took > 0.5;
    CREATE SINK ${quoted(HOSTILE)} WITH ('connector' = 'blackhole') AS SELECT user_id FROM clicks;
    CREATE TABLE ${quoted(HOSTILE + "t")} (a BIGINT, ${quoted(HOSTILE)} TEXT);
    INSERT INTO ${quoted(HOSTILE + "t")} SELECT i, '${HOSTILE.replaceAll("'", "''")}' || i FROM generate_series(1, 12) AS x (i)`);
  await client.query("SELECT * FROM \"<b>nothing</b>\"").catch(() => {});

  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1360, height: 1000 }, colorScheme: "light" });
  const page = await context.newPage();
  const trouble = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && trouble.push(message.text()));
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("request", (request) => request.url().startsWith(url) || trouble.push("asked " + request.url()));
  page.on("response", (response) => response.status() < 400 || trouble.push(`${response.status()} for ${response.url()}`));
  const shot = (name) => page.screenshot({ path: path.join(process.env.SCREENSHOTS, name + ".png"), fullPage: true });
  const text = (selector) => page.locator(selector).innerText();

  await page.goto(url);
  await check("pipelines as a graph with rates", async () => {
    await page.waitForSelector("#flow .node.pipeline", { timeout: 30000 });
    const names = await page.locator("#flow .node .title").allTextContents();
    for (const name of ["clicks", "clicks_by_user", "slow_clicks"]) assert(names.includes(name), `${name} in ${names}`);
    await page.waitForFunction(() => [...document.querySelectorAll("#flow .rate")].some((rate) => /\d\/s/.test(rate.textContent)), null, { timeout: 30000 });
    assert(await page.locator("#flow .edge.flows").count() >= 3);
    assert(await page.locator("#flow .node.pipeline rect.idle").count() >= 3);
  });
  await check("figures", async () => {
    await page.waitForFunction(() => /[1-9].*\/s/.test(document.querySelector("#tiles .figure")?.textContent ?? ""), null, { timeout: 30000 });
    assert.match(await text("#tiles"), /Behind the clock/);
    assert.match(await text("#pill"), /ready|failed/);
  });
  await check("a live chart of a materialized view", async () => {
    await page.selectOption("#view-name", "clicks_by_user");
    await page.waitForSelector("#view-chart path.series", { timeout: 30000 });
    const before = await text("#view-note");
    await page.waitForFunction((before) => document.querySelector("#view-note").textContent !== before, before, { timeout: 30000 });
    await page.waitForFunction(() => document.querySelectorAll("#view-chart path.series").length === 5, null, { timeout: 30000 });
    assert.deepStrictEqual(await page.locator("#view-rows th").allInnerTexts(), ["window_start", "user_id", "clicks", "took"]);
    await page.hover("#view-chart svg", { position: { x: 300, y: 100 } });
    await page.waitForSelector("#view-chart .tip:not([hidden])");
  });
  await check("checkpoints", async () => {
    await client.query("CHECKPOINT PIPELINE clicks_by_user");
    await page.locator("#flow .node.pipeline", { hasText: "clicks_by_user" }).click();
    await page.waitForFunction(() => /written of/.test(document.querySelector("#detail").textContent), null, { timeout: 30000 });
    await page.waitForSelector("#detail .parts svg rect");
  });
  await page.waitForTimeout(6000);
  await shot("light");
  await check("names are text", async () => {
    await page.selectOption("#view-name", HOSTILE + "t");
    await page.waitForFunction((name) => document.querySelector("#view-note").textContent.startsWith(name), HOSTILE + "t", { timeout: 30000 });
    await page.locator("#flow .node.pipeline", { hasText: "<img" }).click();
    await page.waitForFunction((name) => document.querySelector("#detail h2").textContent === name, HOSTILE, { timeout: 30000 });
    assert((await text("#relations")).includes(HOSTILE + "t"));
    assert.strictEqual(await page.evaluate(() => window.hacked), undefined);
    assert.strictEqual(await page.locator("main img").count(), 0);
  });
  await check("bars and dots of other columns", async () => {
    await page.selectOption("#view-shape", "bar");
    await page.waitForSelector("#view-chart rect");
    await page.selectOption("#view-shape", "dot");
    await page.waitForSelector("#view-chart circle");
    await shot("names");
  });
  await check("recent errors", async () => {
    assert.match(await text("#errors"), /42P01[\s\S]*<b>nothing<\/b>/);
  });
  await check("dark, by the system and by hand", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    assert.strictEqual(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.selectOption("#view-name", "clicks_by_user");
    await page.locator("#flow .node.pipeline", { hasText: "clicks_by_user" }).click();
    await page.waitForTimeout(2500);
    await shot("dark");
    await page.click("#theme");
    assert.strictEqual(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  });
  await check("narrow screens", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForTimeout(1500);
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
    assert(wide <= 390, `the page is ${wide} wide`);
    await shot("narrow");
  });
  await check("a failed pipeline is told", async () => {
    await page.setViewportSize({ width: 1360, height: 1000 });
    await client.query(`CREATE TABLE wrong (n BIGINT) WITH ('connector' = 'file', 'path' = '${process.env.WRONG_FILE}', 'format' = 'json', 'bad_rows' = 'fail');
      CREATE SINK broken WITH ('connector' = 'blackhole') AS SELECT n FROM wrong`);
    await page.waitForFunction(() => /failed: .*broken/.test(document.querySelector("#pill").textContent), null, { timeout: 30000 });
    await page.locator("#flow .node.pipeline", { hasText: "broken" }).click();
    await page.waitForSelector("#detail .failure:not([hidden])");
    await page.waitForFunction(() => /broken/.test(document.querySelector("#errors").textContent), null, { timeout: 30000 });
    assert.strictEqual((await context.request.get(url + "ready")).status(), 503);
    await shot("failed");
    await client.query("DROP PIPELINE broken");
    await page.waitForFunction(() => document.querySelector("#pill").textContent === "ready", null, { timeout: 30000 });
  });
  await check("nothing is asked elsewhere, nothing is refused or wrong", async () => assert.deepStrictEqual(trouble, []));
  await check("it says so when the server is gone, and goes on when it is back", async () => {
    await page.route("**/status.json", (route) => route.abort());
    await page.waitForFunction(() => /does not answer/.test(document.querySelector("#pill").textContent), null, { timeout: 30000 });
    await page.unroute("**/status.json");
    await page.waitForFunction(() => document.querySelector("#pill").textContent === "ready", null, { timeout: 30000 });
  });

  await browser.close();
  for (const name of [HOSTILE, "insert_into_slow_clicks_1"]) await client.query(`DROP PIPELINE IF EXISTS ${quoted(name)}`).catch(() => {});
  await client.query("DROP MATERIALIZED VIEW clicks_by_user").catch(() => {});
  await client.end();
  process.exit(failed ? 1 : 0);
})().catch((error) => {
  console.log("FAILED the browser");
  console.log(error);
  process.exit(1);
});
