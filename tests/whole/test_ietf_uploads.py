"""The IETF's resumable uploads at /v1/files, in the interop versions 8, 6 and 5, with the file store: interim responses, each answer of the draft, breaks."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *
import tus

CONFIG = "[auth]\nanonymous = true\n[sweep]\nprobe = false\n[profiles.small]\nmax_size = '100B'\n"
PATH = "/v1/files"
PART = {"Content-Type": "application/partial-upload"}


class Uploads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def send(self, method, path, headers, body=b"", version="8", announced=None, close=False):
        """All answers to one request, the interim ones first: (status, headers, body). `announced`: another Content-Length; `close`: hang up behind the body."""
        fields = {"Host": "x", "Content-Length": str(len(body) if announced is None else announced), **headers}
        if version:
            fields["Upload-Draft-Interop-Version"] = version
        with contextlib.closing(self.server.raw()) as s:
            s.sendall((f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n").encode() + body)
            if close:
                s.shutdown(socket.SHUT_WR)
            answers, data = [], b""
            while not answers or 100 <= answers[-1][0] < 200:
                while b"\r\n\r\n" not in data:
                    more = s.recv(65536)
                    if not more:
                        return answers
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                lines = head.decode().split("\r\n")
                found = {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:])}
                size = 0 if method == "HEAD" else int(found.get("content-length", 0))
                while len(data) < size:
                    data += s.recv(65536)
                answers.append((int(lines[0].split()[1]), found, data[:size]))
                data = data[size:]
            return answers

    def create(self, headers, body=b"", **more):
        answers = self.send("POST", PATH, headers, body, **more)
        return answers, tus.urlsplit(answers[-1][1]["location"]).path

    def content(self, id):
        key = next(u["key"] for u in self.server.uploads() if u["id"] == id)
        with open(self.server.object_path(key), "rb") as f:
            return key, f.read()

    def test_a_file_in_one_request(self):
        data = random_bytes(1_000_000)
        for version in ("8", "6", "5"):
            answers, path = self.create({"Upload-Complete": "?1", "Content-Type": "image/png", "Content-Disposition": "inline; filename*=UTF-8''%C3%BC.png"}, data, version=version)
            self.assertEqual([status for status, _, _ in answers], [104, 201])
            interim, final = answers[0][1], answers[1][1]
            self.assertEqual((interim["upload-draft-interop-version"], interim["location"]), (version, final["location"]))
            self.assertEqual(final["upload-complete"], "?1")
            upload = json.loads(answers[1][2])
            self.assertEqual((upload["state"], upload["size"], upload["way"], upload["id"]), ("completed", len(data), "resumable", final["postern-id"]))
            key, stored = self.content(upload["id"])
            self.assertTrue(key.endswith("/ü.png"))
            self.assertEqual(stored, data)
            head = self.send("HEAD", path, {}, version=version)[-1]
            self.assertEqual((head[0], head[1]["upload-offset"], head[1]["upload-complete"], head[1]["cache-control"]), (204, str(len(data)), "?1", "no-store"))

    def test_limits_and_versions(self):
        limits = {"8": r"max-size=\d+, min-size=0, max-age=\d+", "6": r"max-size=\d+, min-size=0, expires=\d+"}
        for version, pattern in limits.items():
            answers, path = self.create({"Upload-Complete": "?0"}, b"abc", version=version)
            for answer in (*answers, self.send("HEAD", path, {}, version=version)[-1]):
                self.assertRegex(answer[1]["upload-limit"], f"^{pattern}$")
        for unknown in ("7", None):  # no 104: the client would not understand it
            answers, _ = self.create({"Upload-Complete": "?0"}, b"abc", version=unknown)
            self.assertEqual([a[0] for a in answers], [201])
            self.assertNotIn("upload-draft-interop-version", answers[0][1])
        self.assertRegex(self.send("OPTIONS", PATH, {})[-1][1]["upload-limit"], r"^max-size=\d+, min-size=0$")
        self.assertEqual(self.send("POST", PATH, {"Upload-Complete": "?1"}, b"", version="x")[-1][0], 400)

    def test_a_file_in_three_requests(self):
        data = random_bytes(300_000)
        for version, status in (("8", 204), ("6", 201), ("5", 201)):
            answers, path = self.create({"Upload-Complete": "?0", "Upload-Length": "300000"}, data[:100_000], version=version)
            self.assertEqual([a[0] for a in answers], [104, 201])
            self.assertEqual((answers[1][1]["upload-complete"], answers[1][1]["upload-offset"]), ("?0", "100000"))
            answer = self.send("PATCH", path, {**PART, "Upload-Offset": "100000", "Upload-Complete": "?0"}, data[100_000:200_000], version=version)[-1]
            self.assertEqual((answer[0], answer[1]["upload-offset"], answer[1]["upload-complete"]), (status, "200000", "?0"))
            answer = self.send("PATCH", path, {**PART, "Upload-Offset": "200000", "Upload-Complete": "?1"}, data[200_000:], version=version)[-1]
            self.assertEqual((answer[0], answer[1]["upload-complete"]), (200, "?1"))
            self.assertEqual(self.content(json.loads(answer[2])["id"])[1], data)

    def test_a_break_and_going_on(self):
        data = random_bytes(2_000_000)
        answers = self.send("POST", PATH, {"Upload-Complete": "?1"}, data[:700_000], announced=len(data), close=True)
        self.assertEqual(answers[0][0], 104)
        path = tus.urlsplit(answers[0][1]["location"]).path
        head = self.send("HEAD", path, {})[-1]
        self.assertEqual((head[1]["upload-offset"], head[1]["upload-complete"], head[1]["upload-length"]), ("700000", "?0", str(len(data))))
        answer = self.send("PATCH", path, {**PART, "Upload-Offset": "700000", "Upload-Complete": "?1"}, data[700_000:])[-1]
        self.assertEqual(answer[0], 200)
        self.assertEqual(self.content(json.loads(answer[2])["id"])[1], data)

    def test_what_is_refused(self):
        _, path = self.create({"Upload-Complete": "?0", "Upload-Length": "10"}, b"abc")

        def patch(headers, body=b"x"):
            return self.send("PATCH", path, {**PART, "Upload-Offset": "3", "Upload-Complete": "?0", **headers}, body)[-1]
        status, headers, body = patch({"Upload-Offset": "5"})
        problem = json.loads(body)
        self.assertEqual((status, headers["upload-offset"], headers["upload-complete"], headers["content-type"]), (409, "3", "?0", "application/problem+json"))
        self.assertTrue(problem["type"].endswith("#mismatching-upload-offset"))
        self.assertEqual((problem["expected-offset"], problem["provided-offset"]), (3, 5))
        status, _, body = patch({"Upload-Length": "11"})
        self.assertEqual((status, json.loads(body)["type"].endswith("#inconsistent-upload-length")), (400, True))
        self.assertEqual(patch({"Upload-Complete": "?1"})[0], 400)  # the file would be shorter than it was said to be
        self.assertEqual(patch({}, b"0123456789")[0], 400)
        self.assertEqual(patch({"Content-Type": "text/plain"})[0], 415)
        for name, value in (("Upload-Offset", "-1"), ("Upload-Offset", "x"), ("Upload-Complete", "1")):
            self.assertEqual(patch({name: value})[0], 400)
        self.assertEqual(self.send("HEAD", path, {})[-1][1]["upload-offset"], "3")
        self.assertEqual(self.send("POST", PATH + "?profile=small", {"Upload-Complete": "?1"}, b"x" * 101)[-1][0], 413)
        answer = self.send("POST", PATH + "?profile=small", {"Upload-Complete": "?0"}, b"x" * 101)[-1]
        self.assertEqual(answer[0], 413)
        self.assertEqual(self.send("HEAD", path[:-1], {})[-1][0], 404)

    def test_given_up(self):
        _, path = self.create({"Upload-Complete": "?0"}, b"abc")
        self.assertEqual(self.send("DELETE", path, {})[-1][0], 204)
        self.assertEqual(self.send("HEAD", path, {})[-1][0], 404)

    def test_the_same_upload_by_tus(self):
        answers, path = self.create({"Upload-Complete": "?0"}, b"abc")
        upload = tus.Upload(self.server, answers[-1][1]["location"])
        self.assertEqual(upload.offset(), 3)
        self.assertEqual(upload.patch(3, b"def", **{"Upload-Length": "9"})[0], 204)
        self.assertEqual(self.send("PATCH", path, {**PART, "Upload-Offset": "6", "Upload-Complete": "?1"}, b"ghi")[-1][0], 200)

    def test_http_1_0_has_no_interim_responses(self):
        with contextlib.closing(self.server.raw()) as s:
            s.sendall(b"POST /v1/files HTTP/1.0\r\nHost: x\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\nContent-Length: 1\r\n\r\nx")
            self.assertEqual(read_answer(s)[0], 201)


if __name__ == "__main__":
    main()
