"""Event notifications: from the real S3, in the formats of AWS, MinIO and EventBridge, forged events, and events of foreign objects."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from urllib.parse import quote_plus
from whole_s3 import *

TOKEN = "a token for the events of the tests"
CONFIG = f"""
[auth]
anonymous = true
[profiles.default]
max_size = "1MiB"
[profiles.live]
key = "live/${{id}}/${{filename}}"
[events]
token = "{TOKEN}"
[sweep]
probe = false
"""


def record(form, source="aws:s3", name="ObjectCreated:Post", bucket="media", key=None, etag=None):
    key = form["key"] if key is None else key
    thing = {"key": key if source == "ceph:s3" else quote_plus(key), "size": 5}
    if etag:
        thing["eTag"] = etag
    return {"eventVersion": "2.1", "eventSource": source, "eventName": name, "s3": {"bucket": {"name": bucket}, "object": thing}}


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = Rgw().__enter__()
        cls.server = s3_server(cls.s3, CONFIG)
        cls.file = tempfile.NamedTemporaryFile()
        cls.file.write(b"hello, store\n" * 1000)
        cls.file.flush()
        # The real S3 sends events for keys below live/. The tests send all others.
        topic = cls.s3.make_topic(f"http://postern:{quote_plus(TOKEN).replace('+', '%20')}@127.0.0.1:{cls.server.port}/v1/events")
        cls.s3.notify(topic, prefix="live/")

    @classmethod
    def tearDownClass(cls):
        cls.file.close()
        cls.server.close()
        cls.s3.close()

    def send(self, message, headers=None, server=None):
        """Posts a message. Returns the status and the counts, or the problem."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        status, _, answer = (server or self.server).request("POST", "/v1/events", body, {"Authorization": "Bearer " + TOKEN} if headers is None else headers)
        return status, json.loads(answer)

    def post_events(self, *records, **more):
        status, counts = self.send({"Records": list(records)}, **more)
        self.assertEqual(status, 200, counts)
        return counts["recorded"], counts["ignored"]

    def uploaded(self, follow=False, **ask):
        """A form that a browser has posted straight to S3. The browser does not follow the redirect."""
        form = self.server.sign(**ask)
        status, _, body = curl_form(form["url"], form["fields"], self.file.name, follow)
        self.assertEqual(status, 200 if follow else 303, body)
        return form

    def check(self, form, state, by="event"):
        recorded = self.server.status(form["id"])
        self.assertEqual((recorded["state"], recorded.get("completed_by")), (state, by if state == "completed" else None))
        if state == "completed":
            self.assertEqual('"' + recorded["etag"] + '"', self.s3.head(form["key"])["etag"])
        return recorded

    # --- the real S3 ------------------------------------------------------------------------------

    def test_an_event_completes_an_upload_whose_browser_closed(self):
        for name in ("a b.bin", "a+b%20c.bin", "ä € 😀.bin", "100%.bin", "q?a=b&c#d.bin"):
            with self.subTest(name):
                recorded = self.check(self.uploaded(profile="live", filename=name), "completed")
                self.assertEqual(recorded["size"], 13000)

    def test_redirect_and_event_in_any_order_are_one_completion(self):
        form = self.uploaded(profile="live", follow=True)  # the event is sent before S3 answers the form
        self.check(form, "completed", "event")
        form = self.server.sign(profile="live")
        self.assertEqual(send_large(self.server, form, Pattern(7 * MIB))[0], 303)
        recorded = self.server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"]), ("completed", 7 * MIB))
        self.assertIn(recorded["completed_by"], ("event", "fallback"))
        self.assertNotIn("overwritten_at", recorded)

    def test_a_removed_object_stays_completed(self):
        form = self.uploaded(profile="live")
        before = self.check(form, "completed")
        self.s3.request("DELETE", form["key"])
        self.assertEqual(self.server.status(form["id"]), before)

    def test_a_later_object_with_another_etag_is_an_overwrite(self):
        form = self.uploaded(profile="live")
        before = self.check(form, "completed")
        self.s3.request("PUT", form["key"], body=b"another", headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": form["id"]})
        after = self.server.status(form["id"])
        self.assertEqual((after["state"], after["etag"], after["size"]), ("completed", before["etag"], 13000))
        self.assertIn("overwritten_at", after)
        # A later object without the upload's id is an overwrite too.
        form = self.uploaded(profile="live")
        self.s3.request("PUT", form["key"], body=b"x" * ((1 << 20) + 1))
        recorded = self.server.status(form["id"])
        self.assertIn("overwritten_at", recorded)
        self.assertEqual('"' + recorded["overwritten_etag"] + '"', self.s3.head(form["key"])["etag"])

    def test_an_upload_without_a_row_is_rebuilt_from_its_object(self):
        """As if the node that signed the form was killed before it recorded the upload."""
        form = self.uploaded(metadata={"album": "7"})
        with s3_server(self.s3, CONFIG) as server:
            stranger = {"key": form["key"].replace(form["id"], "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4")}
            self.s3.request("PUT", stranger["key"], body=b"x", headers={"x-amz-meta-postern-id": form["id"]})
            self.assertEqual(self.post_events(record(stranger), server=server), (0, 1))
            self.assertEqual(self.post_events(record(form), record(form), server=server), (2, 0))
            recorded = json.loads(server.admin("/v1/uploads")[2])
            self.assertEqual((recorded["id"], recorded["state"], recorded["size"], recorded["metadata"]), (form["id"], "completed", 13000, {"album": "7"}))

    def test_events_of_foreign_objects_are_ignored(self):
        before = self.server.log_text()
        self.s3.request("PUT", "live/something/else", body=b"x")
        self.s3.request("PUT", "live/01a20a86-41d4-7ac8-8ecb-3931cee2cfd4/x", body=b"x")
        self.assertNotIn("events refused", self.server.log_text()[len(before):])
        self.assertIn("no upload was signed for that bucket and key", self.server.log_text()[len(before):])

    # --- every sender's dress ---------------------------------------------------------------------

    def test_repeated_events_in_any_order_are_one_completion(self):
        form = self.uploaded()
        first = self.s3.head(form["key"])["etag"].strip('"')
        self.s3.request("PUT", form["key"], body=b"second", headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": form["id"]})
        second = self.s3.head(form["key"])["etag"].strip('"')
        # The later event arrives first. The object of the earlier event has been overwritten.
        for _ in range(3):
            self.assertEqual(self.post_events(record(form, etag=second), record(form, etag=first)), (2, 0))
        recorded = self.check(form, "completed")
        self.assertEqual((recorded["etag"], recorded["size"]), (second, 6))
        self.assertNotIn("overwritten_at", recorded)

    def test_an_event_with_a_wrong_etag_completes_nothing(self):
        form = self.uploaded()
        self.assertEqual(self.send({"Records": [record(form, etag="d41d8cd98f00b204e9800998ecf8427e")]}), (202, {"recorded": 0, "pending": 1, "ignored": 0}))
        self.check(form, "issued")
        self.assertEqual(self.post_events(record(form)), (1, 0))
        self.check(form, "completed")

    def test_concurrent_events_are_one_completion(self):
        form = self.uploaded()
        self.assertEqual(in_threads(lambda _: self.post_events(record(form)), range(16)), [(1, 0)] * 16)
        self.check(form, "completed")

    def test_events_of_aws_minio_ceph_and_event_bridge_are_accepted(self):
        name = "a b+c%20ä.bin"
        bridge = lambda form: {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "media"}, "object": {"key": form["key"]}}}
        minio = lambda form: {"EventName": "s3:ObjectCreated:Put", "Key": "media/" + form["key"], "Records": [record(form, "minio:s3", "s3:ObjectCreated:Put")]}
        for message in (lambda f: {"Records": [record(f)]}, lambda f: {"Records": [record(f, "ceph:s3")]}, minio, bridge):
            form = self.uploaded(filename=name)
            self.assertEqual(self.send(message(form)), (200, {"recorded": 1, "ignored": 0}))
            self.check(form, "completed")

    def test_the_test_event_is_accepted(self):
        self.assertEqual(self.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"}), (200, {"recorded": 0, "ignored": 0}))

    def test_the_token_is_accepted_in_every_form(self):
        for headers in (lambda b: {"Authorization": "Bearer " + TOKEN}, lambda b: {"Authorization": "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode()},
                        lambda b: {"X-Postern-Signature": "sha256=" + hmac.new(TOKEN.encode(), b, hashlib.sha256).hexdigest()}):
            form = self.uploaded()
            body = json.dumps({"Records": [record(form)]}).encode()
            self.assertEqual(self.send(body, headers(body)), (200, {"recorded": 1, "ignored": 0}))
            self.check(form, "completed")

    # --- what is not believed ---------------------------------------------------------------------

    def test_forged_events_are_rejected(self):
        form = self.uploaded()
        body = json.dumps({"Records": [record(form)]}).encode()
        mac = lambda key, text=body: {"X-Postern-Signature": "sha256=" + hmac.new(key.encode(), text, hashlib.sha256).hexdigest()}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic " + base64.b64encode(b"x:wrong").decode()},
                        {"Authorization": TOKEN}, mac("wrong"), mac(TOKEN, body + b" "), {"X-Postern-Signature": "sha256="}):
            self.assertEqual(self.send(body, headers)[0], 401, headers)
        status, headers, _ = self.server.request("POST", "/v1/events", body)
        self.assertEqual((status, headers["www-authenticate"]), (401, 'Basic realm="events"'))  # the last of the two
        status, _, _ = self.server.request("POST", "/v1/events?token=" + quote_plus(TOKEN), body)
        self.assertEqual(status, 401)  # a query is written to many logs
        self.check(form, "issued")

    def test_events_are_rejected_without_configured_senders(self):
        with s3_server(self.s3) as server:
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer " + TOKEN}):
                self.assertEqual(self.send({"Records": []}, headers, server)[0], 401)

    def test_events_of_unknown_uploads_are_ignored(self):
        form = self.uploaded()
        other = self.server.sign()
        strange = [record(form, bucket="other"), record(form, key="uploads/without an id"), record(form, key=form["key"] + "x"), record(form, name="ObjectRemoved:Delete"),
                   record(form, key=form["key"].replace(form["id"], "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4")), record(form, source="aws:sqs"), record(other)]
        self.assertEqual(self.post_events(*strange), (0, len(strange)))
        self.check(form, "issued")
        self.check(other, "issued")  # its object is absent

    def test_an_object_that_does_not_match_its_upload_is_ignored(self):
        form = self.server.sign()
        self.s3.request("PUT", form["key"], body=b"x" * ((1 << 20) + 1), headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": form["id"]})
        self.assertEqual(self.post_events(record(form)), (0, 1))  # larger than the policy allowed
        self.s3.request("PUT", form["key"], body=b"put by someone else")
        self.assertEqual(self.post_events(record(form)), (0, 1))
        self.s3.request("PUT", form["key"], body=b"of another upload", headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4"})
        self.assertEqual(self.post_events(record(form)), (0, 1))
        self.check(form, "issued")
        exact = self.server.sign(size=5)
        self.s3.request("PUT", exact["key"], body=b"123456", headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": exact["id"]})
        self.assertEqual(self.post_events(record(exact)), (0, 1))
        self.s3.request("PUT", exact["key"], body=b"12345", headers={"Content-Type": "application/octet-stream", "x-amz-meta-postern-id": exact["id"]})
        self.assertEqual(self.post_events(record(exact)), (1, 0))

    def test_a_bad_record_does_not_keep_the_ones_beside_it_from_being_recorded(self):
        form = self.uploaded()
        broken = [record(form, bucket="tenant:media"), {**record(form), "eventVersion": "3.0"}, record(form, key="k" * 1025), {"eventSource": "aws:s3"}, 5]
        status, counts = self.send({"Records": [*broken, record(form)]})
        self.assertEqual((status, counts), (200, {"recorded": 1, "ignored": 1, "rejected": 4}))
        self.check(form, "completed")
        for reason in ("event version", "more than 1024 bytes", "record 4 names no bucket", "record 5 is not an object"):
            self.assertIn(reason, self.server.log_text())

    def test_malformed_events_are_rejected(self):
        for body, status, reason in ((b"", 400, "JSON"), (b"{", 400, "JSON"), (b"[]", 400, "object"), (b"{}", 400, "neither"),
                                   (json.dumps({"Records": [{}] * 101}).encode(), 413, "100 records"), (b" " * (256 * 1024 + 1), 413, "262144")):
            got, problem = self.send(body)
            self.assertEqual(got, status, problem)
            self.assertIn(reason, problem["detail"])
        status, headers, _ = self.server.request("HEAD", "/v1/events")  # MinIO checks the endpoint this way
        self.assertEqual((status, headers["allow"]), (405, "POST, OPTIONS"))

    def test_no_token_is_ever_logged(self):
        self.uploaded(profile="live")
        self.send({"Records": []}, {"Authorization": "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode()})
        text = self.server.log_text()
        self.assertNotIn(TOKEN, text)
        self.assertNotIn(base64.b64encode(f"x:{TOKEN}".encode()).decode(), text)


class StoreDown(unittest.TestCase):
    def test_an_event_is_pending_while_the_store_is_unreachable(self):
        with Rgw() as s3, s3_server(s3, CONFIG) as server, tempfile.NamedTemporaryFile() as file:
            file.write(b"hello")
            file.flush()
            forms = [server.sign() for _ in range(2)]
            for form in forms:
                self.assertEqual(curl_form(form["url"], form["fields"], file.name)[0], 303)

            def post_events(*records):
                status, headers, body = server.request("POST", "/v1/events", json.dumps({"Records": records}), {"Authorization": "Bearer " + TOKEN})
                return status, headers, json.loads(body)

            self.assertEqual(post_events(record(forms[0]))[0], 200)
            s3.kill()
            # The sweep asks again about a pending upload, so its event is accepted. An event of a completed upload must be retried.
            self.assertEqual(post_events(record(forms[0]), record(forms[1]))[::2], (202, {"recorded": 1, "pending": 1, "ignored": 0}))
            status, headers, _ = post_events(record(forms[0], etag="0" * 32))
            self.assertEqual(status, 503)
            self.assertIn(headers["retry-after"], spread(5))
            self.assertEqual(server.status(forms[1]["id"])["state"], "issued")
            s3.revive()
            s3.wait("the gateway", lambda: s3.has(forms[1]["key"]))
            self.assertEqual(post_events(record(forms[1]))[0], 200)
            self.assertEqual(server.status(forms[1]["id"])["completed_by"], "event")


if __name__ == "__main__":
    need_rgw()
    main()
