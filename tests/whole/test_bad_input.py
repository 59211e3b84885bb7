"""Bad input: each kind gets a clear response, and nothing is stored."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class BadForms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('[auth]\nanonymous = true\n[limits]\nbody_silence = "1s"\n[profiles.small]\nmin_size = 10\nmax_size = 100\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.before = self.server.objects()

    def tearDown(self):
        self.assertEqual(self.server.objects(), self.before, "something was stored")
        wait_until(lambda: self.server.leftovers() == [], "no temporary file is left", 5)

    def expect(self, answer, status, code):
        got, _, body = answer
        self.assertEqual((got, s3_code(body)), (status, code), body)
        self.assertRegex(body, rb"<Message>[A-Z].+</Message>")
        return body

    def fields(self, **ask):
        return list(self.server.sign(**ask)["fields"].items())

    def test_a_body_that_is_no_form_is_rejected(self):
        for content_type in ("application/json", "text/plain", "", "multipart/mixed; boundary=x"):
            answer = self.server.request("POST", "/upload/local", b"{}", {"Content-Type": content_type})
            self.expect(answer, 400, "MalformedPOSTRequest")

    def test_a_content_type_without_boundary_is_rejected(self):
        self.expect(self.server.request("POST", "/upload/local", b"--x--\r\n", {"Content-Type": "multipart/form-data"}), 400, "MalformedPOSTRequest")

    def test_a_body_with_another_boundary_is_rejected(self):
        body, _ = form_body(self.fields(), b"data")
        self.expect(self.server.request("POST", "/upload/local", body, {"Content-Type": "multipart/form-data; boundary=other"}), 400, "MalformedPOSTRequest")

    def test_a_form_without_a_file_is_rejected(self):
        body = b"".join(field(n, v) for n, v in self.fields()) + b"--" + BOUNDARY.encode() + b"--\r\n"
        self.expect(self.server.request("POST", "/upload/local", body, {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY}), 400, "IncorrectNumberOfFilesInPostRequest")

    def test_an_empty_body_is_rejected(self):
        self.expect(self.server.request("POST", "/upload/local", b"", {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY}), 400, "IncompleteBody")

    def test_a_key_that_is_missing_or_after_the_file_is_rejected(self):
        fields = [f for f in self.fields() if f[0] != "key"]
        self.expect(self.server.post_form(fields, b"data"), 400, "InvalidArgument")
        self.expect(self.server.post_form(fields, b"data", behind=field("key", "x")), 400, "InvalidArgument")

    def test_a_repeated_field_is_rejected(self):
        body = self.expect(self.server.post_form(self.fields() + [("Key", "x")], b"data"), 400, "InvalidArgument")
        self.assertIn(b"only once", body)

    def test_21_kilobytes_of_fields_are_rejected(self):
        self.expect(self.server.post_form(self.fields() + [("x-ignore-long", "x" * 21_000)], b"data"), 400, "MaxPostPreDataLengthExceeded")

    def test_an_expired_policy_is_rejected(self):
        form = sdk_form(expiration=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1)))
        self.assertIn(b"expired", self.expect(self.server.post_form(form, b"data"), 403, "AccessDenied"))

    def test_a_changed_policy_is_rejected(self):
        fields = dict(self.fields())
        document = json.loads(base64.b64decode(fields["policy"]))
        document["expiration"] = "2099-01-01T00:00:00Z"
        fields["policy"] = base64.b64encode(json.dumps(document).encode()).decode()
        self.expect(self.server.post_form(fields, b"data"), 403, "SignatureDoesNotMatch")

    def test_each_changed_added_or_missing_field_is_rejected(self):
        fields = self.fields()
        for i, (name, value) in enumerate(fields):
            if name in ("policy", "x-ignore-postern", "x-amz-signature"):
                continue
            with self.subTest(name):
                changed = fields[:i] + [(name, value + "x")] + fields[i + 1:]
                self.assertIn(self.server.post_form(changed, b"data")[0], (403,))
                if name != "key":
                    self.assertEqual(self.server.post_form(fields[:i] + fields[i + 1:], b"data")[0], 403)
        self.expect(self.server.post_form(fields + [("acl", "public-read")], b"data"), 403, "AccessDenied")

    def test_a_form_with_two_wrong_signatures_is_rejected(self):
        fields = dict(self.fields())
        fields["x-ignore-postern"] = "0" * 64
        fields["x-amz-signature"] = "0" * 64
        self.expect(self.server.post_form(fields, b"data"), 403, "SignatureDoesNotMatch")

    def test_a_wrong_bucket_is_rejected(self):
        self.expect(self.server.post_form(self.fields(), b"data", bucket="another"), 403, "AccessDenied")

    def test_a_file_one_byte_outside_the_range_is_rejected(self):
        for size, code in ((9, "EntityTooSmall"), (101, "EntityTooLarge")):
            self.expect(self.server.post_form(self.fields(profile="small"), b"x" * size), 400, code)
        self.expect(self.server.post_form(self.fields(size=50, profile="small"), b"x" * 49), 400, "EntityTooSmall")
        self.expect(self.server.post_form(self.fields(size=50, profile="small"), b"x" * 51), 400, "EntityTooLarge")

    def test_a_chunked_file_over_the_range_is_rejected(self):
        body, content_type = form_body(self.fields(profile="small"), b"x" * 101)
        with self.server.raw() as s:
            s.sendall(form_header(None, content_type=content_type) + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
            self.expect(read_answer(s), 400, "EntityTooLarge")

    def test_a_content_length_shorter_than_the_body_is_rejected(self):
        body, content_type = form_body(self.fields(), b"x" * 1000)
        with self.server.raw() as s:
            s.sendall(form_header(len(body) - 60, content_type=content_type) + body)
            self.expect(read_answer(s), 400, "IncompleteBody")

    def test_a_content_length_longer_than_the_body_is_rejected(self):
        body, content_type = form_body(self.fields(), b"x" * 1000)
        with self.server.raw() as s:
            s.sendall(form_header(len(body) + 10, content_type=content_type) + body)
            s.shutdown(socket.SHUT_WR)
            self.expect(read_answer(s), 400, "IncompleteBody")

    def test_a_silent_body_times_out(self):
        body, content_type = form_body(self.fields(), b"x" * 1000)
        for cut in (0, 10, len(body) // 2, len(body) - 1):
            with self.subTest(cut), self.server.raw() as s:
                s.sendall(form_header(len(body), content_type=content_type) + body[:cut])
                began = time.monotonic()
                s.settimeout(10)
                self.expect(read_answer(s), 408, "RequestTimeout")
                self.assertLess(time.monotonic() - began, 5)

    def test_a_client_that_disconnects_leaves_nothing(self):
        body, content_type = form_body(self.fields(), b"x" * 1_000_000)
        for cut in (100, 5000, 500_000):
            with self.server.raw() as s:
                s.sendall(form_header(len(body), content_type=content_type) + body[:cut])
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset

    def test_more_than_64_kib_after_the_file_are_rejected(self):
        self.expect(self.server.post_form(self.fields(), b"data", behind=field("submit", "x" * 70_000)), 400, "MalformedPOSTRequest")

    def test_an_early_error_reaches_a_client_that_still_sends(self):
        fields = self.fields(profile="small")
        begin = form_begin(fields)
        with self.server.raw() as s:
            size = 20_000_000
            s.sendall(form_header(len(begin) + size) + begin)
            sent = 0
            while sent < size:  # a browser reads no response before it has sent everything
                s.sendall(b"x" * 100_000)
                sent += 100_000
            self.expect(read_answer(s), 400, "EntityTooLarge")


class Strangers(unittest.TestCase):
    def test_idle_connections_take_no_budget(self):
        with Server(limits__buffers="16MiB", limits__connections_per_address="0") as server:
            held = [server.raw() for _ in range(420)]
            for s in held:
                s.sendall(b"POST /upload/local HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\nTransfer-Encoding: chunked\r\n\r\n")
            began = time.monotonic()
            self.assertEqual(server.post_form(server.sign()["fields"], b"x" * 300_000)[0], 303)
            self.assertLess(time.monotonic() - began, 5)
            [s.close() for s in held]


class BadSigning(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('[auth]\nanonymous = true\n[profiles.images]\ncontent_types = ["image/*", "application/pdf"]\nmin_size = 5\nmax_size = 1000\nreturn_to = ["https://app.example.com/a", "https://app.example.com/b/*"]\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def post(self, body, content_type="application/json"):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.server.request("POST", "/v1/uploads", body, {"Content-Type": content_type})

    def test_each_kind_of_bad_signing_request_is_rejected(self):
        good = {"filename": "a"}
        cases = [(400, "bad_request", b) for b in ("", "{", "[]", '"x"', "null", "{}", '{"filename":""}', '{"filename":5}', '{"filename":"a","filename":"b"}', '{"filename":"a","nonsense":1}',
                                                   '{"filename":"\\ud800"}', b'{"filename":"\xff"}', '{"filename":"a"} x', "[" * 100, '{"filename":"a","metadata":' + '{"a":' * 40 + "1" + "}" * 41,
                                                   {**good, "size": -1}, {**good, "size": "5"}, {**good, "size": 1.5}, {**good, "profile": "unknown"}, {**good, "profile": 7}, {**good, "content_type": "nonsense"},
                                                   {**good, "content_type": "text/x\r\nA: b"}, {**good, "metadata": []}, {**good, "metadata": {"a": 1}}, {**good, "metadata": {"a b": "x"}}, {**good, "metadata": {"postern-id": "x"}},
                                                   {**good, "metadata": {"a": "x\ny"}}, {**good, "metadata": {"a": "x" * 2100}}, {**good, "metadata": {"a": "1", "A": "2"}}, {**good, "success_action_status": 302},
                                                   {**good, "return_to": "https://app.example.com/a"}, {**good, "filename": "x" * 5000})]
        images = {"filename": "a", "profile": "images", "content_type": "image/png"}
        cases += [(413, "payload_too_large", {**images, "size": 1001}), (400, "entity_too_small", {**images, "size": 4}), (415, "unsupported_type", {**images, "content_type": "text/html"}),
                  (415, "unsupported_type", {"filename": "a", "profile": "images"}), (400, "bad_request", {**images, "return_to": "https://app.example.com/c"}),
                  (400, "bad_request", {**images, "return_to": "https://app.example.com/a/"}), (400, "bad_request", {**images, "return_to": "https://app.example.com/b/\r\nSet-Cookie: a=b"}),
                  (400, "bad_request", {**images, "return_to": "https://app.example.com/b/../c"}), (400, "bad_request", {**images, "content_type": "image/png;,text/html"}), (400, "bad_request", {**images, "content_type": "image/png, text/html"}),
                  (400, "bad_request", {**images, "content_type": "image/<script>"}), (400, "bad_request", {**good, "content_type": "a/${filename}"}), (400, "bad_request", {**good, "metadata": {"n": "x${filename}"}}),
                  (400, "bad_request", {**images, "return_to": "https://app.example.com/b/" + "<" * 5}), (400, "bad_request", {**good, "metadata": {"n": "<" * 2000}, "content_type": "a/b;c=\"" + "<" * 240 + "\""}), (400, "bad_request", {**images, "return_to": "https://app.example.com.evil.example/b/"}),
                  (413, "payload_too_large", json.dumps({"filename": "x" * 65536}))]
        for status, code, body in cases:
            with self.subTest(str(body)[:60]):
                got, headers, answer = self.post(body)
                problem = json.loads(answer)
                self.assertEqual((got, problem["code"], headers["content-type"]), (status, code, "application/problem+json"), answer)
                self.assertEqual(problem["status"], status)
                self.assertTrue(problem["detail"] and problem["title"] and problem["request_id"] and problem["type"])

    def test_the_content_type_must_be_json(self):
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            self.assertEqual(self.post({"filename": "a"}, content_type)[0], 415)
        self.assertEqual(self.post({"filename": "a"}, "application/json; charset=utf-8")[0], 201)

    def test_valid_signing_requests_are_accepted(self):
        for body in ({"filename": "a", "profile": "images", "content_type": "image/png", "size": 1000, "return_to": "https://app.example.com/b/c?d"},
                     {"filename": "a", "profile": "images", "content_type": "Application/PDF"}, {"filename": "../../etc/passwd"}, {"filename": "\u0000\u0001"}, {"filename": "a", "size": None},
                     {"filename": "\U0001f600.txt", "metadata": {"Name": "\u00e4"}}):
            status, _, answer = self.post(body)
            self.assertEqual(status, 201, answer)
            key = json.loads(answer)["key"]
            self.assertNotIn("..", key)
            self.assertTrue(key.isprintable())


main()
