// Webhooks as an application receives them, verified by the reference implementation of Standard Webhooks.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { Server, test, until } from './support.mjs';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', older = 'an older secret, as plain text';
let server, app;
const arrivals = [];
before(async () => {
  app = http.createServer(async (request, answer) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    arrivals.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
    answer.writeHead(204).end();
  });
  await new Promise((done) => app.listen(0, '127.0.0.1', done));
  server = await Server.start(`[[webhooks]]\nurl = "http://127.0.0.1:${app.address().port}/hooks"\nsecret = ["${secret}", "${older}"]\nallow_private = true\n`);
});
after(async () => {
  await server?.stop();
  app?.closeAllConnections();
  app?.close();
});

async function upload(filename, text) {
  const signed = await fetch(`${server.url}/v1/uploads`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ filename, metadata: { title: '"ö" <&>\u2028' } }) });
  const form = await signed.json(), body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append('file', new Blob([text]), filename);
  assert.equal((await fetch(form.fallback_url, { method: 'POST', body, redirect: 'manual' })).status, 303);
  const { headers, body: told } = await until(() => arrivals.find((a) => a.body.includes(form.id)), () => `no webhook about ${form.id}`);
  return { id: form.id, headers, told };
}

test('the reference implementation accepts the messages', async () => {
  const { id, headers, told } = await upload('größe \u{1f600}.txt', 'hello');
  const event = new Webhook(secret).verify(told, headers);
  assert.equal(event.type, 'upload.completed');
  assert.equal(event.data.id, id);
  assert.equal(event.data.size, 5);
  assert.ok(event.data.key.endsWith('/größe \u{1f600}.txt'));
  assert.equal(event.data.metadata.title, '"ö" <&>\u2028');
  assert.ok(Math.abs(Date.parse(event.timestamp) - Date.now()) < 60_000);
});

test('during a rotation both secrets verify a message, and no other does', async () => {
  const { headers, told } = await upload('a.txt', 'a');
  new Webhook(secret).verify(told, headers);
  new Webhook(older, { format: 'raw' }).verify(told, headers);
  assert.throws(() => new Webhook('whsec_' + Buffer.alloc(24).toString('base64')).verify(told, headers), WebhookVerificationError);
});

test('an altered message is rejected', async () => {
  const { headers, told } = await upload('b.txt', 'b');
  const check = new Webhook(secret);
  assert.throws(() => check.verify(told.replace('"size":1', '"size":2'), headers), WebhookVerificationError);
  assert.throws(() => check.verify(told, { ...headers, 'webhook-id': headers['webhook-id'] + 'x' }), WebhookVerificationError);
  assert.throws(() => check.verify(told, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 1) }), WebhookVerificationError);
});
