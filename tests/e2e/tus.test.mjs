// tus clients that exist: tus-js-client in Node and in the three browsers, and Uppy's tus plugin. Their only setting is the URL. What they
// sent is compared by hash with what the store has. The recipes of src/client/README.md run as they are printed, with this server's URL.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { PassThrough } from 'node:stream';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as tus from 'tus-js-client';
import { browsers } from './browsers.mjs';
import { CuttingProxy } from './cutting_proxy.mjs';
import { S3, isInstalled } from './s3.mjs';
import { Server, freePort, hashOf, makeFile, test, until } from './support.mjs';

const MIB = 1 << 20;

// Settles when the upload has succeeded or failed.
function send(source, options) {
  return new Promise((done, fail) => {
    const upload = new tus.Upload(source, { retryDelays: [0, 50, 100, 200, 500, 1000, 2000], ...options, onSuccess: () => done(upload), onError: fail });
    upload.start();
  });
}

async function bundle() {
  const contents = "import * as tus from 'tus-js-client'; import Uppy from '@uppy/core'; import Tus from '@uppy/tus'; Object.assign(window, { tus, Uppy, Tus });";
  const { outputFiles } = await build({ stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) }, bundle: true, write: false, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' } });
  return outputFiles[0].text;
}

const readme = fs.readFileSync(new URL('../../src/client/README.md', import.meta.url), 'utf8');
const recipes = [...readme.split(/^### /m).find((part) => part.startsWith('tus\n')).matchAll(/^```js\n([^]*?)^```$/gm)].map(([, text]) => text);

// The application's own endpoint: it passes the body on to Postern.
async function sign(request, answer, postern) {
  let body = '';
  for await (const piece of request) body += piece;
  const signed = await fetch(`${postern}/v1/uploads`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  answer.writeHead(signed.status, { 'Content-Type': 'application/json' }).end(await signed.text());
}

// The stores that every test below runs with.
const stores = [
  { name: 'the file store', start: async () => ({ settings: () => ({}), hash: async (server, key) => hashOf(`${server.folder}/var/objects/local/${key}`), stop: async () => {} }) },
  { name: 'a real S3', skip: isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it', async start() {
    const s3 = await S3.start();
    return { settings: () => s3.settings(), hash: (_, key) => s3.hashOf(key), stop: () => s3.stop() };
  } },
];

for (const kind of stores) {
  describe(`tus with ${kind.name}`, { skip: kind.skip }, () => {
    let store, server, app, script;
    const proxy = new CuttingProxy();

    before(async () => {
      const port = await freePort();
      [store, script] = await Promise.all([kind.start(), bundle(), proxy.start()]);
      app = http.createServer((request, answer) => {
        if (request.url === '/sign') return sign(request, answer, server.url);
        const isScript = request.url === '/clients.js';
        answer.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
        return answer.end(isScript ? script : '<!doctype html><title>app</title><link rel="icon" href="data:,"><input type="file" id="f" multiple><script src="/clients.js"></script>');
      });
      await new Promise((done) => { app.listen(port, '127.0.0.1', done); });
      app.url = `http://127.0.0.1:${port}`;
      server = await Server.start(`allowed_origins = ["${app.url}"]\n[limits]\nsign_rate = 0\nstatus_rate = 0\n`, { ...store.settings(), SERVER__PUBLIC_URL: proxy.url });
      proxy.target = Number(new URL(server.url).port);
    });
    after(async () => {
      app?.closeAllConnections();
      app?.close();
      proxy.stop();
      await server?.stop();
      await store?.stop();
    });

    // The row whose metadata names the file.
    async function stored(id, file) {
      const row = await until(async () => { const u = await server.status(id); return u.state === 'completed' && u; }, () => `upload ${id} is completed`);
      assert.equal(row.size, fs.statSync(file).size);
      assert.equal(row.way, 'resumable');
      const { key } = JSON.parse(await server.run('uploads', id, '--json'));
      assert.equal(await store.hash(server, key), hashOf(file));
    }

    test('tus-js-client in Node, cut off at 20 random moments', async () => {
      const size = 60 * MIB, file = makeFile(server.folder, `cut ${kind.name}.bin`, size);
      let id;
      proxy.cuts = 0;
      proxy.cutAfter = () => (proxy.cuts < 20 ? 1000 + Math.random() * 2.9 * MIB : Infinity);
      await send(fs.createReadStream(file), {
        endpoint: `${proxy.url}/v1/files`, uploadSize: size, metadata: { filename: 'cut.bin', filetype: 'application/x-thing' }, chunkSize: 16 * MIB,
        onAfterResponse: (_, answer) => { id = answer.getHeader('Postern-Id') ?? id; },
      });
      assert.equal(proxy.cuts, 20);
      proxy.cutAfter = undefined;
      await stored(id, file);
    }, 120);

    test('tus-js-client in Node: a length that is known at the end, and PATCH through POST', async () => {
      const file = makeFile(server.folder, `late ${kind.name}.bin`, 9 * MIB + 1);
      for (const options of [{ uploadLengthDeferred: true, chunkSize: 4 * MIB }, { overridePatchMethod: true }, { chunkSize: 1_000_003 }]) {
        let id;
        const source = fs.createReadStream(file); // with the length of a file the client would not defer it
        await send(options.uploadLengthDeferred ? source.pipe(new PassThrough()) : source, {
          endpoint: `${proxy.url}/v1/files`, metadata: { filename: 'late.bin' }, ...options,
          onAfterResponse: (_, answer) => { id = answer.getHeader('Postern-Id') ?? id; },
        });
        await stored(id, file);
      }
    });

    test('tus-js-client in Node: terminated, and gone', async () => {
      const file = makeFile(server.folder, `gone ${kind.name}.bin`, 9 * MIB);
      const upload = new tus.Upload(fs.createReadStream(file), { endpoint: `${proxy.url}/v1/files`, uploadSize: 9 * MIB, chunkSize: 5 * MIB, metadata: { filename: 'gone.bin' } });
      await new Promise((done, fail) => {
        Object.assign(upload.options, { onError: fail, onChunkComplete: done });
        upload.start();
      });
      await upload.abort(true);
      assert.equal((await fetch(upload.url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } })).status, 404);
    });

    test('the recipes as they are printed', async () => {
      const browser = await browsers[0].start();
      try {
        const page = await browser.open(app.url), file = makeFile(server.folder, `recipe ${kind.name}.bin`, 6 * MIB);
        await page.setFiles('#f', file);
        await stored(await page.evaluate(async (text) => {
          const upload = new Function('tus', `${text}; return uploadWithTus;`)(window.tus);
          return upload(document.getElementById('f').files[0]);
        }, recipes[0]), file);
        const id = await page.evaluate((text) => new Promise((done, fail) => {
          const uppy = new Function('Uppy', `${text}; return uppy;`)({ Uppy: window.Uppy, Tus: window.Tus }), { files: [chosen] } = document.getElementById('f');
          uppy.on('error', fail);
          uppy.on('upload-success', (_, answer) => fetch(answer.uploadURL, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } }).then((head) => done(head.headers.get('Postern-Id'))));
          uppy.addFile({ name: chosen.name, type: chosen.type, data: chosen });
        }), recipes[1].replace('https://uploads.example.com', proxy.url));
        await stored(id, file);
        await page.close();
      } finally {
        await browser.stop();
      }
    });

    for (const browser of browsers) {
      test(`tus-js-client and Uppy's tus plugin in ${browser.name}`, async (t) => {
        if (browser.missing) return t.skip(browser.missing);
        const running = await browser.start();
        try {
          const page = await running.open(app.url), file = makeFile(server.folder, `${browser.name} ${kind.name}.bin`, 6 * MIB);
          for (const how of ['whole', 'chunks', 'deferred', 'override', 'uppy']) {
            await page.setFiles('#f', file);
            proxy.cuts = 0;
            proxy.cutAfter = how === 'chunks' ? () => (proxy.cuts < 2 ? 3 * MIB : Infinity) : undefined;
            const id = await page.evaluate(({ endpoint, how }) => new Promise((done, fail) => {
              const file = document.getElementById('f').files[0];
              let seen;
              const see = (_, answer) => { seen = answer.getHeader('Postern-Id') || seen; };
              if (how === 'uppy') {
                const uppy = new window.Uppy();
                uppy.use(window.Tus, { endpoint, onAfterResponse: see, retryDelays: [0, 100, 1000] });
                uppy.on('error', (why) => fail(new Error(String(why))));
                uppy.on('complete', (result) => (result.failed.length ? fail(new Error('failed')) : done(seen)));
                uppy.addFile({ name: file.name, type: file.type, data: file });
                uppy.upload();
                return;
              }
              const ways = { whole: {}, chunks: { chunkSize: 5 << 20 }, deferred: { uploadLengthDeferred: true, chunkSize: 4 << 20 }, override: { overridePatchMethod: true } };
              new window.tus.Upload(file, { endpoint, metadata: { filename: file.name, filetype: file.type }, retryDelays: [0, 100, 500, 1000], onAfterResponse: see, onError: fail, onSuccess: () => done(seen), ...ways[how] }).start();
            }), { endpoint: `${proxy.url}/v1/files`, how });
            await stored(id, file);
          }
          await page.close();
        } finally {
          await running.stop();
        }
        return undefined;
      }, 180);
    }
  });
}
