// The application is asked who sent a request (auth.forward): a table of requests and answers, and cookies in a real browser.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { Server, freePort, launch, test } from './support.mjs';

const SESSIONS = { 'session=ann': 'ann', 'session=bob': 'bob' };

// Answers every request with `page`, in HTML.
async function servePage(page) {
  const made = http.createServer((request, answer) => {
    answer.setHeader('Content-Type', 'text/html');
    answer.end(page());
  });
  const port = await freePort();
  await new Promise((done) => { made.listen(port, '127.0.0.1', done); });
  return { close: () => { made.closeAllConnections(); made.close(); }, url: `http://127.0.0.1:${port}` };
}

let application, questions, decide, server, allowed, stranger, browser;

before(async () => {
  questions = [];
  application = http.createServer((request, answer) => {
    questions.push(request.headers);
    const [status, user] = decide(request.headers);
    answer.writeHead(status, user ? { 'X-User': user } : {}).end();
  });
  await new Promise((done) => { application.listen(0, '127.0.0.1', done); });
  allowed = await servePage(() => '<!doctype html><title>app</title>');
  stranger = await servePage(() => '<!doctype html><title>stranger</title>');
  server = await Server.start(`allowed_origins = ["${allowed.url}"]\n[profiles.default]\nkey = "\${user}/\${id}"\n`, {
    auth__anonymous: 'false', auth__forward__url: `http://127.0.0.1:${application.address().port}/authorize`, limits__sign_rate: '0',
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  allowed?.close();
  stranger?.close();
  application?.closeAllConnections();
  application?.close();
});

function decideBySession() {
  decide = ({ cookie, authorization }) => {
    const user = SESSIONS[cookie] ?? { 'Bearer of cat': 'cat' }[authorization];
    return user ? [200, user] : [401];
  };
}

// fetch leaves out the fields that only a browser may set.
function ask(method, path, headers = {}, body = undefined) {
  return new Promise((done, fail) => {
    const request = http.request(server.url + path, { method, headers: { ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers } }, (answer) => {
      let text = '';
      answer.on('data', (piece) => { text += piece; });
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, body: JSON.parse(text) }));
    });
    request.on('error', fail);
    request.end(body);
  });
}

const sign = (headers) => ask('POST', '/v1/uploads', headers, '{"filename":"a"}');

test('who may sign: cookies, origins and Authorization', async () => {
  decideBySession();
  const Cookie = 'session=ann', Authorization = 'Bearer of cat';
  const table = [
    // request                                                         status  user    asks the application
    [{ Cookie, Origin: allowed.url }, 201, 'ann', true],
    [{ Cookie, Origin: server.url }, 201, 'ann', true],
    [{ Cookie, Origin: stranger.url }, 401, undefined, false],
    [{ Cookie, Origin: 'null' }, 401, undefined, false],
    [{ Cookie, Origin: '' }, 401, undefined, false],
    [{ Cookie, Origin: `${allowed.url}.evil.example` }, 401, undefined, false],
    [{ Cookie }, 401, undefined, false],
    [{ Cookie, 'Sec-Fetch-Site': 'same-origin' }, 401, undefined, false], // a POST names its origin
    [{ Cookie, Referer: `${allowed.url}/` }, 401, undefined, false],
    [{ Cookie: 'session=unknown', Origin: allowed.url }, 401, undefined, true],
    [{ Authorization }, 201, 'cat', true],
    [{ Authorization, Origin: allowed.url }, 201, 'cat', true],
    [{ Authorization, Origin: stranger.url }, 403, undefined, true],
    [{ Authorization, Cookie, Origin: stranger.url }, 403, undefined, true], // without the cookie
    [{ Authorization: 'Basic YTpi' }, 401, undefined, true],
    [{}, 401, undefined, false],
  ];
  for (const [headers, status, user, asks] of table) {
    questions = [];
    const answer = await sign(headers), what = JSON.stringify(headers);
    assert.equal(answer.status, status, `${what}: ${answer.body.detail}`);
    assert.equal(answer.body.key?.split('/')[0], user, what);
    assert.equal(questions.length, asks ? 1 : 0, what);
    if (headers.Origin === stranger.url && asks) assert.equal(questions[0].cookie, undefined, what);
    assert.equal(answer.headers['access-control-allow-credentials'], [allowed.url, server.url].includes(headers.Origin) ? 'true' : undefined, what);
  }
  assert.match((await sign({ Cookie })).body.detail, /cookies are ignored/);
});

test('who sees key and metadata', async () => {
  decideBySession();
  const { body: form } = await sign({ Cookie: 'session=ann', Origin: allowed.url });
  const table = [
    [{ Cookie: 'session=ann', Origin: allowed.url }, true],
    [{ Cookie: 'session=ann', 'Sec-Fetch-Site': 'same-origin' }, true],
    [{ Cookie: 'session=ann', 'Sec-Fetch-Site': 'same-site' }, true],
    [{ Cookie: 'session=ann', 'Sec-Fetch-Site': 'cross-site' }, false],
    [{ Cookie: 'session=ann', 'Sec-Fetch-Site': 'none' }, false],
    [{ Cookie: 'session=ann' }, false],
    [{ Cookie: 'session=ann', Origin: stranger.url }, false],
    [{ Cookie: 'session=bob', Origin: allowed.url }, false],
    [{}, false],
  ];
  for (const [headers, whole] of table) {
    const { status, body } = await ask('GET', `/v1/uploads/${form.id}`, headers);
    assert.deepEqual([status, body.key], [200, whole ? form.key : undefined], JSON.stringify(headers));
  }
});

test('what the application answers', async () => {
  const headers = { Cookie: 'session=x', Origin: allowed.url };
  const table = [
    [[200, 'ann'], 201, undefined],
    [[204, 'ann'], 201, undefined],
    [[401], 401, 'unauthorized'],
    [[403], 403, 'forbidden'],
    [[200], 503, 'unavailable'], // names nobody
    [[302, 'ann'], 503, 'unavailable'],
    [[200, 'a/b'], 503, 'unavailable'],
  ];
  for (const [answer, status, code] of table) {
    decide = () => answer;
    const got = await sign(headers);
    assert.deepEqual([got.status, got.body.code], [status, code], JSON.stringify(answer));
    assert.ok(!JSON.stringify(got.body).includes('/authorize'), 'the client does not learn the URL of the application');
  }
  decideBySession();
});

// In the page, with the browser's own cookies: what became of a signing request.
const signInPage = ([url, init]) => fetch(`${url}/v1/uploads`, { method: 'POST', body: '{"filename":"a"}', ...init })
  .then(async (answer) => `${answer.status} ${(await answer.json()).key ?? ''}`.trim(), () => 'not readable');
const json = { 'Content-Type': 'application/json' };

test('a browser\'s cookies sign from a listed page only', async () => {
  decideBySession();
  const context = await browser.newContext();
  await context.addCookies([{ name: 'session', value: 'ann', url: server.url }]); // cookies know no ports
  const page = await context.newPage();
  await page.goto(allowed.url);
  assert.match(await page.evaluate(signInPage, [server.url, { headers: json, credentials: 'include' }]), /^201 ann\//);
  assert.equal(await page.evaluate(signInPage, [server.url, { headers: json, credentials: 'omit' }]), '401');
  await page.goto(`${server.url}/postern.js`);
  assert.match(await page.evaluate(signInPage, [server.url, { headers: json, credentials: 'include' }]), /^201 ann\//);

  await page.goto(stranger.url); // another port of the same site: the browser does send it the cookies
  questions = [];
  assert.equal(await page.evaluate(signInPage, [server.url, { headers: json, credentials: 'include' }]), 'not readable');
  assert.equal(await page.evaluate(signInPage, [server.url, { headers: { 'Content-Type': 'text/plain' }, credentials: 'include' }]), 'not readable'); // no preflight
  const posted = page.waitForResponse((answer) => answer.url() === `${server.url}/v1/uploads`);
  await page.evaluate((url) => {
    document.body.innerHTML = `<form method="post" enctype="text/plain" action="${url}/v1/uploads"><input name='{"filename":"' value='a"}'></form>`;
    document.forms[0].submit();
  }, server.url);
  assert.equal((await posted).status(), 401);
  assert.deepEqual(questions, [], 'the application was not asked for a strange page');
  await context.close();
});

test('a link to an upload shows the visitor of another site nothing', async () => {
  decideBySession();
  const { body: form } = await sign({ Cookie: 'session=ann', Origin: allowed.url });
  const context = await browser.newContext();
  await context.addCookies([{ name: 'session', value: 'ann', url: server.url }]);
  const page = await context.newPage();
  const answer = await page.goto(`${server.url}/v1/uploads/${form.id}`);
  assert.equal((await answer.json()).key, undefined);
  await page.goto(`${server.url}/postern.js`);
  assert.equal(await page.evaluate((path) => fetch(path).then((a) => a.json()).then((u) => u.key), `/v1/uploads/${form.id}`), form.key);
  await context.close();
});

test('an application that is down costs a moment, and comes back', async () => {
  const headers = { Cookie: 'session=ann', Origin: allowed.url };
  decide = () => [500];
  for (let n = 0; n < 8; n += 1) assert.equal((await sign(headers)).status, 503);
  questions = [];
  decideBySession();
  assert.equal((await sign(headers)).status, 503); // given up for a moment: it is not asked
  assert.equal(questions.length, 0);
  for (const end = Date.now() + 20_000; (await sign(headers)).status !== 201;) assert.ok(Date.now() < end, 'it is never asked again');
});
