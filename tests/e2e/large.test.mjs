// A large file in parts that goes on after a reload, a killed browser and a break of the network.
// 256 MiB (16 parts) and a break of 20 s; with POSTERN_FULL=1, 1 GiB and a break of 5 minutes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { App, MiB, begin, ended, hashOfObject, lineOf, prepare, reached, recordOf, staticKeys } from './client.mjs';
import { S3, isInstalled } from './s3.mjs';
import { StoreProxy } from './store_proxy.mjs';
import { Server, hashOf, makeFile, test } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
const FULL = !!process.env.POSTERN_FULL, SIZE = FULL ? 1024 * MiB : 256 * MiB, BREAK = FULL ? 300 : 20, SPEED = FULL ? 60 * MiB : 30 * MiB;
let app, s3, server, proxy, profile, running;

// A browser that keeps its profile on disk, with one page.
async function openBrowser() {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM, timeout: 20_000, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  await prepare(context);
  const page = await app.open(context, server);
  const line = await lineOf(page);
  await line.slow(SPEED);
  running = { context, page, line };
  return running;
}

// The bytes of the parts that the store has.
function stored() {
  const arrived = new Map(proxy.parts.filter((p) => p.status === 200).map((p) => [p.number, p.bytes]));
  return [...arrived.values()].reduce((sum, bytes) => sum + bytes, 0);
}

// Ends the browser as a crash would: no page gets to say goodbye.
function killBrowser() {
  const lock = fs.readlinkSync(path.join(profile, 'SingletonLock'));
  process.kill(Number(lock.split('-').at(-1)), 'SIGKILL');
}

describe('a large file', { skip }, () => {
  before(async () => {
    s3 = await S3.start();
    app = await App.start();
    proxy = await StoreProxy.start(s3.endpoint);
    server = await Server.start(`allowed_origins = ["${app.url}"]\n[profiles.default]\nmultipart_from = "5MB"\n`, { ...staticKeys(s3), store__public_endpoint: proxy.url });
    server.run('setup', 'cors', '--apply');
    profile = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-profile-'));
  });
  after(async () => {
    await running?.context.close().catch(() => {});
    proxy?.close();
    await server?.stop();
    await s3?.stop();
    app?.close();
    fs.rmSync(profile, { recursive: true, force: true });
  });

  test(`${SIZE / MiB} MiB: reloaded at 30 %, killed at 60 %, the network cut for ${BREAK} s at 80 %`, async () => {
    const file = makeFile(server.folder, 'large.bin', SIZE);
    let { context, page, line } = await openBrowser();
    let i = await begin(page, file);
    await reached(page, i, SIZE * 0.3, 300);
    const first = await recordOf(page, i);
    assert.deepEqual(first.ways, [['multipart', 'tried first']]);
    const kept = stored(), size = first.form.ways[0].part_size;
    await page.reload();
    await line.slow(SPEED);
    i = await begin(page, file);
    await reached(page, i, SIZE * 0.6, 300);
    const second = await recordOf(page, i);
    assert.deepEqual(second.ways, [['multipart', 'goes on with what the store has']]);
    assert.ok(second.firstLoaded >= kept, `the store had ${kept} bytes, and it went on at ${second.firstLoaded}`);
    const keptByKill = stored();
    killBrowser();
    await context.close().catch(() => {});
    ({ context, page, line } = await openBrowser());
    i = await begin(page, file);
    await reached(page, i, SIZE * 0.8, 300);
    const third = await recordOf(page, i);
    assert.ok(keptByKill > 0 && third.firstLoaded >= keptByKill, `the store had ${keptByKill} bytes, and it went on at ${third.firstLoaded}`);
    await line.cut();
    await new Promise((done) => { setTimeout(done, BREAK * 1000); });
    await line.restore();
    const done = await ended(page, i, 300);
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.equal(done.form.id, first.form.id);
    assert.equal(done.ways.length, 1);
    assert.ok(done.retries.every(([attempt]) => attempt === 0), `the break used up tries: ${JSON.stringify(done.retries)}`);
    assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
    const numbers = new Set(proxy.parts.map((p) => p.number)), twice = proxy.sentTwice(numbers.size);
    console.error(`${numbers.size} parts of ${size / MiB} MiB, ${twice} sent twice after three interruptions of four lanes`);
    assert.ok(twice <= 3 * 4, `${twice} parts were sent twice`);
    for (const n of numbers) assert.ok(proxy.parts.filter((p) => p.number === n).length <= 4);
    assert.equal(await page.evaluate(() => new Promise((tell) => {
      indexedDB.open('postern').onsuccess = (e) => { e.target.result.transaction('uploads').objectStore('uploads').count().onsuccess = (c) => tell(c.target.result); };
    })), 0, 'the record of the upload is left behind');
  }, FULL ? 1800 : 300);
});
