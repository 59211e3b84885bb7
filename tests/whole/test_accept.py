"""The accept hook: what the application, or a scanner, says about each stored object; and that nothing stands under its final key before it is accepted."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from faked_clock import *
import hooks

KEY = "the application's key"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SCANNER = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "examples", "clamav", "scan.py")


def config(port, more="", hook="", url=None):
    return ("[auth]\napi_keys = [{ name = 'app', sha256 = '" + hashlib.sha256(KEY.encode()).hexdigest() + "', rights = ['sign', 'read', 'manage', 'user'] }]\n"
            "[sweep]\ninterval = '500ms'\ngrace = '1s'\n[profiles.default]\nexpires = '20s'\n" + more +
            f"[profiles.default.accept]\nurl = '{url or f'http://127.0.0.1:{port}/judge'}'\nsecret = '{hooks.SECRET}'\nallow_private = true\ntimeout = '2s'\n" + hook +
            hooks.endpoint(f"http://127.0.0.1:{port}/hooks"))


def call(server, method, path, body=None):
    status, _, text = server.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json", "Authorization": "Bearer " + KEY})
    return status, json.loads(text) if text else {}


def sign(server, **ask):
    status, form = call(server, "POST", "/v1/uploads", {"filename": "a b", "success_action_status": 204, "user": "ann", **ask})
    assert status == 201, form
    return form


def state(server, form):
    return server.status(form["id"])["state"]


def wait_for(server, form, wanted, seconds=20):
    wait_until(lambda: state(server, form) == wanted, f"state {wanted}", seconds)


def answers(*said):
    """An application that gives these answers in turn, the last one for ever. `None` hangs; a number is a status."""
    def respond(handler, n):
        what = said[min(n, len(said)) - 1]
        if what is None:
            return handler.hang()
        if isinstance(what, int):
            return handler.respond(what)
        return handler.respond(200, json.dumps(what).encode(), Content_Type="application/json")
    return respond


ACCEPT, REJECT = {"verdict": "accept"}, {"verdict": "reject", "reason": "a virus: EICAR"}


class Watcher:
    """Lists what the store has, all the time, and remembers each name."""

    def __init__(self, server):
        self.server, self.seen, self.ended = server, set(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            self.seen |= set(self.server.objects())
            time.sleep(0.005)

    def stop(self):
        self.ended.set()
        self.thread.join()
        return self.seen


def final_names(names):
    return sorted(n for n in names if not n.startswith("local/quarantine/"))


class Verdicts(unittest.TestCase):
    def types(self, receiver, form):
        """Of the messages about this upload. After a kill, a message may come again, with the same id."""
        messages = {a.id: a.json() for a in receiver.at("/hooks")}
        return [m["type"].removeprefix("upload.") for m in messages.values() if m["data"]["id"] == form["id"]]

    def check_end(self, receiver, server, form, wanted, questions):
        wait_for(server, form, wanted, 40)
        # Two messages that are sent at the same time may come in any order.
        wait_until(lambda: wanted in (types := self.types(receiver, form)) and len(types) > 1, "the webhooks")
        self.assertEqual(sorted(self.types(receiver, form)), sorted(["checking", wanted]))
        self.assertEqual(len([a for a in receiver.at("/judge") if a.json()["data"]["id"] == form["id"]]), questions)

    def test_what_the_hook_says(self):
        # answers, state at the end, questions that were asked
        table = (([ACCEPT], "completed", 1), ([REJECT], "rejected", 1), ([503, ACCEPT], "completed", 2), ([None, REJECT], "rejected", 2), ([{"verdict": "maybe"}, ACCEPT], "completed", 2), ([204, REJECT], "rejected", 2))
        for said, wanted, questions in table:
            with self.subTest(said), hooks.Receiver({"/judge": answers(*said)}) as receiver, Server(config(receiver.port)) as server:
                watcher = Watcher(server)
                form = sign(server)
                self.assertTrue(form["fields"]["key"].startswith("quarantine/uploads/"))
                self.assertEqual(form["key"], form["fields"]["key"].removeprefix("quarantine/"))
                self.assertEqual(server.post_form(form["fields"], b"hello")[0], 204)
                seen_before = final_names(watcher.seen) if wanted == "rejected" or questions > 1 else []
                self.assertEqual(seen_before, [])
                self.check_end(receiver, server, form, wanted, questions)
                question = receiver.at("/judge")[0]
                self.assertTrue(question.signed_by(hooks.SECRET))
                self.assertEqual(question.id, "chk_" + form["id"])
                self.assertEqual((question.json()["type"], question.json()["data"]["key"], question.json()["data"]["stored_key"]), ("upload.checking", form["key"], form["fields"]["key"]))
                wait_until(lambda: len(server.objects()) == (1 if wanted == "completed" else 0), "nothing left in quarantine")
                self.assertEqual(final_names(watcher.stop()), ["local/" + form["key"]] if wanted == "completed" else [])
                status, shown = call(server, "GET", "/v1/uploads/" + form["id"])
                self.assertEqual((status, shown["key"], shown.get("reason")), (200, form["key"], None if wanted == "completed" else "a virus: EICAR"))

    def test_the_verdict_comes_later(self):
        with hooks.Receiver({"/judge": 202}) as receiver, Server(config(receiver.port)) as server:
            for path, body, wanted in (("accept", None, "completed"), ("reject", {"reason": "a virus"}, "rejected")):
                form = sign(server)
                server.post_form(form["fields"], b"hello")
                wait_until(lambda form=form: any(a.json()["data"]["id"] == form["id"] for a in receiver.at("/judge")), "the question")
                self.assertEqual(state(server, form), "checking")
                self.assertEqual(call(server, "POST", f"/v1/uploads/{form['id']}/claim")[0], 409)
                self.assertEqual(call(server, "DELETE", f"/v1/uploads/{form['id']}")[0], 409)
                status, upload = call(server, "POST", f"/v1/uploads/{form['id']}/{path}", body)
                self.assertEqual((status, upload["state"], upload.get("reason")), (200, wanted, body and body["reason"]))
                self.assertEqual(call(server, "POST", f"/v1/uploads/{form['id']}/{path}", body)[1]["state"], wanted, "idempotent")
                other = "reject" if path == "accept" else "accept"
                self.assertEqual(call(server, "POST", f"/v1/uploads/{form['id']}/{other}")[0], 409)
                self.check_end(receiver, server, form, wanted, 1)
            self.assertEqual(final_names(server.objects()), [n for n in server.objects() if len(server.objects()) == 1])
            self.assertEqual(server.request("POST", f"/v1/uploads/{form['id']}/accept")[0], 401)
            waiting = sign(server)
            self.assertEqual(call(server, "POST", f"/v1/uploads/{waiting['id']}/accept")[0], 409)

    def test_the_form_is_posted_again_while_it_is_checked(self):
        """The verdict is about the object that was judged, and about no other one."""
        with hooks.Receiver({"/judge": 202}) as receiver, Server(config(receiver.port)) as server:
            form = sign(server)
            server.post_form(form["fields"], b"harmless")
            receiver.wait("/judge")
            judged = server.status(form["id"])["etag"]
            server.post_form(form["fields"], EICAR)
            self.assertEqual(server.status(form["id"])["etag"], judged)
            self.assertEqual(call(server, "POST", f"/v1/uploads/{form['id']}/accept", {"etag": "x" * 32})[0], 409)
            status, upload = call(server, "POST", f"/v1/uploads/{form['id']}/accept", {"etag": judged})
            self.assertEqual((status, upload["state"], upload["size"]), (202, "checking", len(EICAR)))
            status, problem = call(server, "POST", f"/v1/uploads/{form['id']}/accept", {"etag": judged})
            self.assertEqual((status, problem["code"]), (409, "conflict"), "said twice, it accepts nothing else")
            self.assertNotEqual(upload["etag"], judged)
            self.assertEqual(final_names(server.objects()), [])
            receiver.wait("/judge", 2)  # another question, about the other object
            self.assertEqual(receiver.at("/judge")[1].json()["data"]["etag"], upload["etag"])
            self.assertEqual(call(server, "POST", f"/v1/uploads/{form['id']}/reject")[1]["state"], "rejected")
            # Nor does the form bring anything after the verdict.
            self.assertEqual(server.post_form(form["fields"], b"harmless")[0], 409)
            self.assertEqual(server.objects(), {})

    def test_a_kill_loses_no_verdict(self):
        with hooks.Receiver({"/judge": answers(ACCEPT)}) as receiver, Server(config(receiver.port)) as server:
            forms = [sign(server) for _ in range(30 if FULL else 10)]
            watcher = Watcher(server)
            for n, form in enumerate(forms):
                server.post_form(form["fields"], b"x" * (n + 1))
                if n % 3 == 0:
                    time.sleep(random.uniform(0, 1.2))
                    server.kill()
                    server.start()
            for form in forms:
                wait_for(server, form, "completed", 400)
                wait_until(lambda form=form: sorted(self.types(receiver, form)) == ["checking", "completed"], "one message of each kind", 120)
            self.assertEqual(final_names(watcher.stop()), sorted("local/" + f["key"] for f in forms))
            wait_until(lambda: len(server.objects()) == len(forms), "nothing left in quarantine", 180)

    def test_quota(self):
        with hooks.Receiver({"/judge": 202}) as receiver, Server(config(receiver.port, "quota = { per_user = '100' }\n")) as server:
            usage = lambda: {k: v for k, v in call(server, "GET", "/v1/usage?user=ann")[1]["user_total"].items() if k in ("used", "reserved")}
            kept, dropped = sign(server, size=60), sign(server, size=40)
            for form in (kept, dropped):
                server.post_form(form["fields"], b"x" * (60 if form is kept else 40))
            receiver.wait("/judge", 2)
            self.assertEqual(usage(), {"used": 0, "reserved": 100})
            call(server, "POST", f"/v1/uploads/{kept['id']}/accept")
            call(server, "POST", f"/v1/uploads/{dropped['id']}/reject")
            self.assertEqual(usage(), {"used": 60, "reserved": 0})

    @unittest.skipIf(is_sanitized(), "AddressSanitizer and libfaketime both replace malloc")
    @unittest.skipUnless(library(), "libfaketime is not installed")
    def test_no_verdict_before_the_deadline(self):
        with hooks.Receiver({"/judge": 503}) as receiver, FakedClock(config(receiver.port, hook="deadline = '2h'\n")) as server:
            form = sign(server)
            server.post_form(form["fields"], b"hello")
            receiver.wait("/judge")
            server.set_clock(HOUR)
            receiver.wait("/judge", 2)
            self.assertEqual(state(server, form), "checking")
            server.set_clock(2 * HOUR + 60)
            wait_for(server, form, "rejected")
            self.assertEqual(call(server, "GET", "/v1/uploads/" + form["id"])[1]["reason"], "no verdict before the deadline")
            wait_until(lambda: server.objects() == {}, "the object is deleted")

    def test_settings(self):
        for wrong, why in (("quarantine = ''", "quarantine"), ("quarantine = 'q'", "quarantine"), ("quarantine = 'uploads/'", "quarantine"), ("timeout = '5m'", "timeout"), ("deadline = '1s'", "deadline"), ("ca_file = 'x'", "ca_file")):
            with self.assertRaisesRegex(RuntimeError, r"profiles\.default\.accept\." + why):
                Server(config(1, hook=wrong + "\n").replace("timeout = '2s'\n", "" if "timeout" in wrong else "timeout = '2s'\n"))
        for more, why in (("acl = 'public-read'", "acl"), ("overwrite = true", "overwrite")):
            with self.assertRaisesRegex(RuntimeError, r"profiles\.default\.accept\.url: cannot be combined with .*" + why):
                Server(config(1, more + "\n"))
        with self.assertRaisesRegex(RuntimeError, "does not begin with https"):
            Server(config(1).replace("allow_private = true\n", "", 1))
        with self.assertRaisesRegex(RuntimeError, "secret: is missing"):
            Server("[auth]\nanonymous = true\n[profiles.default]\naccept = { url = 'https://app.example.com/x' }\n")


@unittest.skipUnless(rgw.is_installed(), "radosgw is not installed")
class RealS3(unittest.TestCase):
    """Straight to RGW: S3 stores into quarantine, and Postern copies."""

    def test_direct_upload(self):
        with rgw.Rgw() as s3, hooks.Receiver({"/judge": answers(ACCEPT, REJECT)}) as receiver, s3_server(s3, config(receiver.port)) as server:
            for wanted in ("completed", "rejected"):
                form = sign(server, success_action_status=None)
                body, content_type = form_body(form["fields"], b"hello")
                status, headers = post_to(form["url"], body, content_type)
                self.assertEqual(status, 303)
                target = urlsplit(headers["location"])
                status, _, text = server.request("GET", f"{target.path}?{target.query}", headers={"Accept": "application/json"})
                self.assertEqual((status, json.loads(text)["state"]), (200, "checking"))
                wait_for(server, form, wanted)
                wait_until(lambda form=form: not s3.has(form["fields"]["key"]), "nothing left in quarantine")
                self.assertEqual(s3.has(form["key"]), wanted == "completed")
                self.assertFalse(wanted == "completed" and s3.get(form["key"]) != b"hello")
                status, _, text = server.request("GET", f"{target.path}?{target.query}", headers={"Accept": "application/json"})
                self.assertEqual(status, 200 if wanted == "completed" else 409, "a reload of the page")


def post_to(url, body, content_type):
    at = urlsplit(url)
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    c.request("POST", at.path, body, {"Content-Type": content_type})
    r = c.getresponse()
    r.read()
    c.close()
    return r.status, {k.lower(): v for k, v in r.getheaders()}


@unittest.skipUnless(shutil.which("clamd"), "clamd is not installed")
class ClamAV(unittest.TestCase):
    """The example in conf/examples/clamav, with the real clamd and one signature: that of the EICAR test file."""

    def test_scanner(self):
        folder = tempfile.mkdtemp(prefix="postern-clamd-")
        self.addCleanup(shutil.rmtree, folder, True)
        with open(os.path.join(folder, "test.hdb"), "w", encoding="ascii") as f:
            f.write(f"{hashlib.md5(EICAR).hexdigest()}:{len(EICAR)}:Eicar-Test-Signature\n")
        with open(os.path.join(folder, "clamd.conf"), "w", encoding="ascii") as f:
            f.write(f"LocalSocket {folder}/clamd.ctl\nDatabaseDirectory {folder}\nForeground yes\nLogFile {folder}/log\nTemporaryDirectory {folder}\n")
        clamd = subprocess.Popen(["clamd", "--config-file", os.path.join(folder, "clamd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (clamd.kill(), clamd.wait()))
        watchdog.watch(clamd.pid)
        wait_until(lambda: os.path.exists(os.path.join(folder, "clamd.ctl")), "clamd listens", 60)
        port = free_port()
        with hooks.Receiver() as receiver, Server(config(receiver.port, url=f"http://127.0.0.1:{port}/")) as server:
            scanner = subprocess.Popen([sys.executable, SCANNER], env={"PATH": os.environ["PATH"], "HOOK_SECRET": hooks.SECRET, "POSTERN_URL": server.url, "POSTERN_KEY": KEY, "CLAMD": os.path.join(folder, "clamd.ctl"), "LISTEN": f"127.0.0.1:{port}"})
            self.addCleanup(lambda: (scanner.kill(), scanner.wait()))
            watchdog.watch(scanner.pid)
            for content, wanted in ((b"hello", "completed"), (EICAR, "rejected"), (random_bytes(3_000_000), "completed"), (b"", "completed")):
                form = sign(server)
                server.post_form(form["fields"], content)
                wait_for(server, form, wanted, 30)
                self.assertEqual(call(server, "GET", "/v1/uploads/" + form["id"])[1].get("reason"), None if wanted == "completed" else "found by ClamAV: Eicar-Test-Signature.UNOFFICIAL")
            # A question that Postern did not sign is not answered.
            self.assertEqual(server.request("POST", "/", json.dumps({"data": {"id": form["id"], "etag": "x"}}), {"webhook-id": "x", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,x"}, port=port)[0], 401)
            # While ClamAV is away, nothing is accepted.
            clamd.kill()
            clamd.wait()
            form = sign(server)
            server.post_form(form["fields"], b"hello")
            time.sleep(3)
            self.assertEqual(state(server, form), "checking")


if __name__ == "__main__":
    main()
