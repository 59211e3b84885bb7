// The real S3 (Ceph RGW, or OpenStack Swift) for the browser tests, and the requests that they send to it without Postern.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endWithUs, within } from './support.mjs';

const scriptOf = (name) => fileURLToPath(new URL(`../support/${name}.py`, import.meta.url));
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
// Percent-encodes a path as S3 requires: all characters but the unreserved ones.
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

export function isInstalled() {
  return ['ceph-mon', 'ceph-osd', 'radosgw', 'monmaptool'].every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0);
}

export function isSwiftInstalled() {
  return ['proxy', 'account', 'container', 'object'].every((name) => spawnSync('sh', ['-c', `command -v swift-${name}-server`]).status === 0);
}

export class S3 {
  // `name` is that of a script in tests/support: 'rgw' or 'swift'.
  static async start(name = 'rgw') {
    const s3 = new S3();
    s3.process = spawn('setpriv', ['--pdeathsig', 'TERM', 'python3', scriptOf(name)], { stdio: ['ignore', 'pipe', 'inherit'] });
    endWithUs(s3.process, 'SIGTERM');
    const lines = readline.createInterface({ input: s3.process.stdout });
    const line = await within(120, new Promise((done, fail) => {
      lines.once('line', done);
      s3.process.once('exit', (code) => fail(new Error(`the S3 did not start: ${code}`)));
    }), () => 'the S3 does not start');
    [, s3.endpoint, s3.bucket, s3.accessKey, s3.secretKey, s3.role] = /endpoint (\S+) +bucket (\S+) +access key (\S+) +secret key (\S+)(?: +role (\S+))?/.exec(line);
    return s3;
  }

  async stop() {
    const ended = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGTERM');
    await ended;
  }

  // Settings for a Postern that assumes a role.
  settings() {
    return {
      store__type: 's3', store__endpoint: this.endpoint, store__bucket: this.bucket, store__path_style: 'true', store__region: 'us-east-1',
      store__credentials__access_key: this.accessKey, store__credentials__secret_key: this.secretKey, store__credentials__role_arn: this.role,
    };
  }

  // Sends one request with Signature Version 4.
  async request(method, key = '', query = '', body = '') {
    const path = `/${this.bucket}${key ? '/' + key.split('/').map(encode).join('/') : ''}`, host = new URL(this.endpoint).host;
    const date = new Date().toISOString().replace(/[-:]|\.\d+/g, ''), scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`, hash = sha256(body);
    const names = 'host;x-amz-content-sha256;x-amz-date';
    const canonical = [method, path, query, `host:${host}`, `x-amz-content-sha256:${hash}`, `x-amz-date:${date}`, '', names, hash].join('\n');
    const signing = scope.split('/').reduce(hmac, 'AWS4' + this.secretKey);
    const signature = hmac(signing, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex');
    const headers = { 'x-amz-date': date, 'x-amz-content-sha256': hash, Authorization: `AWS4-HMAC-SHA256 Credential=${this.accessKey}/${scope}, SignedHeaders=${names}, Signature=${signature}` };
    return fetch(this.endpoint + path + (query ? '?' + query : ''), { method, headers, body: method === 'PUT' ? body : undefined });
  }

  // Null when the object is absent.
  async hashOf(key) {
    const answer = await this.request('GET', key);
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`GET was answered ${answer.status}: ${await answer.text()}`);
    return sha256(Buffer.from(await answer.arrayBuffer()));
  }

  async removeCors() {
    const answer = await this.request('DELETE', '', 'cors=');
    if (!answer.ok) throw new Error(`DeleteBucketCors was answered ${answer.status}: ${await answer.text()}`);
  }
}
