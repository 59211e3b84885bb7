// The browser client on a page of its own: it chooses a file, uploads it, and records what the client tells.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { freePort, until } from './support.mjs';

export const MiB = 1024 * 1024;

// The application: a page of another origin than Postern's and the store's. Its URL belongs in server.allowed_origins.
export class App {
  static async start() {
    const app = new App();
    app.policy = '';
    app.server = http.createServer((request, answer) => {
      const postern = new URL(request.url, app.url).searchParams.get('postern');
      answer.writeHead(200, { 'Content-Type': 'text/html', ...(app.policy ? { 'Content-Security-Policy': app.policy } : {}) });
      answer.end(`<!doctype html><title>app</title><link rel="icon" href="data:,"><input type="file" id="f" multiple><script src="${postern}/postern.js"></script>`);
    });
    const port = await freePort();
    await new Promise((done) => { app.server.listen(port, '127.0.0.1', done); });
    app.url = `http://127.0.0.1:${port}`;
    return app;
  }

  // Opens the page in a context that went through prepare(). `policy` is its Content-Security-Policy.
  async open(context, server, policy = '') {
    const page = await context.newPage();
    this.policy = policy;
    await page.goto(`${this.url}/?postern=${server.url}`);
    return page;
  }

  close() {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}

// Settings for a Postern with static keys. With a session token, RGW checks the signature of a preflight too, and a presigned URL that signs more
// than `host` fails that check: a browser sends none of the other headers with its preflight.
export function staticKeys(s3) {
  return { ...s3.settings(), store__credentials__role_arn: '' };
}

// Starts an upload of the file at this path. The record is window.uploads[i]; returns i.
export async function begin(page, file, options = {}) {
  await page.setInputFiles('#f', file);
  return page.evaluate((o) => window.beginUploads([document.getElementById('f').files[0]], o)[0], options);
}

// Functions that the page needs; Playwright runs them before any script of the page.
export async function prepare(context) {
  await context.addInitScript(() => {
    window.uploads = [];
    window.beginUploads = (files, options) => files.map((file) => {
      const one = { ways: [], retries: [], loaded: 0, firstLoaded: -1 };
      window.uploads.push(one);
      one.handle = window.Postern.upload(file, {
        onSigned: (form) => { one.form = form; },
        onWay: (way, reason, by) => one.ways.push([by, reason]),
        onProgress: (p) => {
          if (one.firstLoaded < 0) one.firstLoaded = p.loaded;
          one.loaded = p.loaded;
        },
        onRetry: (attempt, error) => one.retries.push([attempt, error.code, error.status]),
        onComplete: (upload) => { one.upload = upload; },
        onError: (error) => { one.error = error.code; one.message = error.message; },
        ...options,
      });
      return window.uploads.length - 1;
    });
  });
  return context;
}

export function recordOf(page, i) {
  return page.evaluate((n) => { const { handle, ...rest } = window.uploads[n]; return rest; }, i);
}

// Waits until the upload has ended, and returns its record.
export async function ended(page, i, seconds = 50) {
  await until(() => page.evaluate((n) => !!(window.uploads[n].upload || window.uploads[n].error), i), () => 'the upload has not ended', seconds).catch(async (e) => {
    throw new Error(`${e.message}: ${JSON.stringify(await recordOf(page, i))}`);
  });
  return recordOf(page, i);
}

export async function reached(page, i, bytes, seconds = 50) {
  await until(() => page.evaluate(([n, b]) => window.uploads[n].loaded >= b || !!window.uploads[n].error, [i, bytes]), () => `${bytes} bytes are not sent`, seconds);
}

// What came of the files of each size by each way. print() adds the rows to the table that tests/run prints (RESULTS_TABLE).
export function matrixOf(store, labels) {
  const cells = {}, row = (first, texts) => first.padEnd(24) + texts.map((t) => t.padStart(14)).join('');
  return {
    fill: (way, label) => { cells[way] = { ...cells[way], [label]: 'equal' }; },
    print() {
      const rows = Object.entries(cells).map(([way, found]) => row(`${store}, ${way}`, labels.map((l) => found[l] || 'failed')));
      if (process.env.RESULTS_TABLE) fs.appendFileSync(process.env.RESULTS_TABLE, [row('Chromium: store, way', labels), ...rows, ''].join('\n'));
    },
  };
}

// Hash of an object, read piece by piece.
export async function hashOfObject(s3, key) {
  const answer = await s3.request('GET', key);
  if (!answer.ok) return `answered ${answer.status}`;
  const hash = createHash('sha256');
  for await (const piece of answer.body) hash.update(piece);
  return hash.digest('hex');
}

// CRC32C as the client sends it. A plain loop, to compare with.
export function crc32cOf(file) {
  const table = Array.from({ length: 256 }, (_, i) => { let c = i; for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1; return c; });
  let crc = ~0;
  for (const byte of fs.readFileSync(file)) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255];
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(~crc);
  return bytes.toString('base64');
}

// The network of one page: line.slow(bytes a second) for uploads, line.cut(), line.restore().
export async function lineOf(page) {
  const session = await page.context().newCDPSession(page);
  let speed = -1;
  const set = (offline) => session.send('Network.emulateNetworkConditions', { offline, latency: 0, downloadThroughput: -1, uploadThroughput: speed });
  await session.send('Network.enable');
  return {
    slow: (bytesPerSecond) => { speed = bytesPerSecond; return set(false); },
    cut: () => set(true),
    restore: () => set(false),
  };
}
