"""A store that accepts connections and says nothing, swallows packets, or answers byte by byte without end: each request still gets its answer, sooner than a proxy gives up."""

import os, sys, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

SMALL, LARGE = 1000, 12 * MIB  # one PutObject; a multipart upload
SOON = 18  # seconds; what ends after 10 s must be answered by then, and it is far below the 60 s of a proxy


class BlackHole:
    """An address that swallows connection attempts, as a firewall that drops packets does: the queue of its connections is full."""

    def __enter__(self):
        self.full = socket.socket()
        self.full.bind(("127.0.0.1", 0))
        self.full.listen(0)
        self.fill = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(self.full.getsockname())
            self.fill.append(s)
        self.endpoint = f"http://127.0.0.1:{self.full.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        for s in [self.full, *self.fill]:
            s.close()


class Deadlines(unittest.TestCase):
    @contextlib.contextmanager
    def answered_soon(self, seconds=SOON):
        begin = time.monotonic()
        yield
        self.assertLess(time.monotonic() - begin, seconds)

    def complete(self, server, form, etag="0" * 32):
        query = urllib.parse.urlencode({"bucket": "media", "key": form["key"], "etag": f'"{etag}"'}, quote_via=urllib.parse.quote)
        status, _, body = server.request("GET", urlsplit(form["complete_url"]).path + "?" + query, headers={"Accept": "application/json"})
        return status, json.loads(body)

    def check_pending(self, server, form, etag="0" * 32):
        with self.answered_soon():
            status, answer = self.complete(server, form, etag)
        self.assertEqual((status, answer["state"]), (202, "pending"), answer)

    def check_upload_fails(self, server, size, seconds=SOON):
        form = server.sign()
        with self.answered_soon(seconds):
            status, _, body = send_large(server, form, Pattern(size))
        self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"))
        self.assertNotEqual(server.status(form["id"])["state"], "completed")

    def test_a_completion_is_answered_while_the_store_hangs_and_confirmed_later(self):
        with peer("hangs") as s3, s3_server(s3, sweep__interval="500ms") as server:
            form = server.sign()
            etag = s3.put(form, b"hello")
            s3.is_hanging.set()
            self.check_pending(server, form, etag)
            self.assertEqual(self.complete_in_threads(server, 20), [(202, "pending")] * 20)
            s3.is_hanging.clear()
            wait_until(lambda: server.status(form["id"])["state"] == "completed", "the upload is confirmed when the store answers again", 60)

    def complete_in_threads(self, server, count):
        """Many at once take no longer than one."""
        forms = [server.sign() for _ in range(count)]
        with self.answered_soon():
            answers = in_threads(lambda form: self.complete(server, form), forms)
        return [(status, answer["state"]) for status, answer in answers]

    def test_the_end_of_an_upload_is_answered_while_the_store_hangs(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("CompleteMultipartUpload", LARGE), ("UploadPart", LARGE)):
            # store.timeout is the default: a running try is cut.
            with self.subTest(operation), peer("silent", operation) as s3, s3_server(s3, store__deadline="2s") as server:
                self.check_upload_fails(server, size)

    def test_a_store_that_hangs_in_the_middle_of_everything(self):
        with peer("hangs") as s3, s3_server(s3, store__deadline="2s") as server:
            form, data = server.sign(), Pattern(LARGE)
            sent = 0

            def hang_after_half():
                nonlocal sent
                sent += 1
                if sent == 6:
                    s3.is_hanging.set()

            with self.answered_soon(30):  # the end of the upload, then 10 s for the abort
                status, _, _ = send_large(server, form, data, on_piece=hang_after_half)
            self.assertEqual(status, 503)
            with self.answered_soon(2):  # requests that do not need the store do not wait for it
                server.sign()
                self.assertEqual(server.admin("/healthz")[0], 200)

    def test_an_address_that_swallows_packets(self):
        with BlackHole() as store, s3_server(store.endpoint, store__deadline="2s") as server:
            self.check_pending(server, server.sign())
            self.check_upload_fails(server, SMALL)
            self.check_upload_fails(server, LARGE)

    def test_answers_that_come_byte_by_byte_without_end(self):
        for what in ("header", "interim", "body"):
            with self.subTest(what):
                if what != "body":  # the answer to a HEAD has none
                    with peer("trickles", "HeadObject", what) as s3, s3_server(s3) as server:
                        self.check_pending(server, server.sign())
                with peer("trickles", "PutObject", what) as s3, s3_server(s3, store__deadline="2s") as server:
                    self.check_upload_fails(server, SMALL)

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed; tests/run installs it")
    def test_a_real_store_that_is_paused(self):
        with Rgw() as s3, s3_server(s3, store__deadline="3s", sweep__interval="500ms") as server:
            form = server.sign()
            self.assertEqual(post_to_s3(form)[0], 303)
            etag = s3.head(form["key"])["etag"].strip('"')
            s3.freeze()
            try:
                self.check_pending(server, form, etag)
                self.check_upload_fails(server, SMALL)
                self.check_upload_fails(server, LARGE, 30)
            finally:
                s3.freeze(False)
            wait_until(lambda: server.status(form["id"])["state"] == "completed", "the upload is confirmed when the store answers again", 60)


if __name__ == "__main__":
    main()
