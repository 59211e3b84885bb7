"""slowhttptest against the real program: hundreds of slow headers and of slow readers beside honest uploads from other addresses. Each honest upload completes, and the slow connections end by limits.header_timeout, limits.body_silence and limits.idle_timeout.

Its body mode (-B) is refused at once, since no form has its type; tests/support/slow_clients.py has bodies that count.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *

SLOW = 1000 if FULL else 400  # connections
LIMIT = 3  # seconds: the three limits
CONFIG = f'[auth]\nanonymous = true\n[limits]\nheader_timeout = "{LIMIT}s"\nbody_silence = "{LIMIT}s"\nidle_timeout = "{LIMIT}s"\n'
GIVES_UP = 60  # seconds until slowhttptest ends by itself; the server must have ended all its connections before
AGAIN = 300  # requests on a connection of our own slow readers: 6 MiB of answers, more than a socket holds. slowhttptest sends ten at most


class SlowHttpTestProgram:
    """slowhttptest, from 127.0.0.1."""

    def __init__(self, server, *arguments):
        self.name = arguments[0]
        command = ["slowhttptest", "-c", str(SLOW), "-r", "200", "-l", str(GIVES_UP), "-u", server.url + "/postern.js", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=server.folder)
        watchdog.watch(self.process.pid)

    def is_running(self):
        return self.process.poll() is None

    def close(self):
        self.process.kill()
        self.process.wait()


class SlowReaders:
    """Clients that ask again and again, and take the answers five bytes a second."""

    name = "our own slow readers"

    def __init__(self, server):
        self.sockets, self.stop = [], threading.Event()
        self.thread = threading.Thread(target=self.run, args=(server.port,), daemon=True)
        self.thread.start()

    def run(self, port):
        while not self.stop.is_set():
            for s in self.sockets:
                with contextlib.suppress(OSError):
                    s.recv(5)
            if len(self.sockets) < SLOW:
                self.connect_some(port, 100)
            self.stop.wait(0.2)

    def connect_some(self, port, count):
        for _ in range(count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", port))
            s.setblocking(False)
            s.send(b"GET /postern.js HTTP/1.1\r\nHost: a\r\n\r\n" * AGAIN)
            self.sockets.append(s)

    def is_running(self):
        return self.thread.is_alive()

    def close(self):
        self.stop.set()
        self.thread.join()
        for s in self.sockets:
            s.close()


class SlowHttpTest(unittest.TestCase):
    def check(self, server, bucket, attack):
        """Uploads from 127.0.0.2 and more beside the attack, until the server has ended its connections. The attackers would go on."""
        data, statuses, largest, ended = random_bytes(100_000), collections.Counter(), 0, threading.Event()

        def upload(source):
            while not ended.is_set():
                form = server.sign(size=len(data), success_action_status=204)
                statuses[server.post_form(form["fields"], data, bucket, source=source)[0]] += 1
                self.assertEqual(server.status(form["id"])["state"], "completed")

        def watch(_):
            nonlocal largest
            try:
                while largest < SLOW / 4 or server.metric("postern_connections") > SLOW / 10:
                    self.assertTrue(attack.is_running() and time.monotonic() - begin < GIVES_UP, f"{attack.name}: {server.metric('postern_connections')} connections stay open, {largest} at most")
                    largest = max(largest, server.metric("postern_connections"))
                    time.sleep(0.05)
            finally:
                ended.set()

        begin = time.monotonic()
        with contextlib.closing(attack):
            in_threads(lambda n: upload(f"127.0.0.{n}") if n else watch(n), [0, 2, 3, 4])
        print(f"\n{attack.name}: at most {largest:.0f} of {SLOW} at once, ended after {time.monotonic() - begin:.1f} s; beside them {dict(statuses)}", file=sys.stderr)
        self.assertEqual(set(statuses), {204})
        self.assertGreater(statuses[204], 10)
        self.assertEqual(server.metric("postern_exceptions_total"), 0)

    def check_all(self, server, bucket="local"):
        self.check(server, bucket, SlowHttpTestProgram(server, "-H", "-i", "1", "-x", "10"))
        self.check(server, bucket, SlowHttpTestProgram(server, "-X", "-k", "10", "-w", "10", "-y", "20", "-n", "1", "-z", "5"))
        self.check(server, bucket, SlowReaders(server))

    def test_beside_uploads_to_files(self):
        with Server(CONFIG) as server:
            self.check_all(server)

    @unittest.skipUnless(rgw.is_installed(), "Ceph RGW is not installed; tests/run installs it")
    def test_beside_uploads_to_s3(self):
        with Rgw() as s3, s3_server(s3, CONFIG) as server:
            self.check_all(server, "media")

    def test_one_address_has_its_limit(self):
        """With the limit of connections of one address, most of the attack is turned away at once."""
        with Server(CONFIG, limits__connections_per_address="50") as server:
            form = server.sign()
            with contextlib.closing(SlowHttpTestProgram(server, "-H", "-i", "1", "-x", "10")):
                wait_until(lambda: server.metric("postern_connections_refused_total") > SLOW / 4, "connections are refused", 30)
                self.assertEqual(server.post_form(form["fields"], b"hello", source="127.0.0.2")[0], 303)
                wait_until(lambda: server.metric("postern_connections_refused_total") > SLOW / 2, "most are refused", 30)


if __name__ == "__main__":
    if not shutil.which("slowhttptest"):
        skip_all("slowhttptest is not installed; tests/run installs it")
    main()
