"""Four threads of the program under mixed load: built with ThreadSanitizer, it ends with a report of each data race.

LOAD_SECONDS is how long each load lasts (3). `tests/run --threads` builds the program with ThreadSanitizer and sets 20.
"""

import os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
import hooks

LOAD_SECONDS = int(os.environ.get("LOAD_SECONDS", "3"))
UNKNOWN = "01a2047c-0000-7000-8000-{:012x}"


class Load:
    """Clients of one server, each in its own thread. `done` counts the finished actions of each kind of client."""

    def __init__(self, server, sizes):
        self.server, self.data, self.sizes = server, os.urandom(max(sizes)), sizes
        self.lock, self.done, self.errors, self.ids = threading.Lock(), {}, [], []
        self.is_ending = threading.Event()

    def run(self, seconds, **clients):
        """`clients`: how many of each kind. The server is drained while the clients still work."""
        threads = [threading.Thread(target=self.repeat, args=(kind, n), daemon=True) for kind, count in clients.items() for n in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.is_ending.set()  # from now on, a client may be refused or cut off
        self.server.stop()
        for thread in threads:
            thread.join(60)
        assert not self.errors, self.errors[0]
        assert not any(thread.is_alive() for thread in threads), "a client still waits after the server ended"

    def repeat(self, kind, seed):
        pick = random.Random(f"{kind} {seed}")
        try:
            while not self.is_ending.is_set():
                getattr(self, kind)(pick)
                with self.lock:
                    self.done[kind] = self.done.get(kind, 0) + 1
        except Exception as e:
            if not self.is_ending.is_set():
                self.errors.append(f"{kind}: {e!r}")

    def remember(self, id):
        with self.lock:
            self.ids = self.ids[-200:] + [id]

    def bucket_of(self, form):
        return urlsplit(form["fallback_url"]).path.rpartition("/")[2]

    # --- the clients --------------------------------------------------------------------------------

    def upload(self, pick):
        form, size = self.server.sign(), pick.choice(self.sizes)
        self.remember(form["id"])
        status, headers, body = self.server.post_form(form["fields"], self.data[:size], self.bucket_of(form))
        assert status == 303, (status, body)
        path = headers["location"].removeprefix(self.server.url)
        status, _, body = self.server.request("GET", path, headers={"Accept": "application/json"})
        assert (status, json.loads(body)["size"]) == (200, size), (status, body)

    def break_off(self, pick):
        form = self.server.sign()
        begin = form_begin(form["fields"])
        with self.server.raw() as s:
            s.sendall(form_header(len(begin) + 1_000_000, self.bucket_of(form)) + begin + self.data[: pick.randrange(100_000)])

    def read_status(self, pick):
        with self.lock:
            known = pick.choice(self.ids) if self.ids else UNKNOWN.format(0)
        for id in (known, UNKNOWN.format(pick.randrange(1 << 40))):
            status, _, body = self.server.request("GET", "/v1/uploads/" + id)
            assert status in (200, 404), (status, body)

    def watch(self, pick):
        """Follows an event stream until its upload completes or the watcher disconnects."""
        form = self.server.sign()
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            c.request("GET", urlsplit(form["status_url"]).path, headers={"Accept": "text/event-stream"})
            answer = c.getresponse()
            assert answer.status == 200, answer.status
            answer.readline()
            if pick.random() < 0.5:
                self.server.post_form(form["fields"], b"hello", self.bucket_of(form))
                text = answer.read().decode()
                assert '"completed"' in text, text
        finally:
            c.close()

    def administer(self, pick):
        for path in ("/metrics", "/healthz", "/readyz", f"/v1/uploads?limit={pick.randrange(1, 100)}"):
            status, _, body = self.server.admin(path)
            assert status == 200, (path, status, body)

    def misbehave(self, pick):
        text = pick.choice((b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", b"POST /upload/local HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
        with self.server.raw() as s:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            s.recv(1000)


CLIENTS = {"upload": 5, "break_off": 1, "read_status": 3, "watch": 3, "administer": 1, "misbehave": 1}


class Threads(unittest.TestCase):
    def load(self, server, sizes, receiver):
        load = Load(server, sizes)
        load.run(LOAD_SECONDS, **CLIENTS)
        print(f"{LOAD_SECONDS} s: {load.done}, webhooks {len(receiver.arrivals)}", file=sys.stderr)
        self.assertEqual(set(load.done), set(CLIENTS))
        self.assertGreater(len(receiver.arrivals), 0)

    def config(self, receiver):
        return "[auth]\nanonymous = true\n" + hooks.endpoint(f"http://127.0.0.1:{receiver.port}/hooks")

    def test_mixed_load_with_the_file_store(self):
        with hooks.Receiver() as receiver, Server(self.config(receiver), server__threads=4) as server:
            self.load(server, (0, 1000, 300_000, 2_000_000), receiver)

    def test_mixed_load_with_s3(self):
        with peer("hashes") as s3, hooks.Receiver() as receiver, s3_server(s3, self.config(receiver), server__threads=4) as server:
            self.load(server, (0, 1000, 300_000, 2_000_000, 12_000_000), receiver)


main()
