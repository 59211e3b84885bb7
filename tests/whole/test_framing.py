"""HTTP framing: every ambiguous request is answered 400 and the connection closes. The bytes after it are never read as a request."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

SMUGGLED = b"GET /postern.js HTTP/1.1\r\nHost: smuggled\r\n\r\n"


class Framing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('[auth]\nanonymous = true\n[limits]\nheader_timeout = "1s"\nidle_timeout = "2s"\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def talk(self, data, timeout=10):
        """Sends bytes. Returns everything that the server sends until it closes."""
        with self.server.raw(timeout) as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass
            out = b""
            try:
                while piece := s.recv(65536):
                    out += piece
            except ConnectionError:
                pass
            return out

    def refused(self, data, status=400):
        out = self.talk(data)
        self.assertTrue(out.startswith(b"HTTP/1.1 %d " % status), (data[:200], out[:200]))
        self.assertEqual(out.count(b"HTTP/1.1 "), 1, (data[:200], out))
        self.assertIn(b"Connection: close", out)

    def test_ambiguous_bodies_are_rejected(self):
        post = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        for lines in (b"Transfer-Encoding: gzip", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                      b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: gzip\r\nContent-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: gzip",
                      b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length: -5", b"Content-Length: 1 2",
                      b"Content-Length: 0x5", b"Content-Length: 5.0", b"Content-Length: ", b"Content-Length: 99999999999999999999999", b"Content-Length: 18446744073709551621",
                      b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"Expect: something"):
            with self.subTest(lines):
                self.refused(post + lines + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
        self.refused(b"POST /v1/uploads HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED)

    def test_malformed_headers_are_rejected(self):
        for head in (b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"GET /\r\n\r\n", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"\r\n\r\n\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: a\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\rX"):
            with self.subTest(head):
                self.refused(head + SMUGGLED)

    def test_malformed_chunks_are_rejected(self):
        head = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        for body in (b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"\r\nhello\r\n", b"1234567890abcdef1\r\nhello\r\n", b"5\r\nhelloX", b"5\r\nhello\n0\r\n\r\n",
                     b"5\nhello\r\n", b"5;\0\r\nhello\r\n", b"5;" + b"x" * 300 + b"\r\nhello\r\n", b"g\r\n"):
            with self.subTest(body[:40]):
                self.refused(head + body + b"0\r\n\r\n" + SMUGGLED)

    def test_the_rest_of_a_body_is_not_read_as_a_request(self):
        # Rejected for its type before the body is read. The body must not be read as the next request.
        body = SMUGGLED * 3
        self.refused(b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body, 415)

    def test_a_header_over_the_limit_is_rejected(self):
        self.refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", 431)
        self.refused(b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431)
        self.assertTrue(self.talk(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: " + b"x" * 16_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 404 "))

    def test_a_late_header_times_out(self):
        began = time.monotonic()
        out = self.talk(b"GET / HTTP/1.1\r\nHost: a\r\n")
        self.assertLess(time.monotonic() - began, 4)
        self.assertTrue(out.startswith(b"HTTP/1.1 408 "), out)

    def test_a_slowly_arriving_header_times_out(self):
        began = time.monotonic()
        with self.server.raw(10) as s:
            try:
                for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100:
                    s.sendall(bytes([byte]))
                    time.sleep(0.05)  # the pace of the drip
            except ConnectionError:
                pass
        self.assertLess(time.monotonic() - began, 4)

    def test_empty_lines_do_not_hold_a_connection(self):
        began = time.monotonic()
        with self.server.raw(10) as s:
            try:
                for _ in range(100):
                    s.sendall(b"\r\n")
                    time.sleep(0.05)  # the pace of the drip
            except ConnectionError:
                pass
        self.assertLess(time.monotonic() - began, 4)

    def test_an_idle_connection_ends(self):
        with self.server.raw(10) as s:
            began = time.monotonic()
            self.assertEqual(s.recv(1), b"")
            self.assertLess(time.monotonic() - began, 5)

    def test_pipelined_requests_are_answered_in_order(self):
        one = b"GET /postern.js HTTP/1.1\r\nHost: a\r\n\r\n"
        body = b'{"filename":"a"}'
        post = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        chunked = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n" + body[:3] + b"\r\nd\r\n" + body[3:] + b"\r\n0\r\nT: x\r\n\r\n"
        last = b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        everything = one + post + chunked + b"\r\n" + one + post + last
        out = self.talk(everything)
        import re as regex
        self.assertEqual(regex.findall(rb"HTTP/1\.1 (\d+) ", out), [b"200", b"201", b"201", b"200", b"201", b"404"])
        with self.server.raw(10) as s:  # and cut at odd places
            for i in range(0, len(everything), 7):
                s.sendall(everything[i:i + 7])
            out = b""
            while piece := s.recv(65536):
                out += piece
        self.assertEqual(regex.findall(rb"HTTP/1\.1 (\d+) ", out), [b"200", b"201", b"201", b"200", b"201", b"404"])

    def test_methods_and_paths_get_the_right_status(self):
        self.assertEqual(self.server.request("GET", "/nothing")[0], 404)
        self.assertIn(b"HTTP/1.1 200 ", self.talk(b"GET http://elsewhere/postern.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        status, headers, _ = self.server.request("DELETE", "/v1/uploads")
        self.assertEqual((status, headers["allow"]), (405, "POST, OPTIONS"))
        status, headers, body = self.server.request("HEAD", "/postern.js")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["content-length"]), 1000)
        self.assertEqual(self.server.request("GET", "/v1/uploads/%zz")[0], 400)
        self.assertEqual(self.server.request("GET", "/v1/complete/..%2f..")[0], 403)
        self.assertIn(b"HTTP/1.1 404 ", self.talk(b"GET / HTTP/1.0\r\n\r\n"))


main()
