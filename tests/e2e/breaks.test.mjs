// What browsers and networks do to uploads: slow lines, many files, stores that misbehave, captive portals, breaks.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe } from 'node:test';
import { App, MiB, begin, ended, hashOfObject, lineOf, prepare, reached, staticKeys } from './client.mjs';
import { S3, isInstalled } from './s3.mjs';
import { StoreProxy, answerWith } from './store_proxy.mjs';
import { Server, hashOf, launch, makeFile, test } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
let app, s3, server, proxy, browser, context, page;

const endAll = async (ids, seconds) => { const all = []; for (const i of ids) all.push(await ended(page, i, seconds)); return all; };
const isFile = (request) => request.method === 'POST' || request.method === 'PUT';

async function check(done, file) {
  assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
  assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
  assert.equal((await server.status(done.form.id)).state, 'completed');
}

describe('breaks', { skip }, () => {
  before(async () => {
    s3 = await S3.start();
    app = await App.start();
    proxy = await StoreProxy.start(s3.endpoint);
    server = await Server.start(`allowed_origins = ["${app.url}"]\n[profiles.parts]\nmultipart_from = "5MB"\n`, { ...staticKeys(s3), store__public_endpoint: proxy.url });
    server.run('setup', 'cors', '--apply');
    browser = await launch();
  });
  beforeEach(async () => { // a new page knows no dead store
    await context?.close();
    proxy.fault = null;
    proxy.seen = [];
    context = await prepare(await browser.newContext());
    page = await app.open(context, server);
  });
  after(async () => {
    await browser?.close();
    proxy?.close();
    await server?.stop();
    await s3?.stop();
    app?.close();
  });

  test('9 files of 6 MB at 1.5 MB/s: all take the direct way, none is declared dead', async () => {
    await (await lineOf(page)).slow(1_500_000);
    const files = Array.from({ length: 9 }, (_, n) => makeFile(server.folder, `slow ${n}.bin`, 6_000_000));
    await page.setInputFiles('#f', files);
    const ids = await page.evaluate(() => window.beginUploads([...document.getElementById('f').files], {}));
    const all = await endAll(ids, 90);
    for (const [n, done] of all.entries()) {
      await check(done, files[n]);
      assert.deepEqual(done.ways, [['form', 'tried first']]);
      assert.deepEqual(done.retries, []);
    }
  }, 120);

  test('500 small files with the default limits: 500 are completed', async () => {
    const ids = await page.evaluate(() => window.beginUploads(Array.from({ length: 500 }, (_, n) => new File([`file ${n}`], `small ${n}.txt`)), {}));
    const all = await endAll(ids, 280);
    assert.deepEqual(all.filter((one) => one.upload?.state !== 'completed'), []);
    assert.equal(new Set(all.map((one) => one.upload.id)).size, 500);
    assert.ok(all.every((one) => one.ways.length === 1 && one.ways[0][0] === 'form'));
  }, 300);

  // Each of these completes through Postern. The client's default of 30 s without a byte is cut to 2 s.
  const FAULTS = {
    'stops reading in mid-body': [(request) => { let n = 0; request.on('data', (p) => { n += p.length; if (n > MiB) request.pause(); }); return true; }, /stopped reading|do not get through/],
    'never answers': [(request) => { request.resume(); return true; }, /answer did not get through|do not get through/],
    'closes each connection in mid-body': [(request) => { request.once('data', () => request.socket.destroy()); return true; }, /broke twice|answer did not get through|do not get through|cannot be reached|CORS/],
    'answers 500': [answerWith(500), /answered 500/],
  };
  for (const [what, [fault, reason]] of Object.entries(FAULTS)) {
    for (const [kind, options] of [['form', {}], ['parts', { profile: 'parts' }]]) {
      test(`a store that ${what}, ${kind}: Postern completes the upload within 50 s`, async () => {
        proxy.fault = (request, answer) => isFile(request) && fault(request, answer);
        const file = makeFile(server.folder, `fault.bin`, 20 * MiB);
        const done = await ended(page, await begin(page, file, { stall: 2000, ...options }), 50);
        await check(done, file);
        assert.equal(done.ways[0][0], kind === 'form' ? 'form' : 'multipart');
        assert.match(done.ways.find(([by]) => by === 'resumable')?.[1], reason);
      });
      if (kind === 'form') {
        test(`a store that ${what}, and no other way: the upload says why`, async () => {
          proxy.fault = (request, answer) => isFile(request) && fault(request, answer);
          const done = await ended(page, await begin(page, makeFile(server.folder, 'fault.bin', 20 * MiB), { stall: 2000, retries: 1, way: 'form' }), 50);
          assert.match(done.error, /network|http_500/);
          assert.ok(done.message);
        });
      }
    }
  }

  test('a store that answers 503 for a minute: the upload completes, by whatever way', async () => {
    const until = Date.now() + (process.env.POSTERN_FULL ? 60_000 : 8_000);
    proxy.fault = (request, answer) => isFile(request) && Date.now() < until && answerWith(503)(request, answer);
    const files = ['form', 'parts'].map((n) => makeFile(server.folder, `busy ${n}.bin`, 12 * MiB));
    const ids = [await begin(page, files[0]), await begin(page, files[1], { profile: 'parts' })];
    const all = await endAll(ids, 100);
    for (const [n, done] of all.entries()) {
      await check(done, files[n]);
      assert.ok(done.retries.every(([attempt]) => attempt === 0), `503 used up tries: ${JSON.stringify(done.retries)}`);
    }
  }, 150);

  test('429 with Retry-After: the client comes back no sooner, and uses up no try', async () => {
    const at = [];
    proxy.fault = (request, answer) => isFile(request) && at.push(Date.now()) <= 5 && answerWith(429, { 'Retry-After': '1' })(request, answer);
    const file = makeFile(server.folder, 'limited.bin', MiB);
    const done = await ended(page, await begin(page, file));
    await check(done, file);
    assert.equal(at.length, 6);
    for (let n = 1; n < at.length; n++) assert.ok(at[n] - at[n - 1] >= 990, `came back after ${at[n] - at[n - 1]} ms`);
    assert.ok(done.ways.every(([by]) => by === 'form'));
    assert.ok(done.retries.every(([attempt]) => attempt === 0));
  });

  test('a captive portal that answers 200 HTML to everything for a while completes nothing', async () => {
    const portal = (route) => route.fulfill({ status: 200, contentType: 'text/html', headers: { 'Access-Control-Allow-Origin': app.url }, body: '<h1>Please sign in</h1>' });
    const file = makeFile(server.folder, 'portal.bin', 2 * MiB);
    await page.route(`${proxy.url}/**`, portal);
    await page.route('**/v1/complete/**', portal);
    const i = await begin(page, file);
    await new Promise((done) => { setTimeout(done, 4000); });
    assert.equal(await page.evaluate((n) => window.uploads[n].upload, i), undefined);
    await page.unroute(`${proxy.url}/**`);
    await page.unroute('**/v1/complete/**');
    await check(await ended(page, i), file);
  });

  test('a portal in front of the store alone: the fallback', async () => {
    proxy.fault = (request, answer) => isFile(request) && answerWith(200, { 'Content-Type': 'text/html' }, '<h1>Please sign in</h1>')(request, answer);
    const file = makeFile(server.folder, 'portal.bin', 2 * MiB), done = await ended(page, await begin(page, file));
    await check(done, file);
    assert.deepEqual(done.ways.map(([by]) => by), ['form', 'form', 'fallback']);
  });

  for (const [kind, options] of [['form', {}], ['parts', { profile: 'parts' }]]) {
    test(`offline for 5 s, ${kind}: the upload waits and uses up no try`, async () => {
      const line = await lineOf(page), file = makeFile(server.folder, 'offline.bin', 30 * MiB);
      await line.slow(10 * MiB);
      const i = await begin(page, file, options);
      await reached(page, i, 10 * MiB);
      await line.cut();
      await new Promise((done) => { setTimeout(done, 5000); });
      await line.restore();
      const done = await ended(page, i);
      await check(done, file);
      assert.ok(done.retries.length > 0);
      assert.ok(done.retries.every(([attempt]) => attempt === 0), JSON.stringify(done.retries));
      assert.ok(done.ways.every(([by]) => by === kind || by === 'multipart'), JSON.stringify(done.ways));
    });
  }
});
