// Uppy's aws-s3 plugin, version 6, posts a form of Postern to a real S3 that sends no events. Uppy never tells anybody that the
// upload is done, so the early probe must find the object: within 20 s after signing, if it arrived within 15 s.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { S3, isInstalled } from './s3.mjs';
import { Server, freePort, hashOf, launch, makeFile, test, until } from './support.mjs';

const skip = isInstalled() ? false : 'Ceph RGW is not installed; tests/run installs it';
let s3, server, browser, app;

// What an application's own bundler would make of its imports.
async function bundle() {
  const contents = "import Uppy from '@uppy/core'; import AwsS3 from '@uppy/aws-s3'; Object.assign(window, { Uppy, AwsS3 });";
  const { outputFiles } = await build({ stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) }, bundle: true, write: false, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' } });
  return outputFiles[0].text;
}

describe('Uppy with a real S3', { skip }, () => {
  before(async () => {
    const port = await freePort(), origin = `http://127.0.0.1:${port}`;
    const [script] = await Promise.all([
      bundle(),
      S3.start().then((started) => { s3 = started; }),
      launch().then((launched) => { browser = launched; }),
    ]);
    app = http.createServer((request, answer) => {
      const isScript = request.url === '/uppy.js';
      answer.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
      answer.end(isScript ? script : '<!doctype html><title>app</title><input type="file" id="f" multiple><script src="/uppy.js"></script>');
    });
    await new Promise((done) => { app.listen(port, '127.0.0.1', done); });
    app.url = origin;
    // The sweep itself does nothing during the test.
    server = await Server.start(`allowed_origins = ["${origin}"]\n[sweep]\ninterval = "1h"\n`, s3.settings());
    await server.run('setup', 'cors', '--apply');
  });
  after(async () => {
    await browser?.close();
    app?.close();
    await server?.stop();
    await s3?.stop();
  });

  test('a form that Uppy posted is completed by the probe within 20 s after signing', async () => {
    const page = await browser.newPage(), requests = [];
    page.on('request', (r) => requests.push(`${r.method()} ${r.url()}`));
    await page.goto(app.url);
    // One file arrives at once, between signing and the first probe; the other one after the first probe, before 15 s.
    const pauses = { 'at once.bin': 0, 'nach 11 s ä.bin': 11_000 };
    const files = Object.keys(pauses).map((name) => makeFile(server.folder, name, 2_000_000));
    await page.setInputFiles('#f', files);
    const uploaded = page.evaluate(async ([postern, pauses]) => {
      const forms = {}, uppy = new window.Uppy();
      uppy.use(window.AwsS3, {
        shouldUseMultipart: false,
        generateObjectKey: (file) => file.name, // signRequest is told the key and the type, and nothing else of the file
        async signRequest({ key, contentType }) {
          const begun = Date.now();
          const answer = await fetch(`${postern}/v1/uploads`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ filename: key, content_type: contentType, success_action_status: 201 }) });
          const { id, url, fields } = await answer.json();
          forms[key] = { id, fields, begun };
          await new Promise((done) => { setTimeout(done, pauses[key]); });
          return { url, fields };
        },
      });
      const location = {};
      uppy.on('upload-success', (file, response) => {
        location[file.name] = response.uploadURL;
        forms[file.name].arrived = Date.now();
      });
      for (const file of document.getElementById('f').files) uppy.addFile({ name: file.name, type: file.type, data: file });
      const { failed } = await uppy.upload();
      return { forms, location, failed: failed.map((file) => file.error) };
    }, [server.url, pauses]);

    const { forms, location, failed } = await uploaded;
    assert.deepEqual(failed, []);
    for (const [i, [name, pause]] of Object.entries(pauses).entries()) {
      const { id, fields, begun, arrived } = forms[name];
      assert.equal(fields.success_action_status, '201');
      assert.ok(arrived - begun >= pause && arrived - begun < 15_000, `${name} arrived ${arrived - begun} ms after signing: this machine is too slow for the test`);
      await until(async () => (await server.status(id)).state === 'completed', () => `${name} is not completed`, 21);
      const told = await server.status(id), took = Date.parse(told.completed_at) - begun;
      assert.ok(took < 20_000, `${name} was completed ${took} ms after signing`);
      console.error(`${name}: arrived ${arrived - begun} ms and completed ${took} ms after signing`);
      assert.deepEqual([told.size, told.completed_by], [2_000_000, 'probe']);
      assert.equal(decodeURIComponent(new URL(location[name]).pathname), `/${s3.bucket}/${fields.key}`);
      assert.equal(await s3.hashOf(fields.key), hashOf(files[i]));
    }
    assert.equal(requests.filter((r) => r.includes('/v1/complete/')).length, 0);
    assert.equal(requests.filter((r) => r === `POST ${s3.endpoint}/${s3.bucket}` || r === `POST ${s3.endpoint}/${s3.bucket}/`).length, 2);
    await page.close();
  });
});
