"""A real HTTP receiver for webhooks, as an application has one."""

import http.server, json, threading, time


class Receiver:
    """The application: takes webhooks and remembers them."""

    def __init__(self):
        self.messages, self.lock = [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with receiver.lock:
                    receiver.messages.append((self.headers["webhook-id"], body["type"], body["data"]))
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def of(self, upload_id):
        """{(webhook-id, type)} of one upload."""
        with self.lock:
            return {(i, t) for i, t, data in self.messages if data["id"] == upload_id}

    def wait_for(self, upload_ids, kind, seconds=60):
        wanted, end = set(upload_ids), time.monotonic() + seconds
        while wanted and time.monotonic() < end:
            with self.lock:
                wanted -= {data["id"] for _, t, data in self.messages if t == kind}
            time.sleep(0.05)
        return wanted  # those that did not come
