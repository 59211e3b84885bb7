// The program and the browser, started for one file of tests and ended with it. Every wait has a limit.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test as nodeTest } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

// One test. After `seconds` it fails and ends its file: the browser hangs, and the later tests would hang too.
// `options` are those of Node's test(), such as skip and todo.
export function test(title, body, seconds = 60, options = {}) {
  const name = `${path.basename(process.argv[1], '.test.mjs')}: ${title}`; // Node names this file as the place of every test
  nodeTest(name, options, async (t) => {
    const timer = setTimeout(() => {
      console.error(`"${name}" is not done after ${seconds} s; the other tests of this file are not run`);
      process.exit(1);
    }, seconds * 1000);
    try {
      await body(t);
    } finally {
      clearTimeout(timer);
    }
  });
}

// Settles as `promise` does, or fails with `message` after `seconds`.
export function within(seconds, promise, message) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${message()} within ${seconds} s`)), seconds * 1000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Calls `condition` until its value is true, and returns that value. Throws an error with `message` after `seconds`.
export async function until(condition, message, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${message()} within ${seconds} s`);
    await new Promise((done) => { setTimeout(done, 20); });
  }
}

process.once('SIGTERM', () => process.exit(143)); // tests/e2e/run ends a file that takes too long; the browser ends with this process

// Ends a child process when this process ends, in whatever way.
export function endWithUs(child, signal) {
  const end = () => child.kill(signal);
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
}

// A port of 127.0.0.1 on which nobody listens, below the ports that the kernel gives to connections: none of them takes it
// before the program listens.
export async function freePort() {
  const kernels = Number(fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'ascii').split(/\s/)[0]);
  const first = kernels < 14000 ? 32768 : kernels;
  for (;;) {
    const port = first - 1 - Math.floor(Math.random() * 12000);
    const s = net.createServer();
    const isFree = await new Promise((done) => { s.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)); });
    if (!isFree) continue;
    await new Promise((done) => { s.close(done); });
    return port;
  }
}

export class Server {
  // `settings` are environment variables without POSTERN_.
  static async start(config = '', settings = {}) {
    const server = new Server();
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-e2e-'));
    const port = await freePort();
    server.url = `http://127.0.0.1:${port}`;
    fs.writeFileSync(path.join(server.folder, 'postern.toml'), `[auth]\nanonymous = true\n[server]\ndemo = true\n${config}`);
    server.environment = { POSTERN_SERVER__LISTEN: `127.0.0.1:${port}`, POSTERN_SERVER__ADMIN_LISTEN: '', POSTERN_SERVER__PUBLIC_URL: server.url, POSTERN_LIMITS__CONNECTIONS_PER_ADDRESS: '0', ...Object.fromEntries(Object.entries(settings).map(([k, v]) => ['POSTERN_' + k.toUpperCase(), v])) };
    await server.launch();
    return server;
  }

  // Starts the program in its folder and at its port: for the first time, or after kill().
  async launch() {
    this.process = spawn(process.env.POSTERN, ['serve', '--config', 'postern.toml'], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    endWithUs(this.process, 'SIGKILL');
    this.log = '';
    await within(30, new Promise((done, fail) => {
      this.process.stderr.on('data', (text) => {
        this.log += text;
        if (this.log.includes('event=listening')) done();
      });
      this.process.on('exit', () => fail(new Error('the server ended: ' + this.log)));
    }), () => `the server does not listen: ${this.log}`);
  }

  // Ends the program as a crash would. launch() starts it again.
  async kill() {
    this.process.removeAllListeners('exit');
    const ended = new Promise((done) => { this.process.once('exit', done); });
    this.process.kill('SIGKILL');
    await ended;
  }

  // Runs another command of the program with the same configuration and returns its output.
  async run(...words) {
    return (await promisify(execFile)(process.env.POSTERN, [...words, '--config', 'postern.toml'], { cwd: this.folder, env: this.environment })).stdout;
  }

  async stop() {
    this.process.removeAllListeners('exit');
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGTERM');
    const code = await within(60, ended, () => `the server does not end: ${this.log}`);
    fs.rmSync(this.folder, { recursive: true });
    if (code !== 0) throw new Error(`the server ended with ${code}: ${this.log}`);
  }

  objects() {
    const root = path.join(this.folder, 'var/objects/local');
    if (!fs.existsSync(root)) return [];
    return fs.readdirSync(root, { recursive: true }).map((name) => path.join(root, name)).filter((name) => fs.statSync(name).isFile());
  }

  async status(id) {
    return (await fetch(`${this.url}/v1/uploads/${id}`)).json();
  }
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    timeout: 20_000,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

const seed = process.env.POSTERN_SEED ?? String(Math.floor(Math.random() * 2 ** 32));
let files = 0;

// Makes a file of that many bytes, different for each file of a run, and returns its path. The seed that repeats the run's files is printed once.
export function makeFile(folder, name, size) {
  if (files++ === 0) console.error(`POSTERN_SEED=${seed} repeats the files of this run`);
  const file = path.join(folder, name);
  const fd = fs.openSync(file, 'w');
  const piece = Buffer.alloc(Math.min(size, 1 << 20), `${seed} ${files}`);
  for (let written = 0; written < size; written += piece.length) {
    if (piece.length >= 8) piece.writeDoubleBE(written, 0);
    fs.writeSync(fd, piece, 0, Math.min(piece.length, size - written));
  }
  fs.closeSync(fd);
  return file;
}

export function hashOf(file) {
  const hash = createHash('sha256'), fd = fs.openSync(file), piece = Buffer.alloc(1 << 20);
  for (let n; (n = fs.readSync(fd, piece)) > 0;) hash.update(piece.subarray(0, n));
  fs.closeSync(fd);
  return hash.digest('hex');
}

export function shot(page, name) {
  return page.screenshot({ path: path.join(process.env.SHOTS, name + '.png'), fullPage: true });
}
