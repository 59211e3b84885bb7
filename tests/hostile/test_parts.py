"""Multipart uploads whose client misbehaves, or whose store breaks at one step of its work."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from ways import Parts

CONFIG = "[auth]\nanonymous = true\n[limits]\nsign_rate = 0\nstatus_rate = 0\n[sweep]\nprobe = false\ninterval = '1h'\n"
JSON = {"Content-Type": "application/json"}
MANY = ",".join(str(n) for n in range(1, 102))

# What a client sends to …/parts, and the answer.
BODIES = [
    ("", b"", 400), ("", b"{", 400), ("", b"[]", 400), ("", b"{}", 400), ("", b'{"parts":[]}', 400), ("", b'{"parts":[0]}', 400), ("", b'{"parts":[-1]}', 400),
    ("", b'{"parts":[10001]}', 400), ("", b'{"parts":[99999999999999999999]}', 400), ("", b'{"parts":[1e3]}', 400), ("", b'{"parts":[1,1]}', 400),
    ("", ('{"parts":[' + MANY + "]}").encode(), 400), ("", b'{"parts":[7]}', 400), ("", b'{"parts":[1],"checksums":{"1":"AAAA"}}', 400),
    ("", b'{"parts":[1],"checksums":{"2":"4waSgw=="}}', 400), ("", b'{"parts":[1],"x":1}', 400), ("", b'{"parts":[1],"parts":[1]}', 400),
    ("", b'{"parts":[1]' + b" " * (20 << 10) + b"}", 413), ("", b'{"parts":' + b"[" * 5000 + b"]" * 5000 + b"}", 400), ("", b"\xff\xfe", 400),
    ("/complete", b"[]", 400), ("/complete", b'{"parts":[]}', 400), ("/complete", b'{"parts":[{"number":1}]}', 400), ("/complete", b'{"parts":[{"number":1,"etag":""}]}', 400),
    ("/complete", b'{"parts":[{"number":1,"etag":"' + b"e" * 200 + b'"}]}', 400), ("/complete", b'{"parts":[{"number":1,"etag":"a"},{"number":1,"etag":"a"}]}', 400),
    ("/complete", b"{" + b" " * (1 << 20) + b"}", 413),
]


class Clients(unittest.TestCase):
    def test_wrong_requests_have_an_error_and_change_nothing(self):
        with peer("no_etag", "none") as s3, s3_server(s3, CONFIG) as server:
            form = server.sign(size=5, ways=["multipart"])
            parts = Parts(server, form)
            own = {"Authorization": "Upload " + parts.token}
            for path, body, status in BODIES:
                answer = server.request("POST", parts.path + path, body, {**JSON, **own})
                self.assertEqual(answer[0], status, (path, body[:60], answer[2]))
            self.assertEqual(server.request("POST", parts.path, b'{"parts":[1]}', own)[0], 415)
            self.assertEqual(server.request("PUT", parts.path, b"", own)[0], 405)
            for name in ("Upload", "Upload ", "upload x", "Upload " + parts.token + ".", "Upload " + parts.token.replace(".", ".9", 1), "Upload " + "a" * 9000):
                self.assertIn(server.request("GET", parts.path, headers={"Authorization": name})[0], (401, 431), name)
            for id in ("x", form["id"][:-1], "..%2f" + form["id"], form["id"].upper()):
                self.assertIn(server.request("GET", f"/v1/uploads/{id}/parts", headers=own)[0], (403, 404), id)
            self.assertEqual(server.status(form["id"])["state"], "issued")
            self.assertEqual(s3.count("CreateMultipartUpload"), 0)
            self.assertEqual(parts.sign([1])[0], 200)


class Stores(unittest.TestCase):
    """A store that breaks at one step: the client is told within the deadline, and the same request succeeds later."""

    def check(self, operation, step):
        with peer("cuts", operation, step, always=True) as s3, s3_server(s3, CONFIG, store__deadline="2s") as server:
            data = b"hello"
            form = server.sign(size=len(data), ways=["multipart"])
            parts = Parts(server, form)

            def send():
                """As a client that goes on where the store has its parts."""
                status, answer = parts.ask("GET")
                if status == 200 and not answer["parts"]:
                    status, answer = parts.sign([1])
                    if status != 200:
                        return status, answer
                    part = answer["parts"][0]
                    c = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=20)
                    c.request("PUT", part["url"].split(str(s3.port), 1)[1], data, part["headers"])
                    self.assertEqual(c.getresponse().status, 200)
                    c.close()
                return parts.complete()

            begin = time.monotonic()
            status, answer = send()
            took = time.monotonic() - begin
            self.assertLess(took, 15)
            was_stored = operation == "CompleteMultipartUpload" and step == "done"
            self.assertIn(status, (200, 503) if was_stored else (503,), answer)
            s3.operation = "none"
            if status != 200:
                status, answer = send()
            self.assertEqual((status, answer["state"]), (200, "completed"), answer)
            self.assertEqual(s3.objects[form["key"]].size, len(data))
            self.assertEqual(len(s3.uploads), 0, "multipart uploads are left in the store")
            self.assertEqual(server.metric('postern_completions_total{source="redirect"}'), 1)
            print(f"{operation:24} {step:6} {took:5.1f} s", flush=True)

    def test_each_step_of_each_request(self):
        in_threads(lambda row: self.check(*row), [(o, s) for o in ("CreateMultipartUpload", "ListParts", "CompleteMultipartUpload", "HeadObject") for s in ("begin", "end", "done")])


if __name__ == "__main__":
    main()
