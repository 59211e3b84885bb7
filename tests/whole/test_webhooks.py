"""Webhooks from the real program to receivers that behave and receivers that misbehave."""

import os, sqlite3, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from hooks import *
import postgres

OPEN = "[auth]\nanonymous = true\n[log]\nlevel = \"debug\"\n"


class Webhooks(unittest.TestCase):
    def serve(self, *endpoints, **settings):
        server = Server(OPEN + "".join(endpoints), **settings)
        self.addCleanup(self.close, server)
        return server

    def close(self, server):
        text = server.log_text()
        server.close()
        for never in (SECRET, SECRET[6:], OLDER, "v1,", "token=hush"):
            self.assertNotIn(never, text)

    def receiver(self, responses=None, **more):
        r = Receiver(responses, **more)
        self.addCleanup(r.close)
        return r

    def upload(self, server, data=b"hello"):
        form = server.sign(metadata={"album": "7"})
        self.assertEqual(server.post_form(form["fields"], data)[0], 303)
        return form["id"]

    def command(self, server, *arguments):
        done = subprocess.run([BINARY, "uploads", "webhooks", "--config", server.config, *arguments], capture_output=True, text=True, cwd=server.folder, timeout=30, env=server.environment, check=False)
        return done.returncode, done.stdout, done.stderr

    def listed(self, server, *arguments):
        code, out, err = self.command(server, "--json", *arguments)
        self.assertEqual(code, 0, err)
        return [json.loads(l) for l in out.splitlines()]

    def until(self, condition, seconds=20):
        return wait_until(condition, "what the test waits for", seconds)

    def one_failure(self, server, path):
        """Waits until the message to that path has failed, and returns it."""
        return self.until(lambda: [w for w in self.listed(server) if path in w["url"] and w["tries"]])[0]

    def metric(self, server, line):
        return server.metric(line)

    # --- what arrives -------------------------------------------------------------------------------

    def test_a_completed_upload_is_announced(self):
        r = self.receiver()
        base = f"http://127.0.0.1:{r.port}"
        server = self.serve(endpoint(base + "/all?token=hush", [SECRET, OLDER]), endpoint(base + "/failures", types=["upload.failed"]), endpoint(base + "/done", OLDER, types=["upload.completed"]))
        id = self.upload(server)
        came = r.wait("/all")[0]
        self.assertEqual(came.path, "/all?token=hush")
        self.assertEqual(came.headers["content-type"], "application/json")
        self.assertRegex(came.headers["user-agent"], r"^Postern/\d")
        self.assertEqual(came.headers["host"], f"127.0.0.1:{r.port}")
        self.assertTrue(came.signed_by(SECRET))
        self.assertTrue(came.signed_by(OLDER))
        self.assertFalse(came.signed_by("another secret, not configured"))
        payload = came.json()
        self.assertEqual(payload["type"], "upload.completed")
        self.assertRegex(payload["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        for name, value in (("id", id), ("state", "completed"), ("size", 5), ("bucket", "local"), ("etag", server.status(id)["etag"]), ("metadata", {"album": "7"})):
            self.assertEqual(payload["data"][name], value, payload)
        other = r.wait("/done")[0]
        self.assertTrue(other.signed_by(OLDER))
        self.assertFalse(other.signed_by(SECRET))
        self.assertNotEqual(other.id, came.id)
        self.until(lambda: self.listed(server) == [])
        self.upload(server)  # a repeated message of the first upload would arrive before those of the second
        r.wait("/all", 2), r.wait("/done", 2)
        self.until(lambda: self.listed(server) == [])
        self.assertEqual((len(r.at("/all")), len(r.at("/done")), len(r.at("/failures"))), (2, 2, 0))
        self.assertEqual(self.metric(server, 'postern_webhook_tries_total{outcome="delivered"}'), 4)
        self.until(lambda: self.metric(server, "postern_webhook_oldest_due_seconds") == 0)

    def test_failures_of_receivers_are_recorded_and_retried(self):
        def flaky(request, n):
            request.respond(500 if n == 1 else 200, b"not <now>\x07")

        def closes(request, n):
            if n == 1:
                request.close_connection = True
            else:
                request.respond(200)

        def redirects(request, n):
            request.respond(307, Location=f"http://127.0.0.1:{r.port}/elsewhere")

        def huge(request, n):
            request.send_response(200)
            request.send_header("Content-Length", str(10**15))
            request.end_headers()
            for _ in range(1000):
                request.wfile.write(b"x" * 65536)

        def endless(request, n):
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            while True:
                request.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")

        def drips(request, n):
            request.send_response(200)
            while not r.ending.wait(1):
                request.send_header("X-More", "and more")
                request.flush_headers()

        def babbles(request, n):
            request.wfile.write(b"+OK hello\r\n")
            request.close_connection = True

        responses = {"/flaky": flaky, "/closes": closes, "/redirects": redirects, "/huge": huge, "/endless": endless, "/drips": drips, "/babbles": babbles, "/hangs": lambda request, n: request.hang(), "/refuses": 401}
        r = self.receiver(responses)
        base = f"http://127.0.0.1:{r.port}"
        server = self.serve(*(endpoint(base + path) for path in responses), endpoint(base + "/good"), endpoint(f"http://127.0.0.1:{free_port()}/nobody"))
        begin = time.monotonic()
        self.upload(server)
        r.wait("/good", seconds=5)  # independent of the other receivers
        gone = lambda path: not any(path in w["url"] for w in self.listed(server))
        for path in ("/good", "/huge", "/endless"):
            self.until(lambda: gone(path), 5)
        for path, words in (("/flaky", 'answered 500: "not <now>\\x07"'), ("/closes", "without a response"), ("/redirects", "redirects are not followed"), ("/babbles", "not HTTP"), ("/refuses", "answered 401"), ("/nobody", "refused")):
            w = self.one_failure(server, path)
            self.assertIn(words, w["last_error"].replace("Connection refused", "refused"))
            self.assertEqual(w["tries"], 1)
            self.assertFalse(w["dead"])
        for path in ("/flaky", "/closes"):  # the pause is 5 to 6 s
            first, second = r.wait(path, 2, 15)
            self.assertEqual(first.id, second.id)
            self.assertEqual(first.body, second.body)
            self.assertTrue(second.signed_by(SECRET))
            self.assertGreater(second.at - first.at, 4.9)
            self.until(lambda: gone(path), 5)
        for path in ("/hangs", "/drips"):
            w = self.one_failure(server, path)
            self.assertIn("no answer within 15 s", w["last_error"])
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(r.at("/elsewhere"), [])
        self.assertEqual(self.metric(server, 'postern_webhook_tries_total{outcome="timed_out"}'), 2)
        if not is_sanitized():
            self.assertLess(server.memory(), 200 << 20)

    def test_a_hanging_receiver_does_not_delay_others(self):
        r = self.receiver({"/hangs": lambda request, n: request.hang()})
        base = f"http://127.0.0.1:{r.port}"
        server = self.serve(endpoint(base + "/hangs"), endpoint(base + "/good"), server__drain="1s")
        ids = {self.upload(server) for _ in range(40)}
        self.assertEqual({a.json()["data"]["id"] for a in r.wait("/good", 40, 10)}, ids)
        self.assertLessEqual(len(r.at("/hangs")), 4)

    def test_status_410_stops_an_endpoint_until_a_retry(self):
        responses = {"/hook": 410}
        r = self.receiver(responses)
        server = self.serve(endpoint(f"http://127.0.0.1:{r.port}/hook"), endpoint(f"http://127.0.0.1:{r.port}/other"))
        self.upload(server)
        dead = self.until(lambda: self.listed(server, "--dead"))
        self.assertEqual((dead[0]["last_error"], dead[0]["due_at"]), ("answered 410", None))
        self.upload(server)
        r.wait("/other", 2)  # both messages of the second upload were due at the same time
        self.until(lambda: len(self.listed(server)) == 2)
        self.assertEqual([(w["last_error"], w["due_at"]) for w in self.listed(server)], [("answered 410", None)] * 2)  # stored, not sent
        self.assertEqual(len(r.at("/hook")), 1)
        _, out, _ = self.command(server)
        self.assertRegex(out.splitlines()[1], r" upload\.completed +\d  dead +http://127.0.0.1:\d+/hook  answered 410$")
        responses["/hook"] = 200
        self.assertEqual(self.command(server, "--retry", dead[0]["id"]), (0, "1 dead letter due again\n", ""))
        first, second = r.wait("/hook", 2)
        self.assertEqual(first.id, second.id)
        self.assertEqual(self.command(server, "--retry-all"), (0, "1 dead letter due again\n", ""))
        self.upload(server)
        r.wait("/hook", 4)
        self.until(lambda: self.listed(server) == [])

    def test_messages_for_another_nodes_endpoint_are_left_to_it(self):
        old, new = self.receiver({}), self.receiver({})
        urls = [f"http://127.0.0.1:{r.port}/hook" for r in (old, new)]
        server = self.serve("".join(map(endpoint, urls)))
        new.close()
        self.upload(server)
        self.until(lambda: [w["tries"] for w in self.listed(server)] == [1])
        server.stop()
        with open(server.config, "w") as f:
            f.write(OPEN + endpoint(urls[0]))
        self.make_due(server)
        due = self.listed(server)
        server.start()
        self.upload(server)
        old.wait("/hook", 2)  # so the due messages have been read
        self.until(lambda: len(self.listed(server)) == 1)
        self.assertEqual(self.listed(server), due)

    def test_dead_letters_are_purged(self):
        r = self.receiver({"/hook": 410})
        server = self.serve(endpoint(f"http://127.0.0.1:{r.port}/hook"))
        id = self.upload(server)
        dead = self.until(lambda: self.listed(server, "--dead"))
        self.assertEqual(len(self.listed(server, "--upload", id)), 1)
        self.assertEqual(self.listed(server, "--upload", "another"), [])
        self.assertEqual(json.loads(dead[0]["payload"])["data"]["id"], id)
        code, out, err = self.command(server, "--purge", dead[0]["id"], "msg_none")
        self.assertEqual((code, out), (1, "1 dead letter deleted\n"))
        self.assertIn("1 of 2 ids name no dead letter", err)
        self.assertEqual(self.listed(server), [])
        self.assertEqual(self.command(server, "--purge-all"), (0, "0 dead letters deleted\n", ""))
        for wrong in (["--retry"], ["--retry", "a", "--purge-all"], ["--retry-all", "--json"], ["--limit", "0"]):
            self.assertEqual(self.command(server, *wrong)[0], 2, wrong)

    # --- whom messages go to --------------------------------------------------------------------------

    def test_only_trusted_certificates_with_the_right_name_are_accepted(self):
        folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, folder)
        certificate = make_certificate(folder)
        r = self.receiver(certificate=certificate)
        server = self.serve(endpoint(f"https://localhost:{r.port}/unknown"), endpoint(f"https://localhost:{r.port}/known", ca_file=certificate[0]),
                            endpoint(f"https://127.0.0.1:{r.port}/misnamed", ca_file=certificate[0]))
        self.upload(server)
        self.assertTrue(r.wait("/known")[0].signed_by(SECRET))
        for path, lack in (("/unknown", "self-signed certificate"), ("/misnamed", "IP address mismatch")):
            self.assertIn(lack, self.one_failure(server, path)["last_error"])
        self.assertEqual([a.path for a in r.arrivals], ["/known"])

    def test_private_addresses_need_allow_private(self):
        r = self.receiver()
        server = self.serve(endpoint(f"https://localhost:{r.port}/a", allow_private=False), endpoint(f"https://2130706433:{r.port}/b", allow_private=False))
        self.upload(server)
        for path in ("/a", "/b"):
            self.assertRegex(self.one_failure(server, path)["last_error"], r" resolves to (127\.0\.0\.1|::1), which is loopback: private addresses are not allowed here")
        self.assertEqual(r.connections, 0)

    # --- crashes and ends -----------------------------------------------------------------------------

    def make_due(self, server):
        """Makes the only message due now."""
        with contextlib.closing(sqlite3.connect(os.path.join(server.folder, "postern.db"))) as db, db:
            self.assertEqual(db.execute("UPDATE webhooks SET due_at = ?", (int(time.time() * 1000) - 1000,)).rowcount, 1)

    def revive(self, server):
        self.make_due(server)
        server.start()

    def test_a_message_survives_a_kill_during_its_delivery(self):
        responses = {"/hook": lambda request, n: request.hang()}
        r = self.receiver(responses)
        server = self.serve(endpoint(f"http://127.0.0.1:{r.port}/hook"))
        self.upload(server)
        r.wait("/hook")
        server.kill()
        responses["/hook"] = 200
        self.revive(server)
        first, second = r.wait("/hook", 2)
        self.assertEqual((first.id, first.body), (second.id, second.body))
        self.until(lambda: self.listed(server) == [])

    def test_a_message_survives_a_kill_before_its_delivery(self):
        port = free_port()
        server = self.serve(endpoint(f"http://127.0.0.1:{port}/hook"))
        id = self.upload(server)
        server.kill()
        r = self.receiver(port=port)
        self.revive(server)
        self.assertEqual(r.wait("/hook")[0].json()["data"]["id"], id)

    @unittest.skipUnless(postgres.is_installed(), "PostgreSQL is not installed")
    def test_two_nodes_deliver_each_message_once(self):
        r = self.receiver()
        with postgres.Postgres() as db:
            hook, url = endpoint(f"http://127.0.0.1:{r.port}/hook"), db.url()
            with Server(OPEN + hook, ledger__url=url) as one, Server(OPEN + hook, ledger__url=url) as two:
                ids = sorted(self.upload((one, two)[i % 2]) for i in range(60))
                r.wait("/hook", 60)
                self.until(lambda: self.listed(one) == [])
                ids = sorted(ids + [self.upload(one), self.upload(two)])  # so both nodes poll once more
                r.wait("/hook", 62)
                self.until(lambda: self.listed(one) == [])
                self.assertEqual(sorted(a.json()["data"]["id"] for a in r.at("/hook")), ids)
                self.assertEqual(sum(self.metric(s, 'postern_webhook_tries_total{outcome="delivered"}') for s in (one, two)), 62)

    def test_a_drain_waits_for_the_delivery_in_flight(self):
        def slow(request, n):
            r.ending.wait(1.5)
            request.respond(200)

        r = self.receiver({"/hook": slow})
        server = self.serve(endpoint(f"http://127.0.0.1:{r.port}/hook"))
        self.upload(server)
        r.wait("/hook")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.listed(server), [])

    def test_a_drain_does_not_wait_for_a_hanging_receiver(self):
        r = self.receiver({"/hook": lambda request, n: request.hang()})
        server = self.serve(endpoint(f"http://127.0.0.1:{r.port}/hook"), server__drain="1s")
        self.upload(server)
        r.wait("/hook")
        begin = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begin, 6)
        self.assertEqual([w["tries"] for w in self.listed(server)], [0])


main()
