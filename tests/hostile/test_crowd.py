"""A crowd as an attack: thousands of clients that send slowly, beside normal ones, with the limits that Postern has by default.

POSTERN_FULL=1 has 5 000 slow clients for 120 s in a table of configurations, in which each two values of a store, a size, forms, addresses and a proxy meet: some forty minutes. POSTERN_FULL=all has each combination of them: some four hours. -k names some; POSTERN_SECONDS is another length.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from normal_clients import normal_uploads
from highest import Highest
from proxies import PlainNginx, accepts, program
from slow_clients import *
from whole_s3 import *

KIB, GIB = 1 << 10, 1 << 30
SECONDS = float(os.environ.get("POSTERN_SECONDS") or (120 if FULL else 15))
CLIENTS = 5000 if FULL else 1500
CONFIG = '[auth]\nanonymous = true\n[profiles.default]\nmax_size = "10GiB"\n'
DEFAULTS = {"limits__sign_rate": 50, "limits__connections_per_address": 200}  # of conf/README.md; Server switches both off
BUFFERS, STORE_REQUESTS, PER_ADDRESS = 512 * MIB, 500, 200  # the defaults of their limits
SMALL = 100 * KIB if SECONDS >= 100 else 12 * KIB  # so that it ends while the test runs
SIZES = {"small": SMALL, "5 MiB": 5 * MIB, "5 GB": 5 * 10**9, "chunked": 5 * MIB}  # announced; the last is not
MAX_UNREAD = 64 * KIB  # what may wait in the kernel for the server: half a minute of a client
HEADER = f"{'configuration':52} {'normal':>11} {'p50/p99 alone':>14} {'beside, ms':>12} {'memory':>9} {'to S3':>6}  slow clients"


class Crowd:
    """One run: how the slow clients differ, and what they and the normal ones got."""

    def __init__(self, store, size, forms, addresses, proxy):
        self.store, self.size, self.forms, self.addresses, self.proxy = store, size, forms, addresses, proxy
        self.bucket = "media" if store == "S3" else "local"
        self.is_chunked = size == "chunked"

    def name(self):
        behind = {None: "", "named": ", behind a proxy", "nginx": ", behind nginx"}[self.proxy]
        return f"{self.store}, {self.size}, {self.forms}, {self.addresses} address{'es' * (self.addresses > 1)}{behind}"

    def start(self, on):
        settings = dict(DEFAULTS)
        if self.proxy:
            settings["server__trusted_proxies"] = "127.0.0.0/8" if self.proxy == "named" else "127.0.0.1"
        if self.store == "files":
            self.server = on.enter_context(Server(CONFIG, **settings))
        else:
            self.server = on.enter_context(s3_server(on.enter_context(Rgw()), CONFIG, **settings))
        self.port = self.server.port
        if self.proxy == "nginx":
            self.port = free_port()
            on.callback(PlainNginx(self.server.folder, self.port, self.server.port).close)
            wait_until(lambda: accepts(self.port), "nginx listens")

    def slow_clients(self, count):
        forms = sign_forms(self.server.port, count if self.forms == "many forms" else 1)
        for n in range(count):
            # The rates lie between 1.2 and 2 KiB/s, safely above limits.min_body_rate.
            rate, source = 1250 + n * 37 % 798, address(n % self.addresses)
            by = {"source": "127.0.0.3", "named": source.replace("127.", "10.", 1)} if self.proxy == "named" else {"source": source}
            yield Client(forms[n % len(forms)], SIZES[self.size], rate, chunked=self.is_chunked, bucket=self.bucket, **by)

    def run(self):
        """Starts everything, lets it run, and notes what is seen."""
        with contextlib.ExitStack() as on:
            self.start(on)
            count = max(50, min(CLIENTS, raise_descriptor_limit() // 2 - 500))  # the server needs two descriptors for each
            idle = self.server.memory()
            self.server.reset_peak()
            self.alone = normal_uploads(self.port, self.bucket, 5, self.proxy == "named")
            self.clients = list(self.slow_clients(count))
            self.slow = SlowClients(self.port, self.clients, per_second=500)
            on.callback(self.slow.stop)
            self.slow.start()
            wait_until(lambda: all(c.begun or c.status for c in self.clients), "all slow clients connected", 120)
            wait_until(lambda: max(unread_bytes(self.server.port), default=0) < 2 * KIB, "the server has read all forms", 120)
            with Highest(lambda: self.server.metric("postern_store_requests_open"), 0.25) as asked:
                self.beside = normal_uploads(self.port, self.bucket, SECONDS, self.proxy == "named")
                if self.size == "small":  # the slowest ones end now
                    wait_until(lambda: not self.slow.count(None), "the small slow uploads end", 60)
            self.most_requests = asked.most
            self.unread = max(unread_bytes(self.server.port), default=0)
            self.memory = self.server.memory("VmHWM") - idle
            self.slow.stop()
            self.refusals = self.read_refusals()
            self.bad_lines = [line for line in self.server.log_text().splitlines() if re.search(r"client=(127\.200|203\.0\.113)\.", line) and "result=rejected" in line]
        return self

    def read_refusals(self):
        """How many requests each limit refused, by the log's lines; connections that were not served have none."""
        by_request = dict(re.findall(r'event="(?:upload ended|request failed|request refused)" request=(\w+) .*(limits\.\w+)', self.server.log_text()))
        by = collections.Counter(by_request.values())
        by["limits.connections_per_address"] += int(self.server.metric("postern_connections_refused_total"))
        return by

    def row(self):
        b, a = self.beside, self.alone
        normal = f"{b.done()}/{b.asked()}"
        return (f"{self.name():52} {normal:>11} {a.milliseconds(0.5):6.0f} /{a.milliseconds(0.99):5.0f}  {b.milliseconds(0.5):5.0f} /{b.milliseconds(0.99):5.0f} {self.memory / MIB:5.0f} MiB {self.most_requests:6.0f}  "
                f"{self.slow.summary()}" + (f"  ({', '.join(f'{n} {k}' for k, n in sorted(self.refusals.items()) if n)})" if self.refusals.total() else ""))


class Crowds(unittest.TestCase):
    def decide(self, crowd):
        if crowd.store == "S3" and not rgw.is_installed():
            self.skipTest("Ceph RGW is not installed; tests/run installs it")
        if crowd.proxy == "nginx" and not program("nginx"):
            self.skipTest("nginx is not installed; tests/run installs it")
        c = crowd.run()
        if not hasattr(Crowds, "is_headed"):
            Crowds.is_headed = True
            print(f"\n{len(c.clients)} slow clients for {SECONDS:.0f} s; load {os.getloadavg()[0]:.1f}\n{HEADER}", file=sys.stderr)
        print(c.row(), file=sys.stderr, flush=True)
        self.assertEqual((c.alone.bad, c.beside.bad), ([], []), "normal uploads that failed; the log says\n" + "\n".join(c.bad_lines))
        self.assertTrue(c.beside.small and c.beside.large, "there were normal uploads of both sizes")
        self.decide_slow(c)
        if not is_sanitized():
            self.assertLess(c.memory, BUFFERS + 10 * MIB)
        one_share = STORE_REQUESTS // 4 if c.addresses == 1 else STORE_REQUESTS
        self.assertLessEqual(c.most_requests, one_share + (4 if c.addresses == 1 else 0))  # the normal clients send too

    def decide_slow(self, c):
        """Each slow client is progressing, has completed, or was refused by a rule of conf/README.md."""
        expected = {None, 303, 503}
        if c.forms == "one form":
            expected.add(429)
        refused = sum(x.status in (503, 429, "closed") for x in c.clients)
        if c.addresses == 1 and not c.proxy:
            expected.add("closed")  # a flood: not each connection can be kept until its client has read the answer
        if c.slow.longest_lag > 3:
            expected.add(408)  # the machine was so busy that the clients were slower than limits.min_body_rate
        self.assertEqual(collections.Counter(x.status for x in c.clients if x.status not in expected), {}, "other ends")
        self.assertEqual([x.answer for x in c.clients if x.status in (503, 429) and not x.retry_after], [], "answers without Retry-After")
        self.assertLess(c.unread, MAX_UNREAD, "a client that runs and is not read")
        explained = c.refusals.total() + sum(x.status == 429 for x in c.clients)
        self.assertLessEqual(refused, explained, "refusals that no limit explains")
        if c.size == "small":
            refused += c.slow.count(408)
            self.assertEqual(c.slow.count(303) + refused, len(c.clients))
            admitted = len(c.clients) - refused + c.refusals["limits.buffers"]
            self.assertGreaterEqual(c.slow.count(303), admitted if c.store == "files" else min(admitted, 2000), "small slow uploads that were admitted and have not completed")


def add(store, size, forms, addresses, proxy=None):
    crowd = Crowd(store, size, forms, addresses, proxy)
    name = "test_" + re.sub(r"\W+", "_", crowd.name().lower())
    setattr(Crowds, name, lambda self: self.decide(crowd))


if os.environ.get("POSTERN_FULL") == "all":
    for parts in itertools.product(("S3", "files"), SIZES, ("many forms", "one form"), (1, 50, 5000), (None, "named")):
        add(*parts)
elif FULL:
    add("files", "small", "many forms", 1, "named")
    add("S3", "small", "one form", 50)
    add("S3", "small", "many forms", 5000)
    add("files", "small", "one form", 5000)
    add("files", "5 MiB", "one form", 1)
    add("files", "5 MiB", "many forms", 50, "named")
    add("S3", "5 MiB", "many forms", 5000, "named")
    add("files", "5 GB", "one form", 1, "named")
    add("S3", "5 GB", "many forms", 50, "named")
    add("S3", "5 GB", "one form", 5000)
    add("S3", "chunked", "one form", 1, "named")
    add("files", "chunked", "many forms", 50, "named")
    add("files", "chunked", "many forms", 5000)
    add("S3", "5 MiB", "many forms", 50, "nginx")
else:
    add("S3", "5 GB", "many forms", 5000)
    add("files", "small", "many forms", 50, "named")

if is_sanitized():
    skip_all("it measures, and a sanitizer makes the program several times slower")
main()
