"""The state of a running upload: as JSON, and as server-sent events."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
from event_stream import Events


class Watch(unittest.TestCase):
    def test_a_stream_shows_an_upload_from_signing_to_completion(self):
        with Server() as server:
            form = server.sign()
            events = Events(server, form)
            self.assertEqual(events.answer.status, 200)
            self.assertEqual(events.answer.headers["content-type"], "text/event-stream")
            self.assertEqual(events.next()[0], "issued")
            begin, data = form_begin(form["fields"]), b"x" * 3_000_000
            with server.raw() as s:
                s.sendall(form_header(len(begin) + len(data) + len(form_end())) + begin + data[:1_000_000])
                name, recorded = events.next()
                self.assertEqual((name, recorded["state"]), ("receiving", "receiving"))
                while recorded["received"] < 900_000:
                    recorded = events.next()[1]
                self.assertLessEqual(recorded["received"], 1_000_000)
                s.sendall(data[1_000_000:] + form_end())
                read_answer(s)
            while name != "completed":
                name, recorded = events.next()
            self.assertEqual((recorded["state"], recorded["size"], recorded["key"]), ("completed", 3_000_000, form["key"]))
            self.assertIsNone(events.next())
            events.close()
            # A browser reconnects by itself; status 204 stops it.
            again = Events(server, form, **{"Last-Event-ID": "completed"})
            self.assertEqual(again.answer.status, 204)
            again.close()

    def test_a_stream_shows_a_failure_and_the_next_try(self):
        with Server() as server:
            form = server.sign()
            events = Events(server, form)
            events.next()
            server.post_form(form["fields"], b"hello", behind=field("more", "x" * 70_000))
            while (event := events.next())[0] != "failed":
                pass
            self.assertEqual(event[1]["code"], "malformed_form")
            begin = form_begin(form["fields"])
            with server.raw() as s:
                s.sendall(form_header(len(begin) + 1000) + begin + b"x")
                while events.next()[0] != "receiving":
                    pass
            while events.next()[0] != "issued":  # the body broke off: the form can be posted again
                pass
            server.post_form(form["fields"], b"hello")
            while (event := events.next())[0] != "completed":
                pass
            events.close()

    def test_strangers_see_no_key_and_metadata(self):
        key = "k" * 32
        config = f'[auth]\napi_keys = [{{ name = "app", sha256 = "{hashlib.sha256(key.encode()).hexdigest()}" }}]\n'
        with Server(config) as server:
            _, _, body = server.request("POST", "/v1/uploads", b'{"filename":"a"}', {"Content-Type": "application/json", "Authorization": "Bearer " + key})
            form = json.loads(body)
            for headers, whole in (({}, False), ({"Authorization": "Bearer " + key}, True)):
                events = Events(server, form, **headers)
                self.assertEqual("key" in events.next()[1], whole)
                events.close()

    def test_an_unknown_upload_is_404(self):
        with Server() as server:
            unknown = {"status_url": server.url + "/v1/uploads/01a2047c-0000-7000-8000-000000000000"}
            events = Events(server, unknown)
            self.assertEqual((events.answer.status, events.answer.headers["content-type"]), (404, "application/problem+json"))
            events.close()

    def test_a_drain_does_not_wait_for_watchers(self):
        server = Server(server__drain="20s")
        events = Events(server, server.sign())
        events.next()
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.stop(None)
        self.assertLess(time.monotonic() - begin, 5)
        events.close()
        server.close()

    def test_a_watcher_that_disconnects_frees_its_connection(self):
        with Server() as server:
            events = [Events(server, server.sign()) for _ in range(20)]
            [e.next() for e in events]
            self.assertGreaterEqual(server.metric("postern_connections"), 20)
            [e.close() for e in events]
            wait_until(lambda: server.metric("postern_connections") <= 5, "the watchers' connections closed", 10)


main()
