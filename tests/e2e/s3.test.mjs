// Direct and fallback uploads in Chromium, with a real S3. Each request and its preflight is seen by Chromium's own protocol.
// every_browser.test.mjs has what must also work elsewhere.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { after, before, describe } from 'node:test';
import { S3, isInstalled } from './s3.mjs';
import { Server, freePort, hashOf, launch, makeFile, shot, test, until } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
const MB = 1_000_000;
let s3, server, browser;

// Lets pages of Postern's origin post to the bucket.
const putCors = async () => server.run('setup', 'cors', '--apply');

// Opens a page and records its requests: { method, url, status, type }, preflights included.
async function open(query = '', options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage(), asked = [], session = await context.newCDPSession(page), byId = new Map();
  await session.send('Network.enable');
  session.on('Network.requestWillBeSent', (e) => {
    if (e.redirectResponse) byId.get(e.requestId).status = e.redirectResponse.status;
    const one = { method: e.request.method, url: e.request.url, type: e.type };
    byId.set(e.requestId, one);
    asked.push(one);
  });
  session.on('Network.responseReceived', (e) => { if (byId.has(e.requestId)) byId.get(e.requestId).status = e.response.status; });
  await page.goto(server.url + '/' + query);
  const to = (method, prefix) => asked.filter((r) => r.method === method && r.url.startsWith(prefix));
  return { page, to, throughPostern: () => [...to('POST', server.url + '/upload/'), ...to('PATCH', server.url + '/v1/files/')], straight: () => to('POST', s3.endpoint), close: () => context.close() };
}

// Uploads with postern.js and records its callbacks: { upload or error, ways, form }.
function upload(page, name, size, options = {}) {
  return page.evaluate(([name, size, options]) => new Promise((done) => {
    const ways = [];
    let form, sent = 0;
    const tell = (how) => done(Object.assign({ ways, form, sent }, how));
    Postern.upload(new File([new Uint8Array(size).map((_, i) => i * 7)], name), Object.assign({
      onSigned: (f) => { form = f; },
      onWay: (w, r) => ways.push([w, r]),
      onProgress: (p) => { if (p.way === 'direct') sent = p.loaded; },
      onComplete: (u) => tell({ upload: u }),
      onError: (e) => tell({ error: e.code, message: e.message }),
    }, options));
  }), [name, size, options]);
}

const hashOfUploaded = (size) => createHash('sha256').update(new Uint8Array(size).map((_, i) => i * 7)).digest('hex');

// Chooses the file in the demo page and returns its list item when the upload has ended.
async function choose(page, file) {
  await page.setInputFiles('#choose', file);
  const item = page.locator('#uploads li').first();
  await page.waitForFunction(() => /completed|failed/.test(document.querySelector('#uploads li')?.className));
  return { state: await item.getAttribute('class'), text: await item.innerText(), fact: (name) => item.locator(`dt:text-is("${name}") + dd`).textContent() };
}

async function checkStored(form, file) {
  assert.equal(await s3.hashOf(form.key), hashOf(file));
}

const WHY_NO_CORS = 'the store has no CORS rule for this page';

describe('with a real S3', { skip }, () => {
  before(async () => {
    s3 = await S3.start();
    server = await Server.start('[profiles.small]\nmax_size = "1MB"\n[profiles.hasty]\nexpires = "1s"\n[log]\nlevel = "debug"\n', s3.settings());
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    await s3?.stop();
  });

  // --- without a CORS rule ----------------------------------------------------------------------------

  test('no CORS rule: the page sends the file through Postern by itself and shows that', async () => {
    const { page, to, straight, throughPostern, close } = await open();
    const signed = page.waitForResponse((r) => r.url().endsWith('/v1/uploads')).then((r) => r.json());
    const file = makeFile(server.folder, 'no rule.bin', 12 * MB);
    const item = await choose(page, file);
    assert.equal(item.state, 'completed');
    assert.equal(await item.fact('Way'), 'through this server: ' + WHY_NO_CORS);
    assert.equal(await item.fact('Source'), 'fallback');
    await shot(page, 's3-no-cors');
    const form = await signed;
    await checkStored(form, file);
    assert.equal((await server.status(form.id)).state, 'completed');
    assert.deepEqual(to('OPTIONS', s3.endpoint).map((r) => r.status), [403]);
    assert.equal(throughPostern().length, 1);
    // The next file does not try the direct upload again.
    const tried = straight().length, next = await choose(page, makeFile(server.folder, 'no rule 2.bin', 1 * MB));
    assert.equal(await next.fact('Way'), `through this server: ${WHY_NO_CORS}, as was seen a moment ago`);
    assert.equal(straight().length, tried);
    await close();
  });

  test('no CORS rule: a large file is not sent to the store first', async () => {
    const { page, close } = await open();
    const { upload: done, ways, sent } = await upload(page, 'large.bin', 30 * MB);
    assert.equal(done?.state, 'completed');
    assert.deepEqual(ways, [['direct', 'tried first'], ['resumable', WHY_NO_CORS]]);
    assert.equal(sent, 0);
    const forced = await upload(page, 'forced.bin', 1000, { way: 'direct', retries: 0 });
    assert.deepEqual([forced.error, forced.ways], ['network', [['direct', 'asked for']]]);
    assert.equal(await s3.hashOf(forced.form.key), null);
    await close();
  });

  test('no CORS rule: an upload in a frame needs no rule', async () => {
    const { page, straight, throughPostern, close } = await open('?transport=iframe');
    const file = makeFile(server.folder, 'framed.bin', 3 * MB);
    const signed = page.waitForResponse((r) => r.url().endsWith('/v1/uploads')).then((r) => r.json());
    const item = await choose(page, file);
    assert.equal(item.state, 'completed');
    assert.equal(await item.fact('Way'), 'straight to the store');
    assert.equal(await item.fact('Source'), 'redirect');
    assert.deepEqual(straight().map((r) => r.status), [303]);
    assert.equal(throughPostern().length, 0);
    await checkStored(await signed, file);
    await close();
  });

  test('no CORS rule: the plain form with JavaScript off goes straight to the store and back', async () => {
    const { page, straight, throughPostern, close } = await open('', { javaScriptEnabled: false });
    await page.getByRole('link', { name: 'this plain form' }).click();
    const file = makeFile(server.folder, 'plain form.bin', 3 * MB);
    await page.setInputFiles('input[type=file]', file);
    await shot(page, 's3-plain-form');
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await page.getByRole('heading', { name: 'Upload complete' }).waitFor();
    assert.deepEqual(straight().map((r) => r.status), [303]);
    assert.equal(throughPostern().length, 0);
    assert.ok(page.url().startsWith(server.url + '/v1/complete/'));
    await shot(page, 's3-plain-form-complete');
    const key = await page.locator('.name').textContent();
    await checkStored({ key }, file);
    const told = await server.status(key.split('/')[1]);
    assert.deepEqual([told.state, told.completed_by], ['completed', 'redirect']);
    await close();
  });

  test('the plain form has a button for the fallback', async () => {
    const { page, straight, throughPostern, close } = await open('form?profile=default', { javaScriptEnabled: false });
    const file = makeFile(server.folder, 'other way.bin', 1 * MB);
    await page.setInputFiles('input[type=file]', file);
    await page.getByRole('button', { name: 'Send through this server' }).click();
    await page.getByRole('heading', { name: 'Upload complete' }).waitFor();
    assert.deepEqual([straight().length, throughPostern().length], [0, 1]);
    await checkStored({ key: await page.locator('.name').textContent() }, file);
    await close();
  });

  test('a store that never responds is given up for the fallback', async (t) => {
    const mute = net.createServer(() => {}); // accepts connections and never responds
    t.after(() => mute.close()); // a server that listens keeps Node from ending
    const port = await freePort();
    await new Promise((done) => mute.listen(port, '127.0.0.1', done));
    const { page, close } = await open();
    await page.route('**/v1/uploads', async (route) => {
      const answer = await route.fetch(), form = await answer.json();
      await route.fulfill({ response: answer, json: Object.assign(form, { url: `http://127.0.0.1:${port}/` }) });
    });
    const { upload: done, ways } = await upload(page, 'swallowed.bin', 1 * MB, { patience: 500 });
    assert.equal(done?.state, 'completed');
    assert.deepEqual(ways, [['direct', 'tried first'], ['fallback', 'the store cannot be reached from here']]);
    await close();
  });

  // --- with a CORS rule -------------------------------------------------------------------------------

  test('with the CORS rule the next page goes straight to the store', async () => {
    await putCors();
    const { page, to, straight, throughPostern, close } = await open();
    const signed = page.waitForResponse((r) => r.url().endsWith('/v1/uploads')).then((r) => r.json());
    const file = makeFile(server.folder, 'direct.bin', 12 * MB);
    const item = await choose(page, file);
    assert.equal(item.state, 'completed', item.text);
    assert.equal(await item.fact('Way'), 'straight to the store');
    assert.equal(await item.fact('Source'), 'redirect');
    await shot(page, 's3-direct');
    const form = await signed;
    await checkStored(form, file);
    assert.deepEqual(straight().map((r) => [r.url, r.status]), [[form.url, 303]]);
    assert.equal(throughPostern().length, 0);
    // Chromium also sends a preflight before it follows the redirect, with Origin: null.
    for (const [method, status] of [['OPTIONS', 204], ['GET', 200]]) assert.deepEqual(to(method, form.complete_url + '?bucket=').map((r) => r.status), [status]);
    const told = await server.status(form.id);
    assert.deepEqual([told.state, told.size, told.completed_by], ['completed', 12 * MB, 'redirect']);
    const head = await s3.request('HEAD', form.key);
    assert.equal(head.headers.get('etag'), `"${told.etag}"`);
    await close();
  });

  const KEYS = ['spaces  in it.bin', 'plus+plus.bin', '100%25 %.bin', '"double" \'single\'.bin', 'a&b&amp;c.bin', 'a=b;c=d.bin', 'what?.bin', '#1.bin', '😀 ä ∑.bin', "(all) *!~ of[it]{} ^`|$,:@<>.bin"];
  for (const way of ['direct', 'fallback']) {
    test(`keys of every kind are stored unchanged by the ${way} upload`, async () => {
      const { page, close } = await open();
      for (const name of KEYS) {
        const { upload: done, error, message, form, ways } = await upload(page, name, 10_000, { way });
        assert.equal(done?.state, 'completed', `${name}: ${error} ${message}`);
        assert.deepEqual(ways, [[way, 'asked for']]);
        assert.ok(form.key.endsWith('/' + name), form.key);
        assert.equal(done.key, form.key);
        const told = await server.status(form.id);
        assert.equal(told.completed_by, way === 'direct' ? 'redirect' : 'fallback');
        assert.equal(await s3.hashOf(form.key), hashOfUploaded(10_000), name);
      }
      await close();
    });
  }

  for (const way of ['direct', 'fallback']) {
    test(`file names of every kind are stored unchanged from a frame by the ${way} upload`, async () => {
      const { page, close } = await open(`?transport=iframe&way=${way}`);
      for (const name of KEYS.filter((n) => !n.includes(';'))) { // RGW takes what follows the ; in a file's name for another parameter
        const file = makeFile(server.folder, name, 10_000);
        const item = await choose(page, file);
        assert.equal(item.state, 'completed', `${name}: ${item.text}`);
        const id = await item.fact('Upload');
        await checkStored({ key: `uploads/${id}/${name}` }, file);
      }
      await close();
    });
  }

  // --- a lost response --------------------------------------------------------------------------------

  test('a file that is already stored is not sent again', async () => {
    await putCors();
    const { page, straight, throughPostern, close } = await open();
    const first = await upload(page, 'first.bin', 1 * MB);
    assert.deepEqual(first.ways, [['direct', 'tried first']]);
    // The browser has cached the preflight, so it sends the file. The store accepts the file, but the page may not read the response.
    await s3.removeCors();
    const lost = await upload(page, 'lost.bin', 8 * MB);
    assert.equal(lost.upload?.state, 'completed', lost.message);
    assert.deepEqual(lost.ways, [['direct', 'tried first']]);
    // lost.sent is not checked: Chromium reports progress every 100 ms, and not at all when the store answers sooner.
    assert.equal(straight().length, 2);
    assert.equal(throughPostern().length, 0);
    const told = await server.status(lost.form.id);
    assert.deepEqual([told.state, told.size, told.completed_by], ['completed', 8 * MB, 'redirect']);
    assert.equal(await s3.hashOf(lost.form.key), hashOfUploaded(8 * MB));
    await close();
  });

  test('while the status of a file is unknown, the file is not sent again', async () => {
    await putCors();
    const { page, straight, throughPostern, close } = await open();
    await upload(page, 'first.bin', 1000);
    await s3.removeCors();
    let asked = 0;
    await page.route('**/v1/complete/**', (route) => (++asked < 3 ? route.abort() : route.continue()));
    const lost = await upload(page, 'lost.bin', 2 * MB);
    assert.equal(lost.upload?.state, 'completed', lost.message);
    assert.deepEqual([asked, straight().length, throughPostern().length], [3, 2, 0]);
    await close();
  });

  // --- refusals ---------------------------------------------------------------------------------------

  async function refused(name, { query = '', ask = (text) => text, change = () => {}, late = false, size = 2000, text, shots }) {
    await putCors();
    const { page, straight, throughPostern, close } = await open(query);
    const forms = [];
    await page.route('**/v1/uploads', async (route) => {
      const answer = await route.fetch({ postData: JSON.stringify(ask(JSON.parse(route.request().postData()))) }), form = await answer.json();
      forms.push(structuredClone(form));
      change(form);
      if (late) await until(() => Date.now() > Date.parse(form.expires_at) + 1500, () => 'the form has not expired');
      await route.fulfill({ response: answer, json: form });
    });
    const item = await choose(page, makeFile(server.folder, name, size));
    assert.equal(item.state, 'failed');
    assert.match(item.text, text);
    await shot(page, shots);
    assert.ok(straight().length > 0);
    for (const r of straight()) assert.ok(r.status === 400 || r.status === 403, `answered ${r.status}`);
    for (const form of forms) {
      assert.equal((await server.status(form.id)).state === 'completed', false);
      assert.equal(await s3.hashOf(form.key), null);
    }
    const through = throughPostern().length;
    await close();
    return { forms, through };
  }

  test('an expired form is signed once more, then the upload fails', async () => {
    const { forms, through } = await refused('late.bin', { query: '?profile=hasty', late: true, text: /expired/i, shots: 's3-expired' });
    assert.deepEqual([forms.length, through], [2, 0]); // signed again, and expired again
  });
  test('a file that is too large is rejected', async () => {
    const { through } = await refused('too large.bin', { query: '?profile=small', size: 3 * MB, ask: ({ size, ...rest }) => rest, text: /larger than is allowed/, shots: 's3-too-large' });
    assert.equal(through, 0);
  });
  test('a changed key is rejected', async () => {
    const { through } = await refused('changed.bin', { change: (form) => { form.fields.key = 'elsewhere/x'; }, text: /not as it was signed|policy/i, shots: 's3-changed' });
    assert.equal(through, 0);
    assert.equal(await s3.hashOf('elsewhere/x'), null);
  });
  test('a file that is too large, in a frame: the fallback reports the reason', async () => {
    const { through } = await refused('too large.bin', { query: '?profile=small&transport=iframe', size: 3 * MB, ask: ({ size, ...rest }) => rest, text: /at most 1000000 bytes/, shots: 's3-frame-too-large' });
    assert.equal(through, 1);
  });
  test('a changed key is rejected, in a frame by the direct upload alone', async () => {
    const { through } = await refused('changed.bin', { query: '?way=direct&transport=iframe', change: (form) => { form.fields.key = 'elsewhere/x'; }, text: /refused\. The reason cannot be read/, shots: 's3-frame-changed' });
    assert.equal(through, 0);
  });
});
