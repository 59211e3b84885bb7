// What must work in each browser: Chromium, Firefox and WebKit. Each test runs in all of them. The page drives postern.js;
// the tests look at what the page saw, what Postern recorded, and what reached the store.
// The short form leaves out the large files and some of the names. POSTERN_FULL=1 has them all.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe } from 'node:test';
import { browsers } from './browsers.mjs';
import { S3, isInstalled } from './s3.mjs';
import { Server, freePort, hashOf, makeFile, test } from './support.mjs';
import { Witness } from './witness.mjs';

const FULL = !['', '0'].includes(process.env.POSTERN_FULL ?? '');
const MB = 1_000_000;

// An application on another origin than Postern's, one for each browser. The path of its page says which browser it plays:
// /without-FormData removes that feature before postern.js is loaded, /latin-1 is not in UTF-8. /sign is its endpoint; `alter`
// may change the form.
class App {
  async start(port) {
    this.url = `http://127.0.0.1:${port}`;
    this.http = http.createServer((request, answer) => this.answer(request, answer));
    await new Promise((done) => { this.http.listen(port, '127.0.0.1', done); });
  }

  reset() { Object.assign(this, { alter: () => {}, busy: 0, signed: 0 }); }

  async answer(request, answer) {
    if (request.url !== '/sign') {
      const remove = request.url === '/without-FormData' ? '<script>delete window.FormData</script>' : '';
      answer.setHeader('Content-Type', `text/html; charset=${request.url === '/latin-1' ? 'iso-8859-1' : 'utf-8'}`);
      answer.end(`<!doctype html><title>app</title><input type="file" id="f">${remove}<script src="${this.postern}/postern.js"></script>`);
      return;
    }
    let ask = '';
    for await (const piece of request) ask += piece;
    this.signed += 1;
    if (this.busy-- > 0) {
      answer.writeHead(503, { 'Retry-After': '0' }).end('{}');
      return;
    }
    const signing = await fetch(this.postern + '/v1/uploads', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: ask });
    const form = await signing.json();
    this.alter(form);
    answer.writeHead(signing.status, { 'Content-Type': 'application/json' }).end(JSON.stringify(form));
  }
}

// Uploads the file of the page's input with postern.js and returns what its callbacks were told within `seconds`. Checks that
// a frame is used exactly when one is asked for or needed.
async function upload(page, file, options = {}) {
  await page.setFiles('#f', file);
  const seen = await page.evaluate((given) => new Promise((done) => {
    const input = document.getElementById('f'), needsFrame = given.transport === 'iframe' || !window.FormData;
    const result = { ways: [], progress: [], needsFrame, usesFrame: false }, tell = (end) => done(Object.assign(result, end));
    new MutationObserver(() => { result.usesFrame ||= document.getElementsByTagName('iframe').length > 0; }).observe(document.body, { childList: true, subtree: true });
    Postern.upload(needsFrame ? input : input.files[0], Object.assign({
      endpoint: '/sign',
      onSigned: (form) => { result.form = form; },
      onWay: (way, reason) => result.ways.push([way, reason]),
      onProgress: (p) => result.progress.push(p),
      onComplete: (u) => tell({ upload: u }),
      onError: (e) => tell({ error: e.code, message: e.message }),
    }, given));
    setTimeout(() => tell({ error: 'test', message: `nothing after ${given.seconds} s` }), given.seconds * 1000);
  }), { seconds: 40, ...options });
  assert.equal(seen.usesFrame, seen.needsFrame);
  return seen;
}

function checkProgress({ progress }, size) {
  assert.ok(progress.length > 0, 'no progress was reported');
  const wrong = progress.findIndex((p, i) => p.total !== size || p.loaded > size || (i > 0 && p.loaded < progress[i - 1].loaded)); // WebKit reports each few kilobytes
  assert.equal(wrong, -1, `${JSON.stringify(progress.slice(Math.max(0, wrong - 1), wrong + 1))} of ${size} bytes`);
  assert.equal(progress.at(-1).loaded, size);
}

const namesOf = (ways) => ways.map(([way]) => way);

for (const b of browsers) b.app = new App();

// Runs the cases that `define` adds with `add(title, body(page), options)`: those of one browser one after the other, the
// browsers beside each other. A case that is known to fail has the reason in its option `todo`.
function inEachBrowser(what, define) {
  for (const browser of browsers) {
    describe(`every_browser: ${browser.name}, ${what}`, { concurrency: 1, skip: browser.missing }, () => define((title, body, { seconds = 60, todo = false, start = '/' } = {}) => {
      test(`${browser.name}: ${title}`, async () => {
        browser.app.reset();
        const page = await browser.running.open(browser.app.url + start);
        try {
          await body(page);
        } finally {
          await page.close();
        }
      }, seconds, { todo });
    }, browser));
  }
}

const noS3 = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
let startingS3; // while the first tests run
const BESIDE = { concurrency: browsers.length };

before(async () => {
  if (!noS3) (startingS3 = S3.start()).catch(() => {}); // the tests that need it report the error
  await Promise.all(browsers.map(async (b) => {
    await b.app.start(await freePort());
    if (!b.missing) b.running = await b.start();
  }));
});
after(() => Promise.all(browsers.map(async (b) => {
  await b.running?.stop();
  b.app?.http.close();
})));

// Starts a Postern that the pages of all applications may use.
async function startServer(settings) {
  const origins = browsers.map((b) => b.app.url), server = await Server.start(`allowed_origins = ${JSON.stringify(origins)}\n[profiles.small]\nmax_size = "1MB"\n`, settings);
  for (const b of browsers) b.app.postern = server.url;
  return server;
}

// --- only the fallback ----------------------------------------------------------------------------------

describe('with a folder as the store', BESIDE, () => {
  let server;
  const stored = (name) => server.objects().find((o) => o.endsWith('/' + name));
  before(async () => { server = await startServer(); });
  after(() => server?.stop());

  inEachBrowser('with a folder as the store', (add, { name: browser, app }) => {
    const useStore = (port) => {
      app.alter = (form) => Object.assign(form, { url: `http://127.0.0.1:${port}/`, ways: [{ way: 'form' }, { way: 'fallback' }] }); // as a server with S3
    };

    for (const transport of ['xhr', 'iframe']) {
      add(`a page of another origin uploads by ${transport}`, async (page) => {
        const name = `${browser} ${transport}.bin`, file = makeFile(server.folder, name, 3 * MB);
        const seen = await upload(page, file, { transport });
        assert.equal(seen.upload?.state, 'completed', seen.message);
        assert.deepEqual(namesOf(seen.ways), ['fallback']);
        if (transport === 'xhr') checkProgress(seen, 3 * MB);
        const told = await server.status(seen.form.id);
        assert.deepEqual([told.state, told.size, told.completed_by], ['completed', 3 * MB, 'fallback']);
        assert.equal(hashOf(stored(name)), hashOf(file));
        // What the client added to the page is gone.
        assert.deepEqual(await page.evaluate(() => [document.querySelectorAll('iframe').length, document.querySelectorAll('#f').length]), [0, 1]);
      });
    }

    add('the client uses a hidden frame when FormData is missing', async (page) => {
      assert.equal(await page.evaluate(() => typeof FormData), 'undefined');
      const name = `${browser} framed.bin`, file = makeFile(server.folder, name, 1 * MB);
      const seen = await upload(page, file);
      assert.equal(seen.upload?.state, 'completed', seen.message);
      assert.deepEqual(namesOf(seen.ways), ['fallback']);
      assert.equal(hashOf(stored(name)), hashOf(file));
    }, { start: '/without-FormData' });

    add('from a frame of a page that is not in UTF-8, a file name is stored unchanged', async (page) => {
      assert.equal(await page.evaluate(() => document.characterSet), 'windows-1252');
      const name = `${browser} 😀 ä ∑.bin`, file = makeFile(server.folder, name, 1000);
      const seen = await upload(page, file, { transport: 'iframe', patience: 2000, seconds: 12 });
      assert.equal(seen.upload?.state, 'completed', seen.message);
      assert.equal(hashOf(stored(name)), hashOf(file));
    }, { start: '/latin-1' });

    add('a busy server is retried', async (page) => {
      app.busy = 2;
      const seen = await upload(page, makeFile(server.folder, `${browser} busy.bin`, 1000));
      assert.equal(seen.upload?.state, 'completed', seen.message);
      assert.equal(app.signed, 3);
    });

    add('a dead store: the client uses the fallback, and the next file goes there at once', async (page) => {
      useStore(await freePort());
      const name = `${browser} dead.bin`, file = makeFile(server.folder, name, 1 * MB);
      const first = await upload(page, file);
      assert.equal(first.upload?.state, 'completed', first.message);
      assert.deepEqual(first.ways, [['direct', 'tried first'], ['fallback', 'the store cannot be reached from here']]);
      assert.equal(hashOf(stored(name)), hashOf(file));
      const second = await upload(page, file);
      assert.deepEqual(namesOf(second.ways), ['fallback']);
      const forced = await upload(page, file, { way: 'direct', retries: 0 });
      assert.deepEqual([forced.error, namesOf(forced.ways)], ['network', ['direct']]);
    });

    add('a store that never answers is given up for the fallback', async (page) => {
      const mute = net.createServer((socket) => socket.on('error', () => {}));
      await new Promise((done) => { mute.listen(0, '127.0.0.1', done); });
      try {
        useStore(mute.address().port);
        const seen = await upload(page, makeFile(server.folder, `${browser} mute.bin`, 1 * MB), { patience: 500 });
        assert.equal(seen.upload?.state, 'completed', seen.message);
        assert.deepEqual(namesOf(seen.ways), ['direct', 'fallback']);
      } finally {
        mute.close();
      }
    });

    add('a dead store, from a frame: the client uses the fallback', async (page) => {
      useStore(await freePort());
      const name = `${browser} dead frame.bin`, file = makeFile(server.folder, name, 1 * MB);
      const seen = await upload(page, file, { transport: 'iframe', patience: 2000, seconds: 12 });
      assert.equal(seen.upload?.state, 'completed', seen.message);
      assert.deepEqual(namesOf(seen.ways), ['direct', 'fallback']);
      assert.equal((await server.status(seen.form.id)).completed_by, 'fallback');
      assert.equal(hashOf(stored(name)), hashOf(file));
    }, { seconds: 60 });

    add('postern.js can be imported as a module', async (page) => {
      await page.goto(server.url);
      assert.equal(await page.evaluate(async () => {
        const module = await import('/postern.mjs');
        return (await module.upload(new File(['x'], 'm.txt')).promise).state;
      }), 'completed');
    });

    add('the demo page uploads several files', async (page) => {
      await page.goto(server.url);
      const names = [1, 2, 3].map((n) => `${browser} several ${n}.bin`), files = names.map((name, i) => makeFile(server.folder, name, (i + 1) * 300_000));
      await page.setFiles('#choose', files);
      await page.waitFor(() => document.querySelectorAll('li.completed').length === 3);
      for (const [i, name] of names.entries()) assert.equal(hashOf(stored(name)), hashOf(files[i]));
      const shown = await page.evaluate(() => [...document.querySelectorAll('li.completed')].map((item) => Object.fromEntries([...item.querySelectorAll('dt')].map((dt) => [dt.textContent, dt.nextSibling.textContent]))));
      for (const facts of shown) {
        const told = await server.status(facts.Upload);
        assert.deepEqual([told.state, facts.Size, facts.ETag, facts.Source], ['completed', `${told.size} bytes`, told.etag, told.completed_by]);
        assert.match(facts.Way, /^through this server/);
      }
      await page.shot(`${browser}-demo`);
    });

    add('the demo page shows why a file is refused', async (page) => {
      await page.goto(server.url + '/?profile=small');
      await page.setFiles('#choose', makeFile(server.folder, `${browser} too large.bin`, 1 * MB + 1));
      await page.waitFor(() => /at most 1000000 bytes/.test(document.querySelector('li.failed')?.textContent));
      assert.equal(stored(`${browser} too large.bin`), undefined);
    });

    if (FULL) {
      add('a file of 200 MB, with progress', async (page) => {
        const name = `${browser} large.bin`, file = makeFile(server.folder, name, 200 * MB);
        const seen = await upload(page, file, { seconds: 170 });
        assert.equal(seen.upload?.state, 'completed', seen.message);
        checkProgress(seen, 200 * MB);
        assert.ok(seen.progress.length >= 4, `progress was reported ${seen.progress.length} times`);
        assert.equal(hashOf(stored(name)), hashOf(file));
      }, { seconds: 180 });
    }
  });
});

// --- a real S3 --------------------------------------------------------------------------------------------

describe('with a real S3', { skip: noS3 }, () => {
  let s3, store, server;
  before(async () => {
    s3 = await startingS3;
    store = await Witness.start(s3.endpoint);
    server = await startServer({ ...s3.settings(), store__endpoint: store.endpoint });
  });
  after(async () => {
    await server?.stop();
    await store?.stop();
    await s3?.stop();
  });

  // Checks what is recorded and stored, and the ways that the client used.
  async function check(seen, file, source, ways) {
    assert.equal(seen.upload?.state, 'completed', `${seen.form?.key}: ${seen.error}: ${seen.message}`);
    const told = await server.status(seen.form.id);
    assert.deepEqual([told.state, told.completed_by], ['completed', source]);
    assert.equal(await s3.hashOf(seen.form.key), hashOf(file));
    assert.deepEqual(namesOf(seen.ways), ways);
  }

  const statuses = (requests) => requests.map((r) => r.status);

  describe('without a CORS rule', BESIDE, () => inEachBrowser('with a real S3 without a CORS rule', (add, { name: browser, agent, app }) => {
    add('the client sends the file through Postern, and no byte of it goes to the store', async (page) => {
      const file = makeFile(server.folder, `${browser} no rule.bin`, 6 * MB), sent = store.watch(agent);
      const first = await upload(page, file);
      await check(first, file, 'fallback', ['direct', 'resumable']);
      assert.equal(first.ways[1][1], 'the store has no CORS rule for this page');
      await check(await upload(page, file), file, 'fallback', ['resumable']);
      assert.deepEqual(sent.preflights().map((r) => [r.status, r.origin]), [[403, app.url]]);
      assert.deepEqual(sent.forms(), []);
    });

    add('an upload in a frame needs no rule', async (page) => {
      const file = makeFile(server.folder, `${browser} framed.bin`, 3 * MB), sent = store.watch(agent);
      await check(await upload(page, file, { transport: 'iframe' }), file, 'redirect', ['direct']);
      assert.deepEqual([statuses(sent.forms()), sent.preflights()], [[303], []]);
    });

    add('the plain form goes straight to the store and back', async (page) => {
      await page.goto(server.url + '/form?profile=default');
      const file = makeFile(server.folder, `${browser} plain form.bin`, 1 * MB), sent = store.watch(agent);
      await page.setFiles('input[type=file]', file);
      await page.click('[type=submit]');
      await page.waitFor(() => /Upload complete/.test(document.body?.textContent));
      const key = await page.evaluate(() => document.querySelector('.name').textContent), told = await server.status(key.split('/')[1]);
      assert.deepEqual([told.state, told.completed_by, statuses(sent.forms())], ['completed', 'redirect', [303]]);
      assert.equal(await s3.hashOf(key), hashOf(file));
    });
  }));

  describe('with a CORS rule', BESIDE, () => {
    before(() => server.run('setup', 'cors', '--apply'));

    inEachBrowser('with a real S3 and a CORS rule', (add, { name: browser, agent, app }) => {
      add('a direct upload, with progress', async (page) => {
        const file = makeFile(server.folder, `${browser} direct.bin`, 6 * MB), sent = store.watch(agent);
        const seen = await upload(page, file);
        await check(seen, file, 'redirect', ['direct']);
        assert.deepEqual([statuses(sent.preflights()), statuses(sent.forms())], [[200], [303]]);
        checkProgress(seen, 6 * MB);
        assert.equal(seen.upload.etag, (await server.status(seen.form.id)).etag);
      });

      add('after a lost answer, a file that is already stored is not sent again', async (page) => {
        const file = makeFile(server.folder, `${browser} lost.bin`, 2 * MB), sent = store.watch(agent);
        store.losesFor.add(app.url);
        try {
          await check(await upload(page, file), file, 'redirect', ['direct']);
        } finally {
          store.losesFor.delete(app.url);
        }
        assert.deepEqual(statuses(sent.forms()), [303]);
      });

      add('a file that is too large, in a frame: the fallback reports the reason', async (page) => {
        await page.goto(server.url + '/?profile=small&transport=iframe');
        await page.evaluate(() => { // the form is signed without the size, so the store is the first to judge it
          const send = XMLHttpRequest.prototype.send;
          XMLHttpRequest.prototype.send = function (body) { return send.call(this, typeof body === 'string' ? body.replace(/,?"size":\d+/, '') : body); };
        });
        const sent = store.watch(agent);
        await page.setFiles('#choose', makeFile(server.folder, `${browser} too large.bin`, 3 * MB));
        await page.waitFor(() => /at most 1000000 bytes/.test(document.querySelector('li.failed')?.textContent));
        assert.deepEqual(statuses(sent.forms()), [400]);
      });

      const NAMES = ['spaces  in it.bin', 'plus+plus.bin', '100%25 %.bin', '"double" \'single\'.bin', 'a&b&amp;c.bin', 'what?.bin', '#1.bin', '😀 ä ∑.bin', '(all) *!~ of[it]{} ^`|$,:@<>.bin'];
      const names = FULL ? NAMES : [NAMES[3], NAMES[7], NAMES[8]];
      for (const transport of ['xhr', 'iframe']) {
        for (const way of FULL ? ['direct', 'fallback'] : ['direct']) {
          add(`file names of every kind are stored unchanged by ${transport}, ${way}`, async (page) => {
            for (const name of names) {
              const file = makeFile(server.folder, `${browser} ${name}`, 10_000), seen = await upload(page, file, { transport, way });
              await check(seen, file, way === 'direct' ? 'redirect' : 'fallback', [way]);
              assert.ok(seen.form.key.endsWith(`/${browser} ${name}`), seen.form.key);
              assert.equal(seen.upload.key, seen.form.key);
            }
          }, { seconds: 120 });
        }
      }

      if (FULL) {
        add('a direct upload of 200 MB, with progress', async (page) => {
          const file = makeFile(server.folder, `${browser} large.bin`, 200 * MB), sent = store.watch(agent);
          const seen = await upload(page, file, { seconds: 170 });
          await check(seen, file, 'redirect', ['direct']);
          assert.deepEqual(statuses(sent.forms()), [303]);
          checkProgress(seen, 200 * MB);
          assert.ok(seen.progress.length >= 4, `progress was reported ${seen.progress.length} times`);
        }, { seconds: 180 });
      }
    });
  });
});
