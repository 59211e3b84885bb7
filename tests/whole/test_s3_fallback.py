"""The fallback into a real S3: sizes around every threshold, keys, metadata, and failures that must leave nothing behind."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

KEYS = ["a b.bin", "a+b", "100%", "~tilde~", "quote\"s'", "a&b=c?d#e", "😀", "e\u0301 combining", "semi;colon,comma", "back`tick", "(paren)[bracket]{brace}", "ümläut", "x" * 255]


class Fallback(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.server = s3_server(cls.s3)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.s3.close()

    def check(self, form, data):
        check_taken_by_fallback(self, self.s3, self.server, form, data)

    def test_sizes_around_every_threshold_are_stored(self):
        border = 5 * MIB + 65536
        for size in (0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, border - 1, border, border + 1, 100 * MIB):
            for behind in (b"", field("submit", "Send")):
                with self.subTest(f"{size} {'with' if behind else 'without'} a submit button"):
                    form, data = self.server.sign(), Pattern(size, size)
                    status, _, _ = send_large(self.server, form, data, behind)
                    self.assertEqual(status, 303)
                    self.check(form, data)
                    self.s3.request("DELETE", form["key"])

    def test_a_chunked_upload_is_stored(self):
        for size in (0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 30 * MIB):
            with self.subTest(size):
                form, data = self.server.sign(), Pattern(size, size)
                self.assertEqual(send_large(self.server, form, data, chunked=True)[0], 303)
                self.check(form, data)
                self.s3.request("DELETE", form["key"])

    def test_fields_after_the_file_are_ignored(self):
        for size in (100, 20 * MIB):
            form = self.server.sign()
            status, _, body = send_large(self.server, form, Pattern(size), behind=field("more", "x" * 70_000))
            self.assertEqual((status, s3_code(body)), (400, "MalformedPOSTRequest"))
            self.assertFalse(self.s3.has(form["key"]))
            self.assertEqual(self.s3.multiparts(), 0)
            self.assertEqual(self.server.status(form["id"])["state"], "failed")
        form = self.server.sign()  # a reasonable number of fields is accepted
        data = Pattern(20 * MIB)
        self.assertEqual(send_large(self.server, form, data, behind=field("more", "x" * 60_000))[0], 303)
        self.check(form, data)

    def test_keys_of_every_kind(self):
        for name in KEYS:
            with self.subTest(name):
                form, data = self.server.sign(filename=name), Pattern(100)
                status, headers, _ = send_large(self.server, form, data)
                self.assertEqual(status, 303)
                self.check(form, data)
                where = urlsplit(headers["location"])
                status, _, body = self.server.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})
                self.assertEqual((status, json.loads(body)["state"], json.loads(body)["key"]), (200, "completed", form["key"]))

    def test_metadata_and_headers_reach_the_object(self):
        form = self.server.sign(metadata={"album": "summer", "title": "été"}, content_type="image/jpeg")
        self.assertEqual(send_large(self.server, form, Pattern(10))[0], 303)
        head = self.s3.head(form["key"])
        self.assertEqual(head["content-type"], "image/jpeg")
        self.assertEqual(head["x-amz-meta-album"], "summer")
        self.assertEqual(head["x-amz-meta-postern-id"], form["id"])
        self.assertEqual(head["x-amz-meta-title"], "=?UTF-8?B?w6l0w6k=?=")

    def test_a_field_cannot_inject_a_header(self):
        fields = {"acl": "private", "Content-Type": "text/plain", "x-amz-meta-a": "b\r\nx-amz-acl: public-read"}
        conditions = [{"bucket": "media"}, ["starts-with", "$key", "foo"], {"acl": "private"}, {"Content-Type": "text/plain"}, ["starts-with", "$x-amz-meta-a", ""]]
        status, _, body = self.server.post_form(sdk_form("foo-smuggled", "media", conditions, fields), b"data", "media")
        self.assertEqual((status, s3_code(body)), (400, "InvalidArgument"))
        self.assertFalse(self.s3.has("foo-smuggled"))

    def test_an_interrupted_upload_leaves_nothing(self):
        for sent in (1000, 6 * MIB, 40 * MIB):
            form, data = self.server.sign(), Pattern(100 * MIB)
            with self.server.raw() as s:
                begin = form_begin(form["fields"])
                s.sendall(form_header(len(begin) + data.size + len(form_end()), "media") + begin)
                for piece in itertools.islice(data, sent // MIB + 1):
                    s.sendall(piece)
                wait_until(lambda: self.server.status(form["id"])["state"] == "receiving", "the upload begun")
            wait_until(lambda: self.server.status(form["id"])["state"] == "issued", "the form is free again")
            wait_until(lambda: self.s3.multiparts() == 0, "its multipart upload aborted")
            self.assertFalse(self.s3.has(form["key"]))

    def test_a_file_over_the_policys_range_never_becomes_an_object(self):
        with s3_server(self.s3, "[auth]\nanonymous = true\n[profiles.default]\nmax_size = \"10MiB\"\n") as server:
            form = server.sign()
            for chunked in (False, True):
                status, _, body = send_large(server, form, Pattern(10 * MIB + 1), chunked=chunked)
                self.assertEqual((status, s3_code(body)), (400, "EntityTooLarge"))
                self.assertFalse(self.s3.has(form["key"]))
            self.assertEqual(send_large(server, form, Pattern(10 * MIB))[0], 303)
            self.assertEqual(self.s3.multiparts(), 0)


if __name__ == "__main__":
    need_rgw()
    main()
