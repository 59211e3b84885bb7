// The browser client where only the fallback exists, and where the direct upload fails: the plain form, the hidden frame of old browsers, lost answers.
// In Chromium, because requests are changed and answered on their way. every_browser.test.mjs has what must also work elsewhere.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { parse } from 'acorn';
import { Server, freePort, hashOf, launch, makeFile, shot, test } from './support.mjs';

let server, browser, app;
const appPort = await freePort();
const appUrl = `http://127.0.0.1:${appPort}`;
before(async () => {
  server = await Server.start(`allowed_origins = ["${appUrl}"]\n`);
  browser = await launch();
  // A page of an application on another origin.
  app = http.createServer((request, answer) => {
    answer.setHeader('Content-Type', 'text/html');
    answer.end(`<!doctype html><title>app</title><input type="file" id="f"><script src="${server.url}/postern.js"></script>`);
  });
  await new Promise((done) => app.listen(appPort, '127.0.0.1', done));
});
after(async () => {
  await browser?.close();
  app?.close();
  await server?.stop();
});

test('postern.js is ES5', async () => {
  const served = async (name) => (await fetch(`${server.url}/${name}`)).text();
  for (const name of ['postern.js', 'complete.js', 'demo.js']) parse(await served(name), { ecmaVersion: 5 });
  assert.doesNotMatch(await served('postern.js'), /^ *\/\/= /m, 'a part of postern.js is missing');
  parse(await served('postern.mjs'), { ecmaVersion: 2020, sourceType: 'module' });
  assert.throws(() => parse('const a = 1', { ecmaVersion: 5 }));
});

test('the plain form works with JavaScript off', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(server.url + '/');
  await page.getByRole('link', { name: 'this plain form' }).click();
  const file = makeFile(server.folder, 'plain form.bin', 1_000_000);
  await page.setInputFiles('input[type=file]', file);
  await shot(page, 'plain-form');
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByRole('heading', { name: 'Upload complete' }).waitFor();
  await shot(page, 'plain-form-complete');
  assert.equal(hashOf(server.objects().find((o) => o.endsWith('plain form.bin'))), hashOf(file));
  await context.close();
});

// Simulates browsers that lack a feature. The page removes the feature before any of its scripts run, so the client must detect it.
const MISSING = {
  FormData: { remove: () => { delete window.FormData; }, isThere: () => typeof FormData !== 'undefined' },
  'XMLHttpRequest.upload': { remove: () => { delete XMLHttpRequest.prototype.upload; }, isThere: () => 'upload' in new XMLHttpRequest() },
  'input.files': { remove: () => { delete HTMLInputElement.prototype.files; }, isThere: () => 'files' in document.createElement('input') },
};
for (const [what, { remove, isThere }] of Object.entries(MISSING)) {
  test(`the client uses a hidden frame when ${what} is missing`, async () => {
    const context = await browser.newContext();
    await context.addInitScript(remove);
    const page = await context.newPage(), posts = [];
    page.on('request', (r) => { if (r.method() === 'POST' && r.url().includes('/upload/')) posts.push(r); });
    await page.goto(appUrl);
    assert.equal(await page.evaluate(isThere), false);
    const name = `framed without ${what}.bin`, file = makeFile(server.folder, name, 2_000_000);
    await page.setInputFiles('#f', file);
    const broken = new Promise((_, fail) => { page.on('pageerror', fail); }); // a script that uses what is missing
    const { upload, ways, error, message } = await Promise.race([uploadFrom(page, { input: true }), broken]);
    assert.equal(upload?.state, 'completed', `${error} ${message}`);
    assert.equal(ways.length, 1);
    assert.deepEqual(posts.map((r) => [r.resourceType(), r.frame() === page.mainFrame()]), [['document', false]]); // by a form in a frame, not by a script
    assert.equal(hashOf(server.objects().find((o) => o.endsWith(name))), hashOf(file));
    assert.equal(await page.locator('iframe').count(), 0);
    assert.equal(await page.locator('#f').count(), 1);
    await context.close();
  });
}

test('a message from another window does not end an upload in a frame', async () => {
  const context = await browser.newContext();
  await context.addInitScript(MISSING.FormData.remove);
  const page = await context.newPage();
  await page.goto(appUrl);
  const name = 'not told by others.bin', file = makeFile(server.folder, name, 2_000_000);
  await page.setInputFiles('#f', file);
  const { upload, error } = await page.evaluate(() => new Promise((done) => {
    Postern.upload(document.getElementById('f'), {
      // The page itself and a frame beside the upload's, at the moment when the form has just been sent.
      onWay: () => setTimeout(() => {
        const forged = '{"type":"postern","upload":{"code":"forged","detail":"by another window"}}', frame = document.createElement('iframe');
        window.postMessage(forged, '*');
        frame.srcdoc = `<script>parent.postMessage('${forged}', '*')</` + 'script>';
        document.body.appendChild(frame);
      }, 0),
      onComplete: (u) => done({ upload: u }), onError: (e) => done({ error: e.code }),
    });
  }));
  assert.equal(error, undefined);
  assert.equal(upload?.state, 'completed');
  assert.equal(hashOf(server.objects().find((o) => o.endsWith(name))), hashOf(file));
  await context.close();
});

test('the client uses no frame when no feature is missing', async () => {
  const page = await browser.newPage(), posts = [];
  page.on('request', (r) => { if (r.method() === 'POST' && r.url().includes('/upload/')) posts.push(r.resourceType()); });
  await page.goto(appUrl);
  await page.setInputFiles('#f', makeFile(server.folder, 'not framed.bin', 10_000));
  const { upload } = await uploadFrom(page, { input: true });
  assert.equal(upload?.state, 'completed');
  assert.deepEqual(posts, ['xhr']);
  await page.close();
});

async function uploadFrom(page, options) {
  return page.evaluate((o) => new Promise((done) => {
    const ways = [];
    const given = Object.assign({ onWay: (w, r) => ways.push([w, r]), onComplete: (u) => done({ upload: u, ways }), onError: (e) => done({ error: e.code, message: e.message, ways }) }, o);
    Postern.upload(o.input || o.transport === 'iframe' ? document.getElementById('f') : new File(['hello'], 'small.txt'), given);
  }), options);
}

for (const transport of ['xhr', 'iframe']) {
  test(`a page of another origin uploads by ${transport}`, async () => {
    const page = await browser.newPage();
    await page.goto(appUrl);
    await page.setInputFiles('#f', makeFile(server.folder, `across-${transport}.bin`, 100_000));
    const { upload, ways } = await uploadFrom(page, { transport });
    assert.equal(upload?.state, 'completed');
    assert.equal(ways.length, 1);
    assert.equal((await server.status(upload.id)).state, 'completed');
    await page.close();
  });
}

test('a direct upload fails: the client uses and reports the fallback, and the next file goes there at once', async () => {
  const page = await browser.newPage();
  const dead = await freePort();
  await page.route('**/v1/uploads', async (route) => {
    const answer = await route.fetch();
    const form = await answer.json();
    form.url = `http://127.0.0.1:${dead}/`;
    form.ways = [{ way: 'form' }, { way: 'fallback' }];
    await route.fulfill({ response: answer, json: form });
  });
  await page.goto(appUrl);
  const first = await uploadFrom(page, {});
  assert.equal(first.upload?.state, 'completed');
  assert.deepEqual(first.ways, [['direct', 'tried first'], ['fallback', 'the store cannot be reached from here']]);
  const second = await uploadFrom(page, {});
  assert.deepEqual(second.ways, [['fallback', 'the store cannot be reached from here, as was seen a moment ago']]);
  const forced = await uploadFrom(page, { way: 'direct', retries: 0 });
  assert.deepEqual([forced.error, forced.ways[0][0]], ['network', 'direct']);
  await page.close();
});

test('after a lost response the client asks for the status and does not send the file again', async () => {
  const page = await browser.newPage();
  let posts = 0;
  await page.route('**/upload/local', async (route) => {
    posts += 1;
    await route.fetch({ maxRedirects: 0 });
    await route.abort();
  });
  await page.goto(appUrl);
  const { upload } = await uploadFrom(page, {});
  assert.equal(upload?.state, 'completed');
  assert.equal(posts, 1);
  await page.close();
});

// The client promises that nothing follows the file. A false promise would be refused.
for (const transport of ['xhr', 'iframe']) {
  test(`by ${transport}, the form promises that its file is the last part, and keeps that`, async () => {
    const page = await browser.newPage();
    const forms = [];
    await page.route('**/upload/local', async (route) => {
      forms.push(route.request().postDataBuffer()?.toString('latin1') ?? '');
      await route.continue();
    });
    await page.goto(appUrl);
    await page.setInputFiles('#f', makeFile(server.folder, `promised-${transport}.bin`, 1000));
    const { upload } = await uploadFrom(page, { transport, input: true });
    assert.equal(upload?.state, 'completed');
    assert.equal(forms.length, 1);
    const names = [...forms[0].matchAll(/; name="([^"]+)"/g)].map((found) => found[1]);
    assert.deepEqual(names.slice(-2), ['x-ignore-nothing-follows', 'file']);
    assert.match(forms[0], /name="x-ignore-nothing-follows"\r\n\r\ntrue\r\n/);
    await page.close();
  });
}

test('a busy server is retried', async () => {
  const page = await browser.newPage();
  let signs = 0;
  await page.route('**/v1/uploads', (route) => {
    signs += 1;
    if (signs < 3) return route.fulfill({ status: 503, headers: { 'Retry-After': '0', 'Access-Control-Allow-Origin': appUrl }, body: '{}' });
    return route.continue();
  });
  await page.goto(appUrl);
  const { upload } = await uploadFrom(page, {});
  assert.equal(upload?.state, 'completed');
  assert.equal(signs, 3);
  await page.close();
});

test('postern.js can be imported as a module', async () => {
  const page = await browser.newPage();
  await page.goto(server.url + '/');
  const state = await page.evaluate(async () => {
    const module = await import('/postern.mjs');
    return (await module.upload(new File(['x'], 'm.txt')).promise).state;
  });
  assert.equal(state, 'completed');
  await page.close();
});
