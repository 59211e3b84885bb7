"""Patience as an attack: clients that send slowly must not keep the others from uploading."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from normal_clients import normal_uploads
from slow_clients import *
from whole_s3 import *

KIB, GIB = 1 << 10, 1 << 30
OPEN = '[auth]\nanonymous = true\n[profiles.default]\nmax_size = "10GiB"\n'


class Patience(unittest.TestCase):
    def attack(self, server, clients, seconds, what, bucket="local"):
        """Slow clients for so long, and beside them normal ones; what became of each."""
        alone = normal_uploads(server.port, bucket, 3)
        before = server.memory()
        slow = SlowClients(server.port, clients, per_second=max(200, len(clients) / 10))
        slow.start()
        wait_until(lambda: all(c.begun or c.status for c in clients), "all slow clients connected", 60)
        beside = normal_uploads(server.port, bucket, seconds)
        wrong = [c.status for c in clients if c.status not in (None, 303, 503) or c.status == 503 and not c.retry_after]
        print(f"\n{what}: {len(clients)} slow clients: {slow.summary()}; {len(beside.small)} normal uploads of 100 KiB, p99 {beside.milliseconds(0.99):.0f} ms (alone {alone.milliseconds(0.99):.0f} ms), {len(beside.large)} of 50 MiB, "
              f"{len(beside.bad)} failed; memory {server.memory() / MIB:.0f} MiB (before {before / MIB:.0f} MiB)", file=sys.stderr)
        slow.stop()
        self.assertEqual((alone.bad, beside.bad), ([], []), "normal uploads that failed")
        self.assertGreater(len(beside.small), 10)
        self.assertEqual(wrong, [], "slow clients that got something else than 303, or 503 with Retry-After")
        return slow

    def test_slow_clients_from_one_address_do_not_stop_a_node_with_s3(self):
        need_rgw()
        with Rgw() as s3, s3_server(s3, OPEN, limits__connections_per_address="200") as server:
            clients = [Client(server.sign(), 5 * MIB, 1500, address(1), chunked=n % 3 == 0, bucket="media") for n in range(190)]
            self.attack(server, clients, 12, "S3, one address, 5 MiB or chunked", "media")

    def test_slow_clients_from_many_addresses_do_not_stop_a_small_node(self):
        with Server(OPEN, limits__buffers="16MiB") as server:
            clients = [Client(server.sign(), 5 * GIB, 1500, address(n)) for n in range(800)]
            self.attack(server, clients, 12, "files, 16 MiB of buffers, 800 addresses, 5 GiB")

    def test_a_slow_client_behind_a_proxy_takes_only_its_own_share(self):
        with Server(OPEN, server__trusted_proxies="127.0.0.0/8", limits__buffers="16MiB", limits__connections_per_address="50") as server:
            clients = [Client(server.sign(), 5 * GIB, 1500, address(1), named="198.51.100.7") for _ in range(300)]
            slow = self.attack(server, clients, 8, "files, behind a proxy, one user of it")
            self.assertGreaterEqual(slow.count(503), 250)  # limits.connections_per_address counts the user

    def test_slow_small_uploads_that_were_admitted_complete(self):
        with Server(OPEN) as server:
            clients = [Client(server.sign(size=20 * KIB), 20 * KIB, 2 * KIB, address(n)) for n in range(300)]
            slow = self.attack(server, clients, 15, "files, 20 KiB")
            self.assertEqual(slow.count(303), 300)

    def open_streams(self, server, count, fields, source):
        """Begins so many event streams, and returns their sockets and how many have begun."""
        begin = f"GET /v1/uploads/{server.sign()['id']} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{fields}\r\n".encode()
        sockets = [server.raw(source=source) for _ in range(count)]
        for s in sockets:
            s.sendall(begin)
        return sockets, collections.Counter(s.recv(12)[9:] for s in sockets)

    def test_event_streams_behind_a_proxy_count_for_their_client(self):
        with Server(OPEN, server__trusted_proxies="127.0.0.1", limits__connections_per_address="5") as server:
            sockets, statuses = self.open_streams(server, 20, "X-Forwarded-For: 203.0.113.5\r\n", "127.0.0.1")
            self.assertEqual(statuses, {b"200": 5, b"503": 15})
            for s in sockets:
                s.close()
            wait_until(lambda: self.open_streams(server, 1, "X-Forwarded-For: 203.0.113.5\r\n", "127.0.0.1")[1] == {b"200": 1}, "places are free again")

    def test_large_headers_are_not_kept(self):
        """A header has a hundred fields at most, and a stream keeps none of them."""
        with Server(OPEN) as server:
            self.assertEqual(server.request("GET", "/v1/uploads/a", headers={f"X-{n}": "" for n in range(101)})[0], 431)
            idle = server.memory()
            sockets, statuses = self.open_streams(server, 500, "".join(f"X-{n}: {'x' * 150}\r\n" for n in range(90)), "127.0.0.2")
            self.assertEqual(statuses, {b"200": 500})
            if not is_sanitized():
                self.assertLess((server.memory() - idle) / 500, 40 * KIB)
            for s in sockets:
                s.close()

    def test_memory_is_given_back(self):
        with Server(OPEN) as server:
            normal_uploads(server.port, "local", 2)
            idle = server.memory()
            # With a sanitizer, so many cannot be served at their rate on a small machine, and would end as too slow.
            count = 500 if is_sanitized() else 3000
            clients = [Client(server.sign(), 5 * MIB, 1500, address(n)) for n in range(count)]
            slow = SlowClients(server.port, clients, per_second=1000)
            slow.start()
            wait_until(lambda: server.metric("postern_transfers") >= len(clients), "all slow uploads running", 180)
            each = (server.memory() - idle) / len(clients)
            print(f"\n{len(clients)} slow uploads: {each / KIB:.1f} KiB each", file=sys.stderr)
            self.assertGreater(server.metric("postern_memory_bytes"), len(clients) * 16 * KIB)
            slow.stop()
            wait_until(lambda: server.metric("postern_memory_bytes") < MIB, "the budget is free again", 60)
            if not is_sanitized():
                self.assertLess(each, 35 * KIB)
                wait_until(lambda: server.memory() < idle + 8 * MIB, "the memory is the system's again", 60)


main()
