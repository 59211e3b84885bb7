// postern.js where only Postern can be reached: the file goes by the resumable way, and goes on after each break.
// The file of the reload has 60 MiB; with POSTERN_FULL=1, 500 MiB.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe } from 'node:test';
import { App, MiB, begin, ended, hashOfObject, lineOf, prepare, reached, recordOf, staticKeys } from './client.mjs';
import { CuttingProxy } from './cutting_proxy.mjs';
import { S3, isInstalled } from './s3.mjs';
import { StoreProxy } from './store_proxy.mjs';
import { Server, hashOf, launch, makeFile, test } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
const LARGE = process.env.POSTERN_FULL ? 500 * MiB : 60 * MiB;
const proxy = new CuttingProxy(); // in front of Postern
let app, s3, server, store, browser, context, page;

const waysOf = (done) => done.ways.map(([by]) => by);

async function check(done, file, way = 'resumable') {
  assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
  assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
  const told = await server.status(done.form.id);
  assert.deepEqual([told.state, told.way], ['completed', way]);
}

// Answers requests of the page instead of Postern: `answers` in their order, then Postern again.
async function answerPatches(...answers) {
  await page.route('**/v1/files/*', (route) => {
    const next = route.request().method() === 'PATCH' && answers.shift();
    if (!next) return route.continue();
    return route.fulfill({ status: next[0], headers: { 'Access-Control-Allow-Origin': app.url, 'Access-Control-Expose-Headers': 'Retry-After', ...next[1] }, body: '' });
  });
}

describe('resumable', { skip }, () => {
  before(async () => {
    [s3, app] = await Promise.all([S3.start(), App.start(), proxy.start()]);
    store = await StoreProxy.start(s3.endpoint);
    store.fault = (request) => { request.socket.destroy(); return true; };
    server = await Server.start(`allowed_origins = ["${app.url}"]\n[profiles.parts]\nmultipart_from = "5MB"\n`, { ...staticKeys(s3), store__public_endpoint: store.url, server__public_url: proxy.url });
    proxy.target = Number(new URL(server.url).port);
    await server.run('setup', 'cors', '--apply');
    browser = await launch();
  });
  beforeEach(async () => { // a new page knows no dead store
    await context?.close();
    Object.assign(proxy, { cutAfter: undefined, cuts: 0, bytes: 0 });
    context = await prepare(await browser.newContext());
    page = await app.open(context, proxy);
  });
  after(async () => {
    await browser?.close();
    store?.close();
    await server?.stop();
    await s3?.stop();
    proxy.stop();
    app?.close();
  });

  test('a small file takes the fallback', async () => {
    const file = makeFile(server.folder, 'small.bin', 2 * MiB), done = await ended(page, await begin(page, file));
    await check(done, file, 'fallback');
    assert.equal(waysOf(done).at(-1), 'fallback');
    assert.ok(!waysOf(done).includes('resumable'), JSON.stringify(done.ways));
  });

  for (const size of [0, 1, 5 * MiB]) {
    test(`a file of ${size} bytes, when the page asks for this way`, async () => {
      const file = makeFile(server.folder, `asked ${size}.bin`, size), done = await ended(page, await begin(page, file, { way: 'resumable' }));
      await check(done, file);
      assert.deepEqual(done.ways, [['resumable', 'asked for']]);
    });
  }

  for (const [kind, options] of [['the form', {}], ['the parts', { profile: 'parts' }]]) {
    test(`20 MiB take this way when ${kind} cannot reach the store`, async () => {
      const file = makeFile(server.folder, 'medium.bin', 20 * MiB);
      await page.evaluate(() => { window.told = new Set(); });
      await page.setInputFiles('#f', file);
      const i = await page.evaluate((o) => window.beginUploads([document.getElementById('f').files[0]], { ...o, onProgress: (p) => window.told.add(`${p.way} ${p.by} ${p.total}`) })[0], options);
      const done = await ended(page, i);
      await check(done, file);
      assert.equal(waysOf(done).at(-1), 'resumable');
      assert.ok(!waysOf(done).includes('fallback'), JSON.stringify(done.ways));
      assert.ok((await page.evaluate(() => [...window.told])).includes(`resumable resumable ${20 * MiB}`));
      assert.ok(proxy.bytes < 21 * MiB, `${proxy.bytes} bytes were sent`);
    });
  }

  test('the connection is cut eight times: the upload goes on each time', async () => {
    const file = makeFile(server.folder, 'cut.bin', 40 * MiB);
    await (await lineOf(page)).slow(20 * MiB);
    proxy.cutAfter = () => (proxy.cuts < 8 ? 4 * MiB + Math.random() * MiB : Infinity);
    const done = await ended(page, await begin(page, file, { way: 'resumable' }));
    await check(done, file);
    assert.equal(proxy.cuts, 8);
    // Chromium repeats a request whose connection breaks after others were answered on it. Postern answers 409, but some bytes came twice by then.
    assert.ok(proxy.bytes < 1.5 * 40 * MiB, `${proxy.bytes} bytes were sent`);
  });

  test('offline for 5 s: the upload waits and uses up no try', async () => {
    const line = await lineOf(page), file = makeFile(server.folder, 'offline.bin', 30 * MiB);
    await line.slow(10 * MiB);
    const i = await begin(page, file, { way: 'resumable' });
    await reached(page, i, 10 * MiB);
    await line.cut();
    await new Promise((done) => { setTimeout(done, 5000); });
    await line.restore();
    const done = await ended(page, i);
    await check(done, file);
    assert.ok(done.retries.length > 0);
    assert.ok(done.retries.every(([attempt]) => attempt === 0), JSON.stringify(done.retries));
  });

  test(`a reload at half of ${LARGE / MiB} MiB: the file goes on where Postern has it`, async () => {
    const file = makeFile(server.folder, 'large.bin', LARGE);
    let line = await lineOf(page);
    await line.slow(LARGE / 4);
    let i = await begin(page, file);
    await reached(page, i, LARGE / 2);
    const first = await recordOf(page, i);
    assert.equal(waysOf(first).at(-1), 'resumable');
    await page.reload();
    line = await lineOf(page);
    i = await begin(page, file);
    const done = await ended(page, i, 200);
    await check(done, file);
    assert.deepEqual(done.ways, [['resumable', 'goes on with what the store has']]);
    assert.equal(done.form.id, first.form.id);
    assert.ok(done.firstLoaded > LARGE * 0.3, `it went on at ${done.firstLoaded}`);
    assert.ok(proxy.bytes < 1.3 * LARGE, `${proxy.bytes} bytes were sent`);
    assert.equal(await page.evaluate(() => new Promise((tell) => {
      indexedDB.open('postern').onsuccess = (e) => { e.target.result.transaction('uploads').objectStore('uploads').count().onsuccess = (c) => tell(c.target.result); };
    })), 0, 'the record of the upload is left behind');
  }, 300);

  test('pause stops the bytes, resume goes on, cancel ends the upload', async () => {
    const file = makeFile(server.folder, 'paused.bin', 30 * MiB), line = await lineOf(page);
    await line.slow(10 * MiB);
    const i = await begin(page, file, { way: 'resumable' });
    await reached(page, i, 15 * MiB);
    await page.evaluate((n) => window.uploads[n].handle.pause(), i);
    await new Promise((done) => { setTimeout(done, 500); });
    const at = proxy.bytes;
    await new Promise((done) => { setTimeout(done, 1500); });
    assert.equal(proxy.bytes, at);
    await line.slow(-1);
    await page.evaluate((n) => window.uploads[n].handle.resume(), i);
    await check(await ended(page, i), file);
    assert.ok(proxy.bytes < 1.3 * 30 * MiB, `${proxy.bytes} bytes were sent`);

    await line.slow(10 * MiB);
    const j = await begin(page, makeFile(server.folder, 'cancelled.bin', 30 * MiB), { way: 'resumable' });
    await reached(page, j, 10 * MiB);
    await page.evaluate((n) => window.uploads[n].handle.cancel(), j);
    const done = await ended(page, j);
    assert.equal(done.error, 'cancelled');
    await line.slow(-1);
    await page.waitForFunction((url) => fetch(url).then((a) => a.json()).then((u) => u.state === 'failed' && u.code === 'cancelled'), done.form.status_url, { polling: 200, timeout: 10_000 });
  });

  test('the server is killed and started again in the middle: the same upload goes on', async () => {
    const file = makeFile(server.folder, 'killed.bin', 48 * MiB), line = await lineOf(page);
    await line.slow(5 * MiB); // the server notes every 5 s what the store has
    const i = await begin(page, file, { way: 'resumable' });
    await reached(page, i, 36 * MiB);
    const { form } = await recordOf(page, i);
    await server.kill();
    await new Promise((done) => { setTimeout(done, 1000); });
    await server.launch();
    await line.slow(-1);
    const done = await ended(page, i);
    await check(done, file);
    assert.equal(done.form.id, form.id);
    assert.ok(done.retries.every(([attempt]) => attempt === 0), JSON.stringify(done.retries));
    assert.ok(proxy.bytes < 1.9 * 48 * MiB, `${proxy.bytes} bytes were sent`);
  }, 90);

  test('the upload is gone in the middle: the file is signed anew', async () => {
    const file = makeFile(server.folder, 'gone.bin', 30 * MiB), line = await lineOf(page);
    await line.slow(10 * MiB);
    const i = await begin(page, file, { way: 'resumable' });
    await reached(page, i, 15 * MiB);
    const { form } = await recordOf(page, i);
    const answer = await fetch(form.ways[0].url, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } });
    assert.equal(answer.status, 204);
    await line.slow(-1);
    const done = await ended(page, i);
    await check(done, file);
    assert.notEqual(done.form.id, form.id);
    assert.deepEqual(waysOf(done), ['resumable', 'resumable']);
  });

  test('503 with Retry-After: the client comes back, and uses up no try', async () => {
    const file = makeFile(server.folder, 'busy.bin', 6 * MiB);
    await answerPatches(...Array.from({ length: 5 }, () => [503, { 'Retry-After': '0' }]));
    const done = await ended(page, await begin(page, file, { way: 'resumable' }));
    await check(done, file);
    assert.deepEqual(done.retries, Array.from({ length: 5 }, () => [0, 'http_503', 503]));
  });

  test('413 ends the upload; 405, and a firewall that lets nothing else than forms through, lead to the fallback', async () => {
    const file = makeFile(server.folder, 'refused.bin', 6 * MiB);
    await answerPatches([413, {}]);
    const refused = await ended(page, await begin(page, file));
    assert.equal(refused.error, 'http_413');
    assert.equal(waysOf(refused).at(-1), 'resumable');
    await page.unroute('**/v1/files/*');
    await answerPatches([405, {}]);
    const without = await ended(page, await begin(page, file));
    await check(without, file, 'fallback');
    assert.deepEqual(without.ways.at(-1), ['fallback', 'the server answered 405']);
    await page.unroute('**/v1/files/*');
    for (const methods of [['PATCH'], ['PATCH', 'HEAD']]) {
      await page.route('**/v1/files/*', (route) => (methods.includes(route.request().method()) ? route.abort() : route.continue()));
      const vanished = await ended(page, await begin(page, file));
      await check(vanished, file, 'fallback');
      assert.deepEqual(vanished.ways.at(-1), ['fallback', 'no byte of the file reached Postern']);
      await page.unroute('**/v1/files/*');
    }
  });
});
