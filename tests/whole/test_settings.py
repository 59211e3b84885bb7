"""Settings whose effect is visible only from outside, through the real program: server.tls, limits.min_body_rate, limits that are off, log.format, ledger.retention, a profile's max_size beyond a form."""

import os, sqlite3, ssl, sys, warnings

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from certificates import Authority


def variable(setting):
    """The environment variable that an error names."""
    return "POSTERN_" + setting.upper()


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="postern-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = Authority(cls.folder)
        certificate, key = cls.authority.certificate("localhost")
        cls.settings = {"server__tls__certificate": certificate, "server__tls__key": key}

    def serve(self):
        return Server(tls=ssl.create_default_context(cafile=self.authority.file), **self.settings)

    def test_an_upload_over_tls(self):
        data = random_bytes(3_000_000)
        with self.serve() as server:
            form = server.sign()
            self.assertTrue(form["fallback_url"].startswith(f"https://127.0.0.1:{server.port}/"))
            status, headers, body = server.post_form(form["fields"], data)
            self.assertEqual(status, 303, body)
            status, _, body = server.request("GET", headers["location"].removeprefix(server.url), headers={"Accept": "application/json"})
            self.assertEqual((status, json.loads(body)["state"], json.loads(body)["size"]), (200, "completed", len(data)))
            with open(server.object_path(form["key"]), "rb") as f:
                self.assertEqual(f.read(), data)

    def test_a_client_without_the_authority_does_not_connect(self):
        with self.serve() as server:
            server.tls = ssl.create_default_context()
            with self.assertRaises(ssl.SSLCertVerificationError):
                server.request("GET", "/postern.js")
            server.tls = ssl.create_default_context(cafile=self.authority.file)
            self.assertEqual(server.request("GET", "/postern.js")[0], 200)

    def test_old_protocols_and_plain_http_are_refused(self):
        with self.serve() as server:
            old = ssl.create_default_context(cafile=self.authority.file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with self.assertRaises(ssl.SSLError), server.raw() as s:
                old.wrap_socket(s, server_hostname="localhost")
            with server.raw() as s:
                s.sendall(b"GET /postern.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                with contextlib.suppress(ConnectionError):
                    while piece := s.recv(65536):
                        answer += piece
                self.assertNotIn(b"200", answer[:40])
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                server.tls = ssl.create_default_context(cafile=self.authority.file)
                server.tls.minimum_version = server.tls.maximum_version = version
                self.assertEqual(server.request("GET", "/postern.js")[0], 200, version)

    def test_a_key_of_another_certificate_is_an_error(self):
        _, other = Authority(self.folder, "another").certificate("other")
        self.assert_error({"server__tls__key": other}, f"POSTERN_SERVER__TLS__KEY: the key in {other} does not belong to the certificate in {self.settings['server__tls__certificate']}; name the key")

    def test_a_file_that_cannot_be_used_is_named_with_its_setting_and_the_reason(self):
        certificate, key = self.settings["server__tls__certificate"], self.settings["server__tls__key"]
        empty = os.path.join(self.folder, "empty.pem")
        with open(empty, "w"):
            pass
        for setting in ("server__tls__certificate", "server__tls__key"):
            self.assert_error({setting: "/nowhere/a.pem"}, f"{variable(setting)}: the file /nowhere/a.pem cannot be read: No such file or directory; name a PEM file")
            self.assert_error({setting: self.folder}, f"{variable(setting)}: the file {self.folder} cannot be read: Is a directory")
        self.assert_error({"server__tls__certificate": empty}, f"{variable('server__tls__certificate')}: the file {empty} holds no certificate")
        self.assert_error({"server__tls__key": certificate}, f"{variable('server__tls__key')}: the file {certificate} holds no private key")
        for setting in ("store__ca_file", "events__ca_file"):
            self.assert_error({setting: "/nowhere/a.pem"}, f'{variable(setting)}: the CA file "/nowhere/a.pem" cannot be used: No such file or directory; name a PEM file')
            self.assert_error({setting: key}, f'{variable(setting)}: the CA file "{key}" cannot be used')

    def assert_error(self, changes, words):
        with self.subTest(words), self.assertRaises(RuntimeError) as failed:
            Server(**{**self.settings, **changes}).close()
        self.assertIn(words, str(failed.exception))


class BodyRate(unittest.TestCase):
    def test_a_body_below_the_rate_is_cut_and_one_above_is_not(self):
        # The rate is averaged over 30 s, so this test takes as long. Both send five times a second.
        with Server(limits__min_body_rate="1KiB", limits__body_silence="10s") as server:
            def drip(a_second, seconds=36):
                form = server.sign(success_action_status=204)
                data = b"x" * (a_second * seconds)
                body, content_type = form_body(form["fields"], data)
                begin = time.monotonic()
                with server.raw(timeout=60) as s:
                    ahead = len(body) - len(data)
                    s.sendall(form_header(len(body), content_type=content_type) + body[:ahead])
                    answer, sent, step = None, ahead, a_second // 5
                    while sent < len(body) and not answer:
                        s.settimeout(0.2)  # the pace
                        try:
                            if s.recv(1, socket.MSG_PEEK):
                                answer = read_answer(s)
                        except TimeoutError:
                            s.settimeout(60)
                            s.sendall(body[sent:sent + step])
                            sent += step
                    s.settimeout(60)
                    return form, answer or read_answer(s), time.monotonic() - begin, sent < len(body)

            (slow, answer, seconds, is_cut), (steady, other, _, _) = in_threads(drip, [200, 4096])
            self.assertEqual((answer[0], s3_code(answer[2]), is_cut), (408, "RequestTimeout", True))
            self.assertGreater(seconds, 25)
            self.assertLess(seconds, 36)
            self.assertEqual(answer[1]["connection"], "close")
            self.assertIn("limits.min_body_rate is 1024", server.log_text())
            self.assertEqual(server.status(slow["id"])["state"], "issued")  # the form can be posted again
            self.assertEqual(other[0], 204)
            self.assertEqual(server.status(steady["id"])["state"], "completed")
            self.assertEqual(list(server.objects()), ["local/" + steady["key"]])


class SwitchedOff(unittest.TestCase):
    LIMITS = ("request_header", "json_body", "form_fields", "header_timeout", "body_silence", "min_body_rate", "idle_timeout", "connections", "connections_per_address", "sign_rate", "sign_burst", "status_rate", "status_burst", "event_stream_rate", "event_stream_burst", "event_streams", "buffers", "store_requests")

    def test_what_the_defaults_would_refuse_is_taken(self):
        with Server(**{f"limits__{name}": "0" for name in self.LIMITS}) as server:
            forms = in_threads(lambda _: server.sign(), range(300))  # more at once than the default allows
            connections = [server.raw() for _ in range(250)]  # more than one address may have
            idle, begun = server.raw(timeout=60), server.raw(timeout=60)
            begun.sendall(b"GET /v1/uploads/x HTTP/1.1\r\n")
            wide = json.dumps({"filename": "a", "content_type": "text/plain", "nothing": " " * 70_000}).encode()
            self.assertNotEqual(server.request("POST", "/v1/uploads", wide, {"Content-Type": "application/json"})[0], 413)
            self.assertEqual(server.request("GET", "/v1/uploads/x", headers={"x-long": "x" * 20_000})[0], 404)
            status, _, body = server.post_form({**forms[0]["fields"], "x-ignore-long": "x" * 30_000}, b"hello")
            self.assertEqual(status, 303, body)
            time.sleep(11)  # the default header_timeout and a second
            begun.sendall(b"Host: localhost\r\n\r\n")
            self.assertEqual(read_answer(begun)[0], 404)
            idle.sendall(b"GET /v1/uploads/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(read_answer(idle)[0], 404)
            for c in (*connections, idle, begun):
                c.close()

    def test_a_rate_without_a_burst(self):
        with Server(limits__sign_rate="5", limits__sign_burst="0") as server:
            answers = [server.request("POST", "/v1/uploads", b'{"filename":"a"}', {"Content-Type": "application/json"})[0] for _ in range(5)]
            self.assertEqual(answers, [201] * 5)


class Json(unittest.TestCase):
    def lines(self, text):
        """Each line as an object. A repeated member, a line that is no JSON and text that is not UTF-8 fail the test."""
        def once(pairs):
            self.assertEqual(len(pairs), len(dict(pairs)), pairs)
            return dict(pairs)

        return [json.loads(line, object_pairs_hook=once) for line in text.decode().splitlines()]  # decode() is strict

    def test_each_log_line_is_a_json_object(self):
        with Server(log__format="json", log__level="debug") as server:
            form = server.sign(filename='a "b"\\ \u00e4\u2028\U0001f600.bin')
            self.assertEqual(server.post_form(form["fields"], b"hello")[0], 303)
            self.assertEqual(server.post_form(dict(form["fields"], key="else\"where\n\u00e4"), b"hello")[0], 403)
            self.assertEqual(server.post_form(dict(form["fields"], key=b"\xff\xfe\x00\x1f\x7f"), b"hello")[0], 400)
            self.assertEqual(server.request("POST", "/v1/uploads", json.dumps({"filename": "a", "profile": "\u00e4" * 3000}), {"Content-Type": "application/json"})[0], 400)
            self.assertEqual(server.request("GET", "/v1/complete/" + "x" * 5000)[0], 403)
            self.assertEqual(server.request("POST", "/v1/events", b'{"\xff"')[0], 401)
            with server.raw() as s:
                s.sendall(b"GET /\xff\" HTTP/1.1\r\nHost: \x01\r\n\r\n")
                read_answer(s)
            server.stop()
            with open(server.log_path, "rb") as f:
                lines = self.lines(f.read())
        self.assertGreater(len(lines), 5)
        for line in lines:
            self.assertEqual(list(line)[:3], ["time", "level", "event"], line)
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))
            self.assertTrue(line["event"] and isinstance(line["event"], str), line)
        by_event = {line["event"]: line for line in lines}
        completed = by_event["upload completed"]
        self.assertEqual((completed["upload"], completed["size"], completed["source"]), (form["id"], 5, "fallback"))  # a number is a number
        self.assertEqual(by_event["listening"]["address"].split(":")[0], "127.0.0.1")
        self.assertEqual(by_event["draining"]["signal"], "SIGTERM")
        self.assertTrue(any("request" in line for line in lines), "refusals name their request")


class Retention(unittest.TestCase):
    """With a retention, the ledger's file stops growing."""

    ROUNDS, COUNT = 3, 1000

    def sizes(self, retention):
        """The database's size in bytes after each round of uploads. The next round begins after the retention."""
        config = (f'[auth]\nanonymous = true\n[profiles.default]\nexpires = "3s"\n[sweep]\ninterval = "200ms"\ngrace = "0s"\nclaim_lifetime = "3s"\n[ledger]\nretention = "{retention}"\n')
        with Server(config) as server:
            path, sizes = os.path.join(server.folder, "postern.db"), []
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                number = lambda sql: db.execute(sql).fetchone()[0]
                for _ in range(self.ROUNDS):
                    def some(first):
                        forms = [server.sign(metadata={"text": "x" * 1500}, success_action_status=204) for _ in range(first, self.COUNT, 4)]
                        self.assertEqual(server.post_form(forms[-1]["fields"], b"hello")[0], 204)
                        return forms

                    forms = [f for share in in_threads(some, range(4)) for f in share]
                    wait_until(lambda: number("SELECT count(*) FROM uploads WHERE state IN ('issued', 'receiving')") == 0, "all forms ended or completed")
                    # The file's size after a checkpoint. This connection also reads the write-ahead log.
                    sizes.append(number("PRAGMA page_count") * number("PRAGMA page_size"))
                    if retention != "0":
                        wait_until(lambda: number("SELECT count(*) FROM uploads") == 0, "all uploads forgotten")
                        self.assertEqual(server.request("GET", "/v1/uploads/" + forms[0]["id"])[0], 404)
            rows = len(server.uploads())
            server.stop()  # which checkpoints
            self.assertEqual(os.path.getsize(path), sizes[-1])
            print(f"\nledger.retention = {retention}: {self.COUNT} uploads a round, the database has {', '.join(f'{s >> 10} KiB' for s in sizes)} after each and {rows} rows in the end", file=sys.stderr)
            return sizes, rows

    def test_with_retention_the_file_stops_growing(self):
        sizes, rows = self.sizes("8s")
        self.assertEqual(rows, 0)
        self.assertLess(max(sizes[1:]), 1.25 * sizes[0])

    def test_without_retention_the_file_grows(self):
        sizes, rows = self.sizes("0")
        self.assertEqual(rows, self.ROUNDS * self.COUNT)
        self.assertGreater(sizes[-1], 2.5 * sizes[0])


class SizesBeyondAForm(unittest.TestCase):
    CONFIG = """[auth]
anonymous = true
[profiles.exact]
max_size = "5GiB"
[profiles.above]
max_size = "5368709121"
ways = ["form", "put", "fallback"]
[profiles.in_parts]
max_size = "1TiB"
[profiles.fallback_alone]
min_size = "6GiB"
max_size = "7GiB"
"""

    def warnings(self, **settings):
        with Server(self.CONFIG, **settings) as server:
            return [line for line in server.log_text().splitlines() if "a profile allows larger files than S3 takes from a form" in line]

    def test_with_s3_the_log_names_each_such_profile(self):
        (line,) = self.warnings(store__type="s3", store__bucket="media", store__endpoint=f"http://127.0.0.1:{free_port()}")
        for part in ("profile=above", "max_size=5368709121", "largest_form=5GiB", "profiles.above.max_size"):
            self.assertIn(part, line)

    def test_a_directory_takes_any_size(self):
        self.assertEqual(self.warnings(), [])


main()
