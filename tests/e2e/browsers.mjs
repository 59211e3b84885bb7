// The browsers of the tests that run in all of them, behind one small interface. Chromium is driven by playwright-core,
// Firefox by WebDriver BiDi, WebKit by WebDriver. What only one of these protocols can do, such as emulating a network,
// is not here: tests that need it are for Chromium alone.
//
//   name, agent    the latter matches its User-Agent, and no other's
//   missing        why the browser cannot run on this machine, or false
//   start()        -> a running browser: open(url) -> a page, stop()
//   page           goto(url), evaluate(function, argument), setFiles(selector, files), click(selector),
//                  waitFor(function, argument), shot(name), close()
//
// A running browser belongs to the file of tests that started it. It ends with stop(), or with this process.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import { endWithUs, freePort, launch, shot, until, within } from './support.mjs';

function find(...names) {
  for (const name of names) {
    try {
      return execFileSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' }).trim();
    } catch {} // not installed
  }
  return '';
}

const needs = (...packages) => {
  const absent = packages.filter(([, program]) => !program).map(([name]) => name);
  return absent.length > 0 ? `not installed: ${absent.join(', ')}; tests/run installs it` : false;
};

// The same for all pages: calls `condition` in the page until its value is true. A page that is being left cannot be asked.
async function waitFor(page, condition, argument, seconds = 30) {
  return until(() => page.evaluate(condition, argument).catch(() => false), () => `the page of ${page.browser} does not show: ${condition}`, seconds);
}

// --- Chromium -----------------------------------------------------------------------------------------

const chromium = {
  name: 'chromium',
  agent: /Chrome\//,
  missing: false, // tests/e2e/run has checked that
  async start() {
    const browser = await launch();
    return {
      async open(url) {
        const context = await browser.newContext(), page = await context.newPage();
        await page.goto(url);
        return {
          browser: 'Chromium',
          goto: (where) => page.goto(where),
          evaluate: (f, argument) => page.evaluate(f, argument),
          setFiles: (selector, files) => page.setInputFiles(selector, files),
          click: (selector) => page.click(selector),
          waitFor(condition, argument, seconds) { return waitFor(this, condition, argument, seconds); },
          shot: (name) => shot(page, name),
          close: () => context.close(),
        };
      },
      stop: () => browser.close(),
    };
  },
};

// --- Firefox ------------------------------------------------------------------------------------------

const firefoxProgram = process.env.FIREFOX || find('firefox-esr', 'firefox');

// Firefox asks servers of Mozilla now and then. Whatever is not for this machine goes to a proxy that does not exist.
const ONLY_LOOPBACK = {
  'network.proxy.type': 1, 'network.proxy.http': '127.0.0.1', 'network.proxy.http_port': 9, 'network.proxy.ssl': '127.0.0.1', 'network.proxy.ssl_port': 9,
  'network.proxy.allow_hijacking_localhost': false, 'network.proxy.failover_direct': false,
};

const firefox = {
  name: 'firefox',
  agent: /Firefox\//,
  missing: needs(['firefox-esr', firefoxProgram]),
  async start() {
    const browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefoxProgram, headless: true, extraPrefsFirefox: ONLY_LOOPBACK, timeout: 60_000, protocolTimeout: 180_000 });
    endWithUs(browser.process(), 'SIGKILL');
    return {
      async open(url) {
        const context = await browser.createBrowserContext(), page = await context.newPage();
        await page.goto(url);
        return {
          browser: 'Firefox',
          goto: (where) => page.goto(where),
          evaluate: (f, argument) => page.evaluate(f, argument),
          async setFiles(selector, files) { await (await page.$(selector)).uploadFile(...[files].flat()); },
          click: (selector) => page.click(selector),
          waitFor(condition, argument, seconds) { return waitFor(this, condition, argument, seconds); },
          shot: (name) => shot(page, name),
          close: () => context.close(),
        };
      },
      stop: () => browser.close(),
    };
  },
};

// --- WebKit -------------------------------------------------------------------------------------------

// MiniBrowser is WebKitGTK's own small browser. It has no headless mode, so it shows its window on a display in memory.
function findMiniBrowser() {
  for (const library of ['x86_64-linux-gnu', 'aarch64-linux-gnu']) {
    for (const version of ['webkit2gtk-4.1', 'webkitgtk-6.0', 'webkit2gtk-4.0']) {
      const file = `/usr/lib/${library}/${version}/MiniBrowser`;
      if (fs.existsSync(file)) return file;
    }
  }
  return '';
}

const miniBrowser = findMiniBrowser(), webkitDriver = find('WebKitWebDriver'), display = find('Xvfb');
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'; // the key of an element's id in WebDriver's JSON

class WebKit {
  static async start() {
    const one = new WebKit();
    one.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-webkit-'));
    one.display = spawn(display, ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    endWithUs(one.display, 'SIGKILL');
    const number = await within(20, new Promise((done, fail) => {
      one.display.stdio[3].once('data', (text) => done(String(text).trim()));
      one.display.once('exit', (code) => fail(new Error(`Xvfb ended with ${code}`)));
    }), () => 'Xvfb does not start');
    const port = await freePort();
    one.url = `http://127.0.0.1:${port}`;
    one.driver = spawn(webkitDriver, [`--port=${port}`], {
      env: { ...process.env, DISPLAY: `:${number}`, GDK_BACKEND: 'x11', NO_AT_BRIDGE: '1', LIBGL_ALWAYS_SOFTWARE: '1', HOME: one.folder, XDG_CACHE_HOME: one.folder, XDG_DATA_HOME: one.folder, XDG_CONFIG_HOME: one.folder },
      stdio: 'ignore',
    });
    endWithUs(one.driver, 'SIGTERM');
    await until(() => fetch(one.url + '/status').then((a) => a.ok, () => false), () => 'WebKitWebDriver does not listen');
    const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': { binary: miniBrowser, args: ['--automation'] }, timeouts: { script: 180_000, pageLoad: 30_000 } } };
    const { sessionId } = await within(60, one.ask('POST', '/session', { capabilities }), () => 'MiniBrowser does not start');
    one.session = `/session/${sessionId}`;
    return one;
  }

  async ask(method, where, body) {
    const answer = await fetch(this.url + where, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`WebKit: ${method} ${where}: ${value.error}: ${value.message}`);
    return value;
  }

  async element(selector) {
    return (await this.ask('POST', this.session + '/element', { using: 'css selector', value: selector }))[ELEMENT];
  }

  // One window shows one page after the other.
  async open(url) {
    await this.ask('POST', this.session + '/url', { url });
    const self = this;
    return {
      browser: 'WebKit',
      goto: (where) => self.ask('POST', self.session + '/url', { url: where }),
      async evaluate(f, argument) {
        const script = `const done = arguments[1];
          Promise.resolve().then(() => (${f})(arguments[0])).then((value) => done({ value }), (e) => done({ error: String(e) }));`;
        const { value, error } = await self.ask('POST', self.session + '/execute/async', { script, args: [argument ?? null] });
        if (error) throw new Error(`in the page: ${error}`);
        return value;
      },
      async setFiles(selector, files) {
        await self.ask('POST', `${self.session}/element/${await self.element(selector)}/value`, { text: [files].flat().join('\n') });
      },
      async click(selector) { await self.ask('POST', `${self.session}/element/${await self.element(selector)}/click`, {}); },
      waitFor(condition, argument, seconds) { return waitFor(this, condition, argument, seconds); },
      async shot(name) {
        fs.writeFileSync(path.join(process.env.SHOTS, name + '.png'), Buffer.from(await self.ask('GET', self.session + '/screenshot'), 'base64'));
      },
      close: () => self.ask('POST', self.session + '/url', { url: 'about:blank' }),
    };
  }

  async stop() {
    await within(20, this.ask('DELETE', this.session), () => 'MiniBrowser does not end').catch((e) => console.error(e.message));
    for (const process of [this.driver, this.display]) {
      const ended = new Promise((done) => { process.once('exit', done); });
      process.kill('SIGTERM');
      await ended;
    }
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 }); // its children may still write
  }
}

const webkit = {
  name: 'webkit',
  agent: /^(?!.*Chrome\/).* AppleWebKit\//,
  missing: needs(['webkit2gtk-driver', webkitDriver && miniBrowser], ['xvfb', display]),
  start: () => WebKit.start(),
};

export const browsers = [chromium, firefox, webkit];
