"""The status that S3 gives to each kind of form, case by case, from the fallback endpoint. Forms are signed here, as any S3 SDK would."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

LENGTH = ["content-length-range", 0, 1024]
BASE = [{"bucket": "local"}, ["starts-with", "$key", "foo"], {"acl": "private"}, ["starts-with", "$Content-Type", "text/plain"]]


def soon():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def with_checksums(**sums):
    """The arguments of sdk_form for a form with these checksum fields, which its policy allows."""
    fields = {"x-amz-checksum-" + name: value for name, value in sums.items()}
    return {"conditions": BASE + [["starts-with", "$" + name, ""] for name in fields], "fields": {"acl": "private", "Content-Type": "text/plain", **fields}}


# name, status, S3's code, arguments of sdk_form, arguments of post_form
CASES = [
    ("authenticated", 204, None, {}, {}),
    ("no content type in policy or form", 204, None, {"conditions": [{"bucket": "local"}, ["starts-with", "$key", "foo"], {"acl": "private"}], "fields": {"acl": "private"}}, {}),
    ("key with ${filename}", 204, None, {"key": "foo-${filename}"}, {}),
    ("field x-ignore-", 204, None, {"fields": {"acl": "private", "Content-Type": "text/plain", "x-ignore-foo": "bar"}}, {}),
    ("condition names in mixed case", 204, None, {"conditions": [{"bUcKeT": "local"}, ["StArTs-WiTh", "$KeY", "foo"], {"AcL": "private"}, ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"], LENGTH]}, {}),
    ("field names in mixed case", 204, None, {"fields": {"aCl": "private", "CONTENT-type": "text/plain"}}, {}),
    ("escaped dollar in values", 204, None, {"key": r"\$foo.txt", "conditions": [{"bucket": "local"}, ["starts-with", "$key", r"\$foo"], {"acl": "private"}, ["starts-with", "$Content-Type", "text/plain"], LENGTH]}, {}),
    ("user metadata", 204, None, {"conditions": BASE + [["starts-with", "$x-amz-meta-foo", "bar"]], "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-meta-foo": "barclamp"}}, {}),
    ("larger than a buffer", 204, None, {"length": (0, 4 << 20)}, {"data": b"foo" * (1 << 20)}),
    ("invalid success_action_status", 204, None, {"conditions": BASE + [["starts-with", "$success_action_status", ""]], "fields": {"acl": "private", "Content-Type": "text/plain", "success_action_status": "404"}}, {}),
    ("status 200", 200, None, {"conditions": BASE + [["eq", "$success_action_status", "200"]], "fields": {"acl": "private", "Content-Type": "text/plain", "success_action_status": "200"}}, {}),
    ("status 201", 201, None, {"conditions": BASE + [["eq", "$success_action_status", "201"]], "fields": {"acl": "private", "Content-Type": "text/plain", "success_action_status": "201"}}, {}),
    ("good Content-MD5", 204, None, {"conditions": BASE + [["starts-with", "$Content-MD5", ""]], "fields": {"acl": "private", "Content-Type": "text/plain", "Content-MD5": md5(b"bar")}}, {}),
    ("good x-amz-checksum-sha256", 204, None, {"conditions": BASE + [["starts-with", "$x-amz-checksum-sha256", ""]],
                                              "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"bar").digest()).decode()}}, {}),
    ("a list of types, each of which matches", 204, None, {"fields": {"acl": "private", "Content-Type": "text/plain, text/plain2"}}, {}),
    ("bad signature", 403, "SignatureDoesNotMatch", {"secret": "another"}, {}),
    ("unknown access key", 403, "InvalidAccessKeyId", {"access_key": "AKIANOBODY"}, {}),
    ("field missing from the policy", 403, "AccessDenied", {"conditions": [{"bucket": "local"}, ["starts-with", "$key", "foo"], {"acl": "private"}]}, {}),
    ("policy field missing from the form", 403, "AccessDenied", {"fields": {"Content-Type": "text/plain"}}, {}),
    ("metadata that the policy does not name", 403, "AccessDenied", {"fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-meta-foo": "x"}}, {}),
    ("wrong bucket in the policy", 403, "AccessDenied", {"conditions": [{"bucket": "another"}] + BASE[1:]}, {}),
    ("posted to a bucket that is not the policy's", 403, "AccessDenied", {}, {"bucket": "another"}),
    ("no bucket in the policy", 403, "AccessDenied", {"conditions": BASE[1:]}, {}),
    ("a bucket that is not served", 404, "NoSuchBucket", {"conditions": [{"bucket": "another"}] + BASE[1:]}, {"bucket": "another"}),
    ("value mismatch", 403, "AccessDenied", {"conditions": BASE + [["eq", "$x-amz-meta-foo", "ABC"]], "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-meta-foo": "BAR"}}, {}),
    ("a type that does not match", 403, "AccessDenied", {"fields": {"acl": "private", "Content-Type": "text/plain, image/png"}}, {}),
    ("key outside the prefix", 403, "AccessDenied", {"key": "bar.txt"}, {}),
    ("expired policy", 403, "AccessDenied", {"expiration": "2015-12-30T12:00:00.000Z"}, {}),
    ("no policy at all", 403, "AccessDenied", {"drop": ("policy", "x-amz-signature")}, {}),
    ("date matched by prefix", 403, "AccessDenied", {"document": "PREFIX"}, {}),
    ("no key", 400, "InvalidArgument", {"key": None}, {}),
    ("missing signature", 400, "InvalidArgument", {"drop": ("x-amz-signature",)}, {}),
    ("missing credential", 400, "InvalidArgument", {"drop": ("x-amz-credential",)}, {}),
    ("missing algorithm", 400, "InvalidArgument", {"drop": ("x-amz-algorithm",)}, {}),
    ("bad date format", 400, "InvalidPolicyDocument", {"expiration": time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() + 600))}, {}),
    ("a date that is none", 400, "InvalidPolicyDocument", {"expiration": "2099-02-30T12:00:00Z"}, {}),
    ("missing expiration", 400, "InvalidPolicyDocument", {"document": {"conditions": BASE}}, {}),
    ("mis-cased expiration", 400, "InvalidPolicyDocument", {"document": {"EXPIRATION": soon(), "conditions": BASE}}, {}),
    ("missing conditions", 400, "InvalidPolicyDocument", {"document": {"expiration": soon()}}, {}),
    ("mis-cased conditions", 400, "InvalidPolicyDocument", {"document": {"expiration": soon(), "CONDITIONS": BASE}}, {}),
    ("length range with a missing end", 400, "InvalidPolicyDocument", {"conditions": BASE + [["content-length-range", 0]]}, {}),
    ("length range with a negative end", 400, "InvalidPolicyDocument", {"conditions": BASE + [["content-length-range", -1, 0]]}, {}),
    ("length range the wrong way round", 400, "InvalidPolicyDocument", {"conditions": BASE + [["content-length-range", 10, 5]]}, {}),
    ("policy that is not JSON", 400, "InvalidPolicyDocument", {"document": "{not json"}, {}),
    ("policy that is a list", 400, "InvalidPolicyDocument", {"document": "[]"}, {}),
    ("unknown condition", 400, "InvalidPolicyDocument", {"conditions": BASE + [["ends-with", "$key", "x"]]}, {}),
    ("size above the range", 400, "EntityTooLarge", {"length": (0, 2)}, {}),
    ("size below the range", 400, "EntityTooSmall", {"length": (512, 1024)}, {}),
    ("bad Content-MD5", 400, "BadDigest", {"conditions": BASE + [["starts-with", "$Content-MD5", ""]], "fields": {"acl": "private", "Content-Type": "text/plain", "Content-MD5": md5(b"other")}}, {}),
    ("good x-amz-checksum-crc32 and its algorithm", 204, None, {"conditions": BASE + [["starts-with", "$x-amz-checksum-crc32", ""], ["starts-with", "$x-amz-checksum-algorithm", ""]],
                                                                "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-checksum-crc32": "dv+Mqg==", "x-amz-checksum-algorithm": "CRC32"}}, {}),
    ("good x-amz-checksum-sha1", 204, None, {"conditions": BASE + [["starts-with", "$x-amz-checksum-sha1", ""]],
                                             "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-checksum-sha1": base64.b64encode(hashlib.sha1(b"bar").digest()).decode()}}, {}),
    ("good x-amz-checksum-crc64nvme", 204, None, with_checksums(crc64nvme="ikLs7sFMNGo="), {}),
    ("bad x-amz-checksum-crc64nvme", 400, "BadDigest", with_checksums(crc64nvme="ikLs7sFMNGs="), {}),
    ("x-amz-checksum-crc64nvme of 4 bytes", 400, "InvalidArgument", with_checksums(crc64nvme="dv+Mqg=="), {}),
    ("two different checksums", 400, "InvalidArgument", with_checksums(crc64nvme="ikLs7sFMNGo=", crc32="dv+Mqg=="), {}),
    ("an unknown checksum", 400, "InvalidArgument", with_checksums(sha512="ikLs7sFMNGo="), {}),
    ("bad x-amz-checksum-crc32c", 400, "BadDigest", {"conditions": BASE + [["starts-with", "$x-amz-checksum-crc32c", ""]], "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-checksum-crc32c": "AAAAAA=="}}, {}),
    ("a checksum that is none", 400, "InvalidArgument", {"conditions": BASE + [["starts-with", "$x-amz-checksum-crc32c", ""]], "fields": {"acl": "private", "Content-Type": "text/plain", "x-amz-checksum-crc32c": "!"}}, {}),
    ("key of 1025 bytes", 400, "KeyTooLongError", {"key": "foo" + "/x" * 511}, {}),
    ("key that climbs", 400, "InvalidArgument", {"key": "foo/../../../etc/passwd"}, {}),
]


class Status(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_every_form_gets_the_status_of_s3(self):
        for name, status, code, form, post in CASES:
            with self.subTest(name):
                before = self.server.objects()
                if form.get("document") == "PREFIX":
                    form = {"document": {"expiration": soon(), "conditions": BASE + [["starts-with", "$x-amz-algorithm", ""], ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""]]}}
                data = post.get("data", b"bar")
                got, headers, body = self.server.post_form(sdk_form(**form), data, bucket=post.get("bucket", "local"), filename="foo.txt")
                self.assertEqual((got, s3_code(body)), (status, code), body)
                after = self.server.objects()
                if code:
                    self.assertEqual(headers["content-type"], "application/xml")
                    self.assertRegex(body, rb"<Message>.+</Message>")
                    self.assertEqual(after, before, "something was stored")
                self.assertEqual(self.server.leftovers(), [])

    def test_a_redirect_is_exactly_as_s3s(self):
        target = "http://127.0.0.1:1/after?already=1"
        for url in ("http://127.0.0.1:1/after", target):
            fields = {"acl": "private", "Content-Type": "text/plain", "success_action_redirect": url}
            form = sdk_form(conditions=BASE + [["eq", "$success_action_redirect", url]], fields=fields)
            status, headers, _ = self.server.post_form(form, b"bar")
            join = "&" if "?" in url else "?"
            self.assertEqual((status, headers["location"]), (303, f"{url}{join}bucket=local&key=foo.txt&etag=%22{headers['etag'].strip(chr(34))}%22"))

    def test_a_redirect_that_is_no_url_is_ignored(self):
        for url in ("javascript:alert(1)", "not a url", "//evil.example.com/", "http://a\tb/"):
            fields = {"acl": "private", "Content-Type": "text/plain", "success_action_redirect": url}
            status, _, _ = self.server.post_form(sdk_form(conditions=BASE + [["eq", "$success_action_redirect", url]], fields=fields), b"bar")
            self.assertEqual(status, 204, url)

    def test_the_filename_is_the_last_part_of_the_path(self):
        self.server.post_form(sdk_form(key="foo/${filename}"), b"bar", filename="C:\\x\\..\\y.txt")
        self.assertIn("local/foo/y.txt", self.server.objects())

    def test_keys_of_every_kind_are_stored_unchanged(self):
        for key in ("foo a+b%20c~'\"&=?#.txt", "foo\u00e4\u0301 \U0001f600", "foo/" + "d/" * 100 + "x", "foo" + "\u00e9" * 120, "foo<script>"):
            with self.subTest(key):
                form = sdk_form(key=key, conditions=BASE + [["eq", "$success_action_status", "201"]], fields={"acl": "private", "Content-Type": "text/plain", "success_action_status": "201"})
                status, headers, body = self.server.post_form(form, b"bar")
                self.assertEqual(status, 201, body)
                from urllib.parse import unquote
                self.assertEqual(unquote(headers["location"]).removeprefix(self.server.url + "/upload/local/"), key)
                self.assertIn("local/" + key, self.server.objects())

    def test_an_upload_signed_elsewhere_is_recorded_too(self):
        self.server.post_form(sdk_form(key="foo-recorded"), b"bar")
        lines = [json.loads(l) for l in self.server.admin("/v1/uploads?state=completed&limit=9999")[2].splitlines()]
        found = [u for u in lines if u["key"] == "foo-recorded"]
        self.assertEqual([(u["size"], u["state"], u["completed_by"]) for u in found], [(3, "completed", "fallback")])


main()
