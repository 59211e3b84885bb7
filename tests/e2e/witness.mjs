// A proxy that stands between browsers and a store, records each request, and can misbehave. It sees what any browser sends,
// so tests need no protocol of one browser to count requests.
import http from 'node:http';

// Is it an upload, and no request of Postern's own?
const isForm = (r) => r.method === 'POST' && r.type.startsWith('multipart/form-data');

export class Witness {
  // Forwards to the store at `endpoint`. The Host header stays as it is, because signatures cover it.
  static async start(endpoint) {
    const one = new Witness();
    one.seen = []; // { method, path, type, agent, origin, status, bytes }
    one.losesFor = new Set(); // origins whose forms are stored and then get no answer
    const { hostname, port } = new URL(endpoint);
    one.server = http.createServer((request, answer) => {
      const entry = { method: request.method, path: request.url, type: request.headers['content-type'] ?? '', agent: request.headers['user-agent'] ?? '', origin: request.headers.origin, bytes: 0 };
      one.seen.push(entry);
      const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.headers, setHost: false }, (response) => {
        entry.status = response.statusCode;
        if (one.losesFor.has(entry.origin) && isForm(entry)) {
          response.resume();
          // The answer breaks off after its first bytes. Without any, Chromium and Firefox would send the form again by themselves.
          response.on('end', () => answer.socket.end('HTTP/1.1 3'));
          return;
        }
        answer.writeHead(response.statusCode, response.statusMessage, response.rawHeaders);
        response.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      request.on('data', (data) => { entry.bytes += data.length; });
      request.on('error', () => onward.destroy());
      request.pipe(onward);
    });
    await new Promise((done) => { one.server.listen(0, '127.0.0.1', done); });
    one.endpoint = `http://127.0.0.1:${one.server.address().port}`;
    return one;
  }

  // What a browser, known by its User-Agent, sends from now on: its forms and its preflights.
  watch(agent) {
    const begin = this.seen.length, from = () => this.seen.slice(begin).filter((r) => agent.test(r.agent));
    return { forms: () => from().filter(isForm), preflights: () => from().filter((r) => r.method === 'OPTIONS') };
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((done) => { this.server.close(done); });
  }
}
