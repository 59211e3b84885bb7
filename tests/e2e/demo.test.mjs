// The demo page as people use it, in Chromium: slow lines are emulated by Chromium's own protocol. every_browser.test.mjs has
// what must also work elsewhere.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before } from 'node:test';
import { Server, hashOf, launch, makeFile, shot, test, until } from './support.mjs';

let server, browser;
before(async () => {
  server = await Server.start('[profiles.small]\nmax_size = "1MB"\n');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const LOOKS = [
  ['desktop-light', { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }],
  ['desktop-dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
  ['phone-light', { viewport: { width: 360, height: 740 }, colorScheme: 'light' }],
  ['phone-dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
];

async function open(look = LOOKS[0][1], query = '') {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (e) => complaints.push(String(e)));
  page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()));
  await page.goto(server.url + '/' + query);
  return { page, complaints, close: () => context.close() };
}

// Slows the page's uploads, so that a test can see an upload in progress.
async function throttle(page, bytesPerSecond) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond });
  return session;
}

test('a file of 200 MB: progress moves, the completion is shown as recorded', async () => {
  const { page, complaints, close } = await open();
  const file = makeFile(server.folder, 'two hundred.bin', 200_000_000);
  await page.setInputFiles('#choose', file);
  const seen = new Set();
  const item = page.locator('#uploads li').first();
  while (!(await item.getAttribute('class'))) {
    seen.add(await item.getByRole('progressbar').getAttribute('aria-valuenow'));
    await page.waitForTimeout(10);
  }
  assert.equal(await item.getAttribute('class'), 'completed');
  assert.ok(seen.size >= 4, `progress was seen at ${[...seen]}`);
  const id = await item.locator('dd').first().textContent();
  const told = await server.status(id);
  assert.equal(told.state, 'completed');
  assert.equal(told.size, 200_000_000);
  assert.match(await item.textContent(), /through this server/);
  const stored = server.objects().find((o) => o.includes(id));
  assert.equal(hashOf(stored), hashOf(file));
  assert.deepEqual(complaints, []);
  await close();
});

for (const [name, look] of LOOKS) {
  test(`screenshots: ${name}`, async () => {
    const { page, close } = await open(look);
    await shot(page, name + '-before');
    await page.setInputFiles('#choose', makeFile(server.folder, 'a finished picture with quite a long name for a phone.jpg', 300_000));
    await page.locator('li.completed').waitFor();
    await throttle(page, 2_000_000);
    await page.setInputFiles('#choose', makeFile(server.folder, 'holiday.mp4', 20_000_000));
    await page.waitForFunction(() => Number(document.querySelector('[role=progressbar]').getAttribute('aria-valuenow')) > 5);
    await shot(page, name + '-during');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(overflow, false, 'nothing is wider than the window');
    await page.getByRole('button', { name: /^Cancel/ }).click();
    await page.locator('li.failed').waitFor();
    await shot(page, name + '-after');
    await close();
  });
}

test('a cancelled upload stores nothing', async () => {
  const { page, close } = await open();
  const before = server.objects().length;
  await throttle(page, 3_000_000);
  const signed = page.waitForResponse((r) => r.url().endsWith('/v1/uploads')).then((r) => r.json());
  await page.setInputFiles('#choose', makeFile(server.folder, 'cancelled.bin', 30_000_000));
  await page.waitForFunction(() => Number(document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')) > 5);
  await page.getByRole('button', { name: 'Cancel cancelled.bin' }).click();
  await page.locator('li.failed', { hasText: 'cancelled' }).waitFor();
  const { id } = await signed;
  await until(async () => (await server.status(id)).code === 'cancelled', () => 'the upload is not recorded as cancelled');
  assert.equal(server.objects().length, before);
  assert.ok(!server.objects().some((o) => o.endsWith('cancelled.bin')));
  await close();
});

test('several files are uploaded at once', async () => {
  const { page, close } = await open();
  const files = [1, 2, 3].map((n) => makeFile(server.folder, `several-${n}.bin`, n * 100_000));
  await page.setInputFiles('#choose', files);
  await page.waitForFunction(() => document.querySelectorAll('li.completed').length === 3);
  for (const f of files) assert.ok(server.objects().some((o) => o.endsWith(f.split('/').pop()) && hashOf(o) === hashOf(f)));
  await close();
});

test('dropped files are uploaded', async () => {
  const { page, close } = await open();
  const data = await page.evaluateHandle(() => {
    const d = new DataTransfer();
    d.items.add(new File(['dropped'], 'dropped.txt', { type: 'text/plain' }));
    return d;
  });
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: data });
  await page.locator('li.completed').waitFor();
  assert.equal(fs.readFileSync(server.objects().find((o) => o.endsWith('dropped.txt')), 'utf8'), 'dropped');
  await close();
});

test('the page works with the keyboard alone', async () => {
  const { page, close } = await open();
  const chosen = makeFile(server.folder, 'keyboard.bin', 1000);
  page.on('filechooser', (chooser) => chooser.setFiles(chosen));
  await page.bringToFront();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'choose');
  await page.keyboard.press('Space');
  await page.locator('li.completed').waitFor();
  await close();
});

test('a screen reader gets names, states and progress', async () => {
  const { page, close } = await open();
  await throttle(page, 2_000_000);
  await page.setInputFiles('#choose', makeFile(server.folder, 'heard.bin', 3_000_000));
  await page.getByRole('progressbar', { name: 'Progress of heard.bin' }).waitFor();
  await page.getByRole('button', { name: 'Cancel heard.bin' }).waitFor();
  await page.getByRole('status').filter({ hasText: 'heard.bin is completed' }).waitFor();
  await page.getByRole('heading', { name: 'Uploads' }).waitFor();
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await close();
});

test('a file over the limit is refused with the reason', async () => {
  const { page, close } = await open(LOOKS[0][1], '?profile=small');
  await page.setInputFiles('#choose', makeFile(server.folder, 'too-large.bin', 1_000_001));
  const item = page.locator('li.failed');
  await item.waitFor();
  assert.match(await item.textContent(), /at most 1000000 bytes/);
  await page.getByRole('button', { name: 'Try too-large.bin again' }).waitFor();
  await shot(page, 'refused');
  await close();
});
