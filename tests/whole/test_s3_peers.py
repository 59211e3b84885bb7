"""S3 servers that misbehave: retries succeed, permanent errors get a clear response, and no wrong object is ever stored."""

import calendar, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

SMALL, LARGE = 1000, 12 * MIB  # one PutObject; a multipart upload


class Peers(unittest.TestCase):
    @contextlib.contextmanager
    def serving(self, s3, **settings):
        """A Postern in front of `s3`. At the end, every multipart upload must be completed or aborted."""
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
        recorded = server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"], recorded["etag"], recorded["checksum_crc32c"]), ("completed", data.size, found.etag, crc32c.of(data)))

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

    def test_a_well_behaved_store_stores_every_size(self):
        self.all_succeed(peer("hashes"), (0, 1, SMALL, 6 * MIB, LARGE))

    def test_two_errors_500_are_retried(self):
        self.all_succeed(peer("fails_twice"))

    def test_endless_errors_500_fail_the_upload(self):
        self.all_fail(peer("always_fails", "PutObject"), [SMALL])
        self.all_fail(peer("always_fails", "CreateMultipartUpload"), [LARGE])
        self.all_fail(peer("always_fails", "UploadPart"), [LARGE])
        self.all_fail(peer("always_fails", "CompleteMultipartUpload"), [LARGE])

    def test_slow_down_is_retried(self):
        self.all_succeed(peer("slow_down"))

    def test_a_redirect_307_is_followed(self):
        right = peer("hashes")
        wrong = peer("moved", right.endpoint)
        with right, self.serving(wrong) as server:
            for size in (SMALL, LARGE):
                form, data, status, body = self.upload(server, size)
                self.assertEqual(status, 303, body)
                self.check_stored(right, server, form, data)
            self.assertEqual((wrong.objects, right.uploads), ({}, {}))

    def test_another_region_is_learnt(self):
        s3 = peer("other_region")
        self.all_succeed(s3)
        self.assertLessEqual(sum(1 for o, _, _ in s3.log if o == "PutObject"), 2)  # the region is remembered

    def test_an_error_in_a_200_response_is_retried(self):
        self.all_succeed(peer("error_in_200", 1), [LARGE])
        self.all_fail(peer("error_in_200", 99), [LARGE])

    def test_only_a_part_without_etag_fails_the_upload(self):
        self.all_succeed(peer("no_etag", "PutObject"), [SMALL])
        self.all_succeed(peer("no_etag", "CompleteMultipartUpload"), [LARGE])
        self.all_fail(peer("no_etag", "UploadPart"), [LARGE])

    def test_a_connection_cut_at_any_step_is_retried(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("CompleteMultipartUpload", LARGE)):
            for step in ("begin", "middle", "end"):
                with self.subTest(f"{operation} {step}"):
                    self.all_succeed(peer("cuts", operation, step), [size])
        for step in ("begin",):  # a part of which no byte was sent yet
            self.all_succeed(peer("cuts", "UploadPart", step), [LARGE])
        for step in ("middle", "end"):  # the part's bytes are no longer in memory, so the upload fails cleanly
            with self.subTest(f"UploadPart {step}"):
                self.all_fail(peer("cuts", "UploadPart", step), [LARGE])
        # The request succeeded but its response was lost. The retry of a PUT succeeds; for a multipart upload S3 answers NoSuchUpload.
        self.all_succeed(peer("cuts", "PutObject", "done"), [SMALL])
        s3 = peer("cuts", "CompleteMultipartUpload", "done")
        with self.serving(s3) as server:
            form, data, status, body = self.upload(server, LARGE)
            self.assertEqual(status, 303, body)
            self.check_stored(s3, server, form, data)

    def test_a_lost_answer_to_complete_is_recognised_without_md5s(self):
        s3 = peer("sse_kms")
        with self.serving(s3) as server:
            form, _, status, body = self.upload(server, LARGE)
            self.assertEqual(status, 303, body)
            self.assertEqual(server.status(form["id"])["etag"], s3.objects[form["key"]].etag)
        s3 = peer("sse_kms")
        s3.created_before = 60  # the object is an earlier one, of the same size
        with s3, s3_server(s3) as server:
            form, _, status, body = self.upload(server, LARGE)
            self.assertEqual(status, 503, body)
            self.assertNotEqual(server.status(form["id"])["state"], "completed")

    def test_a_connection_that_is_always_cut_fails_the_upload(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("UploadPart", LARGE)):
            for step in ("begin", "middle", "end"):
                with self.subTest(f"{operation} {step}"):
                    self.all_fail(peer("cuts", operation, step, always=True), [size])

    def test_an_expired_token_is_renewed(self):
        s3 = peer("expired_token")
        self.all_succeed(s3, store__credentials__role_arn="arn:aws:iam::123456789012:role/uploader")
        self.assertEqual(s3.count("Post"), 2)  # renewed once, although several requests fail

    def test_a_wrong_clock_is_corrected(self):
        s3 = peer("clock_off")
        self.all_succeed(s3)
        self.assertLessEqual(s3.count("PutObject"), 2)  # 1 if the node has learnt the time when it asked the store at the start
        self.assertEqual(s3.count("CompleteMultipartUpload"), 1)  # the server's time is remembered

    def test_a_form_has_the_time_of_the_store(self):
        def seconds_ahead(form):
            return calendar.timegm(time.strptime(form["fields"]["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.time()

        s3 = peer("clock_off")
        with self.serving(s3) as server:
            wait_until(lambda: seconds_ahead(server.sign()) > 60, "the node has learnt the time when it asked the store")
            form = server.sign()
            self.assertAlmostEqual(seconds_ahead(form), s3.clock_off, delta=60)
            lifetime = calendar.timegm(time.strptime(form["expires_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.time() - s3.clock_off
            self.assertGreater(lifetime, 60)  # for the store the form has just begun
            _, _, status, body = self.upload(server, SMALL)  # and for the fallback too
            self.assertEqual(status, 303, body)

    def test_a_silent_store_times_out(self):
        for operation, size in (("PutObject", SMALL), ("CreateMultipartUpload", LARGE), ("UploadPart", LARGE), ("CompleteMultipartUpload", LARGE)):
            with self.subTest(operation):
                s3 = peer("silent", operation)
                begin = time.monotonic()
                with self.serving(s3, store__timeout="500ms") as server:
                    form, _, status, body = self.upload(server, size)
                    self.assertEqual(status, 503, body)
                    self.assertNotIn(form["key"], s3.objects)
                self.assertLess(time.monotonic() - begin, 20)

    def test_closed_idle_connections_are_replaced(self):
        s3 = peer("closes_idle")
        with self.serving(s3) as server:
            for pause in (0, 0, 0.45, 0.5, 0.55, 1):
                time.sleep(pause)  # the connection must be idle for this long
                for size in (SMALL, 6 * MIB):
                    form, data, status, body = self.upload(server, size)
                    self.assertEqual(status, 303, body)
                    self.check_stored(s3, server, form, data)

    def test_connections_are_reused(self):
        s3 = peer("hashes")
        with self.serving(s3, server__threads="1") as server:
            what_the_store_can_do(server)
            s3.log.clear()
            for _ in range(10):
                self.assertEqual(self.upload(server, SMALL)[2], 303)
            self.assertLessEqual(len({port for _, _, port in s3.log}), 2)

    def test_checksums_are_sent_as_aws_requires(self):
        s3 = peer("as_aws")
        with self.serving(s3) as server:
            for size, chunked in ((SMALL, False), (6 * MIB, False), (9 * MIB, True)):
                form, data, status, body = self.upload(server, size, chunked)
                self.assertEqual(status, 303, body)
                self.check_stored(s3, server, form, data)
                self.assertEqual(s3.objects[form["key"]].crc, crc32c.of(data))

    def test_a_wrong_checksum_of_the_store_fails_the_upload(self):
        s3 = peer("as_aws", spoil=True)
        with self.serving(s3) as server:
            for size in (SMALL, 6 * MIB):
                form, _, status, body = self.upload(server, size)
                self.assertEqual((status, s3_code(body)), (400, "BadDigest"))
                self.assertNotEqual(server.status(form["id"])["state"], "completed")
                self.assertNotIn(form["key"], s3.objects)

    def test_a_rejected_checksum_keeps_the_earlier_object(self):
        s3 = peer("refuses_digests")
        with self.serving(s3) as server:
            form, data, status, body = self.upload(server, SMALL)
            self.assertEqual(status, 303, body)
            status, _, body = send_large(server, form, Pattern(SMALL, 7))
            self.assertEqual((status, s3_code(body)), (400, "BadDigest"))
            self.check_stored(s3, server, form, data)

    def test_a_slow_store_does_not_time_out_its_client(self):
        # The server checks twice a second and cuts five seconds after the deadline. After this time, no client was cut.
        s3 = peer("late", 8)
        with self.serving(s3, limits__body_silence="1s") as server:
            form, data = server.sign(), Pattern(140_000)
            status, _, body = send_large(server, form, data)
            self.assertEqual(status, 303, body)
            self.check_stored(s3, server, form, data)

    def test_an_unreachable_store_fails_the_upload(self):
        port = free_port()
        with s3_server(f"http://127.0.0.1:{port}") as server:
            for size in (SMALL, LARGE):
                _, _, status, body = self.upload(server, size)
                self.assertEqual((status, s3_code(body)), (503, "ServiceUnavailable"))


if __name__ == "__main__":
    main()
