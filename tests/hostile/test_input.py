"""Input that was made to hurt: each case is answered with an error that names the fault, and leaves the server as it was."""

import os, resource, sys, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole import *

MIB = 1 << 20
CONFIG = """
[auth]
anonymous = true
[profiles.default]
return_to = ["https://app.example.com/albums/*"]
[profiles.blank]
key = "blank/${id}/${filename}"
"""


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_a_zero_byte_in_a_name_is_a_fault_of_the_client(self):
        form = self.server.sign()
        status, _, body = self.server.post_form({**form["fields"], "x-ignore-note": "a\0b"}, b"hello")
        self.assertEqual(status, 400, body)
        self.assertIn("zero byte", body.decode())
        form = self.server.sign(profile="blank")
        claim = form["complete_url"].removeprefix(self.server.url)
        self.assertIn(self.server.request("GET", claim + "?bucket=local&key=" + urllib.parse.quote(form["key"]) + "%00")[0], (400, 403))

    def test_a_way_out_of_a_prefix_of_return_to_is_refused_however_it_is_encoded(self):
        for way_out in ("../x", "..%2fx", "%2e%2e%2fx", "a%2F..%2F..%2Fx", "..%5cx"):
            status, _, body = self.server.request("POST", "/v1/uploads", json.dumps({"filename": "a", "return_to": "https://app.example.com/albums/" + way_out}).encode(), {"Content-Type": "application/json"})
            self.assertEqual(status, 400, way_out)
            self.assertIn("return_to", body.decode())

    def test_the_admin_listener_answers_to_its_own_names(self):
        def ask(host, port=self.server.admin_port):
            return self.server.request("GET", "/v1/uploads", headers={"Host": host}, port=port)
        for host in ("attacker.example", "attacker.example:8081", "127.0.0.1.attacker.example", "admin.internal"):
            status, _, body = ask(host)
            self.assertEqual(status, 403, host)
            self.assertIn("server.admin_hosts", body.decode())
        for host in ("127.0.0.1", "localhost:8081", "[::1]:8081", "postern", "10.1.2.3:9090"):
            self.assertEqual(ask(host)[0], 200, host)
        with Server(CONFIG, server__admin_hosts='["admin.internal"]') as server:
            self.assertEqual(ask("Admin.internal:8081", server.admin_port)[0], 200)
            self.assertEqual(ask("attacker.example", server.admin_port)[0], 403)

    def test_a_number_in_a_policy_that_overflows_is_refused(self):
        for number in ("18446744073709551616", "9223372036854775808", "1e400", '"18446744073709551616"', "-1"):
            for ends in (f"0, {number}", f"{number}, {number}"):
                document = json.dumps({"expiration": "2099-01-01T00:00:00Z", "conditions": [{"bucket": "local"}, ["starts-with", "$key", "foo"]]})
                document = document.replace("]}", f', ["content-length-range", {ends}]]}}')
                status, _, body = self.server.post_form(sdk_form(document=document, access_key=ACCESS_KEY), b"hello")
                self.assertEqual(status, 400, (ends, body))
                self.assertEqual(s3_code(body), "InvalidPolicyDocument", ends)

    def test_a_file_beyond_the_limit_of_the_process_fails_alone(self):
        with Server(CONFIG) as server:
            limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))
            self.assertEqual(limits[0], resource.RLIM_INFINITY)
            status, _, body = server.post_form(server.sign()["fields"], bytes(9 * MIB))
            self.assertIn(status, (500, 503), body)
            status, _, body = server.post_form(server.sign()["fields"], b"hello")
            self.assertEqual(status, 303, body)
            self.assertEqual(server.leftovers(), [])


main()
