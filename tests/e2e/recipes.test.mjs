// The recipes for Uppy and Dropzone in src/client/README.md, with the real clients, on a page of another origin. Each block is run as it is
// printed: readers copy it, so it must not need a correction first.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { S3, isInstalled } from './s3.mjs';
import { Server, freePort, hashOf, launch, makeFile, test, until } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
const readme = fs.readFileSync(new URL('../../src/client/README.md', import.meta.url), 'utf8');
const MAX_SIZE = 7_000_000;
const SIZES = { '1 B': 1, '300 kB': 300_000, '6 MiB': 6 * 1024 * 1024 };

// The nth ```js block of a section.
function recipe(section, n) {
  const text = readme.split(/^##+ /m).find((part) => part.startsWith(section + '\n'));
  return [...text.matchAll(/^```js\n([^]*?)^```$/gm)][n][1];
}

// What an application has of its own around a recipe. The recipe for aws-s3 adds a plugin to an Uppy that exists already.
const newUppy = 'const uppy = new Uppy.Uppy({ autoProceed: true });';
const addChosen = `document.getElementById('f').onchange = (event) => {
  for (const file of event.target.files) uppy.addFile({ name: file.name, type: file.type, data: file });
};`;
const PAGES = {
  '/xhr-upload': ['<input type="file" id="f" multiple>', recipe('Uppy', 0), addChosen],
  '/aws-s3': ['<input type="file" id="f" multiple>', newUppy, recipe('Uppy', 1), addChosen],
  '/dropzone': ['<div id="drop"></div>', recipe('Dropzone', 0)],
};

let app, browser, server; // /sign asks this server

// What an application's own bundler would make of its imports.
async function bundle() {
  const contents = `import Uppy from '@uppy/core'; import XHRUpload from '@uppy/xhr-upload'; import AwsS3 from '@uppy/aws-s3';
    import Dropzone from 'dropzone'; Object.assign(window, { Uppy: { Uppy, XHRUpload, AwsS3 }, Dropzone });`;
  const { outputFiles } = await build({ stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) }, bundle: true, write: false, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' } });
  return outputFiles[0].text;
}

// The application's own endpoint. It passes the body on to Postern and answers with Postern's status and body. app.forms has the answer for each
// file name. While app.isBroken, it answers like a proxy that cannot reach the application.
async function sign(request, answer) {
  if (app.isBroken) return answer.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad Gateway</h1>');
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces).toString();
  const signed = await fetch(`${server.url}/v1/uploads`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const text = await signed.text();
  app.forms[JSON.parse(body).filename] = { status: signed.status, ...JSON.parse(text) };
  return answer.writeHead(signed.status, { 'Content-Type': signed.headers.get('Content-Type') }).end(text);
}

function htmlOf([elements, ...scripts]) {
  const inline = scripts.map((text) => `<script>${text}</script>`).join('\n');
  return `<!doctype html><title>app</title><link rel="icon" href="data:,">${elements}<script src="/clients.js"></script>\n${inline}`;
}

before(async () => {
  const port = await freePort(), script = await bundle();
  app = http.createServer((request, answer) => {
    if (request.url === '/sign') return sign(request, answer);
    const page = PAGES[request.url];
    answer.setHeader('Content-Type', page ? 'text/html; charset=utf-8' : 'text/javascript');
    return answer.end(page ? htmlOf(page) : script);
  });
  await new Promise((done) => { app.listen(port, '127.0.0.1', done); });
  app.url = `http://127.0.0.1:${port}`;
  app.forms = {};
  browser = await launch();
});
after(async () => {
  await browser?.close();
  app?.closeAllConnections();
  app?.close();
});

// The sweep itself does nothing during the test.
const start = (settings) => Server.start(`allowed_origins = ["${app.url}"]\n[sweep]\ninterval = "1h"\n[profiles.default]\nmax_size = "7MB"\n`, settings);

// Opens a page. `said` has the lines of its console, `errors` the exceptions that nobody caught.
async function open(path) {
  const page = await browser.newPage(), said = [], errors = [];
  page.on('console', (line) => said.push(line.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(app.url + path);
  return { page, said, errors, choose: (files) => page.setInputFiles(path === '/dropzone' ? '.dz-hidden-input' : '#f', files) };
}

const makeFiles = (client) => Object.entries(SIZES).map(([label, size]) => {
  const name = `${client} für Größe ${label}.bin`;
  return { name, size, path: makeFile(server.folder, name, size) };
});

// Waits until Postern has completed the upload of the file, and compares the bytes.
async function checkStored({ name, size, path }, hashOfStored) {
  const state = async () => (app.forms[name]?.id ? server.status(app.forms[name].id) : {});
  await until(async () => (await state()).state === 'completed', () => `${name} is not completed`, 40);
  assert.equal((await state()).size, size);
  assert.equal(await hashOfStored(app.forms[name].key), hashOf(path));
}

// Waits until the recipe itself prints that each file is completed, and checks what was stored.
async function checkReported({ said, errors }, files) {
  for (const file of files) {
    await until(() => said.includes(`completed ${app.forms[file.name]?.key}`), () => `${file.name} is not reported: ${said.join('\n')}`);
    await checkStored(file, (key) => hashOf(server.objects().find((o) => o.endsWith(key))));
  }
  assert.deepEqual(errors, []);
}

// Chooses a file that is too large, waits until `error()` returns what the client shows, and then sends another file. A refused file must not
// block the next one.
async function chooseRefused(opened, client, error, check) {
  const [name, next] = ['zu groß', 'nach dem zu großen'].map((what) => `${what} für ${client}.bin`);
  await opened.choose(makeFile(server.folder, name, MAX_SIZE + 1));
  const shown = await until(() => error(name), () => `no error is shown: ${opened.said.join('\n')}`, 40);
  const path = makeFile(server.folder, next, 1000);
  await opened.choose(path);
  await check({ name: next, size: 1000, path });
  return { shown, form: app.forms[name] };
}

// The error that Uppy shows for this file, when no upload is running any more. `uppy` is the recipe's own constant, so this is a text.
const uppyError = (page, name) => page.evaluate(`Object.keys(uppy.getState().currentUploads).length === 0 && uppy.getFiles().find((file) => file.name === ${JSON.stringify(name)})?.error`);

// The error that Dropzone shows in the preview of a file.
const dropzoneError = (page) => page.evaluate(() => document.querySelector('.dz-error.dz-complete [data-dz-errormessage]')?.textContent);

test('the README names the versions of the clients that are tested', () => {
  const { devDependencies } = JSON.parse(fs.readFileSync(new URL('package.json', import.meta.url)));
  const named = [...readme.matchAll(/(@uppy\/[a-z0-9-]+|dropzone|tus-js-client)\s+(\d+\.\d+[\d.]*\d)/g)];
  assert.deepEqual(new Set(named.map(([, name]) => name)), new Set(['@uppy/core', '@uppy/xhr-upload', '@uppy/aws-s3', '@uppy/tus', 'dropzone', 'tus-js-client']));
  for (const [, name, version] of named) assert.equal(version, devDependencies[name], name);
});

describe('recipes with a directory', () => {
  before(async () => { server = await start(); });
  after(async () => {
    await server?.stop();
    server = undefined;
  });

  test('Uppy with XHRUpload', async () => {
    const opened = await open('/xhr-upload'), files = makeFiles('XHRUpload');
    await opened.choose(files.map((file) => file.path));
    await checkReported(opened, files);
    await opened.page.close();
  });

  test('Uppy with XHRUpload shows that signing was refused, and sends the next file', async () => {
    const opened = await open('/xhr-upload');
    const { shown, form } = await chooseRefused(opened, 'XHRUpload', (name) => uppyError(opened.page, name), (next) => checkReported(opened, [next]));
    assert.equal(shown, 'signing was answered 413');
    assert.equal(form.status, 413);
    await opened.page.close();
  });

  test('Dropzone', async () => {
    const opened = await open('/dropzone'), files = makeFiles('Dropzone');
    await opened.choose(files.map((file) => file.path));
    await checkReported(opened, files);
    assert.equal(await opened.page.locator('.dz-success').count(), files.length);
    await opened.page.close();
  });

  test('Dropzone shows that signing was refused, and sends the next file', async () => {
    const opened = await open('/dropzone');
    const { shown, form } = await chooseRefused(opened, 'Dropzone', () => dropzoneError(opened.page), (next) => checkReported(opened, [next]));
    assert.equal(shown, form.detail);
    assert.equal(form.status, 413);
    await opened.page.close();
  });

  test('Uppy and Dropzone show that the endpoint is away', async () => {
    const uppy = await open('/xhr-upload'), dropzone = await open('/dropzone'), file = makeFile(server.folder, 'no endpoint.bin', 1000);
    app.isBroken = true;
    try {
      await uppy.choose(file);
      await dropzone.choose(file);
      assert.equal(await until(() => uppyError(uppy.page, 'no endpoint.bin'), () => 'Uppy shows no error'), 'signing was answered 502');
      assert.match(await until(() => dropzoneError(dropzone.page), () => 'Dropzone shows no error'), /JSON/);
    } finally {
      app.isBroken = false;
    }
    assert.deepEqual([...uppy.errors, ...dropzone.errors], []);
    await uppy.page.close();
    await dropzone.page.close();
  });
});

describe('recipes with a real S3', { skip }, () => {
  let s3;
  before(async () => {
    s3 = await S3.start();
    server = await start(s3.settings());
    await server.run('setup', 'cors', '--apply');
  });
  after(async () => {
    await server?.stop();
    await s3?.stop();
  });

  test('Uppy with aws-s3', async () => {
    const opened = await open('/aws-s3'), files = makeFiles('aws-s3'), straight = [];
    opened.page.on('request', (r) => { if (r.method() === 'POST' && r.url().startsWith(s3.endpoint)) straight.push(r.url()); });
    await opened.choose(files.map((file) => file.path));
    for (const file of files) await checkStored(file, (key) => s3.hashOf(key));
    assert.deepEqual(await opened.page.evaluate('uppy.getFiles().map((file) => [file.progress.uploadComplete, file.error])'), files.map(() => [true, undefined]));
    assert.equal(straight.length, files.length);
    assert.deepEqual(opened.errors, []);
    await opened.page.close();
  });

  test('Uppy with aws-s3 shows that S3 refused the file, and sends the next file', async () => {
    const opened = await open('/aws-s3');
    const { shown, form } = await chooseRefused(opened, 'aws-s3', (name) => uppyError(opened.page, name), (next) => checkStored(next, (key) => s3.hashOf(key)));
    assert.match(shown, /400.*EntityTooLarge/);
    assert.equal(form.status, 201); // the recipe cannot tell the size of the file to be signed, so only S3 can refuse it
    await opened.page.close();
  }, 120);
});
