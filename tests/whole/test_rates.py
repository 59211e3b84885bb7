"""Rates of signing, of questions and of event streams: for each address and each user, and across nodes that share a PostgreSQL."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
import postgres

RATE, BURST, STREAM_BURST = 2, 10, 5  # a stream is a question too
JSON = {"Content-Type": "application/json"}


def api_key(name, rights):
    return f'{{ name = "{name}", sha256 = "{hashlib.sha256(name.encode()).hexdigest()}", rights = {json.dumps(rights)} }}'


def config(names):
    """Anonymous callers may sign. Each key's text is its name."""
    return "[auth]\nanonymous = true\napi_keys = [" + ", ".join(api_key(n, ["sign", "read", "user"] if n.startswith("service") else ["sign", "read"]) for n in names) + "]\n"


class Callers:
    """What one row of the table asks for, by whom, and from how many addresses."""

    def __init__(self, name, endpoint, key=None, user=None, many_addresses=False):
        self.name, self.endpoint, self.key, self.user, self.many_addresses = name, endpoint, key, user, many_addresses

    def ask(self, server, upload, address, key=None, user=None):
        """One request: (status, headers, body)."""
        headers = {"X-Forwarded-For": address, **({"Authorization": "Bearer " + key} if key else {})}
        if self.endpoint == "sign":
            return server.request("POST", "/v1/uploads", json.dumps({"filename": "a", **({"user": user} if user else {})}), {**JSON, **headers})
        if self.endpoint == "stream":
            return self.begin_stream(server, upload, headers)
        path = {"form": "/form", "status": "/v1/uploads/" + upload, "absent": "/v1/uploads/01a20a86-41d4-7ac8-8ecb-3931cee2cfd4", "usage": "/v1/usage"}[self.endpoint]
        return server.request("GET", path, headers=headers)

    def begin_stream(self, server, upload, headers):
        """Begins a stream, which ends at once."""
        lines = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
        with server.raw() as s:
            s.sendall(f"GET /v1/uploads/{upload} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{lines}\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += s.recv(65536)
            head, _, body = head.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            answer = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:])}
            while len(body) < int(answer.get("content-length", "0")):
                body += s.recv(65536)
            return int(lines[0].split()[1]), answer, body


TABLE = [
    Callers("forms for one address", "sign"),
    Callers("forms for one key, from many addresses", "sign", key="app1", many_addresses=True),
    Callers("forms for one user of a service, from many addresses", "sign", key="service2", user="ann", many_addresses=True),
    Callers("pages with a form for one address", "form"),
    Callers("states for one address", "status"),
    Callers("states of absent uploads for one address", "absent"),
    Callers("states for one key, from many addresses", "status", key="app6", many_addresses=True),
    Callers("the usage of one key, from one address", "usage", key="app7"),
    Callers("the usage of one key, from many addresses", "usage", key="app8", many_addresses=True),
    Callers("streams for one address", "stream"),
    Callers("streams for one key, from many addresses", "stream", key="app10", many_addresses=True),
]


class OneNode(unittest.TestCase):
    def test_beyond_its_burst_each_caller_is_refused_alone(self):
        names = [c.key for c in TABLE if c.key] + ["other", "service"]
        limits = {f"limits__{name}": value for limit in ("sign", "status", "event_stream") for name, value in ((limit + "_rate", RATE), (limit + "_burst", BURST))}
        limits["limits__event_stream_burst"] = STREAM_BURST
        with Server(config(names), server__trusted_proxies='["127.0.0.1"]', **limits) as server:
            upload, pauses = server.sign()["id"], set()
            for n, row in enumerate(TABLE):
                with self.subTest(row.name):
                    begin = time.monotonic()
                    answers = [row.ask(server, upload, f"198.51.{n}.{i if row.many_addresses else 1}", row.key, row.user) for i in range(3 * BURST)]
                    seconds = time.monotonic() - begin
                    burst = STREAM_BURST if row.endpoint == "stream" else BURST
                    good = 404 if row.endpoint == "absent" else 201 if row.endpoint == "sign" else 200
                    statuses = [a[0] for a in answers]
                    self.assertEqual(statuses[:burst], [good] * burst)
                    self.assertEqual(set(statuses), {good, 429})
                    self.assertLessEqual(statuses.count(good), burst + RATE * seconds + 1)
                    for status, headers, body in answers:
                        if status == 429:
                            self.assertEqual(json.loads(body)["code"], "too_many_requests")
                            self.assertIn(headers["retry-after"], spread(1))
                            pauses.add(headers["retry-after"])
                    # Others are not affected: another address, another key, another user of the same key.
                    self.assertEqual(row.ask(server, upload, f"203.0.113.{n}", row.key and "other", None)[0], good)
                    if row.user:
                        self.assertEqual(row.ask(server, upload, f"203.0.113.{n}", row.key, "bob")[0], good)
            self.assertEqual(pauses, set(spread(1)))  # clients that are refused together come back at different times
            for limit in ("sign", "status", "event_stream"):
                self.assertGreaterEqual(server.metric(f'postern_rate_limited_total{{limit="{limit}"}}'), 5)

    def test_a_key_that_serves_many_users_has_no_rate_of_its_own_for_forms(self):
        with Server(config(["service"]), limits__sign_rate=RATE, limits__sign_burst=BURST) as server:
            ask = lambda n: Callers("", "sign").ask(server, "", "198.51.100.1", "service", f"user{n % 10}")[0]
            self.assertEqual([ask(n) for n in range(5 * BURST)], [201] * 5 * BURST)

    def test_an_address_and_a_user_have_so_many_streams_at_once(self):
        with Server(config(["app"]), server__trusted_proxies='["127.0.0.1"]', limits__event_streams=5) as server:
            upload = server.sign()["id"]

            def open_streams(count, fields):
                sockets = [server.raw() for _ in range(count)]
                for n, s in enumerate(sockets):
                    s.sendall(f"GET /v1/uploads/{upload} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{fields.format(n=n)}\r\n".encode())
                return sockets, collections.Counter(s.recv(12)[9:].decode() for s in sockets)

            for fields in ("X-Forwarded-For: 198.51.100.1\r\n", "X-Forwarded-For: 198.51.101.{n}\r\nAuthorization: Bearer app\r\n"):
                sockets, statuses = open_streams(8, fields)
                self.assertEqual(statuses, {"200": 5, "429": 3})
                others, statuses = open_streams(3, "X-Forwarded-For: 203.0.113.{n}\r\n")
                self.assertEqual(statuses, {"200": 3})
                for s in sockets + others:
                    s.close()

                def is_free():
                    again, status = open_streams(1, fields)
                    again[0].close()
                    return status == {"200": 1}
                wait_until(is_free, "a place is free again")


class TwoNodes(unittest.TestCase):
    RATE, BURST, SECONDS = 20, 20, 8

    @classmethod
    def setUpClass(cls):
        cls.db = postgres.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.db.__enter__()

    def start(self, *urls):
        nodes = []
        for url in urls:
            settings = {"ledger__url": url} if url else {}
            nodes.append(Server(config(["app"]), limits__sign_rate=self.RATE, limits__sign_burst=self.BURST, **settings))
            self.addCleanup(nodes[-1].close)
        return nodes

    def sign_everywhere(self, nodes, seconds):
        """One user asks each node for forms as fast as it can. Returns how many each node signed."""
        end = time.monotonic() + seconds

        def ask(node):
            signed, c = 0, http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
            while time.monotonic() < end:
                c.request("POST", "/v1/uploads", '{"filename":"a"}', {**JSON, "Authorization": "Bearer app"})
                answer = c.getresponse()
                answer.read()
                self.assertIn(answer.status, (201, 429))
                signed += answer.status == 201
                time.sleep(0.015)  # the pace is far above the rate, and leaves room for the nodes
            c.close()
            return signed

        signed = in_threads(ask, nodes)
        print(f"\n{len(nodes)} nodes signed {' + '.join(map(str, signed))} = {sum(signed)} forms in {seconds} s; one node's limit: {self.allowed(seconds)}", file=sys.stderr)
        return signed

    def allowed(self, seconds):
        return self.RATE * seconds + self.BURST

    def test_two_nodes_hold_one_rate(self):
        """Also against a test that would pass without the exchange: two nodes with a ledger each sign twice as much."""
        alone = self.sign_everywhere(self.start(None, None), self.SECONDS)
        self.assertGreater(sum(alone), 1.8 * self.allowed(self.SECONDS))
        nodes = self.start(*[self.db.url("shared")] * 2)
        together = self.sign_everywhere(nodes, self.SECONDS)
        self.assertLessEqual(sum(together), 1.5 * self.allowed(self.SECONDS))
        self.assertGreaterEqual(sum(together), 0.7 * self.allowed(self.SECONDS))  # the rate that was promised
        for node in nodes:  # another user is not affected
            answers = [node.request("POST", "/v1/uploads", '{"filename":"a"}', JSON)[0] for _ in range(5)]
            self.assertEqual(answers, [201] * 5)
        rows = self.db.query("SELECT id, node, taken FROM postern.rates", "shared")
        self.assertLessEqual(len(rows), 4)  # the user, and perhaps the anonymous one, at two nodes
        self.assertNotIn("app", str(rows))

    def test_without_the_database_each_node_limits_by_itself(self):
        url = self.db.url("away")
        nodes = self.start(url, url)
        self.sign_everywhere(nodes, 3)
        self.db.kill()
        try:
            for signed in self.sign_everywhere(nodes, 6):
                self.assertGreater(signed, 0.5 * self.RATE * 6)  # at first, a node may owe what the other one signed
                self.assertLessEqual(signed, self.allowed(6) + 2)
        finally:
            self.db.start()
        for node in nodes:
            wait_until(node.is_ready, "the ledger", 30)
        time.sleep(2)
        self.assertLessEqual(sum(self.sign_everywhere(nodes, self.SECONDS)), 1.5 * self.allowed(self.SECONDS))


main()
