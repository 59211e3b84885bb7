"""The ways beside the form, against a real S3: what is offered, a presigned PUT, parts, and what is left when a client or a node dies."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from ways import ALL, Parts, curl, way_of

CONFIG = "[auth]\nanonymous = true\n[limits]\nsign_rate = 0\nstatus_rate = 0\n"
PROBES_OFF = "[sweep]\nprobe = false\n"


def names(form):
    return [w["way"] for w in form["ways"]]


class Ways(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_rgw()
        cls.s3 = Rgw().__enter__()
        cls.server = s3_server(cls.s3, CONFIG + PROBES_OFF + "interval = '300ms'\n"
                               '[profiles.narrow]\nways = ["fallback", "put"]\n[profiles.small]\nmultipart_from = "1KB"\n'
                               '[profiles.rich]\ncache_control = "max-age=60"\ncontent_disposition = "attachment"\ntags = {project = "a b"}\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.s3.close()

    def sign(self, size, wanted=None, **more):
        return self.server.sign(size=size, ways=wanted or ALL, **more)

    def check_stored(self, form, data, way):
        recorded = self.server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"], recorded["way"]), ("completed", len(data), way), recorded)
        self.assertEqual(self.s3.hash_of(form["key"]), hashlib.sha256(data).hexdigest())
        self.assertEqual('"' + recorded["etag"] + '"', self.s3.head(form["key"])["etag"])
        self.assertEqual(self.s3.head(form["key"])["x-amz-meta-postern-id"], form["id"])
        self.assertEqual(self.s3.multiparts(), 0)

    # --- what is offered ---

    def test_the_answer_names_the_ways_in_order(self):
        self.assertNotIn("ways", self.server.sign(size=1))
        self.assertEqual(names(self.sign(1)), ALL)
        self.assertEqual(names(self.sign(100_000_000)), ["multipart", "form", "put", "fallback"])
        self.assertEqual(names(self.sign(1, ["fallback", "put"])), ["put", "fallback"])
        self.assertEqual(names(self.server.sign(ways=ALL)), ["form", "fallback"])  # the size is not known
        self.assertEqual(names(self.sign(1, profile="narrow")), ["fallback", "put"])
        self.assertEqual(names(self.sign(5000, profile="small"))[0], "multipart")
        self.assertEqual(names(self.sign(1, ["resumable", "fallback"])), ["resumable", "fallback"])
        for wrong in ([], ["post"], "put", [1]):
            self.assertEqual(self.server.sign(expect=400, size=1, ways=wrong)["code"], "bad_request")
        self.assertIn("size is required", self.server.sign(expect=400, ways=["put"])["detail"])

    # --- presigned PUT ---

    def test_a_presigned_put_of_each_size(self):
        for size in (0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1):
            data = random_bytes(size)
            form = self.sign(size, ["put"], content_type="image/png", metadata={"album": "Ü 1"})
            put = way_of(form, "put")
            self.assertEqual(put["method"], "PUT")
            self.assertEqual(curl("PUT", put["url"], put["headers"], data)[0], 200)
            status, _, body = self.server.request("GET", urlsplit(form["complete_url"]).path, headers={"Accept": "application/json"})
            self.assertEqual(status, 200, body)
            self.check_stored(form, data, "put")
            self.assertEqual(self.s3.head(form["key"])["content-type"], "image/png")

    def test_what_was_not_signed_is_refused_by_the_store(self):
        form = self.sign(5, ["put"], content_type="image/png")
        put = way_of(form, "put")
        other_type = {**put["headers"], "content-type": "text/html"}
        without_id = {k: v for k, v in put["headers"].items() if k != "x-amz-meta-postern-id"}
        for headers, data in ((put["headers"], b"longer"), (put["headers"], b"abc"), (other_type, b"hello"), (without_id, b"hello")):
            self.assertEqual(curl("PUT", put["url"], headers, data)[0], 403)
        self.assertFalse(self.s3.has(form["key"]))

    def test_the_profiles_header_fields_come_with_a_put_and_with_parts(self):
        for way in ("put", "multipart"):
            form = self.sign(5, [way], profile="rich")
            if way == "put":
                put = way_of(form, "put")
                self.assertEqual(curl("PUT", put["url"], put["headers"], b"hello")[0], 200)
            else:
                parts = Parts(self.server, form)
                parts.send(b"hello")
                self.assertEqual(parts.complete()[0], 200)
            head = self.s3.head(form["key"])
            self.assertEqual((head["cache-control"], head["content-disposition"]), ("max-age=60", "attachment"))
            if way == "put":  # Ceph RGW 16 ignores the tags of a multipart upload
                self.assertEqual(head["x-amz-tagging-count"], "1")

    # --- parts ---

    def test_parts_of_each_size(self):
        for size in (0, 1, 5 * MIB + 1, 16 * MIB, 40 * MIB + 7):
            data = random_bytes(size)
            form = self.sign(size, ["multipart"])
            parts = Parts(self.server, form)
            self.assertEqual(self.server.status(form["id"])["state"], "issued")
            parts.send(data)
            self.assertEqual(self.server.status(form["id"])["state"], "receiving")
            self.assertEqual([p["number"] for p in parts.list()], list(range(1, parts.count(size) + 1)))
            status, upload = parts.complete()
            self.assertEqual((status, upload["state"]), (200, "completed"), upload)
            self.check_stored(form, data, "multipart")
            again, same = parts.complete()
            self.assertEqual((again, same["etag"]), (200, upload["etag"]))  # its answer may have been lost

    def test_parts_go_on_where_the_store_has_them(self):
        data = random_bytes(40 * MIB)
        form = self.sign(len(data), ["multipart"])
        parts = Parts(self.server, form)
        parts.send(data, [2])
        status, why = parts.complete()
        self.assertEqual(status, 409)
        self.assertIn("part 1 of 3 is not in the store; send it, and complete again", why["detail"])
        later = Parts(self.server, form)  # as after a reload of the page
        later.send(data, [n for n in (1, 2, 3) if n not in {p["number"] for p in later.list()}])
        etags = [{"number": p["number"], "etag": p["etag"]} for p in later.list()]
        self.assertEqual(later.complete(etags[:2])[0], 409)
        self.assertEqual(later.complete([*etags[:2], {"number": 3, "etag": "other"}])[0], 409)
        self.assertEqual(later.complete(etags)[0], 200)
        self.check_stored(form, data, "multipart")

    def test_a_part_of_another_size_is_refused_by_the_store(self):
        data = random_bytes(20 * MIB)
        parts = Parts(self.server, self.sign(len(data), ["multipart"]))
        status, answer = parts.sign([1, 2])
        self.assertEqual(status, 200)
        first = answer["parts"][0]
        self.assertEqual(curl("PUT", first["url"], first["headers"], data[:5])[0], 403)
        self.assertIn("there is no part 3", parts.sign([3])[1]["detail"])
        self.assertEqual(parts.abort()[0], 200)

    def test_a_token_is_for_one_upload_and_its_parts(self):
        one, other = (self.sign(5, ["multipart", "form"]) for _ in range(2))
        mine, theirs = Parts(self.server, one), Parts(self.server, other)
        claim = one["complete_url"].rsplit("/", 1)[1]
        for token, status in ((theirs.token, 403), (mine.token[:-2], 401), (claim, 401), ("x", 401)):
            self.assertEqual(mine.ask("GET", token=token)[0], status, token)
        self.assertEqual(self.server.request("GET", mine.path)[0], 401)
        self.assertEqual(self.server.request("POST", mine.path + "/complete", b"{}", {"Content-Type": "application/json"})[0], 401)
        self.assertEqual(self.server.request("GET", "/v1/complete/" + mine.token)[0], 403)

    def test_parts_that_are_given_up_leave_nothing_and_can_begin_again(self):
        data = random_bytes(20 * MIB)
        form = self.sign(len(data), ["multipart", "fallback"])
        parts = Parts(self.server, form)
        parts.send(data, [1])
        self.assertEqual(self.s3.multiparts(), 1)
        self.assertEqual(parts.abort()[1]["state"], "issued")
        self.assertEqual(self.s3.multiparts(), 0)
        self.assertEqual(parts.list(), [])
        parts.send(data)
        self.assertEqual(parts.complete()[0], 200)
        self.check_stored(form, data, "multipart")
        self.assertEqual(parts.abort()[0], 409)

    def test_many_calls_at_once_begin_one_upload(self):
        form = self.sign(20 * MIB, ["multipart"])
        parts = Parts(self.server, form)
        answers = in_threads(lambda n: Parts(self.server, form).sign([1 + n % 2]), range(16))
        self.assertEqual({status for status, _ in answers}, {200})
        urls = {re.search(r"uploadId=([^&]+)", part["url"])[1] for _, answer in answers for part in answer["parts"]}
        self.assertEqual(len(urls), 1)
        self.assertEqual(self.s3.multiparts(), 1)
        parts.abort()

    def test_a_fallback_upload_ends_the_parts(self):
        form = self.sign(5, ["multipart", "fallback"])
        parts = Parts(self.server, form)
        parts.send(b"hello")
        self.assertEqual(self.server.post_form(form["fields"], b"hello", bucket="media")[0], 303)
        self.assertEqual(self.server.status(form["id"])["way"], "fallback")
        self.assertEqual(parts.sign([1])[0], 409)
        status, upload = parts.complete()
        self.assertEqual((status, upload["way"]), (200, "fallback"))
        wait_until(lambda: self.s3.multiparts() == 0, "its parts are aborted")


class Abandoned(unittest.TestCase):
    """What clients and nodes leave behind is aborted."""

    def test_a_client_that_stays_away(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, CONFIG + "[sweep]\nprobe = false\ninterval = '300ms'\ngrace = '1s'\nmultipart_grace = '3s'\nclaim_lifetime = '1m'\n"
                                    "[profiles.default]\nexpires = '2s'\n") as server:
            form = server.sign(size=20 * MIB, ways=ALL)
            parts = Parts(server, form)
            data = random_bytes(20 * MIB)
            parts.send(data, [1])
            wait_until(lambda: (server.metric("postern_multiparts_open"), server.metric("postern_multipart_bytes")) == (1, 16 * MIB), "it is counted")
            for _ in range(5):  # each call moves the deadline, beyond the form's end
                time.sleep(1)
                self.assertEqual(len(parts.list()), 1)
            self.assertEqual(server.status(form["id"])["state"], "receiving")
            wait_until(lambda: s3.multiparts() == 0, "its parts are aborted")
            wait_until(lambda: server.status(form["id"])["state"] == "expired", "it expires")
            wait_until(lambda: (server.metric("postern_multiparts_aborted_total"), server.metric("postern_multiparts_open")) == (1, 0), "it is counted")

    def test_a_node_that_dies(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, CONFIG + "[sweep]\nprobe = false\ninterval = '500ms'\n") as server:
            sockets = []
            for _ in range(4):
                form, data = server.sign(), Pattern(64 * MIB)
                s = server.raw()
                begin = form_begin(form["fields"])
                s.sendall(form_header(len(begin) + data.size + len(form_end()), "media") + begin + b"x" * (7 * MIB))
                sockets.append(s)
            wait_until(lambda: s3.multiparts() == 4, "the store has them")
            server.kill()
            self.assertEqual(s3.multiparts(), 4)
            server.start()
            began = time.monotonic()
            wait_until(lambda: s3.multiparts() == 0, "they are aborted", 60)
            print(f"aborted {time.monotonic() - began:.1f} s after the restart", flush=True)
            wait_until(lambda: server.metric("postern_multiparts_aborted_total") == 4, "they are counted")
            for s in sockets:
                s.close()

    def test_a_node_that_lives_keeps_its_uploads(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, CONFIG + "[sweep]\nprobe = false\ninterval = '500ms'\n") as server:
            form, data = server.sign(), Pattern(24 * MIB)
            paced = iter(range(1000))

            def pause():
                next(paced)
                time.sleep(0.5)  # 12 s in all: several times the lease

            self.assertEqual(send_large(server, form, data, on_piece=pause)[0], 303)
            check_taken_by_fallback(self, s3, server, form, data)
            self.assertEqual(server.metric("postern_multiparts_aborted_total"), 0)


if __name__ == "__main__":
    main()
