"""A real store without POST Object: OpenStack Swift's s3api. Postern finds out, uploads through the fallback, and the doctor says so."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
import swift

CONFIG = """[auth]
anonymous = true
api_keys = [{ name = "service", sha256 = "%s", rights = ["sign", "read", "manage"] }]
[profiles.short]
key = "short/${id}/${filename}"
expires = "2s"
[sweep]
interval = "500ms"
grace = "0s"
probe = false
""" % hashlib.sha256(b"the key of the service").hexdigest()
SERVICE = {"Authorization": "Bearer the key of the service"}


def swift_server(s3, config=CONFIG, **settings):
    return s3_server(s3, config, **{"store__credentials__access_key": s3.access_key, "store__credentials__secret_key": s3.secret_key, **settings})


class OnSwift(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = swift.Swift().__enter__()
        cls.server = swift_server(cls.s3)
        what_the_store_can_do(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.s3.close()

    def test_the_start_logs_what_swift_can_do(self):
        self.assertIn('store=default ways="put, multipart" checksums=none if_none_match=false bucket_cors=false', what_the_store_can_do(self.server))
        self.assertEqual([k for k in self.s3.keys() if "postern-abilities-" in k], [])
        self.assertEqual(self.s3.multiparts(), 0)

    def test_a_form_leads_to_the_fallback(self):
        form = self.server.sign()
        self.assertEqual(form["url"], form["fallback_url"])
        with swift_server(self.s3, store__ways='["form"]', store__checksums="none", store__if_none_match="none") as server:  # the setting is believed
            self.assertEqual(server.sign()["url"], f"{self.s3.endpoint}/media/")
            self.assertNotIn("the store was asked", server.log_text())

    def test_fallback_uploads_of_every_size(self):
        for size in (0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 20 * MIB):
            for promised in (False, True):
                with self.subTest(f"{size} {'promised' if promised else ''}"):
                    form, data = self.server.sign(**({"size": size} if promised else {})), Pattern(size, size + 1)
                    status, _, body = send_large(self.server, form, data)
                    self.assertEqual(status, 303, body)
                    check_taken_by_fallback(self, self.s3, self.server, form, data)

    def test_a_chunked_upload(self):
        for size in (0, 9 * MIB):
            form, data = self.server.sign(), Pattern(size, 7)
            self.assertEqual(send_large(self.server, form, data, chunked=True)[0], 303)
            check_taken_by_fallback(self, self.s3, self.server, form, data)

    def test_keys_and_metadata(self):
        for name in ("a b+c%.bin", "ümläut 😀", "quote\"s'"):
            form = self.server.sign(filename=name, metadata={"album": "summer", "title": "été"}, content_type="image/jpeg")
            data = Pattern(10)
            self.assertEqual(send_large(self.server, form, data)[0], 303)
            check_taken_by_fallback(self, self.s3, self.server, form, data)
            head = self.s3.head(form["key"])
            self.assertEqual((head["content-type"], head["x-amz-meta-album"], head["x-amz-meta-postern-id"]), ("image/jpeg", "summer", form["id"]))

    def upload(self, size=1000, **ask):
        form, data = self.server.sign(headers=SERVICE, **ask), Pattern(size, size)
        self.assertEqual(send_large(self.server, form, data)[0], 303)
        return form, b"".join(data)

    def test_a_download(self):
        for size in (0, 1000, 6 * MIB):
            form, data = self.upload(size)
            status, headers, _ = self.server.request("GET", f"/v1/uploads/{form['id']}/download", headers=SERVICE)
            self.assertEqual(status, 302)
            where = urlsplit(headers["location"])
            c = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
            c.request("GET", where.path + "?" + where.query)
            answer = c.getresponse()
            self.assertEqual((answer.status, answer.read()), (200, data))
            self.assertIn("attachment", answer.headers["content-disposition"])
            c.close()

    def test_a_removal(self):
        for size in (1000, 6 * MIB):
            form, _ = self.upload(size)
            self.assertTrue(self.s3.has(form["key"]))
            status, _, body = self.server.request("DELETE", f"/v1/uploads/{form['id']}", headers=SERVICE)
            self.assertIn(status, (200, 202, 204), body)
            wait_until(lambda f=form: not self.s3.has(f["key"]), "the object is deleted")
            wait_until(lambda f=form: self.server.status(f["id"])["state"] == "removed", "the upload is removed")

    def test_the_sweep_finds_an_object_that_was_put_directly(self):
        form = self.server.sign(profile="short", content_type="text/plain")
        self.s3.request("PUT", form["key"], body=b"hello", headers={"Content-Type": "text/plain", "x-amz-meta-postern-id": form["id"]})
        wait_until(lambda: self.server.status(form["id"])["state"] == "completed", "the completion", 20)
        found = self.server.status(form["id"])
        self.assertEqual((found["size"], found["completed_by"]), (5, "sweep"))

    def test_an_interrupted_upload_leaves_nothing(self):
        form, data = self.server.sign(), Pattern(100 * MIB)
        with self.server.raw() as s:
            begin = form_begin(form["fields"])
            s.sendall(form_header(len(begin) + data.size + len(form_end()), "media") + begin)
            for piece in itertools.islice(data, 7):
                s.sendall(piece)
            wait_until(lambda: self.server.status(form["id"])["state"] == "receiving", "the upload begun")
        wait_until(lambda: self.server.status(form["id"])["state"] == "issued", "the form is free again")
        wait_until(lambda: self.s3.multiparts() == 0, "its multipart upload aborted")
        self.assertFalse(self.s3.has(form["key"]))


class Doctor(unittest.TestCase):
    def examine(self, server, command="doctor", *more):
        done = subprocess.run([BINARY, command, *more, "--config", server.config], env=server.environment, cwd=server.folder, capture_output=True, text=True, timeout=120, check=False)
        if os.environ.get("SHOW"):
            print(f"\n--- {self.id().split('.')[-1]}: exit {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def test_the_doctor_says_that_there_is_no_post_and_that_put_is_used(self):
        with swift.Swift() as s3, swift_server(s3, server__allowed_origins='["https://app.example.com"]') as server:
            code, text = self.examine(server)
            self.assertEqual(code, 0, text)
            self.assertIn("no POST Object: browsers use a presigned PUT", text)
            self.assertIn(f"✓ presigned PUT profile \"default\": a file put to {s3.endpoint} with a presigned URL is stored", text)
            self.assertIn("✓ CORS pages of https://app.example.com may put files", text)
            self.assertIn("– lifecycle cannot be checked: the store has no lifecycle rules", text)
            self.assertNotIn("✗", text)
            self.assertEqual(s3.keys(), [])
            self.assertEqual(s3.multiparts(), 0)

    def test_the_doctor_finds_what_does_not_fit(self):
        with swift.Swift(cors=False) as s3, swift_server(s3) as server:
            code, text = self.examine(server)
            self.assertEqual(code, 1)
            self.assertIn("cors_preflight_allow_origin", text)
            for setting, words in (('["form"]', 'the store has no POST Object, and store.ways names "form"'), ("[]", "leaves \"put\" out")):
                server.environment["POSTERN_STORE__WAYS"] = setting
                code, text = self.examine(server)
                self.assertIn(words, text)
            self.assertEqual(code, 0, text)  # browsers do not reach the store, so there is nothing wrong
            code, text = self.examine(server, "setup", "lifecycle", "--apply")
            self.assertEqual(code, 1)
            self.assertIn("this store has no lifecycle rules", text)
            code, text = self.examine(server, "setup", "cors", "--apply")
            self.assertEqual(code, 1)
            self.assertIn("this store has no CORS rules for each bucket", text)


if __name__ == "__main__":
    if not swift.is_installed():
        skip_all(f"Swift is not installed ({swift.PACKAGES}); tests/run installs it")
    main()
