"""S3s that misbehave: what is tried again succeeds, what cannot be mended is a clear answer, and there is never a wrong object."""

import importlib, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support", "peers"))
from whole_s3 import *

SMALL, LARGE = 1000, 12 * MIB  # one PutObject; a multipart upload


def peer(name, *args, **more):
    return importlib.import_module(name).Peer(*args, **more)


class Peers(unittest.TestCase):
    @contextlib.contextmanager
    def serving(self, s3, **settings):
        """A Postern in front of `s3`, without an open multipart upload left in there at the end: each was completed or aborted."""
        with s3, s3_server(s3, **settings) as server:
            yield server
            wait_until(lambda: not s3.uploads, "no multipart upload is left in the store", 10)

    def upload(self, server, size, chunked=False, seed=1):
        form, data = server.sign(), Pattern(size, seed)
        status, _, body = send_large(server, form, data, chunked=chunked)
        return form, data, status, body

    def check_stored(self, s3, server, form, data):
        found = s3.objects[form["key"]]
        self.assertEqual((found.size, found.sha256.hexdigest()), (data.size, data.sha256()))
        told = server.status(form["id"])
        self.assertEqual((told["state"], told["size"], told["etag"], told["checksum_crc32c"]), ("completed", data.size, found.etag, crc32c.of(data)))

    def all_succeed(self, s3, sizes=(SMALL, LARGE), **settings):
        with self.serving(s3, **settings) as server:
            for size in sizes:
                with self.subTest(size):
                    form, data, status, body = self.upload(server, size)
                    self.assertEqual(status, 303, body)
                    self.check_stored(s3, server, form, data)

    def all_fail(self, s3, sizes, statuses=(503,), **settings):
        with self.serving(s3, **settings) as server:
            for size in sizes:
                with self.subTest(size):
                    form, _, status, body = self.upload(server, size)
                    self.assertIn(status, statuses, body)
                    self.assertIsNotNone(s3_code(body))
                    self.assertNotEqual(server.status(form["id"])["state"], "completed")
                    self.assertNotIn(form["key"], s3.objects)

    def test_one_that_behaves(self):
        self.all_succeed(peer("hashes"), (0, 1, SMALL, 6 * MIB, LARGE))

    def test_500_twice(self):
        self.all_succeed(peer("fails_twice"))

    def test_500_for_ever(self):
        self.all_fail(peer("always_fails", "PutObject"), [SMALL])
        self.all_fail(peer("always_fails", "CreateMultipartUpload"), [LARGE])
        self.all_fail(peer("always_fails", "UploadPart"), [LARGE])
        self.all_fail(peer("always_fails", "CompleteMultipartUpload"), [LARGE])

    def test_slow_down(self):
        self.all_succeed(peer("slow_down"))

    def test_307_elsewhere(self):
        right = peer("hashes")
        wrong = peer("moved", right.endpoint)
        with right, self.serving(wrong) as server:
            for size in (SMALL, LARGE):
                form, data, status, body = self.upload(server, size)
                self.assertEqual(status, 303, body)
                self.check_stored(right, server, form, data)
            self.assertEqual((wrong.objects, right.uploads), ({}, {}))

    def test_another_region(self):
        s3 = peer("other_region")
        self.all_succeed(s3)
        self.assertLessEqual(sum(1 for o, _, _ in s3.log if o == "PutObject"), 2)  # it is remembered

    def test_200_with_an_error_inside(self):
        self.all_succeed(peer("error_in_200", 1), [LARGE])
        self.all_fail(peer("error_in_200", 99), [LARGE])

    def test_no_etag(self):
        self.all_succeed(peer("no_etag", "PutObject"), [SMALL])
        self.all_succeed(peer("no_etag", "CompleteMultipartUpload"), [LARGE])
        self.all_fail(peer("no_etag", "UploadPart"), [LARGE])

    def test_the_connection_cut_at_each_step(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("CompleteMultipartUpload", LARGE)):
            for step in ("begin", "middle", "end"):
                with self.subTest(f"{operation} {step}"):
                    self.all_succeed(peer("cuts", operation, step), [size])
        for step in ("begin",):  # a part of which nothing has flowed yet
            self.all_succeed(peer("cuts", "UploadPart", step), [LARGE])
        for step in ("middle", "end"):  # its bytes are gone: a clean failure
            with self.subTest(f"UploadPart {step}"):
                self.all_fail(peer("cuts", "UploadPart", step), [LARGE])
        # Done, but nobody knows: asked again S3 says the same of an object, and that it knows no such upload.
        self.all_succeed(peer("cuts", "PutObject", "done"), [SMALL])
        s3 = peer("cuts", "CompleteMultipartUpload", "done")
        with self.serving(s3) as server:
            form, data, status, body = self.upload(server, LARGE)
            self.assertEqual(status, 303, body)
            self.check_stored(s3, server, form, data)

    def test_the_connection_cut_always(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("UploadPart", LARGE)):
            for step in ("begin", "middle", "end"):
                with self.subTest(f"{operation} {step}"):
                    self.all_fail(peer("cuts", operation, step, always=True), [size])

    def test_an_expired_token(self):
        s3 = peer("expired_token")
        self.all_succeed(s3, store__credentials__role_arn="arn:aws:iam::123456789012:role/uploader")
        self.assertEqual(s3.count("Post"), 2)  # renewed once, by one flight

    def test_a_clock_that_is_off(self):
        s3 = peer("clock_off")
        self.all_succeed(s3)
        self.assertEqual(s3.count("PutObject"), 2)
        self.assertEqual(s3.count("CompleteMultipartUpload"), 1)  # the right time is kept

    def test_an_answer_that_never_comes(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("UploadPart", LARGE), ("CompleteMultipartUpload", LARGE)):
            with self.subTest(operation):
                s3 = peer("silent", operation)
                begin = time.monotonic()
                with self.serving(s3, store__timeout="500ms") as server:
                    form, _, status, body = self.upload(server, size)
                    self.assertEqual(status, 503, body)
                    self.assertNotIn(form["key"], s3.objects)
                self.assertLess(time.monotonic() - begin, 20)

    def test_idle_connections_that_are_closed(self):
        s3 = peer("closes_idle")
        with self.serving(s3) as server:
            for pause in (0, 0, 0.45, 0.5, 0.55, 1):
                time.sleep(pause)  # the age of the idle connection is what the test is about
                for size in (SMALL, 6 * MIB):
                    form, data, status, body = self.upload(server, size)
                    self.assertEqual(status, 303, body)
                    self.check_stored(s3, server, form, data)

    def test_connections_are_used_again(self):
        s3 = peer("hashes")
        with self.serving(s3, server__threads="1") as server:
            for _ in range(10):
                self.assertEqual(self.upload(server, SMALL)[2], 303)
            self.assertLessEqual(len({port for _, _, port in s3.log}), 2)

    def test_checksums_as_aws_wants_them(self):
        s3 = peer("as_aws")
        with self.serving(s3) as server:
            for size, chunked in ((SMALL, False), (6 * MIB, False), (9 * MIB, True)):
                form, data, status, body = self.upload(server, size, chunked)
                self.assertEqual(status, 303, body)
                self.check_stored(s3, server, form, data)
                self.assertEqual(s3.objects[form["key"]].crc, crc32c.of(data))

    def test_a_store_with_another_checksum(self):
        s3 = peer("as_aws", spoil=True)
        with self.serving(s3) as server:
            for size in (SMALL, 6 * MIB):
                form, _, status, body = self.upload(server, size)
                self.assertEqual((status, s3_code(body)), (400, "BadDigest"))
                self.assertNotEqual(server.status(form["id"])["state"], "completed")
                self.assertNotIn(form["key"], s3.objects)

    def test_a_refused_checksum_leaves_the_earlier_object(self):
        s3 = peer("refuses_digests")
        with self.serving(s3) as server:
            form, data, status, body = self.upload(server, SMALL)
            self.assertEqual(status, 303, body)
            status, _, body = send_large(server, form, Pattern(SMALL, 7))
            self.assertEqual((status, s3_code(body)), (400, "BadDigest"))
            self.check_stored(s3, server, form, data)

    def test_a_store_slower_than_clients_may_be_silent(self):
        # The server looks twice a second and cuts five seconds after the deadline, so it takes this long to see that nobody is cut.
        s3 = peer("late", 8)
        with self.serving(s3, limits__body_silence="1s") as server:
            form, data = server.sign(), Pattern(140_000)
            status, _, body = send_large(server, form, data)
            self.assertEqual(status, 303, body)
            self.check_stored(s3, server, form, data)

    def test_nobody_at_home(self):
        port = free_port()
        with s3_server(f"http://127.0.0.1:{port}") as server:
            for size in (SMALL, LARGE):
                _, _, status, body = self.upload(server, size)
                self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"))


if __name__ == "__main__":
    main()
