"""Clients that upload without pause while a test takes something away, and what must be true when all is over: what was answered is recorded, and is announced once."""

from whole import *
from receiver import Receiver  # pylint: disable=unused-import  # the tests take it from here

GONE = (ConnectionError, http.client.RemoteDisconnected, http.client.IncompleteRead)  # the errors of a client whose server is killed


def config(receiver, expires="15m"):
    return (f'[auth]\nanonymous = true\n[profiles.default]\nexpires = "{expires}"\n[sweep]\ninterval = "500ms"\ngrace = "0s"\n[limits]\nsign_rate = 0\nconnections_per_address = 0\n'
            f'[[webhooks]]\nurl = "{receiver.url}"\nsecret = "{"s" * 32}"\nallow_private = true\n')


class Clients:
    """Clients that sign and upload without pause and remember each answer. Only a lost connection is expected, and only during an outage().

    `follows`: a client follows the redirect, as a browser does, and counts the answer of the completion."""

    def __init__(self, server, count, asks=({}, {"success_action_status": 204}), pause=0, bucket="local", max_size=2000, follows=False):
        self.server, self.asks, self.pause, self.bucket, self.max_size, self.follows = server, asks, pause, bucket, max_size, follows
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.signed, self.taken, self.statuses, self.errors = {}, {}, collections.Counter(), []
        self.slowest = 0  # seconds until the answer that took longest
        self.is_up, self.outages = threading.Event(), 0
        self.is_up.set()
        self.threads = [threading.Thread(target=self.run, args=(seeded(f"client {n}"),), daemon=True) for n in range(count)]
        for t in self.threads:
            t.start()

    @contextlib.contextmanager
    def outage(self):
        """The server may be unreachable within this block."""
        self.outages += 1
        self.is_up.clear()
        yield
        self.is_up.set()

    def run(self, rng):
        while not self.stop.is_set():
            outages, was_up = self.outages, self.is_up.is_set()
            try:
                self.upload(rng)
                self.stop.wait(self.pause)
            except GONE as e:
                if was_up and self.outages == outages:
                    self.errors.append(e)
                self.is_up.wait(1)
            except BaseException as e:
                self.errors.append(e)

    def upload(self, rng):
        form, size = self.timed(self.server.sign, **rng.choice(self.asks)), rng.randrange(self.max_size)
        with self.lock:
            self.signed[form["id"]] = form
        status, headers, _ = self.timed(self.server.post_form, form["fields"], b"x" * size, self.bucket)
        if status == 303 and self.follows:
            status, headers, _ = self.timed(self.server.request, "GET", headers["location"].removeprefix(self.server.url), headers={"Accept": "application/json"})
        if status in (429, 503) and "retry-after" not in headers:
            raise AssertionError(f"{status} without Retry-After")
        with self.lock:
            self.statuses[status] += 1
            if status in (200, 204, 303):
                self.taken[form["id"]] = size

    def timed(self, request, *args, **more):
        begin = time.monotonic()
        try:
            return request(*args, **more)
        finally:
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - begin)

    def wait_for_more(self, count, what, seconds=60):
        """Waits until so many more uploads have been taken, or a client has met an error."""
        wanted = len(self.taken) + count
        wait_until(lambda: len(self.taken) >= wanted or self.errors, what, seconds)

    def end(self):
        """Stops the clients. Fails the test if a client met an error that the test did not cause."""
        self.stop.set()
        for t in self.threads:
            t.join(60)
        if any(t.is_alive() for t in self.threads):
            raise AssertionError("a client still waits for an answer after 60 s")
        if self.errors:
            raise AssertionError(f"{len(self.errors)} errors that no outage explains, the first: {self.errors[0]!r}") from self.errors[0]

    def complete_the_rest(self):
        """Requests the redirect's target of each upload that was not answered with success, as a browser does: an object whose client got no response becomes completed too."""
        for id_ in set(self.signed) - set(self.taken):
            self.server.request("GET", urlsplit(self.signed[id_]["complete_url"]).path, headers={"Accept": "application/json"})


def check_all_recorded(test, server, taken, objects):
    """Compares accepted uploads, rows, and `objects` (key to size): they agree. Returns the rows of completed uploads by id."""
    rows = {u["id"]: u for u in server.uploads("completed")}
    lost = sorted(set(taken) - set(rows))
    test.assertEqual(len(lost), 0, f"{len(lost)} of {len(taken)} answered completions are lost, the first: {lost[:1]}")
    for id_, size in taken.items():
        test.assertEqual(rows[id_]["size"], size)
    test.assertEqual({u["key"]: u["size"] for u in rows.values()}, objects)
    return rows


def check_all_announced(test, server, receiver, rows):
    """Each completion has one message, however often it was delivered, and there is no other message."""
    receiver.wait_for(rows, "upload.completed", 120)
    wait_until(lambda: not server.undelivered(), "all webhooks delivered", 60)
    for id_ in rows:
        test.assertEqual(receiver.messages(id_), ["upload.completed"], receiver.of(id_))
    test.assertEqual(set(receiver.deliveries), set(rows), "a message about an upload that is not completed")


def local_objects(server):
    return {path.removeprefix("local/"): size for path, size in server.objects().items()}
