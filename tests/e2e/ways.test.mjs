// postern.js by each way to a real S3, for sizes at S3's limits. POSTERN_FULL=1 adds 120 MiB and every size for each way.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { App, MiB, begin, crc32cOf, ended, hashOfObject, lineOf, matrixOf, prepare, staticKeys } from './client.mjs';
import { S3, isInstalled } from './s3.mjs';
import { Server, hashOf, launch, makeFile, test } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
const SIZES = { '0': 0, '1 B': 1, '5 MiB - 1': 5 * MiB - 1, '5 MiB': 5 * MiB, '5 MiB + 1': 5 * MiB + 1, ...(process.env.POSTERN_FULL ? { '120 MiB': 120 * MiB } : {}) };
const matrix = matrixOf('RGW', Object.keys(SIZES));
let app, s3, server, browser, context, page;

describe('ways to a real S3', { skip }, () => {
  before(async () => {
    s3 = await S3.start();
    app = await App.start();
    server = await Server.start(`allowed_origins = ["${app.url}"]\n[profiles.parts]\nmultipart_from = "1MB"\n`, staticKeys(s3));
    server.run('setup', 'cors', '--apply');
    browser = await launch();
    context = await prepare(await browser.newContext());
    page = await app.open(context, server);
  });
  after(async () => {
    matrix.print();
    await browser?.close();
    await server?.stop();
    await s3?.stop();
    app?.close();
  });

  async function send(name, size, options) {
    const file = makeFile(server.folder, name, size);
    const done = await ended(page, await begin(page, file, options));
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
    const told = await server.status(done.form.id);
    assert.deepEqual([told.state, told.size], ['completed', size]);
    return { done, told, file };
  }

  for (const way of ['form', 'put', 'multipart', 'fallback']) {
    for (const [label, size] of Object.entries(SIZES)) {
      test(`${way}, ${label}`, async () => {
        const { done } = await send(`${way} ${size}.bin`, size, { way });
        assert.deepEqual(done.ways, [[way, 'asked for']]);
        matrix.fill(way, label);
      }, 120);
    }
  }

  test('a small file takes the form, a large one its parts', async () => {
    const small = await send('small.bin', 2 * MiB, {});
    assert.deepEqual(small.done.ways, [['form', 'tried first']]);
    const large = await send('large.bin', 12 * MiB, { profile: 'parts' });
    assert.deepEqual(large.done.ways, [['multipart', 'tried first']]);
  });

  test('checksums are signed with the file, and with each part', async () => {
    const asked = [];
    page.on('request', (r) => { if (r.method() === 'POST' && /\/v1\/uploads/.test(r.url()) && !r.url().endsWith('/complete')) asked.push(JSON.parse(r.postData())); });
    const small = await send('summed.bin', 3 * MiB, { checksum: 'always' });
    assert.equal(asked[0].checksum?.crc32c, crc32cOf(small.file));
    asked.length = 0;
    await send('summed parts.bin', 12 * MiB, { profile: 'parts', way: 'multipart', checksum: 'always' });
    const parts = asked.slice(1).flatMap((a) => a.parts), sums = Object.assign({}, ...asked.slice(1).map((a) => a.checksums));
    assert.deepEqual(parts.map(String), Object.keys(sums));
    const none = await send('not summed.bin', 1000, { checksum: false });
    assert.equal(asked.at(-1).checksum, undefined);
    assert.equal(none.done.upload.state, 'completed');
  });

  test('a policy without workers leaves the checksum out', async () => {
    const strict = await app.open(context, server, `default-src 'self' ${server.url}; worker-src 'none'; connect-src ${server.url} ${s3.endpoint}`);
    const asked = [];
    strict.on('request', (r) => { if (r.method() === 'POST' && r.url().endsWith('/v1/uploads')) asked.push(JSON.parse(r.postData())); });
    const done = await ended(strict, await begin(strict, makeFile(server.folder, 'no worker.bin', 2 * MiB)));
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.deepEqual([asked.length, asked[0].checksum], [1, undefined]);
    await strict.close();
  });

  test('pause stops the bytes, resume goes on, cancel ends the parts', async () => {
    const file = makeFile(server.folder, 'paused.bin', 40 * MiB), line = await lineOf(page);
    await line.slow(10 * MiB);
    const i = await begin(page, file, { profile: 'parts' });
    await page.waitForFunction((n) => window.uploads[n].loaded > 12 * 1024 * 1024, i);
    const at = await page.evaluate((n) => { window.uploads[n].handle.pause(); return window.uploads[n].loaded; }, i);
    await new Promise((done) => { setTimeout(done, 1500); });
    assert.equal(await page.evaluate((n) => window.uploads[n].loaded, i), at);
    await line.slow(-1);
    await page.evaluate((n) => window.uploads[n].handle.resume(), i);
    const done = await ended(page, i);
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));

    const j = await begin(page, makeFile(server.folder, 'cancelled.bin', 40 * MiB), { profile: 'parts' });
    await page.waitForFunction((n) => window.uploads[n].loaded > 10 * 1024 * 1024, j);
    await page.evaluate((n) => window.uploads[n].handle.cancel(), j);
    assert.equal((await ended(page, j)).error, 'cancelled');
  });

  // As by a lifecycle rule. The store answers 404 to the parts that follow.
  test('parts that were deleted in the store meanwhile: the file begins anew, by the same way', async () => {
    const file = makeFile(server.folder, 'deleted.bin', 100 * MiB), line = await lineOf(page);
    let uploadId;
    const listen = (r) => { uploadId = new URL(r.url()).searchParams.get('uploadId') ?? uploadId; };
    page.on('request', listen);
    await line.slow(30 * MiB);
    const i = await begin(page, file, { profile: 'parts' });
    await page.waitForFunction((n) => window.uploads[n].loaded > 20 * 1024 * 1024, i);
    const { form } = await page.evaluate((n) => ({ form: window.uploads[n].form }), i);
    const answer = await s3.request('DELETE', form.key, `uploadId=${encodeURIComponent(uploadId)}`);
    assert.equal(answer.status, 204);
    await line.slow(-1);
    const done = await ended(page, i);
    page.off('request', listen);
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.deepEqual(done.ways, [['multipart', 'tried first']]);
    assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
  });
});
