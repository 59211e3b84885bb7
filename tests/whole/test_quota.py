"""Quotas: what may be signed, what is said when there is no room, and sums that stay exact under two nodes, many clients and kill -9.

The short form has a quota of 32 MiB and 40 clients; POSTERN_FULL=1 makes it 1 GiB and 200 clients.
"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
import postgres

KEY = "the application's key"
MIB = 1 << 20
# Forms live for 6 s, so that reservations nobody uses are soon given back.
CONFIG = ("[auth]\napi_keys = [{ name = 'app', sha256 = '" + hashlib.sha256(KEY.encode()).hexdigest() + "', rights = ['sign', 'read', 'user'] }]\n"
          "[sweep]\ninterval = '500ms'\ngrace = '1s'\nclaim_lifetime = '1m'\n")


def profile(quota, more=""):
    return CONFIG + f"[profiles.default]\nkey = '${{user}}/${{id}}'\nexpires = '6s'\n{more}quota = {{ {quota} }}\n"


def call(server, method, path, body=None):
    status, headers, text = server.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json", "Authorization": "Bearer " + KEY})
    return status, headers, json.loads(text)


def sign(server, user="ann", **ask):
    return call(server, "POST", "/v1/uploads", {"filename": "a", "user": user, **ask})


def usage(server, user="ann"):
    status, _, body = call(server, "GET", "/v1/usage?user=" + user)
    assert status == 200, body
    return body


class Limits(unittest.TestCase):
    def test_bytes_of_a_user(self):
        with Server(profile("per_user = '1000'")) as server:
            status, _, form = sign(server, size=600)
            self.assertEqual(status, 201)
            status, headers, problem = sign(server, size=500)
            self.assertEqual((status, problem["code"]), (429, "quota_exceeded"))
            self.assertIn(headers["retry-after"], spread(60))
            self.assertIn("this user's quota has 400 bytes left of 1000", problem["detail"])
            self.assertEqual(sign(server, "bob", size=500)[0], 201)
            status, _, problem = sign(server, size=1001)
            self.assertEqual((status, problem["code"]), (413, "payload_too_large"))
            self.assertEqual(sign(server)[0], 413, "without a size, the profile's max_size counts")
            self.assertEqual(usage(server)["user_total"], {"used": 0, "reserved": 600, "limit": 1000, "left": 400})
            self.assertEqual(server.post_form(form["fields"], b"x" * 600)[0], 303)
            self.assertEqual(usage(server)["user_total"], {"used": 600, "reserved": 0, "limit": 1000, "left": 400})

    def test_the_true_size_counts(self):
        with Server(profile("total = '1MiB'", "max_size = '1MiB'\n")) as server:
            form = sign(server)[2]
            self.assertEqual(usage(server)["total"]["left"], 0)
            self.assertEqual(server.post_form(form["fields"], b"x" * 1000)[0], 303)
            self.assertEqual(usage(server)["total"], {"used": 1000, "reserved": MIB - 1000, "limit": MIB, "left": 0}, "the form could be posted again")
            self.assertEqual(server.post_form(form["fields"], b"x" * 2000)[0], 303)
            self.assertEqual(usage(server)["total"]["used"], 2000)
            self.assertEqual(server.post_form(form["fields"], b"x" * 1000)[0], 303)
            wait_until(lambda: usage(server)["total"] == {"used": 1000, "reserved": 0, "limit": MIB, "left": MIB - 1000}, "the sums when the form has expired", 30)

    def test_uploads_in_flight(self):
        with Server(profile("per_user_in_flight = 2")) as server:
            forms = [sign(server, size=10)[2] for _ in range(2)]
            status, _, problem = sign(server, size=10)
            self.assertEqual((status, problem["code"]), (429, "quota_exceeded"))
            self.assertIn("allows 2 uploads in flight", problem["detail"])
            server.post_form(forms[0]["fields"], b"x" * 10)
            self.assertEqual(sign(server, size=10)[0], 201)
            self.assertEqual(usage(server)["user_in_flight"], {"now": 2, "limit": 2})

    def test_a_reservation_that_nobody_uses_is_given_back(self):
        with Server(profile("per_user_day = '1000', total = '1000'")) as server:
            sign(server, size=1000)
            status, _, problem = sign(server, size=1000)
            self.assertEqual(status, 429)
            self.assertRegex(problem["detail"], r"quota has 0 bytes left of 1000.*1000 bytes of uploads in flight may become free")
            wait_until(lambda: sign(server, size=1000)[0] == 201, "room again", 30)

    def test_a_failed_form_reserves_until_it_expires(self):
        """It could still be posted to the store, and many such forms together would exceed the quota."""
        with Server(profile("per_user = '1000'")) as server:
            form = sign(server, size=1000)[2]
            self.assertEqual(server.post_form(form["fields"], b"x" * 999)[0], 400)
            self.assertEqual(server.status(form["id"])["state"], "failed")
            self.assertEqual(sign(server, size=1000)[0], 429)
            wait_until(lambda: sign(server, size=1000)[0] == 201, "room again", 30)

    def test_without_the_ledger_nothing_is_signed_under_a_quota(self):
        with Server(profile("per_user = '1000'") + "[profiles.free]\nexpires = '6s'\n", LEDGER__URL="postgresql://127.0.0.1:1/nobody") as server:
            self.assertEqual(sign(server, size=1)[0], 503)
            self.assertEqual(sign(server, size=1, profile="free")[0], 201)

    def test_who_sees_usage(self):
        keys = "".join(f"[[auth.api_keys]]\nname = '{name}'\nsha256 = '{hashlib.sha256(name.encode()).hexdigest()}'\nrights = {rights}\n" for name, rights in (("ann", "['sign', 'read']"), ("writer", "['sign']"), ("admin", "['read', 'user']")))
        with Server(keys + "[profiles.default]\nquota = { total = '1GiB', per_user = '1MiB' }\n") as server:
            ask = lambda key, query="": server.request("GET", "/v1/usage" + query, headers={"Authorization": "Bearer " + key} if key else {})
            for key, query, status in (("ann", "", 200), ("ann", "?user=ann", 200), ("ann", "?user=bob", 403), ("writer", "", 403), ("admin", "?user=bob", 200), ("admin", "?profile=absent", 404), ("", "", 401), ("nobody", "", 401)):
                self.assertEqual(ask(key, query)[0], status, (key, query))
            self.assertEqual(sorted(json.loads(ask("ann")[2])), ["day_ends_at", "profile", "user", "user_day", "user_in_flight", "user_total"])
            self.assertIn("total", json.loads(ask("admin", "?user=bob")[2]))


class Exactness(unittest.TestCase):
    """Many clients of one user upload until there is no room, while nodes are killed."""

    QUOTA, CLIENTS = (1024 * MIB, 200) if FULL else (32 * MIB, 40)

    def setUp(self):
        self.largest = self.QUOTA // 32
        self.config = profile(f"per_user = '{self.QUOTA}'")
        self.refusals, self.over, self.wrong = [], [], []
        self.is_ending = threading.Event()

    def client(self, seed):
        pick = random.Random(seed)
        while not self.is_ending.is_set():
            size = pick.randint(1, self.largest)
            try:
                server = pick.choice(self.nodes)
                status, _, answer = sign(server, size=size)
                if status == 429:
                    self.refusals.append(answer["detail"])
                    time.sleep(0.05)
                elif status == 201 and pick.random() < 0.8:  # the others sign, and send nothing
                    pick.choice(self.nodes).post_form(answer["fields"], bytes(size))
                elif status not in (201, 503):
                    self.wrong.append((status, answer))
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                time.sleep(0.05)  # the node was killed
            except Exception as e:  # pylint: disable=broad-exception-caught  # the test fails with it
                self.wrong.append(repr(e))

    def watcher(self):
        while not self.is_ending.is_set():
            try:
                now = usage(self.nodes[0])["user_total"]
                if now["used"] + now["reserved"] > self.QUOTA:
                    self.over.append(now)
            except (OSError, http.client.HTTPException, AssertionError):
                pass
            time.sleep(0.02)

    def fill(self, seconds):
        """Runs the clients for so many seconds, and kills a node every second or two. Then checks that all sums are exact."""
        threads = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(self.CLIENTS)] + [threading.Thread(target=self.watcher, daemon=True)]
        for thread in threads:
            thread.start()
        kills, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(random.uniform(0.5, 2))
            node = random.choice(self.nodes)
            node.kill()
            node.start()
            kills += 1
        self.is_ending.set()
        for thread in threads:
            thread.join(120)
        node = self.nodes[0]
        wait_until(lambda: usage(node)["user_in_flight"]["now"] == 0, "all reservations settled", 180)  # a node that is killed leases its checks for two minutes
        now = usage(node)
        completed = [u["size"] for u in node.uploads("completed")]
        print(f"quota {self.QUOTA}, {self.CLIENTS} clients, {kills} kills: {len(completed)} completed, {sum(completed)} bytes; {len(self.refusals)} refusals", file=sys.stderr)
        self.assertEqual((self.over, self.wrong), ([], []))
        self.assertEqual((now["user_total"]["used"], now["user_total"]["reserved"]), (sum(completed), 0))
        self.assertLessEqual(sum(completed), self.QUOTA)
        self.assertTrue(self.refusals and all("this user's quota has " in r for r in self.refusals), self.refusals[:3])
        # Nothing is lost either: what is left can be used to the last byte.
        left = now["user_total"]["left"]
        self.assertEqual(sign(node, size=left + 1)[0], 429 if left < self.QUOTA else 413)
        self.assertEqual(sign(node, size=left)[0], 201)

    def test_two_nodes_on_postgres(self):
        with postgres.Postgres() as db:
            url = db.url("quota")
            with Server(self.config, LEDGER__URL=url) as a, Server(self.config, LEDGER__URL=url, STORE__PATH=os.path.join(a.folder, "objects")) as b:
                self.nodes = [a, b]
                self.fill(60 if FULL else 15)

    def test_one_node_on_sqlite(self):
        with Server(self.config) as node:
            self.nodes = [node]
            self.fill(60 if FULL else 15)


if __name__ == "__main__":
    main()
