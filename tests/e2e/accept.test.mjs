// An accept hook in the browser: the client waits while an object is checked, and says what became of it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { Server, launch, makeFile, test, until } from './support.mjs';

let application, verdict, questions, server, browser;

before(async () => {
  application = http.createServer((request, answer) => {
    let text = '';
    request.on('data', (piece) => { text += piece; });
    request.on('end', () => {
      questions.push(JSON.parse(text));
      answer.writeHead(verdict ? 200 : 503, { 'Content-Type': 'application/json' }).end(JSON.stringify(verdict));
    });
  });
  await new Promise((done) => { application.listen(0, '127.0.0.1', done); });
  server = await Server.start('[profiles.default.accept]\n' +
    `url = "http://127.0.0.1:${application.address().port}/judge"\nsecret = "a secret of the accept hook"\nallow_private = true\n`);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  application?.closeAllConnections();
  application?.close();
});

// Uploads by a script, or by a form in a hidden frame, and returns what the client says at the end.
async function upload(name, framed) {
  const page = await browser.newPage();
  await page.goto(server.url + '/');
  await page.evaluate(() => {
    const input = document.createElement('input');
    input.type = 'file';
    input.id = 'f';
    document.body.appendChild(input);
  });
  await page.setInputFiles('#f', makeFile(server.folder, name, 100_000));
  await page.evaluate((inFrame) => {
    window.ended = new Promise((done) => {
      const options = { onComplete: (u) => done({ state: u.state }), onError: (e) => done({ code: e.code }) };
      window.Postern.upload(document.getElementById('f'), inFrame ? { transport: 'iframe', ...options } : options);
    });
  }, framed);
  return { page, end: () => page.evaluate(() => window.ended) };
}

for (const framed of [false, true]) {
  for (const [said, wanted] of [[{ verdict: 'accept' }, { state: 'completed' }], [{ verdict: 'reject', reason: 'a virus' }, { code: 'rejected' }]]) {
    test(`${said.verdict}, by ${framed ? 'a hidden frame' : 'a script'}`, async () => {
      questions = [];
      verdict = undefined;
      const { page, end } = await upload(`${said.verdict} ${framed}.bin`, framed);
      await until(() => questions.length > 0, () => 'the hook is not asked');
      assert.equal(questions[0].data.state, 'checking');
      verdict = said; // the hook is asked again after a pause
      const ended = await end();
      assert.equal(ended.state, wanted.state);
      assert.equal(ended.code, wanted.code);
      assert.ok(questions.length > 1);
      await page.close();
    });
  }
}
