"""Keys and metadata of objects in the real S3, by the direct and by the fallback upload: the longest keys, combining characters, acl, storage class, tags, headers."""

import os, sys, time, unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

LONGEST = 1024  # bytes of a key, in S3
PREFIX = "e\u0301/" * 100 + "\u00e9/" * 100  # decomposed and composed: neither may become the other
ID, NAME = 36, 255
CONFIG = f"""
[auth]
anonymous = true
[sweep]
probe = false
[profiles.long]
key = "{PREFIX}{"p" * (LONGEST - len(PREFIX.encode()) - ID - NAME - 2)}/${{id}}/${{filename}}"
[profiles.acl]
acl = "public-read"
[profiles.cold]
storage_class = "COLD"
[profiles.tags]
tags = {{ colour = "blue", "a b" = "c&d=e" }}
[profiles.headers]
cache_control = "max-age=60, public"
content_disposition = 'attachment; filename="a b.txt"'
"""
DATA = b"hello"


class Objects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.addClassCleanup(cls.s3.close)
        # A second storage class, as an administrator makes one; the gateway reads it when it starts.
        place = ("--placement-id", "default-placement", "--storage-class", "COLD")
        cls.s3.tool("radosgw-admin", "zonegroup", "placement", "add", "--rgw-zonegroup", "default", *place)
        cls.s3.tool("radosgw-admin", "zone", "placement", "add", "--rgw-zone", "default", *place, "--data-pool", "default.rgw.cold.data")
        cls.s3.kill()
        cls.s3.revive()
        cls.s3.wait("the gateway", lambda: cls.s3.request("GET", query="?max-keys=1"))
        cls.server = s3_server(cls.s3, CONFIG, store__other_buckets='["locked"]')
        cls.addClassCleanup(cls.server.close)

    def upload(self, way, **ask):
        """Posts a form that way and completes it by its redirect: (form, headers of a HEAD request to S3)."""
        form = self.server.sign(**ask)
        post = post_to_s3(form, DATA) if way == "direct" else self.server.post_form(form["fields"], DATA, "media")
        self.assertEqual(post[0], 303, post[2])
        where = urlsplit(post[1]["location"])
        status, _, body = self.server.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})
        recorded = json.loads(body)
        self.assertEqual((status, recorded["state"]), (200, "completed"), body)
        self.assertEqual((recorded["key"], recorded["size"]), (form["key"], len(DATA)))
        self.assertEqual(recorded["completed_by"], "redirect" if way == "direct" else "fallback")
        head = self.s3.head(form["key"])
        self.assertEqual((head["etag"], head["content-length"], head["x-amz-meta-postern-id"]), (f'"{recorded["etag"]}"', str(len(DATA)), form["id"]))
        return form, head

    def test_keys_of_1024_bytes_with_combining_characters(self):
        names = {"ascii": "n" * NAME, "combining": "e\u0301" * 85, "composed": "\u00e9" * 127 + "x", "four bytes": "\U0001f600" * 63 + "xyz"}
        for way in ("direct", "fallback"):
            for what, name in names.items():
                with self.subTest(f"{way} {what}"):
                    self.assertEqual(len(name.encode()), NAME)
                    form, _ = self.upload(way, profile="long", filename=name)
                    self.assertEqual(len(form["key"].encode()), LONGEST)
                    self.assertTrue(form["key"].startswith(PREFIX) and form["key"].endswith("/" + name), form["key"])
                    self.assertIn(form["key"], self.s3.keys())
                    for other in ("NFC", "NFD"):
                        if (normal := unicodedata.normalize(other, form["key"])) != form["key"]:
                            self.assertNotIn(normal, self.s3.keys())
                    self.s3.request("DELETE", form["key"])

    def test_large_files_can_have_long_keys(self):
        form, data = self.server.sign(profile="long", filename="e\u0301" * 85), Pattern(7 * MIB)  # a multipart upload
        status, _, body = send_large(self.server, form, data)
        self.assertEqual(status, 303, body)
        self.assertEqual(self.s3.hash_of(form["key"]), data.sha256())
        self.assertEqual(self.server.status(form["id"])["state"], "completed")
        self.assertEqual(self.s3.multiparts(), 0)

    def test_a_key_of_1025_bytes_is_rejected(self):
        conditions = [{"bucket": "media"}, ["starts-with", "$key", "foo"]]
        for length, status, code in ((1024, 204, None), (1025, 400, "KeyTooLongError")):
            key = "foo" + "x" * (length - 3)
            got, _, body = self.server.post_form(sdk_form(key, "media", conditions, {}), DATA, "media")
            self.assertEqual((got, s3_code(body)), (status, code), body)
            if status == 204:
                self.assertTrue(self.s3.has(key))

    def test_the_acl_reaches_the_object(self):
        for way in ("direct", "fallback"):
            with self.subTest(way):
                public, _ = self.upload(way, profile="acl")
                private, _ = self.upload(way)
                for form, status in ((public, 200), (private, 403)):
                    c = http.client.HTTPConnection("127.0.0.1", self.s3.port, timeout=60)
                    c.request("GET", urlsplit(self.s3.url(form["key"])).path)  # without a signature
                    answer = c.getresponse()
                    self.assertEqual((answer.status, answer.read() == DATA), (status, status == 200))
                    c.close()

    def test_the_storage_class_reaches_the_object(self):
        for way in ("direct", "fallback"):
            with self.subTest(way):
                self.assertEqual(self.upload(way, profile="cold")[1].get("x-amz-storage-class"), "COLD")
                self.assertIn(self.upload(way)[1].get("x-amz-storage-class"), (None, "STANDARD"))

    def test_tags_reach_the_object(self):
        for way in ("direct", "fallback"):
            with self.subTest(way):
                form, _ = self.upload(way, profile="tags")
                import xml.etree.ElementTree as xml
                tags = [[e.text for e in tag] for tag in xml.fromstring(self.s3.request("GET", form["key"], query="?tagging=")[1]).iter() if tag.tag.endswith("}Tag")]
                self.assertEqual(sorted(tags), [["a b", "c&d=e"], ["colour", "blue"]])

    def test_cache_control_and_content_disposition_reach_the_object(self):
        wanted = {"cache-control": "max-age=60, public", "content-disposition": 'attachment; filename="a b.txt"'}
        for way in ("direct", "fallback"):
            with self.subTest(way):
                form, head = self.upload(way, profile="headers")
                self.assertEqual({n.lower(): v for n, v in form["fields"].items() if n.lower() in wanted}, wanted)
                for name, value in wanted.items():
                    # RGW accepts both fields of a direct form but does not store them; AWS stores them.
                    self.assertIn(head.get(name), (value,) if way == "fallback" else (value, None))

    def test_language_lock_and_grants_reach_the_object(self):
        self.s3.make_bucket("locked", headers={"x-amz-bucket-object-lock-enabled": "true"})
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        wanted = {"content-language": "de", "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until}
        for bucket, fields in (("media", {"content-language": "de"}), ("locked", wanted)):
            with self.subTest(bucket):
                sent = fields | {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}
                conditions = [{"bucket": bucket}, ["starts-with", "$key", "foo"]] + [{name: value} for name, value in sent.items()]
                status, _, body = self.server.post_form(sdk_form("foo", bucket, conditions, sent), DATA, bucket)
                self.assertEqual(status, 204, body)
                head = self.s3.head("foo", bucket=bucket)
                self.assertEqual({name: head.get(name, "").replace(".000000000Z", "Z").replace(".000Z", "Z") for name in fields}, fields)
                self.assertIn(b"AllUsers", self.s3.request("GET", "foo", bucket, query="?acl=")[1])

    def test_a_field_that_would_be_lost_is_refused(self):
        fields = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
        conditions = [{"bucket": "media"}, ["starts-with", "$key", "foo"]] + [{name: value} for name, value in fields.items()]
        status, _, body = self.server.post_form(sdk_form("foolost", "media", conditions, fields), DATA, "media")
        self.assertEqual((status, s3_code(body)), (400, "InvalidArgument"), body)
        self.assertIn(b"x-amz-server-side-encryption-customer-algorithm", body)
        self.assertFalse(self.s3.has("foolost"))

    def test_metadata_reaches_the_object(self):
        for way in ("direct", "fallback"):
            with self.subTest(way):
                _, head = self.upload(way, content_type="image/jpeg", metadata={"album": "summer"})
                self.assertEqual((head["content-type"], head["x-amz-meta-album"]), ("image/jpeg", "summer"))


if __name__ == "__main__":
    need_rgw()
    main()
