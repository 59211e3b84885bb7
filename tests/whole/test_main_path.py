"""The main path of every upload through the real program: sign, upload through the fallback, complete."""

import os, subprocess, sys, tempfile, json, re

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *


class MainPath(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('[auth]\nanonymous = true\n[server]\nallowed_origins = ["https://app.example.com"]\n[profiles.back]\nreturn_to = ["https://app.example.com/*"]\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_a_redirected_upload_is_recorded(self):
        form, data = self.server.sign(), random_bytes(100_000)
        status, headers, _ = self.server.post_form(form["fields"], data)
        self.assertEqual(status, 303)
        location, etag = headers["location"], headers["etag"].strip('"')
        key = form["key"].replace("/", "%2F").replace(" ", "%20")
        self.assertEqual(location, f"{form['complete_url']}?bucket=local&key={key}&etag=%22{etag}%22")
        path = location.removeprefix(self.server.url)
        for _ in range(2):  # a reload gets the same response
            status, headers, body = self.server.request("GET", path, headers={"Accept": "application/json", "Origin": "null"})
            self.assertEqual((status, headers["access-control-allow-origin"]), (200, "*"))
            recorded = json.loads(body)
            self.assertEqual((recorded["state"], recorded["size"], recorded["etag"], recorded["id"]), ("completed", len(data), etag, form["id"]))
        status, headers, body = self.server.request("GET", path)
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(form["id"].encode(), body)
        recorded = self.server.status(form["id"])
        self.assertEqual((recorded["state"], recorded["size"]), ("completed", len(data)))
        with open(self.server.object_path(form["key"]), "rb") as f:
            self.assertEqual(f.read(), data)

    def test_a_form_chooses_its_success_status(self):
        for status in (200, 201, 204):
            with self.subTest(status):
                form = self.server.sign(success_action_status=status)
                self.assertNotIn("success_action_redirect", form["fields"])
                got, headers, body = self.server.post_form(form["fields"], b"hello")
                self.assertEqual(got, status)
                self.assertTrue(headers["etag"].startswith('"'))
                self.assertTrue(headers["location"].startswith(self.server.url + "/upload/local/uploads/"))
                if status == 201:
                    self.assertRegex(body, rb"<PostResponse><Location>.*</Location><Bucket>local</Bucket><Key>.*</Key><ETag>.*</ETag></PostResponse>")
                else:
                    self.assertEqual(body, b"")
                self.assertEqual(self.server.status(form["id"])["state"], "completed")
                path = form["complete_url"].removeprefix(self.server.url)
                self.assertEqual(self.server.request("GET", path, headers={"Accept": "application/json"})[0], 200)

    def test_an_upload_with_curl(self):
        with tempfile.TemporaryDirectory() as folder:
            data = random_bytes(3_000_000)
            with open(folder + "/f.bin", "wb") as f:
                f.write(data)
            curl = lambda *a: subprocess.run(["curl", "-s", *a], capture_output=True, text=True, cwd=folder, check=True).stdout
            form = json.loads(curl(self.server.url + "/v1/uploads", "-H", "content-type: application/json", "-d", '{"filename":"a b.bin"}'))
            parts = [x for n, v in form["fields"].items() for x in ("-F", f"{n}={v}")]
            body = curl("-L", "-H", "Accept: application/json", *parts, "-F", "file=@f.bin", form["fallback_url"])
            self.assertEqual(json.loads(body)["state"], "completed")
            with open(self.server.object_path(form["key"]), "rb") as f:
                self.assertEqual(f.read(), data)

    def test_a_user_is_sent_back_to_the_application(self):
        form = self.server.sign(profile="back", return_to="https://app.example.com/done?x=1#top")
        _, headers, _ = self.server.post_form(form["fields"], b"hello")
        status, headers, _ = self.server.request("GET", headers["location"].removeprefix(self.server.url))
        self.assertEqual((status, headers["location"]), (303, f"https://app.example.com/done?x=1&id={form['id']}&state=completed#top"))

    def test_a_failed_upload_sends_its_user_back_too(self):
        form = self.server.sign(profile="back", return_to="https://app.example.com/done", size=5)
        status, headers, _ = self.server.post_form(form["fields"], b"not five")
        self.assertEqual((status, headers["location"]), (303, f"https://app.example.com/done?id={form['id']}&state=failed&code=entity_too_large"))

    def test_only_listed_origins_may_call(self):
        for origin, allowed in (("https://app.example.com", True), (self.server.url, True), ("https://evil.example.com", False), ("null", False), ("https://app.example.com.evil.example", False)):
            with self.subTest(origin):
                status, headers, _ = self.server.request("OPTIONS", "/v1/uploads", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
                self.assertEqual(status, 204)
                self.assertEqual(headers.get("access-control-allow-origin"), origin if allowed else None)
                self.assertEqual(headers.get("access-control-allow-credentials"), "true" if allowed else None)
                body = json.dumps({"filename": "x"})
                status, headers, _ = self.server.request("POST", "/v1/uploads", body, {"Origin": origin, "Content-Type": "application/json"})
                self.assertEqual(status, 201 if allowed else 403)
                self.assertEqual(headers.get("access-control-allow-origin"), origin if allowed else None)

    def test_the_form_without_javascript_uploads(self):
        status, headers, body = self.server.request("GET", "/form?profile=default")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        import html
        fields = [(html.unescape(n), html.unescape(v)) for n, v in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', body.decode())]
        status, headers, body = self.server.post_form(fields, b"hello", filename="C:\\dir\\na\u00efve file.txt", behind=field("submit", "Send"))
        self.assertEqual(status, 303, body)
        status, _, body = self.server.request("GET", headers["location"].removeprefix(self.server.url), headers={"Accept": "application/json"})
        self.assertEqual(status, 200, body)
        self.assertTrue(json.loads(body)["key"].endswith("/na\u00efve file.txt"))

    def test_an_unknown_upload_is_404_without_a_key(self):
        with Server("[auth]\nanonymous = false\n") as closed:
            self.assertEqual(closed.request("GET", "/v1/uploads/" + "0" * 8 + "-0000-7000-8000-" + "0" * 12)[0], 404)


main()
