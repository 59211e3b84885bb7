// Prints how fast the browser computes CRC32C, in the client's worker: POSTERN=build/postern CHROMIUM=/usr/bin/chromium node checksum_speed.mjs
import { Server, launch } from './support.mjs';

const server = await Server.start(), browser = await launch(), page = await browser.newPage();
await page.goto(server.url + '/');
const speeds = await page.evaluate(async () => {
  const worker = new Worker('/postern.js#postern-checksums'), blob = new Blob([new Uint8Array(64 * 1024 * 1024).map((_, i) => i * 31)]), all = [];
  for (let id = 0; id < 7; id++) {
    worker.postMessage({ id, blob });
    all.push((await new Promise((done) => { worker.onmessage = (e) => done(e.data); })).speed);
  }
  return all;
});
const sorted = speeds.slice(1).sort((a, b) => a - b);
console.log(`CRC32C in the browser, reading included: ${Math.round(sorted[Math.floor(sorted.length / 2)] / 1e6)} MB/s (median of ${sorted.length}; first run ${Math.round(speeds[0] / 1e6)} MB/s). ` +
  'A gigabit line needs 125; below 150, postern.js leaves the checksum out.');
await browser.close();
await server.stop();
