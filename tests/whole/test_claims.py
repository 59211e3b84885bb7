"""What becomes of a completed upload: the application claims it, deletes it, or it is deleted because nobody has claimed it in time."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from faked_clock import *
import hooks, postgres

KEYS = {"app": "['sign', 'read', 'manage', 'user']", "ann": "['sign', 'read', 'manage']", "bob": "['sign', 'read', 'manage']", "reader": "['sign', 'read', 'user']", "other": "['read', 'manage', 'user']\nprofiles = ['other']"}


def config(more="", webhooks=""):
    keys = "".join(f"[[auth.api_keys]]\nname = '{name}'\nsha256 = '{hashlib.sha256(name.encode()).hexdigest()}'\nrights = {rights}\n" for name, rights in KEYS.items())
    return keys + "[sweep]\ninterval = '300ms'\ngrace = '1s'\nclaim_lifetime = '10d'\n[profiles.other]\n[profiles.default]\n" + more + webhooks


def call(server, method, path, body=None, key="app"):
    headers = {"Authorization": "Bearer " + key} if key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    status, _, text = server.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body), headers)
    return status, json.loads(text) if text else {}


def upload(server, size=5, key="ann", **ask):
    """A completed upload: its form."""
    status, form = call(server, "POST", "/v1/uploads", {"filename": "a", "size": size, "success_action_status": 204, **ask}, key)
    assert status == 201, form
    assert server.post_form(form["fields"], b"x" * size)[0] == 204
    return form


def claim(server, id, body=None, key="app"):
    return call(server, "POST", f"/v1/uploads/{id}/claim", body, key)


def delete(server, id, key="app"):
    return call(server, "DELETE", f"/v1/uploads/{id}", None, key)


class Managing(unittest.TestCase):
    def test_who_may(self):
        with Server(config()) as server:
            id, absent = upload(server)["id"], "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4"
            for key, wanted in ((None, 401), ("nobody", 401), ("bob", 403), ("reader", 403), ("other", 403)):
                for what in (claim, delete):
                    self.assertEqual(what(server, id, key=key)[0], wanted, (key, what))
            for what in (claim, delete):
                self.assertEqual(what(server, absent)[0], 404)
                self.assertEqual(what(server, "x")[0], 404)
            self.assertEqual(server.status(id)["state"], "completed")
            self.assertEqual(claim(server, id, key="ann")[0], 200)
            self.assertEqual(delete(server, id, key="ann")[0], 200)

    def test_a_claim(self):
        with Server(config("unclaimed = '7d'\n")) as server:
            form = upload(server)
            before = server.status(form["id"])
            self.assertRegex(before["claim_until"], r"^\d{4}-\d\d-\d\dT")
            status, claimed = claim(server, form["id"], {"reference": "order 17 ä"})
            self.assertEqual((status, claimed["claimed_as"], claimed["state"]), (200, "order 17 ä", "completed"))
            self.assertNotIn("claim_until", claimed)
            self.assertEqual(claim(server, form["id"], {"reference": "order 17 ä"}), (200, claimed), "idempotent")
            status, problem = claim(server, form["id"], {"reference": "order 18"})
            self.assertEqual((status, problem["code"]), (409, "conflict"))
            self.assertIn("order 17", problem["detail"])
            self.assertNotIn("claimed_as", server.status(form["id"]), "only for callers that may read")
            waiting = call(server, "POST", "/v1/uploads", {"filename": "a"})[1]["id"]
            self.assertEqual(claim(server, waiting)[0], 409)
            self.assertEqual(claim(server, upload(server)["id"])[1].get("claimed_as"), None, "without a reference")

    def test_bodies_that_are_refused(self):
        with Server(config()) as server:
            id = upload(server)["id"]
            for body in (b"{", b"[]", b'"x"', {"reference": 1}, {"reference": None}, {"other": "x"}, {"reference": "a", "other": "b"}, {"reference": "x" * 1025}, {"reference": "a\nb"}, b'{"reference":"a","reference":"b"}', b'{"reference":"\xff"}'):
                self.assertEqual(claim(server, id, body)[0], 400, body)
            self.assertEqual(claim(server, id, b'{"reference":"' + b"x" * 10_000 + b'"}')[0], 413)
            self.assertEqual(server.request("POST", f"/v1/uploads/{id}/claim", b"reference=a", {"Authorization": "Bearer app", "Content-Type": "text/plain"})[0], 415)
            self.assertEqual(claim(server, id, {"reference": "x" * 1024})[0], 200)

    def test_a_removal(self):
        with hooks.Receiver() as receiver, Server(config("quota = { per_user = '100' }\n", hooks.endpoint(f"http://127.0.0.1:{receiver.port}/hooks"))) as server:
            form = upload(server, 60)
            id = form["id"]
            status, removed = delete(server, id)
            self.assertEqual((status, removed["state"], removed["size"]), (200, "removed", 60))
            self.assertEqual(server.objects(), {})
            self.assertEqual(delete(server, id), (200, removed), "idempotent")
            self.assertEqual(server.status(id)["state"], "removed")
            self.assertEqual(claim(server, id)[0], 409)
            now = call(server, "GET", "/v1/usage?user=ann")[1]
            self.assertEqual((now["user_total"]["used"], now["user_day"]["used"]), (0, 60), "a day's use is never given back")
            wait_until(lambda: sorted(a.json()["type"] for a in receiver.arrivals) == ["upload.completed", "upload.removed"], "the webhooks")
            self.assertEqual(receiver.arrivals[1].json()["data"], removed)
            # The form has not expired: what it brings now is refused, and nothing of it stays.
            status, _, answer = server.post_form(form["fields"], b"x" * 60)
            self.assertEqual((status, server.objects()), (409, {}), answer)
            self.assertIn(b"the upload was removed", answer)
            status, _, answer = server.request("GET", form["complete_url"].removeprefix(server.url), headers={"Accept": "application/json"})
            self.assertEqual((status, json.loads(answer)["code"]), (409, "conflict"))
            self.assertEqual(server.status(id)["state"], "removed")

    def test_a_replaced_object_is_left_alone(self):
        with Server(config("key = 'same/${filename}'\noverwrite = true\n")) as server:
            first, second = upload(server), upload(server, 6)
            self.assertEqual(delete(server, first["id"])[1]["state"], "removed")
            self.assertEqual(list(server.objects().values()), [6])
            self.assertEqual(server.status(second["id"])["state"], "completed")
            self.assertIn("left in the store", server.log_text())
            self.assertEqual(delete(server, second["id"])[1]["state"], "removed")
            self.assertEqual(server.objects(), {})

    def test_nothing_of_a_form_that_was_posted_twice_stays(self):
        with Server(config("quota = { per_user = '300000' }\nmax_size = '200000'\n")) as server:
            status, form = call(server, "POST", "/v1/uploads", {"filename": "a", "success_action_status": 204}, "ann")
            self.assertEqual(status, 201)
            for size in (1, 100_000):
                self.assertEqual(server.post_form(form["fields"], b"x" * size)[0], 204)
            self.assertEqual(delete(server, form["id"])[1]["state"], "removed")
            self.assertEqual(server.objects(), {})
            self.assertEqual(call(server, "GET", "/v1/usage?user=ann")[1]["user_total"]["used"], 0)

    def test_an_equal_file_of_another_upload_stays(self):
        """Two files with the same content have the same ETag in most stores."""
        with Server(config("key = 'same/${filename}'\noverwrite = true\n")) as server:
            first, second = upload(server), upload(server)
            self.assertEqual(claim(server, second["id"])[0], 200)
            self.assertEqual(delete(server, first["id"])[1]["state"], "removed")
            self.assertEqual(len(server.objects()), 1)

    @unittest.skipUnless(rgw.is_installed(), "radosgw is not installed")
    def test_a_removal_goes_on_after_kill(self):
        with rgw.Rgw() as s3, s3_server(s3, config()) as server:
            status, form = call(server, "POST", "/v1/uploads", {"filename": "a", "size": 5, "success_action_status": 204})
            self.assertEqual(status, 201)
            self.assertEqual(server.post_form(form["fields"], b"x" * 5, s3.bucket)[0], 204)
            self.assertTrue(s3.has(form["key"]))
            s3.kill()
            self.assertEqual(delete(server, form["id"])[0], 503)
            self.assertEqual(server.status(form["id"])["state"], "removing")
            self.assertEqual(claim(server, form["id"])[0], 409)
            server.kill()
            server.start()
            s3.revive()
            self.assertEqual(delete(server, form["id"])[1]["state"], "removed")
            self.assertFalse(s3.has(form["key"]))

    def test_setting(self):
        for setting, why in (("unclaimed = '400d'", "ledger.retention"), ("unclaimed = 'x'", "unclaimed")):
            with self.assertRaisesRegex(RuntimeError, why):
                Server(config(setting + "\n"))


@unittest.skipIf(is_sanitized(), "AddressSanitizer and libfaketime both replace malloc")
@unittest.skipUnless(library(), "libfaketime is not installed")
class Unclaimed(unittest.TestCase):
    def test_what_nobody_claims_is_removed(self):
        with hooks.Receiver() as receiver, FakedClock(config("unclaimed = '7d'\n", hooks.endpoint(f"http://127.0.0.1:{receiver.port}/hooks"))) as server:
            forgotten, kept = upload(server, 5), upload(server, 6)
            foreign = upload(server, 7)
            self.assertEqual(claim(server, kept["id"])[0], 200)
            listed = subprocess.run([BINARY, "uploads", "--unclaimed", "--config", server.config], env=server.environment | {"LD_PRELOAD": ""}, cwd=server.folder, capture_output=True, text=True, timeout=60, check=True).stdout
            self.assertEqual([line.split()[1] for line in listed.splitlines()[1:]], [forgotten["id"], foreign["id"]], listed)
            self.assertTrue(listed.startswith("REMOVED AT"), listed)
            self.assertIn(server.status(forgotten["id"])["claim_until"][:16], listed)
            self.assertEqual(len(server.objects()), 3, "a dry run")
            # Another program replaces one object before the removal begins.
            path = server.object_path(next(n for n, size in server.objects().items() if size == 7).removeprefix("local/"))
            with open(path, "w", encoding="ascii") as f:
                f.write("something else")
            server.set_clock(6 * DAY + 23 * HOUR)
            time.sleep(1.5)  # some rounds of the sweep
            self.assertEqual(server.status(forgotten["id"])["state"], "completed")
            server.set_clock(7 * DAY + 60)
            for form in (forgotten, foreign):
                wait_until(lambda form=form: server.status(form["id"])["state"] == "removed", "the removal")
            self.assertEqual(sorted(server.objects().values()), [6, 14], "another program's file is left alone")
            self.assertEqual(claim(server, forgotten["id"])[0], 409)
            self.assertEqual(server.status(kept["id"])["state"], "completed")
            wait_until(lambda: sorted(a.json()["data"]["id"] for a in receiver.arrivals if a.json()["type"] == "upload.removed") == sorted([forgotten["id"], foreign["id"]]), "the webhooks")


class Race(unittest.TestCase):
    """Uploads are claimed at the very moment of their removal: a claim that was answered 200 is kept for good."""

    COUNT = 400 if FULL else 80

    def run_race(self, nodes):
        forms = in_threads(lambda n: upload(nodes[n % len(nodes)], n % 7 + 1), range(self.COUNT))

        def one(form):
            pick = random.Random(form["id"])
            until = json_time(server_status(nodes, form)["claim_until"])
            time.sleep(max(0, until + pick.uniform(-0.2, 0.5) - time.time()))
            return claim(pick.choice(nodes), form["id"])[0]

        answers = in_threads(one, forms)
        settled = ("completed", "removed")
        states = wait_until(lambda: (s := [server_status(nodes, form)["state"] for form in forms]) and all(x in settled for x in s) and s, "the end of all", 60)
        print(f"{answers.count(200)} claims came first, {answers.count(409)} removals", file=sys.stderr)
        self.assertEqual([{200: "completed", 409: "removed"}[a] for a in answers], states)
        time.sleep(1)  # some rounds of the sweep more
        stored = {name.split("/")[2] for name in nodes[0].objects()}
        self.assertEqual(stored, {form["id"] for form, a in zip(forms, answers) if a == 200})

    def test_two_nodes_on_postgres(self):
        with postgres.Postgres() as db, Server(config("unclaimed = '4s'\n"), LEDGER__URL=db.url("claims")) as a, Server(config("unclaimed = '4s'\n"), LEDGER__URL=db.url("claims"), STORE__PATH=os.path.join(a.folder, "objects")) as b:
            self.run_race([a, b])

    def test_one_node_on_sqlite(self):
        with Server(config("unclaimed = '4s'\n")) as server:
            self.run_race([server])


def server_status(nodes, form):
    return nodes[0].status(form["id"])


def json_time(text):
    import calendar
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:].rstrip("Z"))


if __name__ == "__main__":
    main()
