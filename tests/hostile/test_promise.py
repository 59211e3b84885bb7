"""Forms that promise that nothing follows their file (x-ignore-nothing-follows): a true promise needs little memory, a false one stores nothing."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

KIB = 1 << 10
PROMISE = {"x-ignore-nothing-follows": "true"}
SMALL, MEDIUM, LARGE = 4 * MIB, 50 * MIB, 100 * MIB  # one PutObject that could be collected, one that could not, a multipart upload


def promising(form):
    return {**form, "fields": {**form["fields"], **PROMISE}}


class Promise(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.addClassCleanup(cls.s3.close)
        cls.server = s3_server(cls.s3)
        cls.addClassCleanup(cls.server.close)
        # The first file goes by a multipart upload, which tells what the store can.
        form = promising(cls.server.sign())
        assert send_large(cls.server, form, Pattern(MIB))[0] == 303

    def received(self):
        return self.server.metric("postern_received_bytes_total")

    def send_slowly(self, form, data, burst):
        """Sends `burst` bytes at once, and then a piece whenever the one before has been received. Returns the memory that is taken before the last piece, and the answer."""
        begin, end = form_begin(form["fields"]), form_end()
        with self.server.raw(timeout=300) as s:
            s.sendall(form_header(len(begin) + data.size + len(end), "media") + begin)
            before, sent = self.received(), 0
            whole = memoryview(b"".join(data))
            last = data.size - 64 * KIB
            while sent < last:
                n = burst if sent == 0 else min(64 * KIB, last - sent)
                s.sendall(whole[sent:sent + n])
                sent += n
                wait_until(lambda: self.received() - before >= sent - 128, "the piece received", 60)  # what looks like a delimiter is held back
            memory, requests = self.server.metric("postern_memory_bytes"), self.server.metric("postern_store_requests_open")
            s.sendall(whole[sent:])
            s.sendall(end)
            return memory, requests, read_answer(s)

    def check(self, form, data):
        check_taken_by_fallback(self, self.s3, self.server, form, data)

    def check_nothing_stored(self, form):
        self.assertFalse(self.s3.has(form["key"]))
        self.assertEqual(self.s3.multiparts(), 0)
        wait_until(lambda: self.server.metric("postern_store_requests_open") == 0, "no request to the store is left")

    def test_a_true_promise_needs_little_memory(self):
        for size, most in ((SMALL, MIB), (MEDIUM, MIB)):
            form, data = promising(self.server.sign()), Pattern(size, size)
            memory, requests, answer = self.send_slowly(form, data, 2 * MIB)
            self.assertEqual((answer[0], requests), (303, 1))
            self.assertLess(memory, most)
            self.check(form, data)
            self.assertNotIn("-", self.server.status(form["id"])["etag"])  # it was one PutObject
            print(f"\n{size // MIB} MiB: {memory / KIB:.0f} KiB taken before the last piece", file=sys.stderr)
        form, data = self.server.sign(), Pattern(SMALL, 1)  # without the promise it has to be collected
        memory, requests, answer = self.send_slowly(form, data, 2 * MIB)
        self.assertEqual((answer[0], requests), (303, 0))
        self.assertGreater(memory, SMALL - MIB)
        self.check(form, data)

    def test_sizes_around_every_threshold_are_stored(self):
        for size in (0, 1, 256 * KIB, 256 * KIB + 1, 5 * MIB + 64 * KIB - 1, 5 * MIB + 64 * KIB, 64 * MIB, 64 * MIB + 1, LARGE):
            with self.subTest(size):
                form, data = promising(self.server.sign(size=size)), Pattern(size, size)
                self.assertEqual(send_large(self.server, form, data)[0], 303)
                self.check(form, data)

    def test_a_false_promise_fails_and_stores_nothing(self):
        size_of_field = len(field("submit", "Send"))
        endings = {
            "a field follows": (form_end(field("submit", "Send")), f"{size_of_field} bytes more follow it"),
            "an epilogue follows": (form_end() + b"an epilogue", "11 bytes more follow it"),
            "no line end": (form_end()[:-2], "the file goes on"),
            "another delimiter": (form_end(boundary=BOUNDARY[:-1] + "x"), "the file goes on"),
            "no delimiter": (b"", "the file goes on"),
            "an odd ending": (form_end()[:-2] + b"xy", "does not end with the closing delimiter"),
        }
        for size in (100, SMALL, 20 * MIB, LARGE):
            for what, (end, why) in endings.items():
                with self.subTest(f"{what}, {size}"):
                    form, data = promising(self.server.sign()), Pattern(size, size)
                    begin = form_begin(form["fields"])
                    with self.server.raw(timeout=120) as s:
                        s.sendall(form_header(len(begin) + size + len(end), "media") + begin)
                        for piece in itertools.chain(data, [end]):
                            s.sendall(piece)
                        status, _, body = read_answer(s)
                    self.assertEqual((status, s3_code(body)), (400, "MalformedPOSTRequest"))
                    self.assertIn("x-ignore-nothing-follows promises that nothing follows the file", body.decode())
                    self.assertIn(why, body.decode())
                    self.check_nothing_stored(form)
                    self.assertEqual(self.server.status(form["id"])["state"], "failed")
        form, data = promising(self.server.sign()), Pattern(SMALL)  # others are served as before
        self.assertEqual(send_large(self.server, form, data)[0], 303)
        self.check(form, data)

    def test_a_form_whose_promise_was_false_can_be_sent_without_it(self):
        form, data = self.server.sign(), Pattern(SMALL)
        self.assertEqual(send_large(self.server, promising(form), data, behind=field("submit", "Send"))[0], 400)
        self.check_nothing_stored(form)
        self.assertEqual(send_large(self.server, form, data, behind=field("submit", "Send"))[0], 303)
        self.check(form, data)

    def test_a_client_that_hangs_up_leaves_nothing(self):
        for size in (SMALL, MEDIUM):
            for missing in (1, 64 * KIB):
                form, data = promising(self.server.sign()), Pattern(size)
                begin, end = form_begin(form["fields"]), form_end()
                with self.server.raw(timeout=120) as s:
                    s.sendall(form_header(len(begin) + size + len(end), "media") + begin)
                    s.sendall((b"".join(data) + end)[:-missing])
                    wait_until(lambda: self.server.status(form["id"])["state"] == "receiving", "the upload begun")
                wait_until(lambda: self.server.status(form["id"])["state"] == "issued", "the form is free again")
                self.check_nothing_stored(form)

    def test_a_chunked_request_ignores_the_promise(self):
        form, data = promising(self.server.sign()), Pattern(SMALL)
        self.assertEqual(send_large(self.server, form, data, behind=field("submit", "Send"), chunked=True)[0], 303)
        self.check(form, data)

    def test_a_size_outside_the_policy_is_refused_before_a_byte_is_stored(self):
        form = promising(self.server.sign(size=SMALL))
        for size, code in ((SMALL + 1, "EntityTooLarge"), (SMALL - 1, "EntityTooSmall")):
            begin = form_begin(form["fields"])
            with self.server.raw() as s:  # the answer comes without a byte of the file
                s.sendall(form_header(len(begin) + size + len(form_end()), "media") + begin)
                status, _, body = read_answer(s)
            self.assertEqual((status, s3_code(body)), (400, code))
        self.check_nothing_stored(form)

    def test_a_form_with_a_checksum_is_verified(self):
        data = Pattern(SMALL, 3)
        for sent, expected in ((crc32c.of(data), 204), (crc32c.of(Pattern(SMALL, 4)), 400)):
            key = f"foo-{expected}"
            conditions = [{"bucket": "media"}, ["starts-with", "$key", "foo"], {"x-amz-checksum-crc32c": sent}]
            fields = sdk_form(key, "media", conditions, {"x-amz-checksum-crc32c": sent}) + list(PROMISE.items())
            status, _, body = self.server.post_form(fields, b"".join(data), "media")
            self.assertEqual((status, s3_code(body)), (expected, None if expected == 204 else "BadDigest"))
            self.assertEqual(self.s3.has(key), expected == 204)

    def test_the_same_form_works_directly(self):
        form = promising(self.server.sign())
        status, headers, body = post_to_s3(form, b"hello")
        self.assertEqual(status, 303, body)
        where = urlsplit(headers["location"])
        status, _, body = self.server.request("GET", where.path + "?" + where.query, headers={"Accept": "application/json"})
        self.assertEqual((status, json.loads(body)["state"], json.loads(body)["size"]), (200, "completed", 5))


class FastAtFirst(threading.Thread):
    """A client whose file begins fast, so that it is streamed to the store, and then goes on at 2 KiB a second."""

    def __init__(self, server, number):
        super().__init__(daemon=True)
        self.form, self.source, self.server = promising(server.sign()), f"127.30.0.{number + 1}", server
        self.answer, self.ends = "running", threading.Event()

    def run(self):
        begin, end = form_begin(self.form["fields"]), form_end()
        with self.server.raw(source=self.source) as s:
            s.sendall(form_header(len(begin) + SMALL + len(end), "media") + begin + b"x" * 300 * KIB)
            while not self.ends.wait(1):
                s.setblocking(False)
                try:
                    ended = s.recv(1, socket.MSG_PEEK) is not None
                except BlockingIOError:
                    ended = False
                s.settimeout(30)
                if ended:
                    self.answer = read_answer(s)
                    return
                s.sendall(b"x" * 2 * KIB)


class Patience(unittest.TestCase):
    def test_clients_that_become_slow_leave_requests_to_the_store_for_others(self):
        with Rgw() as s3, s3_server(s3, limits__store_requests="16") as server:
            assert send_large(server, promising(server.sign()), Pattern(MIB))[0] == 303
            slow = [FastAtFirst(server, n) for n in range(40)]
            for client in slow:
                client.start()
            wait_until(lambda: server.metric("postern_store_requests_open") >= 12, "slow clients being streamed")
            statuses = [send_large(server, make(server.sign()), Pattern(size), source=f"127.31.0.{n + 1}")[0]
                        for n, (make, size) in enumerate([(promising, MIB), (dict, MIB), (promising, 20 * MIB), (dict, 20 * MIB)] * 5)]
            wait_until(lambda: sum(c.answer != "running" for c in slow) >= 24, "all but 16 slow clients have left", 60)
            for client in slow:
                client.ends.set()
            for client in slow:
                client.join()
            self.assertEqual(statuses, [303] * len(statuses))
            answers = [c.answer for c in slow if c.answer != "running"]
            for status, headers, body in answers:
                self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"))
                self.assertIn("retry-after", headers)
            for client in slow:
                self.assertFalse(s3.has(client.form["key"]))
            wait_until(lambda: server.metric("postern_store_requests_open") == 0, "no request to the store is left")
            self.assertEqual(s3.multiparts(), 0)


class OddStores(unittest.TestCase):
    """Stores that fail while a file is streamed to them, and one that takes checksums behind the bytes."""

    @contextlib.contextmanager
    def uploads(self, store):
        """A Postern that knows already what the store can. Gives the function that uploads a file, and answers (form, status, headers, body)."""
        with store, s3_server(store) as server:
            def upload(size=SMALL):
                form = promising(server.sign())
                return form, *send_large(server, form, Pattern(size))
            what_the_store_can_do(server)
            yield upload
            wait_until(lambda: not store.uploads, "no multipart upload is left in the store", 10)
            wait_until(lambda: server.metric("postern_store_requests_open") == 0, "no request to the store is left")

    def test_a_store_verifies_the_checksum_behind_the_bytes(self):
        store, trailers = peer("as_aws"), []
        store.intercept = lambda r: r.operation == "PutObject" and trailers.append(r.headers.get("x-amz-trailer"))
        with self.uploads(store) as upload:
            for size in (SMALL, MEDIUM):
                form, status, _, body = upload(size)
                self.assertEqual(status, 303, body)
                found = store.objects[form["key"]]
                self.assertEqual((found.size, found.crc, found.sha256.hexdigest()), (size, crc32c.of(Pattern(size)), Pattern(size).sha256()))
            self.assertEqual(store.count("CreateMultipartUpload"), 0)
            self.assertEqual(trailers, ["x-amz-checksum-crc32c"] * 2)

    def test_a_store_that_stored_other_bytes_loses_the_object(self):
        store = peer("as_aws")
        with self.uploads(store) as upload:
            store.spoil = True
            form, status, _, body = upload()
            self.assertNotEqual(status, 303, body)
            self.assertNotIn(form["key"], store.objects)

    def test_errors_before_the_first_byte_are_retried(self):
        for store in (peer("fails_twice"), peer("cuts", "PutObject", "begin")):
            with self.uploads(store) as upload:
                form, status, _, body = upload()
                self.assertEqual(status, 303, body)
                self.assertEqual(store.objects[form["key"]].size, SMALL)

    def test_errors_behind_the_first_byte_are_told_to_the_client(self):
        for step in ("middle", "end", "done"):
            with self.subTest(step), self.uploads(peer("cuts", "PutObject", step)) as upload:
                _, status, headers, body = upload()
                self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"))
                self.assertIn("retry-after", headers)
                self.assertEqual(upload()[1], 303)  # the client tries again


class WithoutS3(unittest.TestCase):
    def test_a_directory_keeps_the_same_rules(self):
        with Server() as server:
            for size in (100, SMALL):
                form, data = promising(server.sign()), b"".join(Pattern(size))
                status, _, body = server.post_form(form["fields"], data, behind=field("submit", "Send"))
                self.assertEqual((status, s3_code(body)), (400, "MalformedPOSTRequest"))
                self.assertEqual((server.objects(), server.leftovers()), ({}, []))
                self.assertEqual(server.post_form(promising(server.sign())["fields"], data)[0], 303)
                for path in server.objects():
                    os.remove(os.path.join(server.environment["POSTERN_STORE__PATH"], path))


need_rgw()
main()
