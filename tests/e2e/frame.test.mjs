// Uploads by a form in a hidden iframe: one file of several, a store that loads nothing into the frame, the demo page of old browsers.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before } from 'node:test';
import { App, ended, prepare } from './client.mjs';
import { Server, hashOf, launch, makeFile, test } from './support.mjs';

let app, server, browser;
before(async () => {
  app = await App.start();
  server = await Server.start(`allowed_origins = ["${app.url}"]\n`);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  app?.close();
});

const stored = (name) => server.objects().find((o) => o.endsWith('/' + name));

test('each of several chosen files is sent by a frame of its own', async () => {
  const context = await prepare(await browser.newContext()), page = await app.open(context, server);
  const files = [1, 2, 3, 4].map((n) => makeFile(server.folder, `one of several ${n}.bin`, n * 100_000));
  await page.setInputFiles('#f', files);
  const ids = await page.evaluate(() => window.beginUploads([...document.getElementById('f').files], { transport: 'iframe' }));
  for (const [n, i] of ids.entries()) {
    const done = await ended(page, i);
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.equal(hashOf(stored(`one of several ${n + 1}.bin`)), hashOf(files[n]));
  }
  assert.equal(await page.locator('iframe').count(), 0);
  assert.equal(await page.evaluate(() => document.getElementById('f').files.length), 4); // the input keeps its files
  await context.close();
});

test('a store that loads nothing into the frame: two probes fail, and the fallback completes the upload', async (t) => {
  const mute = net.createServer((socket) => socket.on('error', () => {})), sockets = new Set();
  mute.on('connection', (s) => sockets.add(s));
  t.after(() => { mute.close(); for (const s of sockets) s.destroy(); });
  await new Promise((done) => { mute.listen(0, '127.0.0.1', done); });
  const context = await prepare(await browser.newContext()), page = await app.open(context, server);
  await page.route('**/v1/uploads', async (route) => {
    const answer = await route.fetch(), form = await answer.json();
    await route.fulfill({ response: answer, json: Object.assign(form, { url: `http://127.0.0.1:${mute.address().port}/`, ways: [{ way: 'form' }, { way: 'fallback' }] }) });
  });
  const file = makeFile(server.folder, 'mute.bin', 200_000);
  await page.setInputFiles('#f', file);
  const [i] = await page.evaluate(() => window.beginUploads([document.getElementById('f').files[0]], { transport: 'iframe', patience: 1000 }));
  const done = await ended(page, i);
  assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
  assert.deepEqual(done.ways, [['form', 'tried first'], ['fallback', 'the store cannot be reached from here']]);
  assert.equal(hashOf(stored('mute.bin')), hashOf(file));
  await context.close();
});

const OLD = {
  'without FormData': () => { delete window.FormData; },
  'without FormData and DataTransfer': () => { delete window.FormData; delete window.DataTransfer; },
  'without FormData and input.files': () => { delete window.FormData; delete HTMLInputElement.prototype.files; },
};
for (const [what, remove] of Object.entries(OLD)) {
  test(`the demo page works in a browser ${what}`, async () => {
    const context = await browser.newContext();
    await context.addInitScript(remove);
    const page = await context.newPage(), broken = [];
    page.on('pageerror', (e) => broken.push(String(e)));
    await page.goto(server.url + '/');
    for (const n of [1, 2]) {
      const name = `old ${n} ${what}.bin`, file = makeFile(server.folder, name, 300_000);
      await page.setInputFiles('#choose', file);
      await page.waitForFunction((count) => document.querySelectorAll('li.completed').length === count, n);
      assert.equal(hashOf(stored(name)), hashOf(file));
    }
    assert.deepEqual(broken, []);
    await context.close();
  });
}
