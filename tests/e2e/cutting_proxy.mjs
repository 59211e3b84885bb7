// Between clients and Postern: it counts the bytes of the clients, and cuts a connection after `cutAfter` of them. Postern's public_url is its URL.
import net from 'node:net';

export class CuttingProxy {
  async start() {
    this.cuts = this.bytes = 0;
    this.server = net.createServer((client) => {
      const onward = net.connect(this.target, '127.0.0.1');
      let left = this.cutAfter?.() ?? Infinity;
      client.on('data', (piece) => {
        left -= piece.length;
        this.bytes += piece.length;
        if (left > 0) return onward.write(piece) || (client.pause(), onward.once('drain', () => client.resume()));
        this.cuts += 1;
        onward.destroy();
        return client.destroy();
      });
      onward.on('data', (piece) => client.write(piece));
      for (const [one, other] of [[client, onward], [onward, client]]) one.on('error', () => {}).on('close', () => other.destroy());
    });
    await new Promise((done) => { this.server.listen(0, '127.0.0.1', done); });
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() { this.server.close(); }
}
