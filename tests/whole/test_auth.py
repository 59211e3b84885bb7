"""Which callers may sign and complete: keys, rates, connections, claims."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

KEYS = {"app": ("the application's key", ["*"]), "images": ("the image service's key", ["images"])}
KEYS_WITH_RIGHTS = {"service": ("a key that signs for users", ["sign", "read", "user"]), "mailroom": ("a key that signs only", ["sign"])}
CONFIG = "[auth]\napi_keys = [" + ", ".join(
    f'{{ name = "{n}", sha256 = "{hashlib.sha256(k.encode()).hexdigest()}", profiles = {json.dumps(p)} }}' for n, (k, p) in KEYS.items()) + "".join(
    f', {{ name = "{n}", sha256 = "{hashlib.sha256(k.encode()).hexdigest()}", rights = {json.dumps(r)}, expires = 2999-01-01 }}' for n, (k, r) in KEYS_WITH_RIGHTS.items()) + (
    f', {{ name = "old", sha256 = "{hashlib.sha256(b"an old key").hexdigest()}", expires = "2026-11-01" }}') + ']\n[profiles.images]\nkey = "${profile}/${user}/${id}"\n'


def busy_connection(server):
    """A connection that the server has accepted and is reading a request from: it has asked for the body."""
    s = server.raw()
    s.sendall(b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
    assert read_answer(s)[0] == 100
    return s


def bearer(name):
    return {"Authorization": "Bearer " + {**KEYS, **KEYS_WITH_RIGHTS}[name][0]}


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def sign(self, headers, **ask):
        return self.server.request("POST", "/v1/uploads", json.dumps({"filename": "a", **ask}), {"Content-Type": "application/json", **headers})

    def test_signing_without_a_valid_key_is_401(self):
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}, {"Authorization": KEYS["app"][0]},
                        {"Authorization": "Bearer " + hashlib.sha256(KEYS["app"][0].encode()).hexdigest()}):
            status, answer_headers, body = self.sign(headers)
            self.assertEqual((status, answer_headers.get("www-authenticate"), json.loads(body)["code"]), (401, "Bearer", "unauthorized"), headers)
        self.assertEqual(self.server.request("GET", "/form")[0], 401)

    def test_a_request_with_authorization_is_never_anonymous(self):
        with Server("[auth]\nanonymous = true\n") as server:
            for lines, expected in ((("",), 201), (("Authorization:",), 401), (("Authorization: \t ",), 401), (("Authorization: Bearer wrong",), 401), (("Authorization:", "Authorization: Bearer wrong"), 400)):
                with server.raw() as s:
                    head = "".join(f"{line}\r\n" for line in lines if line)
                    s.sendall(f"POST /v1/uploads HTTP/1.1\r\nHost: a\r\n{head}Content-Type: application/json\r\nContent-Length: 16\r\nConnection: close\r\n\r\n".encode() + b'{"filename":"a"}')
                    self.assertEqual(read_answer(s)[0], expected, lines)

    def test_a_key_signs_only_for_its_profiles(self):
        self.assertEqual(self.sign(bearer("app"))[0], 201)
        self.assertEqual(self.sign(bearer("app"), profile="images")[0], 201)
        self.assertEqual(self.sign(bearer("images"))[0], 403)
        status, _, body = self.sign(bearer("images"), profile="images")
        self.assertEqual(status, 201)
        self.assertTrue(json.loads(body)["key"].startswith("images/images/"))

    def test_only_callers_who_may_sign_see_key_and_metadata(self):
        form = self.server.sign(headers=bearer("app"), metadata={"a": "b"})
        path = "/v1/uploads/" + form["id"]
        for headers, whole in (({}, False), (bearer("images"), False), (bearer("app"), True)):
            recorded = json.loads(self.server.request("GET", path, headers=headers)[2])
            self.assertEqual(recorded["state"], "issued")
            self.assertEqual("key" in recorded and "metadata" in recorded, whole)

    def test_a_key_signs_for_others_only_with_the_right(self):
        self.assertEqual(self.sign(bearer("app"), user="ann")[0], 403)
        status, _, body = self.sign(bearer("service"), user="ann", profile="images")
        self.assertEqual(status, 201)
        form = json.loads(body)
        self.assertTrue(form["key"].startswith("images/ann/"), form["key"])
        self.assertEqual(self.server.post_form(form["fields"], b"x")[0], 303)
        for name, sees in (("service", True), ("app", False), ("mailroom", False)):
            recorded = json.loads(self.server.request("GET", "/v1/uploads/" + form["id"], headers=bearer(name))[2])
            self.assertEqual(recorded.get("user"), "ann" if sees else None, name)

    def test_a_user_cannot_lead_out_of_its_folder(self):
        for user in ("..", "a/b", "a\\b", "", "${filename}", "a\0", "x" * 201, 7):
            status, _, body = self.sign(bearer("service"), user=user)
            self.assertEqual(status, 400, (user, body))

    def test_an_expired_key_is_refused_with_its_date(self):
        status, _, body = self.sign({"Authorization": "Bearer an old key"})
        self.assertEqual(status, 401)
        self.assertIn("the API key expired at 2026-11-01T00:00:00Z", json.loads(body)["detail"])

    def test_secrets_are_not_in_the_log(self):
        form = self.server.sign(headers=bearer("app"))
        self.server.post_form(form["fields"], b"x")
        log = self.server.log_text()
        for word in (KEYS["app"][0], SECRET_KEY, form["fields"]["x-amz-signature"], form["fields"]["x-ignore-postern"], form["complete_url"].rsplit("/", 1)[1], "a secret for the tests"):
            self.assertNotIn(word, log)


class Rates(unittest.TestCase):
    def test_signing_over_the_rate_is_rejected(self):
        with Server(limits__sign_rate=5, limits__sign_burst=10) as server:
            answers = [server.request("POST", "/v1/uploads", '{"filename":"a"}', {"Content-Type": "application/json"}) for _ in range(30)]
            self.assertEqual([a[0] for a in answers[:10]], [201] * 10)
            refused = [a for a in answers if a[0] == 429]
            self.assertGreater(len(refused), 5)
            self.assertEqual({json.loads(a[2])["code"] for a in refused}, {"too_many_requests"})
            for answer in refused:
                self.assertIn(answer[1]["retry-after"], spread(1))
            ask = lambda: server.request("POST", "/v1/uploads", '{"filename":"a"}', {"Content-Type": "application/json"})[0]
            wait_until(lambda: ask() == 201, "one more form, a fifth of a second later", 5)

    def test_connections_from_one_address_are_limited(self):
        with Server("[auth]\nanonymous = true\n", limits__connections_per_address=5) as server:
            held = [busy_connection(server) for _ in range(5)]
            with server.raw() as s:
                status, headers, _ = read_answer(s)
                self.assertEqual(status, 503)
                self.assertIn(headers["retry-after"], spread(5))
            held.pop().close()
            wait_until(lambda: server.request("GET", "/postern.js")[0] == 200, "room for another connection", 5)
            [s.close() for s in held]

    def test_a_trusted_proxy_has_no_connection_limit(self):
        with Server(limits__connections_per_address=3, server__trusted_proxies='["127.0.0.0/8"]') as server:
            held = [server.raw() for _ in range(10)]
            server.sign()
            [s.close() for s in held]

    def test_only_the_last_address_in_x_forwarded_for_counts(self):
        with Server(limits__sign_rate=1, limits__sign_burst=2, server__trusted_proxies='["127.0.0.1"]') as server:
            def signed(lines):
                statuses = []
                for n in range(10):
                    head = "\r\n".join(l.format(n=n) for l in lines)
                    with server.raw() as s:
                        s.sendall(f"POST /v1/uploads HTTP/1.1\r\nHost: a\r\n{head}\r\nContent-Type: application/json\r\nContent-Length: 16\r\nConnection: close\r\n\r\n".encode() + b'{"filename":"a"}')
                        statuses.append(read_answer(s)[0])
                return statuses.count(201)
            self.assertLess(signed(["X-Forwarded-For: 10.0.0.{n}", "X-Forwarded-For: 192.0.2.1"]), 5)
            self.assertLess(signed(["X-Forwarded-For: 10.0.0.{n}, 192.0.2.2"]), 5)
            self.assertLess(signed(["Forwarded: for=10.0.0.{n}, for=\"[2001:db8::7]:4711\";proto=https"]), 5)
            self.assertEqual(signed(["X-Forwarded-For: 198.51.100.{n}"]), 10)

    def test_a_foreign_host_name_is_no_allowed_origin(self):
        with Server() as server:
            def sign(origin, host):
                with server.raw() as s:
                    s.sendall(f"POST /v1/uploads HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Type: application/json\r\nContent-Length: 16\r\nConnection: close\r\n\r\n".encode() + b'{"filename":"a"}')
                    return read_answer(s)[0]
            self.assertEqual(sign(f"http://localhost:{server.port}", f"localhost:{server.port}"), 201)
            self.assertEqual(sign(f"http://[::1]:{server.port}", f"[::1]:{server.port}"), 201)
            for origin, host in (("http://evil.example", "evil.example"), ("http://evil.example:80", "evil.example:80"), (f"ftp://localhost:{server.port}", f"localhost:{server.port}"), (f"https://localhost:{server.port}", f"localhost:{server.port}")):
                self.assertEqual(sign(origin, host), 403, origin)

    def test_connections_in_total_are_limited(self):
        with Server("[auth]\nanonymous = true\n", limits__connections=3) as server:
            held = [busy_connection(server) for _ in range(3)]
            with server.raw() as s:
                self.assertEqual(read_answer(s)[0], 503)
            [s.close() for s in held]


class Claims(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('[auth]\nanonymous = true\n[sweep]\nclaim_lifetime = "2s"\n[profiles.default]\nexpires = "2s"\n[profiles.other]\nexpires = "1s"\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def complete(self, url, headers=None):
        status, _, body = self.server.request("GET", url.removeprefix(self.server.url), headers=headers or {"Accept": "application/json"})
        return status, json.loads(body)

    def uploaded(self):
        form = self.server.sign()
        status, headers, _ = self.server.post_form(form["fields"], b"hello")
        self.assertEqual(status, 303)
        return form, headers["location"]

    def test_forged_and_altered_claims_are_rejected(self):
        form = self.server.sign()
        base, token = form["complete_url"].rsplit("/", 1)
        payload, mac = token.split(".")
        other = self.server.sign()["complete_url"].rsplit("/", 1)[1]
        changed = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(b'"n":0', b'"n":1')
        for forged in ("x", "x.y", payload, payload + ".", "." + mac, payload + "." + other.split(".")[1], other.split(".")[0] + "." + mac, base64.urlsafe_b64encode(changed).decode().rstrip("=") + "." + mac,
                       token + "A", token[:-1], "a" * 9000, token.replace(".", "%2E%2E")):
            status, body = self.complete(base + "/" + forged)
            self.assertEqual((status, body["code"]), (403, "forbidden"), forged[:50])
        self.assertEqual(self.server.status(form["id"])["state"], "issued")

    def test_an_expired_claim_is_rejected(self):
        form, begin = self.server.sign(), time.monotonic()
        self.assertEqual(self.complete(form["complete_url"])[0], 404)
        wait_until(lambda: self.complete(form["complete_url"])[0] == 403, "the claim expired", 10)
        self.assertGreater(time.monotonic() - begin, 0.9)  # the clock of claims counts whole seconds

    def test_a_valid_claim_for_another_object_is_rejected(self):
        _, location = self.uploaded()
        base, query = location.split("?")
        bucket, key, etag = query.split("&")
        for wrong in (f"bucket=other&{key}&{etag}", f"{bucket}&key=uploads%2Fother&{etag}"):
            self.assertEqual(self.complete(base + "?" + wrong)[0], 403)
        self.assertEqual(self.complete(f"{base}?{bucket}&{key}&etag=%22other%22")[0], 409)
        for order in (f"{etag}&{key}&{bucket}", f"{key}&{bucket}&{etag}&other=1", key, ""):
            self.assertEqual(self.complete(base + "?" + order)[0], 200)

    def test_a_valid_claim_for_an_absent_object_is_rejected(self):
        form = self.server.sign()
        status, body = self.complete(form["complete_url"])
        self.assertEqual((status, body["code"]), (404, "object_absent"))
        self.assertEqual(self.server.status(form["id"])["state"], "issued")

    def test_a_valid_claim_for_a_foreign_object_is_rejected(self):
        form = self.server.sign()
        path = self.server.object_path(form["key"])
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as f:
            f.write("not by an upload")
        self.assertEqual(self.complete(form["complete_url"])[0], 409)
        self.assertEqual(self.server.status(form["id"])["state"], "issued")


main()
