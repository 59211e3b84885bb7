"""Forms that a browser posts straight to S3: signed with keys of every kind, judged by the real S3, confirmed by HEAD."""

import calendar, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *


class Direct(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.role = cls.s3.make_role()
        cls.file = tempfile.NamedTemporaryFile()
        cls.file.write(b"hello, store\n" * 1000)
        cls.file.flush()

    @classmethod
    def tearDownClass(cls):
        cls.file.close()
        cls.s3.close()

    def assumed(self, **more):
        return self.static(store__credentials__role_arn=self.role, **more)

    def static(self, **more):
        return s3_server(self.s3, sweep__probe="false", **more)  # only what a test does completes its uploads

    def post(self, form, fields=None, follow=False, **more):
        return curl_form(form["url"], fields or form["fields"], self.file.name, follow, **more)

    def check_completed(self, server, form):
        recorded = server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"], recorded["completed_by"]), ("completed", 13000, "redirect"))
        self.assertEqual('"' + recorded["etag"] + '"', self.s3.head(form["key"])["etag"])

    def test_a_direct_upload_is_completed_by_its_redirect(self):
        for name, server in (("static keys", self.static()), ("a role's keys", self.assumed())):
            with self.subTest(name), server:
                form = server.sign()
                self.assertEqual(form["url"], f"{self.s3.endpoint}/media/")
                self.assertEqual("x-amz-security-token" in form["fields"], name != "static keys")
                status, headers, _ = self.post(form)
                self.assertEqual(status, 303)
                self.assertTrue(headers["location"].startswith(form["complete_url"] + "?bucket=media&key="))
                self.assertEqual(server.status(form["id"])["state"], "issued")  # no browser has followed the redirect yet
                status, _, body = self.post(server.sign(), follow=True)
                self.assertEqual((status, json.loads(body)["state"]), (200, "completed"))
                where = urlsplit(headers["location"])
                status, _, body = server.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})
                self.assertEqual((status, json.loads(body)["state"]), (200, "completed"))
                self.check_completed(server, form)

    def test_forms_with_the_bucket_in_the_host_are_accepted(self):
        with s3_server(self.s3, store__path_style="false", store__endpoint=f"http://localhost:{self.s3.port}") as server:
            form = server.sign(filename="ä b.bin")
            self.assertEqual(form["url"], f"http://media.localhost:{self.s3.port}/")
            status, _, body = self.post(form, follow=True)
            self.assertEqual((status, json.loads(body)["state"]), (200, "completed"))
            other = server.sign()
            self.assertEqual(send_large(server, other, Pattern(7 * MIB))[0], 303)
            self.assertEqual(server.status(other["id"])["state"], "completed")

    def test_forms_name_the_public_endpoint(self):
        with s3_server(self.s3, store__public_endpoint="https://files.example.com") as server:
            self.assertEqual(server.sign()["url"], "https://files.example.com/media/")

    def altered_forms(self, server, way):
        """Forms that differ from a valid one in one thing each: (what, status, S3's code). No such form leaves an object or changes the upload's row beyond `failed`."""
        def altered_form(profile="default", change=lambda f: None, expired=False):
            form = server.sign(profile=profile)
            fields = dict(form["fields"])
            change(fields)
            if expired:
                end = calendar.timegm(time.strptime(form["expires_at"][:19], "%Y-%m-%dT%H:%M:%S"))
                wait_until(lambda: time.time() > end + 1, "the form's end", 10)
            status, _, body = curl_form(form["url" if way == "direct" else "fallback_url"], fields, self.file.name)
            self.assertFalse(self.s3.has(form["key"]), "an object is under the key of a refused form")
            self.assertIn(server.status(form["id"])["state"], ("issued",) if way == "direct" else ("issued", "failed"))
            return status, s3_code(body)

        def other_policy(f):
            text = json.loads(base64.b64decode(f["policy"]))
            text["conditions"][0] = {"bucket": "other"}
            f["policy"] = base64.b64encode(json.dumps(text).encode()).decode()

        def later(f):
            text = json.loads(base64.b64decode(f["policy"]))
            text["expiration"] = "2099-01-01T00:00:00Z"
            f["policy"] = base64.b64encode(json.dumps(text).encode()).decode()

        def another_secret(f):
            f["x-amz-signature"] = hmac.new(signing_key("another secret", f["x-amz-date"][:8]), f["policy"].encode(), hashlib.sha256).hexdigest()
            f["x-ignore-postern"] = "0" * 64

        def unknown_key(f):
            f["x-amz-credential"] = "AKIANOBODY" + f["x-amz-credential"][f["x-amz-credential"].index("/"):]

        self.assertEqual(altered_form("small"), (400, "EntityTooLarge"))
        self.assertEqual(altered_form("hasty", expired=True), (403, "AccessDenied"))
        # RGW has one code for all of these, the fallback has AWS's.
        altered = (403, "AccessDenied" if way == "direct" else "SignatureDoesNotMatch")
        self.assertEqual(altered_form(change=other_policy), altered)
        self.assertEqual(altered_form(change=later), altered)
        self.assertEqual(altered_form("hasty", change=later, expired=True), altered)  # a client cannot extend the time
        self.assertEqual(altered_form(change=another_secret)[0], 403)
        self.assertEqual(altered_form(change=unknown_key)[0], 403)
        self.assertEqual(altered_form(change=lambda f: f.update(key="elsewhere/x")), (403, "AccessDenied"))
        self.assertFalse(self.s3.has("elsewhere/x"))
        self.assertEqual(altered_form(change=lambda f: f.update({"Content-Type": "text/html"})), (403, "AccessDenied"))
        self.assertEqual(altered_form(change=lambda f: f.update({"x-amz-meta-extra": "1"})), (403, "AccessDenied"))
        self.assertEqual(altered_form(change=lambda f: f.update({"x-amz-meta-postern-id": "0"})), (403, "AccessDenied"))
        self.assertEqual(altered_form(change=lambda f: f.update({"success_action_redirect": "https://evil.example.com/"})), (403, "AccessDenied"))
        if "x-amz-security-token" in server.sign()["fields"]:
            self.assertIn(altered_form(change=lambda f: f.pop("x-amz-security-token"))[0], (400, 403))
            self.assertIn(altered_form(change=lambda f: f.update({"x-amz-security-token": f["x-amz-security-token"][:-4] + "AAAA"}))[0], (400, 403))

    def test_every_altered_form_is_rejected_by_s3(self):
        config = '[auth]\nanonymous = true\n[profiles.default]\n[profiles.small]\nmax_size = "12KB"\n[profiles.hasty]\nexpires = "1s"\n'
        for keys in ("static", "role"):
            for way in ("direct", "fallback"):
                with self.subTest(f"{keys} credentials, {way}"), s3_server(self.s3, config, store__credentials__role_arn=self.role if keys == "role" else None) as server:
                    self.assertEqual("x-amz-security-token" in server.sign()["fields"], keys == "role")
                    self.altered_forms(server, way)

    def test_only_the_declared_size_is_accepted(self):
        with self.static() as server:
            form = server.sign(size=13000)
            self.assertEqual(self.post(form)[0], 303)
            for size in (12999, 13001):
                other = server.sign(size=size)
                status, _, body = self.post(other)
                self.assertEqual((status, s3_code(body)), (400, "EntityTooLarge" if size < 13000 else "EntityTooSmall"))
                self.assertFalse(self.s3.has(other["key"]))

    def test_a_redirect_alone_completes_nothing(self):
        with self.static() as server:
            form = server.sign()
            where = urlsplit(form["complete_url"]).path
            ask = lambda query="": server.request("GET", where + query, headers={"Accept": "application/json"})[0]
            self.assertEqual(ask(), 404)  # the object is absent
            self.assertEqual(self.post(form)[0], 303)
            self.assertEqual(ask("?bucket=other"), 403)
            self.assertEqual(ask("?bucket=media&key=elsewhere"), 403)
            self.assertEqual(ask("?etag=%22other%22"), 409)
            self.assertEqual(server.status(form["id"])["state"], "issued")
            self.s3.request("PUT", form["key"], body=b"put by someone else")
            self.assertEqual(ask(), 409)  # an object without the id is not this upload's
            self.assertEqual(server.status(form["id"])["state"], "issued")

    def test_uploads_continue_while_role_sessions_expire(self):
        # Each role session lasts three seconds: forms are signed, posted and confirmed all the while.
        with self.assumed(store__credentials__duration="3s") as server:
            seen, end = set(), time.monotonic() + 10
            while time.monotonic() < end:
                form = server.sign()
                seen.add(form["fields"]["x-amz-credential"])
                self.assertLessEqual(form["expires_at"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4)))
                status, _, body = self.post(form, follow=True)
                self.assertEqual((status, json.loads(body)["state"]), (200, "completed"), body)
                self.assertEqual(send_large(server, server.sign(), Pattern(6 * MIB))[0], 303)
            self.assertGreaterEqual(len(seen), 3)

    def test_two_nodes_with_their_own_sessions_accept_each_others_forms(self):
        with self.assumed() as a, self.assumed() as b:
            form = a.sign()
            self.assertNotEqual(form["fields"]["x-amz-credential"], b.sign()["fields"]["x-amz-credential"])
            # A's form through B's fallback, which has never seen it and holds other keys.
            status, _, body = curl_form(f"{b.url}/upload/media", form["fields"], self.file.name)
            self.assertEqual(status, 303, body)
            self.assertEqual(b.status(form["id"])["state"], "completed")
            # A's form straight to S3; the redirect is answered by B.
            form = a.sign()
            status, headers, _ = self.post(form)
            where = urlsplit(headers["location"])
            status, _, body = b.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})
            self.assertEqual((status, json.loads(body)["state"]), (200, "completed"))
            self.check_completed(b, form)

    def test_no_key_or_token_is_ever_logged(self):
        with self.assumed(log__level="debug") as server:
            form = server.sign()
            self.post(form, follow=True)
            text = server.log_text()
            for what in (rgw.SECRET_KEY, form["fields"]["x-amz-security-token"], form["fields"]["x-amz-signature"], form["fields"]["x-ignore-postern"], form["complete_url"].rsplit("/", 1)[1]):
                self.assertNotIn(what, text)


if __name__ == "__main__":
    need_rgw()
    main()
