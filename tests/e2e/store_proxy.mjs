// A proxy in front of the store that browsers are told to use (store.public_endpoint). It counts what arrives and can misbehave.
import http from 'node:http';

export class StoreProxy {
  static async start(endpoint) {
    const proxy = new StoreProxy();
    proxy.target = new URL(endpoint);
    proxy.parts = [];  // { number, bytes, status } of each part that a byte of came
    proxy.seen = [];   // { method, path, at }
    proxy.fault = null; // (request, answer) => true when it has taken the request
    proxy.server = http.createServer((request, answer) => proxy.take(request, answer));
    proxy.server.requestTimeout = 0;
    await new Promise((done) => { proxy.server.listen(0, '127.0.0.1', done); });
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  take(request, answer) {
    const { method, headers, url } = request;
    this.seen.push({ method, path: url.split('?')[0], at: Date.now() });
    answer.on('error', () => {});
    request.on('error', () => {});
    if (method !== 'OPTIONS' && this.fault?.(request, answer)) return;
    const part = { number: Number(new URL(url, this.url).searchParams.get('partNumber')), bytes: 0, status: 0 };
    if (method === 'PUT' && part.number) {
      request.on('data', (piece) => {
        if (part.bytes === 0) this.parts.push(part);
        part.bytes += piece.length;
      });
    }
    const onward = http.request({ host: this.target.hostname, port: this.target.port, method, path: url, headers }, (from) => {
      part.status = from.statusCode;
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => { if (!answer.writableFinished) onward.destroy(); });
    request.pipe(onward);
  }

  // How many parts came more than once. `count` is the number of parts of the file.
  sentTwice(count) { return this.parts.length - count; }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// Answers that a page may read, as a store with a CORS rule sends them.
export function answerWith(status, fields = {}, body = '') {
  return (request, answer) => {
    request.resume();
    request.on('end', () => {
      answer.writeHead(status, { 'Access-Control-Allow-Origin': request.headers.origin ?? '*', 'Access-Control-Expose-Headers': 'Retry-After', ...fields });
      answer.end(body);
    });
    return true;
  };
}
