"""File names, keys, return_to, claims and ids that were made to lead elsewhere: an object is stored below its own folder, a user is sent to an allowed page, or the answer is an error that names the fault."""

import html, os, sys, unicodedata, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

CONFIG = """
[auth]
anonymous = true
[profiles.default]
return_to = ["https://app.example.com/albums/*", "https://app.example.com/done"]
[profiles.blank]
key = "blank/${id}/${filename}"
"""
NAMES = ["..", ".", "...", "/", "\\", "//", "a/", "a\\", "../x", "..\\x", "../../../../etc/passwd", "C:\\Windows\\x", "\\\\server\\share\\x", "..%2f..%2fx", "%2e%2e%2fx", "%2e%2e", "..%5cx", "%00", "a%00b", "~root", "-rf", "|x", "`id`", "$(id)", "${id}", "${filename}", "${user}",
         "a\0b", "\0", "a\r\nX: y", "a\tb", "\x1b[31mred", "\x7f", "a\u0085b", "a\u2028b", "\u202egpj.exe", "a\u200bb", "\ufeffa", "\u2066a\u2069", "caf\u00e9", "cafe\u0301", "\u00e9" * 300, "\U0001f600" * 300, "a" * 300, "a" * 255, " ", "  a  ", "a.", "a..", ".a", ".postern", ".postern/tmp", "con", "NUL.txt", "aux:b", "a:b", "a*?<>|b", 'a"b', "a'b", "a;b", "a&b=c#d?e", "a+b", "a\u2215b", "\uff0e\uff0e\uff0fx", "\u2024\u2024/x"]
RETURN_TO_GOOD = ["https://app.example.com/albums/", "https://app.example.com/albums/7?x=y", "https://app.example.com/done", "https://app.example.com/albums/?next=https://evil.example/", "https://app.example.com/albums/a%20b"]
RETURN_TO_BAD = ["https://app.example.com@evil.example/albums/x", "https://user:word@app.example.com/albums/x", "https://app.example.com:443@evil.example/albums/x", "https://app.example.com%40evil.example/albums/x", "https://evil.example/https://app.example.com/albums/x",
                 "https://app.example.com.evil.example/albums/x", "https://app.example.com\\@evil.example/albums/x", "https://app.example.com\\albums\\x", "https://evil.example\\.app.example.com/albums/x", "https://app.example.com:8443/albums/x", "http://app.example.com/albums/x",
                 "//app.example.com/albums/x", "///app.example.com/albums/x", "https:app.example.com/albums/x", "https:/app.example.com/albums/x", "https:///app.example.com/albums/x", "/albums/x", "javascript://app.example.com/albums/%0aalert(1)", "data:text/html,x", "https://app.example.com/albums", "https://app.example.com/albumsX/",
                 "https://app.example.com/Albums/x", "https://app.example.com/albums/../x", "https://app.example.com/albums/./../x", "https://app.example.com/albums/.%2e/x", "https://app.example.com/albums/%2E./x", "https://app.example.com/albums/%2e%2e%2fx", "https://app.example.com/albums/..%5cx", "https://app.example.com/albums/\\..\\x",
                 "https://app.example.com/albums/x\r\nSet-Cookie: a=b", "https://app.example.com/albums/x\n", "https://app.example.com/albums/\tx", " https://app.example.com/albums/x", "https://app.example.com/albums/x\0", "https://app.example.com/done/", "https://app.example.com/done?x", "https://app.example.com/done#x", "https://app.example.com/donex",
                 "https://app.example.com/%61lbums/x", "https://xn--app.example.com/albums/x", "https://app.example\u3002com/albums/x", "https://\u24d0pp.example.com/albums/x", "https://[::1]/albums/x", "https://app.example.com./albums/x", "*", "https://app.example.com/albums/" + "x" * 9000]
CASE = ["HTTPS://app.example.com/albums/x", "https://APP.example.com/albums/x", "hTTps://app.example.com/albums/x"]  # equal to an allowed URL for a browser
IDS = ["..", "%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "x" * 8000, "%ff%fe", "%c0%ae%c0%ae", "01A20C4B-39B9-71A1-A0B9-F1A0F2D7A5BF", "01a20c4b-39b9-71a1-a0b9-f1a0f2d7a5b", "' OR 1=1 --", "%27%20OR%201=1", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "{}", "%7b%7d", "01a20c4b39b971a1a0b9f1a0f2d7a5bf", "1e9"]


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)
        cls.addClassCleanup(cls.server.close)

    def tearDown(self):
        self.assertEqual(self.server.metric("postern_exceptions_total"), 0)

    def ask(self, body):
        status, headers, answer = self.server.request("POST", "/v1/uploads", body if isinstance(body, bytes) else json.dumps(body), {"Content-Type": "application/json"})
        return status, headers, json.loads(answer)

    def check_stored_in_its_folder(self, folder, name, what):
        self.assertNotIn(name, ("", ".", ".."), what)
        self.assertLessEqual(len(name.encode()), 255, what)
        self.assertFalse(set(name) & set("/\\\0\r\n"), what)
        self.assertIn(f"local/{folder}/{name}", self.server.objects(), what)

    def everything(self):
        """All files of the server's folder but its own: database, log, configuration, and what the store has for itself."""
        found = set()
        for folder, _, files in os.walk(self.server.folder):
            found |= {os.path.join(folder, f) for f in files if "/.postern/" not in folder + "/"}
        return {f for f in found if not re.search(r"/(postern\.(db|toml).*|log)$", f)}

    def test_a_signed_file_name_stays_in_its_folder(self):
        for name in NAMES:
            with self.subTest(name[:40]):
                before = self.everything()
                status, _, form = self.ask({"filename": name})
                if status == 400:
                    self.assertIn("filename", form["detail"])
                    continue
                self.assertEqual(status, 201)
                self.assertEqual(self.server.post_form(form["fields"], b"hello")[0], 303)
                self.assertEqual([c for c in form["key"] if unicodedata.category(c) in ("Cc", "Cs")], [])
                self.check_stored_in_its_folder("uploads/" + form["id"], form["key"].split("/", 2)[2], name)
                self.assertEqual(len(self.everything() - before), 1, name)

    def test_broken_utf8_is_refused(self):
        for raw in (b"\xc0\xae\xc0\xae\xc0\xaf", b"\xe0\x80\xae", b"\xf0\x80\x80\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"a\xc3", b"\xf8\x88\x80\x80\x80"):
            status, _, answer = self.ask(b'{"filename":"a' + raw + b'"}')
            self.assertEqual((status, answer["code"]), (400, "bad_request"), raw)

    def test_the_name_of_a_posted_file_stays_in_its_folder(self):
        """A form whose key ends in ${filename}: the browser chooses the name."""
        for name in [*(n.encode() for n in NAMES), b"\xc0\xae\xc0\xae\xc0\xaf", b"\xff\xfe", b"a\xc3", b""]:
            with self.subTest(name[:40]):
                before = self.everything()
                page = self.server.request("GET", "/form?profile=blank")[2].decode()
                fields = dict((n, html.unescape(v)) for n, v in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
                begin = form_begin(fields, "@@@").replace(b"@@@", name.replace(b'"', b"%22"))
                status, _, body = self.server.request("POST", "/upload/local", begin + b"hello" + form_end(), {"Content-Type": "multipart/form-data; boundary=" + BOUNDARY})
                added = self.everything() - before
                if status in (400, 403):
                    self.assertEqual(added, set())
                    self.assertRegex(body, rb"<Message>.+</Message>")
                    continue
                self.assertEqual(status, 303, body)
                path = os.path.relpath(added.pop(), os.path.join(self.server.environment["POSTERN_STORE__PATH"], "local"))
                self.assertEqual(added, set())
                self.check_stored_in_its_folder(os.path.dirname(path), os.path.basename(path), name)
                self.assertEqual(os.path.dirname(path), "blank/" + fields["x-amz-meta-postern-id"])

    def test_return_to(self):
        for url in RETURN_TO_GOOD:
            status, _, form = self.ask({"filename": "a", "return_to": url})
            self.assertEqual(status, 201, url)
            self.assertEqual(self.server.post_form(form["fields"], b"hello", filename="a")[0], 303)
            status, headers, _ = self.server.request("GET", form["complete_url"].removeprefix(self.server.url))
            self.assertEqual(status, 303)
            self.assertTrue(headers["location"].startswith(url), headers["location"])
        for url in RETURN_TO_BAD:
            with self.subTest(url[:60]):
                status, _, answer = self.ask({"filename": "a", "return_to": url})
                self.assertEqual(status, 400, url)
                self.assertIn("return_to", answer["detail"])
        for url in CASE:
            with self.subTest(url):
                status, _, answer = self.ask({"filename": "a", "return_to": url})
                self.assertIn(status, (201, 400))

    def test_ids_claims_and_keys(self):
        form = self.server.sign(filename="a")
        self.assertEqual(self.server.post_form(form["fields"], b"hello", filename="a")[0], 303)
        claim = form["complete_url"].removeprefix(self.server.url)
        for id_ in IDS:
            with self.subTest(id_[:40]):
                with self.server.raw() as s:
                    s.sendall(b"GET /v1/uploads/" + id_.replace(" ", "%20").encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    self.assertIn(read_answer(s)[0], (400, 404))
                self.assertIn(self.server.request("GET", "/v1/complete/" + urllib.parse.quote(id_, safe="%"))[0], (400, 403, 404, 431))
        for query in ("?key=" + "x" * 2000, "?key=other", "?bucket=other", "?bucket=local&bucket=other", "?key=" + urllib.parse.quote(form["key"]) + "&key=other", "?etag=%22x%22", "?etag=%00", "?key=%ff", "?key=%zz", "?" + "a=b&" * 1000, "?key=..%2f..%2f" + urllib.parse.quote(form["key"])):
            with self.subTest(query[:40]):
                status, _, body = self.server.request("GET", claim + query, headers={"Accept": "application/json"})
                self.assertIn(status, (200, 400, 403, 409), body)  # a name that occurs twice counts once, the first time
                if status == 200:
                    self.assertEqual((json.loads(body)["id"], json.loads(body)["key"]), (form["id"], form["key"]))
        self.assertEqual(self.server.request("GET", claim, headers={"Accept": "application/json"})[0], 200)


if __name__ == "__main__":
    main()
