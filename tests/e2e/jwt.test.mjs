// Tokens of the application's own sign-in, made by the library jose, which many applications use.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { Server, test } from './support.mjs';

const issuer = 'https://app.example.com', audience = 'uploads';
const config = `[[auth.api_keys]]\nname = "app"\nsha256 = "${'0'.repeat(64)}"\n` + '[profiles.default]\nkey = "${user}/${id}"\n[profiles.avatars]\nkey = "avatars/${user}/${id}"\n[auth.jwt]\nprofiles_claim = "uploads"\n';
const settings = { auth__anonymous: 'false', auth__jwt__issuer: issuer, auth__jwt__audience: audience, limits__sign_rate: '0' };

// The application: it has key pairs, and publishes those that stand in `published`.
const pairs = {}, published = new Set();
let application, server, fetches = 0;

async function addKey(kid, alg) {
  pairs[kid] = { alg, ...(await generateKeyPair(alg, { extractable: true })) };
  published.add(kid);
}

before(async () => {
  await addKey('rsa', 'RS256');
  await addKey('ec', 'ES256');
  await addKey('ed', 'EdDSA');
  application = http.createServer(async (request, answer) => {
    fetches += 1;
    const keys = await Promise.all([...published].map(async (kid) => ({ kid, use: 'sig', ...(await exportJWK(pairs[kid].publicKey)) })));
    answer.writeHead(200, { 'Content-Type': 'application/jwk-set+json' }).end(JSON.stringify({ keys }));
  });
  await new Promise((done) => { application.listen(0, '127.0.0.1', done); });
  server = await Server.start(config, { ...settings, auth__jwt__keys: `http://127.0.0.1:${application.address().port}/jwks.json` });
});
after(async () => {
  await server?.stop();
  application?.closeAllConnections();
  application?.close();
});

function token(user, { kid = 'ec', alg = pairs[kid]?.alg, key = pairs[kid]?.privateKey, claims = { uploads: ['default'] } } = {}) {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'JWT' }).setSubject(user).setIssuer(issuer).setAudience(audience).setIssuedAt().setExpirationTime('5m').sign(key);
}

async function sign(bearer, ask = {}, at = server) {
  const answer = await fetch(`${at.url}/v1/uploads`, { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${bearer}` }, body: JSON.stringify({ filename: 'a', ...ask }) });
  return { status: answer.status, body: await answer.json() };
}

test('tokens of each algorithm from a key set', async () => {
  for (const kid of ['rsa', 'ec', 'ed']) {
    const { status, body } = await sign(await token('ann', { kid }));
    assert.equal(status, 201, `${kid}: ${body.detail}`);
    assert.ok(body.key.startsWith('ann/'));
  }
});

test('tokens with a shared secret', async () => {
  const secret = 'a secret of at least thirty-two bytes', alone = await Server.start(config, { ...settings, auth__jwt__keys: `{ secret = "${secret}" }` });
  const made = (text) => token('ann', { kid: undefined, alg: 'HS256', key: new TextEncoder().encode(text) });
  try {
    assert.equal((await sign(await made(secret), {}, alone)).status, 201);
    assert.equal((await sign(await made(`${secret}x`), {}, alone)).status, 401);
    assert.ok(!alone.log.includes(secret));
    assert.ok(!(await alone.run('config')).includes(secret));
  } finally {
    await alone.stop();
  }
});

test('a user with the name of an API key is not that key', async () => {
  const { status, body } = await sign(await token('app'));
  assert.deepEqual([status, body.code], [403, 'forbidden']);
});

test('a token is limited to its profiles', async () => {
  const avatars = await token('ann', { claims: { uploads: 'avatars' } });
  assert.equal((await sign(avatars)).status, 403);
  assert.equal((await sign(avatars, { profile: 'avatars' })).status, 201);
  assert.equal((await sign(await token('ann', { claims: {} }))).status, 403);
});

test('a user signs for nobody else, and sees no upload of somebody else', async () => {
  const ann = await token('ann'), bob = await token('bob');
  assert.equal((await sign(ann, { user: 'bob' })).status, 403);
  const { body: form } = await sign(ann, { user: 'ann' });
  const seenBy = async (bearer) => (await (await fetch(form.status_url, { headers: bearer ? { Authorization: `Bearer ${bearer}` } : {} })).json()).key;
  assert.equal(await seenBy(ann), form.key);
  assert.equal(await seenBy(bob), undefined);
  assert.equal(await seenBy(), undefined);
});

test('forged tokens are refused', async () => {
  const { publicKey } = pairs.ec, confused = new TextEncoder().encode(JSON.stringify(await exportJWK(publicKey)));
  const stranger = await generateKeyPair('ES256');
  const forged = [
    new UnsecuredJWT({ uploads: ['default'] }).setSubject('ann').setIssuer(issuer).setAudience(audience).setExpirationTime('5m').encode(),
    await token('ann', { alg: 'HS256', key: confused }),
    await token('ann', { key: stranger.privateKey }),
    await token('../bob'),
    (await token('ann')).replace(/\.[^.]*$/, '.'),
  ];
  for (const bearer of forged) {
    const { status, body } = await sign(bearer);
    assert.deepEqual([status, body.code], [401, 'unauthorized'], bearer);
  }
});

test('no good token is refused while the keys are replaced', async () => {
  const before = fetches, refused = [];
  let signed = 0, kid = 'ec', isOver = false;
  const client = async (n) => {
    for (let i = 0; !isOver; i += 1) {
      const { status, body } = await sign(await token(`user${n}-${i % 7}`, { kid }));
      if (status === 201) signed += 1;
      else refused.push(`${kid}: ${status} ${body.detail}`);
    }
  };
  const clients = Array.from({ length: 16 }, (_, n) => client(n));
  const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
  await pause(500);
  await addKey('ec2', 'ES256'); // the new key signs at once: nobody has fetched it yet
  kid = 'ec2';
  await pause(1500);
  published.delete('ec');
  await pause(500);
  isOver = true;
  await Promise.all(clients);
  assert.deepEqual(refused, []);
  assert.ok(signed > 50, `only ${signed} forms were signed`);
  assert.equal(fetches, before + 1, 'all tokens with the new key share one fetch');
  console.log(`rotation: ${signed} forms signed, none refused, one fetch`);
});

test('unknown keys cause one fetch in 30 seconds, and a key server that is down changes nothing', async () => {
  const before = fetches;
  await Promise.all(Array.from({ length: 50 }, async (_, n) => {
    const { status } = await sign(await token('ann', { kid: `no-such-key-${n}`, alg: 'ES256', key: pairs.ec2.privateKey }));
    assert.equal(status, 401);
  }));
  assert.ok(fetches <= before + 1, `${fetches - before} fetches`);
  application.closeAllConnections();
  application.close();
  for (let n = 0; n < 20; n += 1) assert.equal((await sign(await token(`user${n}`, { kid: 'ec2' }))).status, 201);
});
