"""Multipart bodies and policies that were made to hurt. Each is stored as its signature says, or refused with S3's code; nothing else is stored, and the server is as it was.

What S3's clients get wrong is in test_bad_input.py and test_post_object_status.py.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

B = BOUNDARY.encode()
FILE = b'Content-Disposition: form-data; name="file"; filename="a b.bin"\r\n'
STORED = 303
MALFORMED, ARGUMENT, POLICY, FIELDS = (400, "MalformedPOSTRequest"), (400, "InvalidArgument"), (400, "InvalidPolicyDocument"), (400, "MaxPostPreDataLengthExceeded")
DENIED, NO_FILE = (403, "AccessDenied"), (400, "IncorrectNumberOfFilesInPostRequest")


def part(header, data=b"hello"):
    return b"--" + B + b"\r\n" + header + b"\r\n" + data + b"\r\n"


def whole(fields, behind=b"", file=FILE, before=b"", end=b"--" + B + b"--\r\n"):
    """A form with its fields, other parts before its file, its file, and other parts behind it."""
    return b"".join(field(n, v) for n, v in fields) + before + part(file) + behind + end


# Name, what becomes of the body, the expected result: STORED, or status and code.
BODIES = [
    ("a part header of 64 KiB", lambda f: whole(f, file=FILE + b"X: " + b"y" * 65536 + b"\r\n"), (400, None)),
    ("a part header of 4000 lines", lambda f: whole(f, file=FILE + b"X: y\r\n" * 4000), (400, None)),
    ("a part header without an end", lambda f: whole(f)[:400] + b"--" + B + b"\r\nX: y", (400, None)),
    ("10000 fields", lambda f: whole(f, before=b"".join(field(f"x-ignore-{n}", "") for n in range(10000))), FIELDS),
    ("101 short fields", lambda f: whole(f, before=b"".join(field(f"x-ignore-{n}", "") for n in range(101))), FIELDS),
    ("one name 50 times", lambda f: whole(f, before=field("x-ignore-a", "") * 50), ARGUMENT),
    ("a field of 64 KiB", lambda f: whole(f, before=field("x-ignore-a", "y" * 65536)), FIELDS),
    ("a second policy", lambda f: whole(f, before=field("policy", dict(f)["policy"])), ARGUMENT),
    ("a second key in capitals", lambda f: whole(f, before=field("KEY", "other")), ARGUMENT),
    ("a second signature", lambda f: whole(f, before=field("X-Amz-Signature", "0" * 64)), ARGUMENT),
    ("a second file behind the first one", lambda f: whole(f, behind=part(FILE.replace(b"a b", b"c d"), b"other")), STORED),
    ("a key behind the file", lambda f: whole(f, behind=field("key", "other")), STORED),
    ("parts behind the last boundary", lambda f: whole(f) + part(FILE, b"other") + b"--" + B + b"--\r\n", STORED),
    ("the last boundary before the file", lambda f: whole(f, before=b"--" + B + b"--\r\n"), NO_FILE),
    ("no last boundary", lambda f: whole(f, end=b""), (400, "IncompleteBody")),
    ("bytes before the first boundary", lambda f: b"This is a message in MIME format.\r\n" + whole(f), MALFORMED),
    ("LF alone", lambda f: whole(f).replace(b"\r\n", b"\n"), (400, None)),
    ("CR alone", lambda f: whole(f).replace(b"\r\n", b"\r"), (400, None)),
    ("LF alone in one part header", lambda f: whole(f, file=FILE.replace(b"\r\n", b"\n")), (400, None)),
    ("a folded header", lambda f: whole(f, file=b'Content-Disposition: form-data;\r\n name="file"; filename="a b.bin"\r\n'), (400, None)),
    ("a zero byte in a part header", lambda f: whole(f, file=FILE.replace(b"a b", b"a\0b")), (400, None)),
    ("no Content-Disposition", lambda f: whole(f, file=b"Content-Type: text/plain\r\n"), (400, None)),
    ("two Content-Dispositions", lambda f: whole(f, file=FILE + b'Content-Disposition: form-data; name="key"\r\n'), (400, None)),
    ("an attachment", lambda f: whole(f, file=FILE.replace(b"form-data", b"attachment")), (400, None)),
    ("no name", lambda f: whole(f, file=b'Content-Disposition: form-data; filename="a b.bin"\r\n'), (400, None)),
    ("two names", lambda f: whole(f, file=FILE.replace(b'name="file"', b'name="x-ignore-a"; name="file"')), (400, None)),
    ("a name without quotes at its end", lambda f: whole(f, file=b'Content-Disposition: form-data; name="file; filename=a\r\n'), (400, None)),
    ("a field with a file name", lambda f: whole([p for p in f if p[0] != "key"], before=part(b'Content-Disposition: form-data; name="key"; filename="x"\r\n', dict(f)["key"].encode())), STORED),
    ("base64", lambda f: whole(f, file=FILE + b"Content-Transfer-Encoding: base64\r\n"), STORED),
    ("a nested multipart", lambda f: whole(f, file=FILE + b"Content-Type: multipart/mixed; boundary=inner\r\n"), STORED),
    ("invalid UTF-8 in a field", lambda f: whole(f, before=field("x-ignore-a", b"\xc0\xaf\xff\xfe")), MALFORMED),
    ("invalid UTF-8 in a field's name", lambda f: whole(f, before=part(b'Content-Disposition: form-data; name="x-ignore-\xc0\xaf"\r\n')), MALFORMED),
    ("a control character in a field's name", lambda f: whole(f, before=part(b'Content-Disposition: form-data; name="x-ignore-\x01"\r\n')), (400, None)),
    ("the whole form as the value of a field", lambda f: whole([("x-ignore-a", whole(f, end=b"").replace(B, B + b"x")), *f]), STORED),
    ("the boundary's beginning in a field", lambda f: whole([("x-ignore-a", b"\r\n--" + B[:-1]), *f]), STORED),
]
# Content-Type, with the same body. B stands for the boundary.
TYPES = [
    (b'multipart/form-data; boundary="B"', STORED), (b"multipart/form-data;boundary=B", STORED), (b"MULTIPART/Form-Data; BOUNDARY=B", STORED), (b"multipart/form-data; charset=utf-8; boundary=B", STORED),
    (b"multipart/form-data; boundary=B; charset=utf-8", STORED), (b"multipart/form-data; boundary=", MALFORMED), (b'multipart/form-data; boundary=""', MALFORMED), (b'multipart/form-data; boundary="B', MALFORMED),
    (b"multipart/form-data; boundary=other; boundary=B", MALFORMED), (b"multipart/form-data; boundary=--B", MALFORMED), (b"multipart/form-data; boundary=B" + b"x" * 8000, MALFORMED), (b"multipart/form-data; xboundary=B", MALFORMED),
    (b"multipart/form-data, boundary=B", MALFORMED), (b"multipart/form-dataX; boundary=B", MALFORMED), (b"multipart/form-data; boundary*=utf-8''B", MALFORMED), (b"multipart/form-data; boundary=\xff", MALFORMED), (b"multipart/form-data; boundary*0=B", MALFORMED),
]
DEEP = "[" * 5000 + "]" * 5000
BASE = [{"bucket": "local"}, ["starts-with", "$key", "foo"], {"acl": "private"}, ["starts-with", "$Content-Type", "text/plain"]]


def range_of(low, high):
    """A policy document whose length range has these numbers, as text."""
    return policy_text('["content-length-range",' + low + "," + high + "]")


def policy_text(more, expiration=None):
    return "{" + f'"expiration":{json.dumps(expiration or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600)))},"conditions":{json.dumps(BASE)[:-1]},{more}]' + "}"


# Name, the policy's text, which is signed with Postern's keys, and the expected result. None of them names the fields of the
# signature, so one that can be read is denied for that.
POLICIES = [
    ("5000 nested lists", policy_text(DEEP), POLICY), ("5000 nested lists alone", DEEP, POLICY), ("2000 nested objects", '{"a":' * 2000 + "1" + "}" * 2000, POLICY), ("a list in a condition", policy_text('["eq",["$key"],"x"]'), POLICY),
    ("an object in a condition", policy_text('["eq","$key",{"a":"b"}]'), POLICY), ("a condition with two members", policy_text('{"acl":"private","x-amz-meta-a":"b"}'), DENIED), ("an empty condition", policy_text("[]"), POLICY), ("an empty object", policy_text("{}"), POLICY),
    ("a null", policy_text("null"), POLICY), ("a number", policy_text("7"), POLICY), ("a condition of four", policy_text('["eq","$key","foo","bar"]'), POLICY), ("a field without its dollar", policy_text('["eq","key","foo"]'), POLICY),
    ("a length of 2^63", range_of("0", "9223372036854775808"), POLICY), ("a length of 2^64 and more", range_of("0", "18446744073709551617"), POLICY), ("a length of 1e999", range_of("0", "1e999"), POLICY), ("a length of 1e3", range_of("0", "1e3"), POLICY),
    ("a length of 1.5", range_of("0", "1.5"), POLICY), ("a length of -0", range_of("-0", "10"), DENIED), ("a length in a text with a sign", range_of('"+1"', '"10"'), POLICY), ("a length in a text with blanks", range_of('" 1"', '"10 "'), POLICY),
    ("a length of many digits", range_of("0", "1" * 3000), POLICY), ("two expirations", policy_text('{"x-amz-meta-a":"b"}').replace('"conditions"', '"expiration":"2099-01-01T00:00:00Z","conditions"'), POLICY),
    ("two lists of conditions", policy_text('{"x-amz-meta-a":"b"}')[:-1] + ',"conditions":[]}', POLICY), ("an expiration with a zero byte", policy_text('{"x-amz-meta-a":"b"}', "2099-01-01T00:00:00Z\0"), POLICY), ("a year of five digits", policy_text('{"x-amz-meta-a":"b"}', "12099-01-01T00:00:00Z"), POLICY),
    ("a month of 99", policy_text('{"x-amz-meta-a":"b"}', "2099-99-01T00:00:00Z"), POLICY), ("a time without a zone", policy_text('{"x-amz-meta-a":"b"}', "2099-01-01T00:00:00"), POLICY), ("bytes behind the end", policy_text('["starts-with","$x-amz-meta-a",""]') + "x", POLICY),
    ("a byte order mark", "\ufeff" + policy_text('["starts-with","$x-amz-meta-a",""]'), POLICY), ("half a surrogate", policy_text('["eq","$x-amz-meta-a","\\ud800"]'), POLICY), ("a comment", policy_text("/* */ 1"), POLICY), ("NaN", range_of("0", "NaN"), POLICY), ("single quotes", policy_text("['eq','$key','foo']"), POLICY),
    ("5000 conditions of nothing", policy_text(",".join(['["starts-with","$key",""]'] * 5000)), FIELDS),
]


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)

    def check(self, what, answer, expected, key):
        """The answer is as expected; the object exists, whole, exactly if it was stored; nothing else does."""
        status, headers, body = answer
        stored = {path: size for path, size in self.server.objects().items() if path not in self.before}
        for path in stored:
            os.remove(os.path.join(self.server.environment["POSTERN_STORE__PATH"], path))
        if expected == STORED:
            self.assertEqual((status, stored), (STORED, {"local/" + key: 5}), (what, body))
        else:
            self.assertEqual((status, s3_code(body)), (expected[0], expected[1] or s3_code(body)), (what, body))
            self.assertRegex(body, rb"<Code>\w+</Code><Message>[A-Z][^<]+</Message>", what)
            self.assertEqual((headers["content-type"], stored), ("application/xml", {}), what)
        wait_until(lambda: self.server.leftovers() == [], what, 5)

    def setUp(self):
        self.before = self.server.objects()

    def tearDown(self):
        self.assertEqual(self.server.metric("postern_exceptions_total"), 0)
        self.assertEqual(self.server.metric("postern_transfers"), 0)
        self.assertEqual(self.server.post_form(self.server.sign()["fields"], b"hello")[0], 303)

    def test_multipart_bodies(self):
        for what, make, expected in BODIES:
            with self.subTest(what):
                form = self.server.sign()
                body = make(list(form["fields"].items()))
                self.check(what, self.server.request("POST", "/upload/local", body, {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY}), expected, form["key"])

    def test_content_types(self):
        for content_type, expected in TYPES:
            with self.subTest(content_type[:60]):
                form = self.server.sign()
                body = whole(list(form["fields"].items()))
                with self.server.raw() as s:
                    s.sendall(b"POST /upload/local HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (content_type.replace(b"=B", b"=" + B).replace(b'"B', b'"' + B).replace(b"--B", b"--" + B).replace(b"''B", b"''" + B), len(body)) + body)
                    answer = read_answer(s)
                self.check(content_type[:60], answer, expected, form["key"])

    def test_policies(self):
        for what, document, expected in POLICIES:
            with self.subTest(what):
                self.check(what, self.server.post_form(sdk_form(document=document), b"hello"), expected, "foo.txt")


if __name__ == "__main__":
    main()
