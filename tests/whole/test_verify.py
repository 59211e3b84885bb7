"""What files declare against what their first bytes are: direct and fallback uploads, S3 and the file store, and what the webhook tells."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from hooks import Receiver, endpoint

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\0IEND\xaeB`\x82"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
NOTHING_KNOWN = b"\x07\0\xc8\3\1\x99" * 500
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def crc64nvme(data):
    """The value of x-amz-checksum-crc64nvme, computed bit by bit."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return base64.b64encode((crc ^ (1 << 64) - 1).to_bytes(8, "big")).decode()


# What it is, the declared type, the file's bytes, and whether it is taken.
TABLE = [
    ("a PNG", "image/png", PNG, True),
    ("a PNG with parameters in its type", "Image/PNG; q=1", PNG, True),
    ("evil.svg declared as a PNG", "image/png", SVG, False),
    ("HTML declared as a PNG", "image/png", HTML, False),
    ("a PNG declared as text", "text/plain", PNG, False),
    ("text", "text/plain", b"hello\n", True),
    ("one letter", "text/plain", b"a", True),
    (".csv, found as text", "text/csv", b"a;b\n1;2\n", True),
    (".js, found as text", "text/javascript", b"var a = 1;\n", True),
    ("an SVG", "image/svg+xml", SVG, True),
    ("a zip declared as .docx", DOCX, b"PK\3\4\x14\0\0\0\0\0" + bytes(200), True),
    ("text declared as .docx", DOCX, b"hello\n", False),
    ("an empty PNG", "image/png", b"", False),
    ("an empty text", "text/plain", b"", True),
    ("an empty file of no type", "application/octet-stream", b"", True),
    ("HTML that declares nothing", "application/octet-stream", HTML, True),
    ("bytes of no known type declared as a PNG", "image/png", NOTHING_KNOWN, False),
    ("bytes of no known type declared as text", "text/plain", NOTHING_KNOWN, False),
    ("bytes of no known type in a format of their own", "application/vnd.example", NOTHING_KNOWN, True),
    ("HTML in a format of its own", "application/vnd.example", HTML, False),
    # The limit of such a look: a polyglot is what its first bytes say.
    ("a polyglot: a PNG, then HTML", "image/png", PNG + HTML, True),
    ("a polyglot: a PNG, and HTML after 4 KiB", "image/png", PNG.ljust(5000, b"\0") + HTML, True),
    ("a polyglot: a GIF that is a script too", "image/gif", b"GIF89a/*\0\0\0*/=1;alert(1)", True),
    ("a polyglot: HTML, then a PNG", "image/png", HTML + PNG, False),
]
CONFIG = """[auth]
anonymous = true
[sweep]
interval = "200ms"
grace = "0s"
[profiles.default]
verify = ["type", "size", "content_type"]
expires = "{expires}"
[profiles.keeps]
verify = ["type"]
on_mismatch = "keep"
expires = "2s"
[profiles.adds]
verify = ["type"]
type_equivalents = {{ "text/plain" = ["image/png"] }}
[profiles.trusts]
[profiles.sums]
verify = ["checksum"]
"""


def child_of(server):
    """The process in which libmagic reads."""
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children", encoding="ascii") as f:
        found = f.read().split()
    for task in os.listdir(f"/proc/{server.process.pid}/task"):
        with open(f"/proc/{server.process.pid}/task/{task}/children", encoding="ascii") as f:
            found += f.read().split()
    assert len(set(found)) == 1, found
    return int(found[0])


class OfBothStores(unittest.TestCase):
    """What the tests of both stores share."""

    def serve(self, receiver=None, expires="15m"):
        """A server on the subclass's store."""
        raise NotImplementedError

    def has(self, server, form):
        raise NotImplementedError

    def fallback(self, server, form, data):
        status, headers, _ = server.post_form(form["fields"], data, form["bucket"])
        return follow(server, headers["location"])[0] if status == 303 else status

    def check_table(self, way, status):
        with Receiver() as receiver, self.serve(receiver) as server:
            failed = {}
            for what, declared, data, fits in TABLE:
                with self.subTest(what):
                    form = server.sign(content_type=declared)
                    self.assertEqual(way(server, form, data), 200 if fits else status)
                    row = server.status(form["id"])
                    self.assertEqual((row["state"], row.get("code")), ("completed", None) if fits else ("failed", "type_mismatch"))
                    self.assertEqual(self.has(server, form), fits)
                    if not fits:
                        failed[form["id"]] = what
            wait_until(lambda: len(receiver.at("/hooks")) == len(TABLE), "all messages")
            told = {a.json()["data"]["id"]: a.json()["data"]["code"] for a in receiver.at("/hooks") if a.json()["type"] == "upload.failed"}
            self.assertEqual(told, {id: "type_mismatch" for id in failed})


def follow(server, location):
    where = urlsplit(location)
    status, _, body = server.request("GET", f"{where.path}?{where.query}", headers={"Accept": "application/json"})
    return status, json.loads(body)


class InFiles(OfBothStores):
    def serve(self, receiver=None, expires="15m"):
        return Server(CONFIG.format(expires=expires) + (endpoint(f"http://127.0.0.1:{receiver.port}/hooks") if receiver else ""))

    def has(self, server, form):
        return os.path.exists(server.object_path(form["key"]))

    def test_fallback_uploads(self):
        self.check_table(self.fallback, 415)

    def test_a_profile_adds_to_the_table_and_others_do_not_look(self):
        with self.serve() as server:
            for profile, status in (("adds", 200), ("trusts", 200), ("default", 415)):
                self.assertEqual(self.fallback(server, server.sign(profile=profile, content_type="text/plain"), PNG), status)

    def test_a_mismatch_in_a_large_file_leaves_nothing(self):
        with self.serve() as server:
            form = server.sign(content_type="image/png")
            self.assertEqual(self.fallback(server, form, HTML + bytes(3 << 20)), 415)
            self.assertEqual((server.objects(), server.leftovers()), ({}, []))
            self.assertEqual(self.fallback(server, form, PNG + bytes(3 << 20)), 200)  # the same form, with the right file
            self.assertEqual(server.status(form["id"])["state"], "completed")

    def test_the_child_is_confined_and_replaced(self):
        with self.serve() as server:
            child = child_of(server)
            with open(f"/proc/{child}/status", encoding="ascii") as f:
                status = f.read()
            self.assertRegex(status, r"(?m)^Seccomp:\s+2$")
            self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
            with open(f"/proc/{child}/environ", "rb") as f:
                self.assertNotIn(b"POSTERN", f.read())
            os.kill(child, signal.SIGKILL)
            self.assertEqual(self.fallback(server, server.sign(content_type="image/png"), PNG), 200)
            other = child_of(server)
            self.assertNotEqual(child, other)
            os.kill(other, signal.SIGSTOP)
            self.assertEqual(self.fallback(server, server.sign(content_type="image/png"), SVG), 415)
            last = child_of(server)
        self.assertFalse(os.path.exists(f"/proc/{last}"))

    def test_the_child_ends_with_a_server_that_is_killed(self):
        with self.serve() as server:
            child = child_of(server)
            server.kill()
            wait_until(lambda: not os.path.exists(f"/proc/{child}"), "the child's end")
            server.start()

    def test_nothing_is_started_where_no_profile_looks(self):
        with Server("[auth]\nanonymous = true\n") as server, self.assertRaises(AssertionError):
            child_of(server)

    def test_a_checksum_is_required(self):
        with self.serve() as server:
            refused = server.sign(profile="sums", expect=400)
            self.assertIn("needs a checksum", refused["detail"])
            for wrong in ({}, {"crc32c": "AAAA"}, {"crc33": "AAAAAA=="}, {"crc32c": "AAAAAA==", "sha1": ""}, "AAAAAA=="):
                self.assertIn("checksum", server.sign(profile="sums", checksum=wrong, expect=400)["detail"])
            sums = {"sha256": base64.b64encode(hashlib.sha256(PNG).digest()).decode(), "md5": base64.b64encode(hashlib.md5(PNG).digest()).decode(), "crc64nvme": crc64nvme(PNG)}
            for name, value in sums.items():
                form = server.sign(profile="sums", checksum={name: value})
                self.assertEqual(form["fields"]["Content-MD5" if name == "md5" else "x-amz-checksum-" + name], value)
                self.assertEqual(server.post_form(form["fields"], PNG + b"x")[0], 400)
                self.assertEqual(server.status(form["id"])["code"], "bad_digest")
                without = {n: v for n, v in form["fields"].items() if v != value}
                self.assertEqual(server.post_form(without, PNG)[0], 403)
                self.assertEqual(self.fallback(server, form, PNG), 200)

    def test_settings_that_cannot_be(self):
        for setting, text in (('on_mismatch = "quarantine"', '"quarantine" is not available in this version'), ('on_mismatch = "burn"', "is not one of: delete, keep"),
                              ('verify = ["bytes"]', "is not one of: size, content_type, type, checksum"), ('type_equivalents = { "text/csv" = ["text/plain"] }', 'verify must have "type"'),
                              ('verify = ["type"]\ntype_equivalents = { "text" = ["text/plain"] }', "is not a media type"), ('verify = ["type"]\ntype_equivalents = { "text/csv" = ["plain"] }', "is not a media type")):
            with self.subTest(setting), tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write("[profiles.default]\n" + setting + "\n")
                file.flush()
                done = subprocess.run([BINARY, "config", "--config", file.name], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)


class InS3(OfBothStores):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.s3.close()

    def serve(self, receiver=None, expires="15m"):
        return s3_server(self.s3, CONFIG.format(expires=expires) + (endpoint(f"http://127.0.0.1:{receiver.port}/hooks") if receiver else ""))

    def has(self, server, form):
        return self.s3.has(form["key"])

    def direct(self, server, form, data):
        status, headers, body = post_to_s3(form, data)
        self.assertEqual(status, 303, body)
        return follow(server, headers["location"])[0]

    def test_fallback_uploads(self):
        self.check_table(self.fallback, 415)

    def put(self, form, content_type):
        self.s3.request("PUT", form["key"], body=PNG, headers={"Content-Type": content_type, "x-amz-meta-postern-id": form["id"]})

    def test_direct_uploads(self):
        self.check_table(self.direct, 415)

    def test_a_direct_upload_after_a_fallback_that_broke_off(self):
        with self.serve() as server:
            form = server.sign(content_type="image/png")
            begin = form_begin(form["fields"])
            with server.raw() as s:
                s.sendall(form_header(len(begin) + 100_000, form["bucket"]) + begin + b"x" * 50_000)
                wait_until(lambda: server.status(form["id"])["state"] == "receiving", "the first attempt")
            wait_until(lambda: server.status(form["id"])["state"] == "issued", "the end of the first attempt")
            self.assertEqual(self.direct(server, form, SVG), 415)
            self.assertEqual(server.status(form["id"])["code"], "type_mismatch")

    def test_the_sweep_looks_too(self):
        with self.serve(expires="2s") as server:
            good, bad = server.sign(content_type="image/png"), server.sign(content_type="image/png")
            for form, data in ((good, PNG), (bad, HTML)):
                self.assertEqual(post_to_s3(form, data)[0], 303)
            wait_until(lambda: server.status(good["id"])["state"] == "completed", "the completion")
            wait_until(lambda: server.status(bad["id"])["state"] == "failed", "the failure")
            wait_until(lambda: not self.has(server, bad), "the removal")
            self.assertEqual(server.status(bad["id"])["code"], "type_mismatch")
            self.assertTrue(self.has(server, good))

    def test_a_claim_of_a_failed_upload_says_why(self):
        with self.serve() as server:
            form = server.sign(content_type="image/png")
            _, headers, _ = post_to_s3(form, HTML)
            for _ in range(2):
                status, answer = follow(server, headers["location"])
                self.assertEqual((status, answer["code"]), (415, "type_mismatch"))

    def test_a_mismatch_may_be_kept(self):
        with self.serve() as server:
            form = server.sign(profile="keeps", content_type="image/png")
            self.assertEqual(self.direct(server, form, HTML), 415)
            time.sleep(3)  # the sweep has looked again
            self.assertEqual(server.status(form["id"])["state"], "failed")
            self.assertTrue(self.has(server, form))

    def test_another_content_type_than_the_signed_one_is_another_object(self):
        """As a store would have it that does not enforce the policy. No profile needs to ask for this."""
        with self.serve(expires="2s") as server:
            form = server.sign(profile="trusts", content_type="image/png")
            self.put(form, "text/html")
            where = form["complete_url"] + "?" + "bucket=media&key=" + form["key"].replace(" ", "%20")
            status, answer = follow(server, where)
            self.assertEqual((status, answer["code"]), (409, "conflict"))
            self.assertIn("text/html", answer["detail"])
            other = server.sign(content_type="image/png")
            self.put(other, "text/html")
            wait_until(lambda: server.status(other["id"])["state"] == "expired", "the sweep's verdict")
            self.put(form, "image/png")
            self.assertEqual(follow(server, where)[0], 200)


if __name__ == "__main__":
    need_rgw()
    main()
