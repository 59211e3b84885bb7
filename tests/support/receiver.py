"""A real HTTP receiver for webhooks, as an application has one. It counts every delivery: one message may be delivered more than once."""

import collections, http.server, json, threading, time


class Receiver:
    """The application: receives webhooks and records them by upload."""

    def __init__(self):
        self.deliveries, self.lock = collections.defaultdict(list), threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with receiver.lock:
                    receiver.deliveries[body["data"]["id"]].append((self.headers["webhook-id"], body["type"]))
                    receiver.lock.notify_all()
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):  # a killed server breaks its connection during a delivery
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def of(self, upload_id):
        """[(webhook-id, type)] of one upload, one entry for each delivery, in the order of arrival."""
        with self.lock:
            return list(self.deliveries.get(upload_id, ()))

    def messages(self, upload_id):
        """[type] of one upload, one entry for each message, however often it was delivered."""
        return sorted(t for _, t in set(self.of(upload_id)))

    def count(self):
        """The number of all deliveries."""
        with self.lock:
            return sum(map(len, self.deliveries.values()))

    def wait_for(self, upload_ids, kind, seconds=60):
        """Waits until each upload has a message of that type. Fails the test with the ids that have none after `seconds`."""
        missing, end = set(upload_ids), time.monotonic() + seconds
        with self.lock:
            while missing := {i for i in missing if all(t != kind for _, t in self.deliveries.get(i, ()))}:
                if not self.lock.wait(end - time.monotonic()):
                    raise AssertionError(f"{len(missing)} uploads had no {kind} within {seconds} s, among them {sorted(missing)[:3]}")
