// The same page on a store without POST Object: OpenStack Swift. postern.js takes the ways that there are.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { App, MiB, begin, ended, hashOfObject, matrixOf, prepare, staticKeys } from './client.mjs';
import { S3, isSwiftInstalled } from './s3.mjs';
import { Server, hashOf, launch, makeFile, test, until } from './support.mjs';

const skip = isSwiftInstalled() ? false : 'OpenStack Swift is not installed; tests/run installs it';
const SIZES = { '0': 0, '1 B': 1, '5 MiB + 1': 5 * MiB + 1, ...(process.env.POSTERN_FULL ? { '5 MiB - 1': 5 * MiB - 1, '5 MiB': 5 * MiB, '120 MiB': 120 * MiB } : {}) };
const matrix = matrixOf('Swift', Object.keys(SIZES));
let app, s3, server, browser, page;

describe('ways to Swift', { skip }, () => {
  before(async () => {
    s3 = await S3.start('swift');
    app = await App.start();
    server = await Server.start(`allowed_origins = ["${app.url}"]\n`, staticKeys(s3));
    await until(() => /the store was asked what it can do/.test(server.log), () => 'the store was not asked');
    browser = await launch();
    page = await app.open(await prepare(await browser.newContext()), server);
  });
  after(async () => {
    matrix.print();
    await browser?.close();
    await server?.stop();
    await s3?.stop();
    app?.close();
  });

  async function check(name, size, options, ways) {
    const file = makeFile(server.folder, name, size);
    const done = await ended(page, await begin(page, file, options));
    assert.equal(done.upload?.state, 'completed', JSON.stringify(done));
    assert.equal(await hashOfObject(s3, done.form.key), hashOf(file));
    const told = await server.status(done.form.id);
    assert.deepEqual([told.state, told.size, told.way], ['completed', size, ways[0][0]]);
    assert.deepEqual(done.ways, ways);
  }

  for (const way of ['put', 'multipart', 'fallback']) {
    for (const [label, size] of Object.entries(SIZES)) {
      test(`${way}, ${label}`, async () => {
        await check(`${way} ${size}.bin`, size, { way }, [[way, way === 'fallback' ? 'there is no direct upload' : 'asked for']]);
        matrix.fill(way, label);
      }, 120);
    }
  }

  test('the page that uploads to other stores uploads to Swift by a presigned PUT', () => check('any.bin', 2 * MiB, {}, [['put', 'tried first']]));
});
