"""Several stores: [store], and [[stores]] with buckets, credentials and an endpoint of their own. A profile names its store; the outage of one store does not affect the others."""

import os, sys, threading, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

TENANT_KEY, TENANT_SECRET = "AKIATENANT0EXAMPLE00", "a secret key of the tenant, 40 characters"
TOKEN = "a token for the events of the tests"
PROFILES = '[profiles.default]\nexpires = "2s"\n[profiles.archive]\nstore = "archive"\nkey = "kept/${id}"\nexpires = "2s"\n[profiles.papers]\nstore = "disk"\n'


def stores(other, secret=TENANT_SECRET):
    return f"""
[auth]
anonymous = true
[sweep]
interval = "300ms"
grace = "100ms"
[events]
token = "{TOKEN}"
[[stores]]
name = "archive"
type = "s3"
bucket = "archive"
endpoint = "{other.endpoint}"
path_style = true
timeout = "2s"
deadline = "3s"
region = "{rgw.REGION}"
credentials = {{ access_key = "{TENANT_KEY}", secret_key = "{secret}" }}
[[stores]]
name = "disk"
path = "var/papers"
bucket = "papers"
{PROFILES}"""


class Tenants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_rgw()
        cls.s3, cls.other = Rgw(), Rgw(bucket="scratch")
        in_threads(lambda s3: s3.__enter__(), [cls.s3, cls.other])
        cls.other.make_user("tenant", TENANT_KEY, TENANT_SECRET)
        cls.other.make_bucket("archive", access_key=TENANT_KEY, secret_key=TENANT_SECRET)

    @classmethod
    def tearDownClass(cls):
        cls.s3.close()
        cls.other.close()

    def serve(self, **more):
        return s3_server(self.s3, stores(self.other, **more))

    def tenants(self, method, key):
        return self.other.request(method, key, "archive", access_key=TENANT_KEY, secret_key=TENANT_SECRET)

    def test_each_profile_uploads_to_its_store(self):
        with self.serve() as server:
            ours, archive, papers = (server.sign(profile=p, filename="a.txt") for p in ("default", "archive", "papers"))
            self.assertEqual([f["url"] for f in (ours, archive, papers)], [f"{self.s3.endpoint}/media/", f"{self.other.endpoint}/archive/", f"{server.url}/upload/papers"])
            self.assertTrue(ours["fields"]["x-amz-credential"].startswith(rgw.ACCESS_KEY + "/"))
            self.assertTrue(archive["fields"]["x-amz-credential"].startswith(TENANT_KEY + "/"))
            for form in (ours, archive):
                status, headers, _ = post_to_s3(form)
                self.assertEqual(status, 303)
                where = urlsplit(headers["location"])
                self.assertEqual(server.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})[0], 200)
            self.assertEqual(server.post_form(papers["fields"], b"hello", bucket="papers")[0], 303)
            for form in (ours, archive, papers):
                self.assertEqual((server.status(form["id"])["state"], server.status(form["id"])["bucket"]), ("completed", form["bucket"]))
            self.assertEqual(self.s3.get(ours["key"]), b"hello")
            self.assertEqual(self.tenants("GET", archive["key"])[1], b"hello")
            with open(os.path.join(server.folder, "var", "papers", "papers", papers["key"]), "rb") as f:
                self.assertEqual(f.read(), b"hello")

    def test_the_fallback_streams_to_each_store(self):
        with self.serve() as server:
            for profile, size in itertools.product(("default", "archive", "papers"), (0, 5, 6 * MIB)):
                form = server.sign(profile=profile, success_action_status=201)
                data = random_bytes(size)
                self.assertEqual(server.post_form(form["fields"], data, bucket=form["bucket"])[0], 201, (profile, size))
                self.assertEqual(server.status(form["id"])["size"], size)
                if profile == "archive":
                    self.assertEqual(self.tenants("GET", form["key"])[1], data)

    def test_a_form_is_for_its_own_store(self):
        with self.serve() as server:
            form = server.sign(profile="archive")
            self.assertEqual(server.post_form(form["fields"], b"hello", bucket="media")[0], 403)
            self.assertEqual(server.post_form(form["fields"], b"hello", bucket="papers")[0], 403)
            self.assertEqual(server.post_form(form["fields"], b"hello", bucket="nowhere")[0], 403)
            # What an SDK signs with the keys of one store is not authentic for another.
            sdk = lambda key, secret: sdk_form(key="foo/sdk", bucket="archive", access_key=key, secret=secret)
            self.assertEqual(server.post_form(sdk(TENANT_KEY, TENANT_SECRET), b"hello", bucket="archive")[0], 204)
            status, _, body = server.post_form(sdk(rgw.ACCESS_KEY, rgw.SECRET_KEY), b"hello", bucket="archive")
            self.assertEqual((status, s3_code(body)), (403, "InvalidAccessKeyId"))

    def test_events_and_downloads_of_each_store(self):
        with self.serve() as server:
            form = server.sign(profile="archive", success_action_status=204)
            self.assertEqual(post_to_s3(form)[0], 204)
            record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Post", "s3": {"bucket": {"name": "archive"}, "object": {"key": form["key"], "size": 5}}}
            foreign = json.loads(json.dumps(record))
            foreign["s3"]["bucket"]["name"] = "scratch"
            status, _, body = server.request("POST", "/v1/events", json.dumps({"Records": [record, foreign]}), {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
            self.assertEqual(status, 200, body)
            self.assertEqual([json.loads(body)[n] for n in ("recorded", "ignored")], [1, 1])
            self.assertEqual(server.status(form["id"])["completed_by"], "event")

    def test_downloads_come_from_each_store(self):
        key = "key"
        more = f"[[auth.api_keys]]\nname = 'app'\nsha256 = '{hashlib.sha256(key.encode()).hexdigest()}'\nrights = ['sign', 'read', 'manage']\n"
        with s3_server(self.s3, stores(self.other).replace("[auth]\nanonymous = true\n", more)) as server:
            authorized = {"Authorization": "Bearer " + key}
            for profile, place in (("default", self.s3.endpoint + "/media/"), ("archive", self.other.endpoint + "/archive/"), ("papers", None)):
                form = server.sign(profile=profile, success_action_status=204, headers=authorized)
                self.assertEqual(server.post_form(form["fields"], b"hello", bucket=form["bucket"])[0], 204)
                status, headers, body = server.request("GET", f"/v1/uploads/{form['id']}/download", headers=authorized)
                if place:
                    self.assertEqual(status, 302)
                    self.assertTrue(headers["location"].startswith(place + form["key"].replace(" ", "%20") + "?"), headers["location"])
                    body = urllib.request.urlopen(headers["location"], timeout=30).read()
                self.assertEqual(body, b"hello")
                self.assertEqual(server.request("DELETE", f"/v1/uploads/{form['id']}", headers=authorized)[0], 200)
            self.assertFalse(self.s3.has(form["key"]))
            with self.assertRaises(Denied):
                self.tenants("HEAD", form["key"])

    def test_the_outage_of_one_store_does_not_affect_the_others(self):
        with self.serve() as server:
            self.other.freeze()
            try:
                lost = [server.sign(profile="archive") for _ in range(40)]  # due in the sweep before the others
                found = server.sign(success_action_status=204)
                self.assertEqual(post_to_s3(found)[0], 204)  # and nobody tells Postern
                fallback = server.sign()
                begin = time.monotonic()
                self.assertEqual(server.post_form(fallback["fields"], b"hello", bucket="media")[0], 303)
                print(f"an upload beside a silent store: {(time.monotonic() - begin) * 1000:.0f} ms", flush=True)
                self.assertEqual(server.post_form(lost[0]["fields"], b"hello", bucket="archive")[0], 503)
                wait_until(lambda: server.status(found["id"])["state"] == "completed", "the sweep", 30)
                self.assertEqual(server.status(found["id"])["completed_by"], "sweep")
                wait_until(lambda: server.metric('postern_store_up{store="archive"}') == 0, "the watch sees the silence", 40)
                self.assertEqual(server.metric('postern_store_up{store="default"}'), 1)
                self.assertEqual(server.metric('postern_store_up{store="disk"}'), 1)
                self.assertEqual(server.admin("/readyz")[0], 200, "two of three stores can be used")
                event = lambda f: {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Post", "s3": {"bucket": {"name": f["bucket"]}, "object": {"key": f["key"], "size": 5}}}
                good = server.sign(success_action_status=204)
                self.assertEqual(post_to_s3(good)[0], 204)
                begin = time.monotonic()
                status, _, body = server.request("POST", "/v1/events", json.dumps({"Records": [event(f) for f in lost[1:10]] + [event(good)]}), {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
                self.assertEqual((status, json.loads(body)["recorded"], json.loads(body)["pending"]), (202, 1, 9))
                self.assertLess(time.monotonic() - begin, 15, "the silent store is asked once")
                self.assertRegex(server.log_text(), r'event="the store cannot be used" store=archive')
            finally:
                self.other.freeze(False)
            wait_until(lambda: server.status(lost[1]["id"])["state"] == "expired", "the sweep goes on with it", 180)
            wait_until(lambda: server.metric('postern_store_up{store="archive"}') == 1, "the watch sees it back", 40)

    def test_uploads_to_a_silent_store_leave_requests_for_the_others(self):
        with s3_server(self.s3, stores(self.other), limits__store_requests="8") as server:
            self.other.freeze()
            try:
                lost = [server.sign(profile="archive") for _ in range(40)]
                mine = [server.sign() for _ in range(10)]
                statuses = []
                threads = [threading.Thread(target=lambda f=f, n=n: statuses.append(server.post_form(f["fields"], b"hello", bucket="archive", source=f"127.0.1.{n + 1}")[0])) for n, f in enumerate(lost)]
                for t in threads:
                    t.start()
                wait_until(lambda: server.metric("postern_store_requests_open") >= 4, "requests to the silent store", 10)
                self.assertEqual([server.post_form(f["fields"], b"hello", bucket="media")[0] for f in mine], [303] * 10)
                for t in threads:
                    t.join(120)
                self.assertEqual(set(statuses), {503})
            finally:
                self.other.freeze(False)

    def command(self, server, *arguments):
        return subprocess.run([BINARY, *arguments, "--config", server.config], capture_output=True, text=True, cwd=server.folder, env={**os.environ, **server.environment, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "80"}, timeout=120, check=False)

    def test_doctor_examines_each_store(self):
        with self.serve() as server:
            applied = self.command(server, "setup", "cors", "--apply")
            self.assertEqual(applied.returncode, 0, applied.stderr)
            self.assertRegex(applied.stdout, r"(?s)media: put the rule.*archive: put the rule")
            done = self.command(server, "doctor")
            self.assertEqual(done.returncode, 0, done.stdout)
            sections = re.split(r"(?m)^(the store(?: \w+)?|Postern)$", done.stdout)[1:]
            self.assertEqual(sections[::2], ["the store", "the store archive", "the store disk", "Postern"])
            for text, bucket in zip(sections[1::2], ("media", "archive")):
                self.assertIn(f'put, read (HEAD) and deleted in "{bucket}"', text)
                self.assertRegex(text, r"✓ CORS")
            self.assertEqual(done.stdout.count("✓ ledger"), 1)
            self.assertNotIn(TENANT_SECRET, done.stdout + done.stderr)
        with self.serve(secret="another secret than the tenant's") as server:
            done = self.command(server, "doctor")
            self.assertEqual(done.returncode, 1)
            text = " ".join(done.stdout.split())
            self.assertIn("SignatureDoesNotMatch", text)
            self.assertIn("stores.archive.", text)
            ours, archive = re.split(r"(?m)^the store archive$", done.stdout)
            self.assertRegex(ours, r"✓ probe object")
            self.assertRegex(ours, r"✓ form ")
            self.assertRegex(archive, r"✗ bucket")

    def test_setup_prints_for_each_store(self):
        with self.serve() as server:
            both = self.command(server, "setup", "iam")
            self.assertEqual(both.returncode, 0, both.stderr)
            self.assertIn("the store archive (--store archive)", both.stderr)
            one = self.command(server, "setup", "iam", "--store", "archive")
            self.assertEqual(json.loads(one.stdout)["Statement"][0]["Resource"], ["arn:aws:s3:::archive/kept/*"])
            ours = self.command(server, "setup", "iam", "--store", "default")
            self.assertEqual(json.loads(ours.stdout)["Statement"][0]["Resource"], ["arn:aws:s3:::media/uploads/*"])
            for store, word in (("disk", 'stores.disk.type is "file"'), ("nowhere", 'there is no store "nowhere"')):
                refused = self.command(server, "setup", "iam", "--store", store)
                self.assertEqual(refused.returncode, 2)
                self.assertIn(word, refused.stderr)


if __name__ == "__main__":
    main()
