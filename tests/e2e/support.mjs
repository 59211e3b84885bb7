// The program and the browser, started for one file of tests and ended with it.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

export async function freePort() {
  const s = net.createServer();
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  const { port } = s.address();
  await new Promise((done) => s.close(done));
  return port;
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
    server.process = spawn(process.env.POSTERN, ['serve', '--config', 'postern.toml'], {
      cwd: server.folder,
      env: server.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server.log = '';
    await new Promise((done, fail) => {
      server.process.stderr.on('data', (text) => {
        server.log += text;
        if (server.log.includes('event=listening')) done();
      });
      server.process.on('exit', () => fail(new Error('the server ended: ' + server.log)));
    });
    return server;
  }

  // Another command of the program with the same configuration; what it printed.
  run(...words) {
    return execFileSync(process.env.POSTERN, [...words, '--config', 'postern.toml'], { cwd: this.folder, env: this.environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async stop() {
    this.process.removeAllListeners('exit');
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGTERM');
    const code = await ended;
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
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

// A file of that many bytes, different each time; its path.
export function makeFile(folder, name, size) {
  const file = path.join(folder, name);
  const fd = fs.openSync(file, 'w');
  const piece = Buffer.alloc(Math.min(size, 1 << 20), Math.random().toString());
  for (let written = 0; written < size; written += piece.length) {
    piece.writeDoubleBE(written, 0);
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
