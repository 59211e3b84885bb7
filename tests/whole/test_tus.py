"""tus 1.0 at /v1/files, with the file store and with a real S3: each answer of the protocol, and what a break, a crash, another node or a second client does to an upload."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
import postgres
import tus
from ways import way_of

CONFIG = """
[auth]
anonymous = true
[sweep]
probe = false
interval = '300ms'
[profiles.pictures]
content_types = ['image/*']
max_size = '1MiB'
[profiles.no_tus]
ways = ['form', 'fallback']
"""


class Files(unittest.TestCase):
    """With the file store. What the other store does otherwise is in its class."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def new_server(self, config=CONFIG):
        self.own = Server(config)
        return self.own

    def hash_of(self, key):
        for server in (self.server, getattr(self, "own", None)):
            if server and os.path.exists(server.object_path(key)):
                with open(server.object_path(key), "rb") as f:
                    return hashlib.sha256(f.read()).hexdigest()
        return None

    def left_over(self, server=None):
        root = os.path.join((server or self.server).environment["POSTERN_STORE__PATH"], ".postern", "paused")
        return os.listdir(root)

    def check_stored(self, upload, data, **more):
        recorded = upload.server.status(upload.id)
        expected = {"state": "completed", "size": len(data), "way": "resumable", "completed_by": "fallback", **more}
        self.assertEqual({name: recorded.get(name) for name in expected}, expected, recorded)
        self.assertEqual(self.hash_of(self.key_of(upload)), hashlib.sha256(data).hexdigest())
        self.assertEqual(self.left_over(upload.server), [])

    def key_of(self, upload):
        return next(row["key"] for row in upload.server.uploads() if row["id"] == upload.id)

    # --- the protocol, case by case ---

    def test_options_say_what_the_server_can(self):
        status, headers, _ = self.server.request("OPTIONS", "/v1/files", headers={"Origin": self.server.url, "Access-Control-Request-Method": "PATCH"})
        self.assertEqual((status, headers["tus-version"], headers["tus-resumable"]), (204, "1.0.0", "1.0.0"))
        self.assertEqual(set(headers["tus-extension"].split(",")), {"creation", "creation-with-upload", "creation-defer-length", "expiration", "termination", "checksum"})
        self.assertEqual(headers["tus-checksum-algorithm"], "sha1,sha256,crc32c")
        self.assertGreater(int(headers["tus-max-size"]), 0)
        self.assertIn("PATCH", headers["access-control-allow-methods"])
        for name in ("Upload-Length", "Upload-Offset", "Tus-Resumable", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat", "Upload-Checksum", "X-HTTP-Method-Override", "Content-Type", "Authorization"):
            self.assertIn(name, headers["access-control-allow-headers"].split(", "))
        for name in ("Upload-Offset", "Location", "Upload-Length", "Tus-Version", "Tus-Resumable", "Tus-Max-Size", "Tus-Extension", "Upload-Metadata", "Upload-Expires"):
            self.assertIn(name, headers["access-control-expose-headers"].split(", "))
        self.assertEqual(self.server.request("OPTIONS", "/v1/files?profile=pictures")[1]["tus-max-size"], str(MIB))

    def test_an_upload_in_one_request_and_in_many(self):
        for size, piece in ((0, None), (1, None), (1000, 1), (6 * MIB + 7, None), (6 * MIB + 7, 999_983), (20 * MIB, 5 * MIB)):
            data = random_bytes(size) if piece != 1 else random_bytes(30)
            with self.subTest(size=size, piece=piece):
                upload = tus.create(self.server, len(data), Upload_Metadata=tus.metadata(filename="a b.bin", filetype="image/png", Album="Ü 1"))
                upload.send(data, piece)
                self.check_stored(upload, data)
                status, headers, _ = upload.head()
                self.assertEqual((status, headers["upload-offset"], headers["upload-length"], headers["cache-control"]), (200, str(len(data)), str(len(data)), "no-store"))
                self.assertNotIn("upload-expires", headers)
                self.assertEqual(upload.patch(len(data), b"")[0], 204)  # its answer may have been lost
                self.assertEqual(upload.patch(len(data), b"x")[0], 409)
                self.assertEqual(upload.delete()[0], 409)

    def test_what_a_creation_brings_is_kept_and_shown(self):
        upload = tus.create(self.server, 10, Upload_Metadata=tus.metadata(filename="a b.png", filetype="image/png", album="Ü 1"))
        self.assertEqual(upload.head()[1]["upload-metadata"], tus.metadata(filetype="image/png", album="Ü 1"))
        row = next(r for r in self.server.uploads() if r["id"] == upload.id)
        self.assertTrue(row["key"].endswith("/a b.png"), row)
        self.assertEqual((row["state"], row["metadata"]), ("issued", {"album": "Ü 1"}))
        upload.send(b"0123456789")
        self.check_stored(upload, b"0123456789")

    def test_creations_that_are_refused(self):
        def refused(expect, **more):
            return tus.create(self.server, expect=expect, **more)
        self.assertEqual(refused(412, size=1, Tus_Resumable="0.2.2")[1]["tus-version"], "1.0.0")
        for status, more in ((400, {"Upload_Length": "x", "size": 1}), (400, {"Upload_Length": "-1", "size": 1}), (400, {"Upload_Length": None, "size": 1}), (400, {"Upload_Defer_Length": "2"}),
                             (400, {"Upload_Metadata": "name !!!", "size": 1}), (413, {"size": 10 ** 13}), (415, {"size": 1, "path": "/v1/files?profile=pictures", "Upload_Metadata": tus.metadata(filetype="text/html")}),
                             (413, {"size": MIB + 1, "path": "/v1/files?profile=pictures", "Upload_Metadata": tus.metadata(filetype="image/png")}), (400, {"size": 1, "path": "/v1/files?profile=nobody"}),
                             (403, {"size": 1, "path": "/v1/files?profile=no_tus"}), (400, {"size": 1, "Upload_Concat": "partial"}), (415, {"size": 1, "body": b"x", "Content_Type": "text/plain"})):
            with self.subTest(more=more):
                status, headers, body = refused(status, **more)
                self.assertEqual(headers["tus-resumable"], "1.0.0")
                self.assertGreater(len(json.loads(body)["detail"]), 10)

    def test_requests_that_are_refused(self):
        upload = tus.create(self.server, 10)
        self.assertEqual(upload.ask("PATCH", {"Upload-Offset": "0"}, b"x")[0], 415)
        self.assertEqual(upload.patch(0, b"x", **{"Tus-Resumable": "0.1"})[0], 412)
        for offset in ("1", "11"):
            status, headers, _ = upload.patch(offset, b"x")
            self.assertEqual((status, headers["upload-offset"]), (409, "0"))
        for offset in ("", "-1", "a", "99999999999999999999"):
            self.assertEqual(upload.patch(offset, b"x")[0], 400)
        self.assertEqual(upload.patch(0, b"01234567890")[0], 400)  # eleven bytes
        self.assertEqual(upload.offset(), 0)
        for path in ("/v1/files/" + "x" * 40, upload.path[:-1] + ("A" if upload.path[-1] != "A" else "B")):
            for method in ("HEAD", "PATCH", "DELETE"):
                status, headers, _ = self.server.request(method, path, b"x" if method == "PATCH" else None, {**tus.VERSION, **tus.BODY, "Upload-Offset": "0"})
                self.assertEqual((status, "upload-offset" in headers), (404, False))

    def test_the_first_bytes_come_with_the_creation(self):
        data = random_bytes(100)
        status, headers, _ = self.server.request("POST", "/v1/files", data[:40], {**tus.VERSION, **tus.BODY, "Upload-Length": "100"})
        self.assertEqual((status, headers["upload-offset"]), (201, "40"))
        upload = tus.Upload(self.server, headers["location"], headers["postern-id"])
        upload.send(data)
        self.assertEqual(self.server.status(upload.id)["state"], "completed")
        whole = tus.create(self.server, 100, data)
        self.assertEqual(self.server.status(whole.id)["state"], "completed")
        self.assertEqual(self.hash_of(self.key_of(whole)), hashlib.sha256(data).hexdigest())

    def test_a_length_that_is_declared_later(self):
        data = random_bytes(9 * MIB)
        upload = tus.create(self.server)
        self.assertEqual(upload.head()[1]["upload-defer-length"], "1")
        self.assertEqual(upload.patch(0, data[:MIB])[0], 204)
        self.assertNotIn("upload-length", upload.head()[1])
        self.assertEqual(upload.patch(MIB, data[MIB:2 * MIB], **{"Upload-Length": str(len(data))})[0], 204)
        self.assertEqual(upload.head()[1]["upload-length"], str(len(data)))
        self.assertEqual(upload.patch(2 * MIB, b"x", **{"Upload-Length": "77"})[0], 400)
        upload.send(data)
        self.check_stored(upload, data)
        empty = tus.create(self.server)
        self.assertEqual(empty.patch(0, b"", **{"Upload-Length": "0"})[0], 204)
        self.check_stored(empty, b"")

    def test_checksums(self):
        data = random_bytes(10 * MIB)
        upload = tus.create(self.server, len(data))
        self.assertEqual(upload.patch(0, data[:100], **{"Upload-Checksum": tus.checksum(data[:100])})[0], 204)
        status, headers, _ = upload.patch(100, data[100:-1], **{"Upload-Checksum": tus.checksum(data)})
        self.assertEqual((status, headers["upload-offset"]), (460, "100"))
        self.assertEqual(upload.offset(), 100)
        for wrong in ("md4 AAAA", "sha1 !!", "sha1", "sha1 AAAA"):
            self.assertEqual(upload.patch(100, data[100:200], **{"Upload-Checksum": wrong})[0], 400)
        self.assertEqual(upload.patch(100, data[100:], **{"Upload-Checksum": tus.checksum(data[100:], "sha256")})[0], 204)
        self.check_stored(upload, data)

    def test_termination(self):
        upload = tus.create(self.server, 10 * MIB)
        self.assertEqual(upload.patch(0, random_bytes(9 * MIB))[0], 204)
        self.assertEqual(upload.delete()[0], 204)
        for method in ("HEAD", "DELETE"):
            self.assertEqual(upload.ask(method)[0], 404)
        self.assertEqual(upload.patch(9 * MIB, b"x")[0], 404)
        self.assertEqual(self.server.status(upload.id)["state"], "failed")
        self.assertEqual(self.left_over(), [])

    def test_an_old_proxy_lets_only_post_through(self):
        data = b"0123456789"
        upload = tus.create(self.server, 10)
        post = lambda method, **more: upload.ask("POST", {"X-HTTP-Method-Override": method, **tus.BODY, **more}, data[:5] if method == "PATCH" else b"")
        self.assertEqual(post("PATCH", **{"Upload-Offset": "0"})[0], 204)
        self.assertEqual(post("HEAD")[1]["upload-offset"], "5")
        self.assertEqual(post("PUT")[0], 405)
        self.assertEqual(post("DELETE")[0], 204)

    def test_a_signed_upload_goes_on_as_a_resumable_one(self):
        data = random_bytes(9 * MIB)
        form = self.server.sign(size=len(data), ways=["resumable", "fallback"], filename="x.bin")
        way = way_of(form, "resumable")
        self.assertEqual(form["ways"][0], way)
        upload = tus.Upload(self.server, way["url"], form["id"])
        self.assertEqual(upload.offset(), 0)
        upload.send(data, 5 * MIB)
        self.check_stored(upload, data, etag=self.server.status(form["id"])["etag"])
        self.assertEqual(sum(row["id"] == form["id"] for row in self.server.uploads()), 1)

    def test_the_form_of_the_upload_is_posted_meanwhile(self):
        for size in (9 * MIB, None):
            data, other = random_bytes(9 * MIB), random_bytes(9 * MIB, "form") if size else b"hello"
            form = self.server.sign(ways=["resumable", "fallback"], filename="x.bin", **({"size": size} if size else {}))
            upload = tus.Upload(self.server, way_of(form, "resumable")["url"], form["id"])
            s = upload.begin(0, len(data), **{"Upload-Length": str(len(data))})
            s.sendall(data[:-10])
            wait_until(lambda: self.server.status(form["id"]).get("received", 0) >= len(data) - 10, "most bytes have arrived")
            self.assertEqual(self.server.post_form(form["fields"], other, bucket=form["bucket"])[0], 303)
            s.sendall(data[-10:])
            self.assertEqual(read_answer(s)[0], 409)
            s.close()
            recorded = self.server.status(form["id"])
            self.assertEqual((recorded["state"], recorded["size"], recorded["way"]), ("completed", len(other), "fallback"))
            self.assertEqual(self.hash_of(form["key"]), hashlib.sha256(other).hexdigest())
            self.assertNotIn("overwritten_at", recorded)
            wait_until(lambda: self.left_over() == [], "what was kept is deleted")

    # --- what breaks ---

    def test_what_arrived_before_a_break_is_kept(self):
        data = random_bytes(23 * MIB)
        upload = tus.create(self.server, len(data))
        at, random_sizes = 0, seeded("breaks")
        while at < len(data) - MIB:
            s = upload.begin(at, len(data) - at)
            sent = random_sizes.randrange(1, 6 * MIB)
            broken = self.server.log_text().count("resumable upload refused")
            s.sendall(data[at:at + sent])
            s.close()
            if at + sent < len(data):  # a question would end the request before the break is noticed
                wait_until(lambda: self.server.log_text().count("resumable upload refused") > broken, "the break is noticed")
            else:
                wait_until(lambda: self.server.status(upload.id)["state"] == "completed", "it is completed")
            self.assertEqual(upload.offset(), min(at + sent, len(data)))
            at = upload.offset()
        if at < len(data):
            upload.send(data)
        self.check_stored(upload, data)

    def test_a_newcomer_makes_the_present_request_stop(self):
        data = random_bytes(12 * MIB)
        upload = tus.create(self.server, len(data))
        first = upload.begin(0, len(data))
        first.sendall(data[:3 * MIB])
        wait_until(lambda: self.server.status(upload.id).get("received", 0) >= 3 * MIB, "the first bytes have arrived")
        begun = time.monotonic()
        self.assertEqual(upload.offset(), 3 * MIB)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(read_answer(first)[0], 409)
        upload.send(data)
        self.check_stored(upload, data)

    def test_two_clients_race(self):
        data = random_bytes(30 * MIB)
        upload = tus.create(self.server, len(data))

        def race(_):
            for _ in range(200):
                status, headers, _ = upload.head()
                if status != 200 or int(headers["upload-offset"]) == len(data):
                    return
                at = int(headers["upload-offset"])
                with contextlib.suppress(OSError):
                    upload.patch(at, data[at:at + 4 * MIB])
        in_threads(race, range(2))
        self.check_stored(upload, data)

    def test_a_crash_at_the_end_loses_nothing(self):
        with self.new_server() as server:
            for tries in range(6 if FULL else 2):
                data = random_bytes(2 * MIB, f"end {tries}")
                upload = tus.create(server, len(data))
                self.assertEqual(upload.patch(0, data[:-1000])[0], 204)
                s = upload.begin(len(data) - 1000, 1000)
                s.sendall(data[-1000:])
                time.sleep(seeded("end").random() * (0.05 if tries else 0))
                server.kill()
                s.close()
                server.start()
                wait_until(lambda: upload.head()[0] == 200, "the lease of the dead process is over", 30)
                if upload.offset() < len(data):
                    upload.send(data)
                self.check_stored(upload, data)

    def test_a_crash_keeps_what_was_acknowledged(self):
        data = random_bytes(21 * MIB)
        with self.new_server() as server:
            upload = tus.create(server, len(data))
            self.assertEqual(upload.patch(0, data[:9 * MIB + 5])[0], 204)
            for _ in range(3 if FULL else 1):
                at = upload.offset()
                s = upload.begin(at, len(data) - at)
                s.sendall(data[at:at + 3 * MIB])
                time.sleep(0.3)
                server.kill()
                s.close()
                server.start()
                wait_until(lambda: upload.head()[0] == 200, "the lease of the dead process is over", 30)
                self.assertGreaterEqual(upload.offset(), at)
            upload.send(data)
            self.check_stored(upload, data)

    def test_expired_uploads_leave_nothing(self):
        with self.new_server(CONFIG.replace("[sweep]", "[sweep]\nmultipart_grace = '3s'\ngrace = '1s'") + "[profiles.default]\nexpires = '2s'\n") as server:
            uploads = [tus.create(server, 20 * MIB) for _ in range(3)]
            for size, upload in zip((1, 9 * MIB), uploads):
                self.assertEqual(upload.patch(0, random_bytes(size))[0], 204)
            self.assertIn("upload-expires", uploads[0].head()[1])
            wait_until(lambda: all(server.status(u.id)["state"] == "expired" for u in uploads), "they expire", 40)
            for upload in uploads:
                self.assertEqual(upload.head()[0], 404)
                self.assertEqual(upload.patch(0, b"x")[0], 404)
            wait_until(lambda: self.left_over(server) == [], "their bytes are deleted")

    def test_the_memory_of_a_large_upload(self):
        """3 GiB with POSTERN_FULL=1."""
        if is_sanitized():
            self.skipTest("AddressSanitizer keeps freed memory")
        data = Pattern((3 << 30) if FULL else 96 * MIB)
        with self.new_server() as server:
            upload = tus.create(server, data.size)
            server.reset_peak()
            before = server.memory()
            s = upload.begin(0, data.size)
            for piece in data:
                s.sendall(piece)
            self.assertEqual(read_answer(s)[0], 204)
            s.close()
            peak = server.memory("VmHWM") - before
            print(f"{type(self).__name__}: {data.size >> 20} MiB in one PATCH: {peak / MIB:.1f} MiB more memory at the peak", file=sys.stderr)
            self.assertLess(peak, 24 * MIB)  # a part of 8 MiB, two buffers of 1 MiB, and what the store's client needs
            self.assertEqual(self.hash_of(self.key_of(upload)), data.sha256())

    def test_paused_uploads_cost_no_memory(self):
        if is_sanitized():
            self.skipTest("AddressSanitizer keeps freed memory")
        with self.new_server() as server:
            warm = [tus.create(server, 2000, b"x" * 1000) for _ in range(50)]
            before = server.memory()
            uploads = [tus.create(server, 2000, b"x" * 1000) for _ in range(1000)]
            self.assertLess(server.memory() - before, 8 << 20)
            self.assertEqual(uploads[-1].offset(), 1000)
            self.assertEqual([u.delete()[0] for u in warm + uploads], [204] * 1050)
            self.assertEqual(self.left_over(server), [])


class S3(Files):
    @classmethod
    def setUpClass(cls):
        need_rgw()
        cls.s3 = Rgw().__enter__()
        cls.server = s3_server(cls.s3, CONFIG)
        what_the_store_can_do(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.s3.close()

    def new_server(self, config=CONFIG):
        return s3_server(self.s3, config)

    def hash_of(self, key):
        return self.s3.hash_of(key)

    def left_over(self, _=None):
        rests = [key for key in self.s3.keys() if ".postern-" in key]
        return rests + ["a multipart upload"] * self.s3.multiparts()

    def test_another_node_goes_on(self):
        data = random_bytes(21 * MIB)
        with postgres.Postgres() as db, s3_server(self.s3, CONFIG, ledger__url=db.url("tus")) as a, s3_server(self.s3, CONFIG, ledger__url=db.url("tus")) as b:
            upload = tus.create(a, len(data))
            self.assertEqual(upload.patch(0, data[:9 * MIB + 3])[0], 204)
            held = upload.begin(9 * MIB + 3, len(data) - (9 * MIB + 3))
            held.sendall(data[9 * MIB + 3:11 * MIB])
            time.sleep(0.5)
            upload.server = b  # while a still holds it
            self.assertEqual(upload.offset(), 11 * MIB)
            held.close()
            upload.send(data, 5 * MIB)
            self.check_stored(upload, data)
            upload.server = a
            self.check_stored(upload, data)

    def test_a_frozen_node_changes_nothing_when_it_wakes_up(self):
        data, other = random_bytes(20 * MIB), random_bytes(20 * MIB, "other")
        with postgres.Postgres() as db, s3_server(self.s3, CONFIG, ledger__url=db.url("frozen")) as a, s3_server(self.s3, CONFIG, ledger__url=db.url("frozen")) as b:
            for sent_before, sent_then in ((3 * MIB, 5 * MIB), (7 * MIB, 9 * MIB)):  # the rest, and the first part
                upload = tus.create(a, len(data))
                held = upload.begin(0, len(data))
                held.sendall(other[:sent_before])
                wait_until(lambda: a.status(upload.id).get("received", 0) >= sent_before, "the bytes have arrived")
                a.process.send_signal(signal.SIGSTOP)
                upload.server = b
                self.assertEqual(upload.offset(), 0)
                self.assertEqual(upload.patch(0, data[:sent_then])[0], 204)
                a.process.send_signal(signal.SIGCONT)
                with contextlib.suppress(OSError):
                    held.sendall(other[sent_before:9 * MIB])
                    held.close()
                time.sleep(1)
                self.assertEqual(upload.offset(), sent_then)
                upload.send(data)
                self.check_stored(upload, data)

    def test_the_store_restarts(self):
        data = random_bytes(17 * MIB)
        upload = tus.create(self.server, len(data))
        self.assertEqual(upload.patch(0, data[:9 * MIB])[0], 204)
        self.s3.kill()
        status = upload.patch(9 * MIB, data[9 * MIB:])[0]
        self.assertIn(status, (500, 503))
        self.s3.revive()
        wait_until(lambda: upload.head()[0] == 200, "the upload can be asked", 60)
        upload.send(data)
        self.check_stored(upload, data)


if __name__ == "__main__":
    main()
