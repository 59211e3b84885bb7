"""S3 events through Amazon SNS: valid and invalid envelopes with real signatures and a real certificate chain."""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from whole_s3 import *
from sns import HOST, ISSUER_URL, TOPIC, Sns, timestamp

ELSEWHERE = "https://sns.us-east-1.amazonaws.com"  # its TLS certificate is for HOST, not for this name


class ThroughSns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3, cls.sns = Rgw().__enter__(), Sns()
        cls.file = tempfile.NamedTemporaryFile()
        cls.file.write(b"hello, store\n" * 1000)
        cls.file.flush()

    @classmethod
    def tearDownClass(cls):
        cls.file.close()
        cls.sns.close()
        cls.s3.close()

    def setUp(self):
        self.sns.requests.clear()
        self.server = self.start()
        self.addCleanup(self.server.close)

    def start(self, **settings):
        return s3_server(self.s3, f'[auth]\nanonymous = true\n[sweep]\nprobe = false\n[events]\nsns_topics = ["{TOPIC}"]\nca_file = "{self.sns.ca_file}"\nsns_connect_to = "{self.sns.address}"\n', **settings)

    def send(self, envelope):
        # SNS sends JSON as text/plain.
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": envelope["Type"], "x-amz-sns-topic-arn": envelope["TopicArn"]}
        status, _, body = self.server.request("POST", "/v1/events", json.dumps(envelope), headers)
        return status, json.loads(body)

    def uploaded(self):
        form = self.server.sign()
        self.assertEqual(curl_form(form["url"], form["fields"], self.file.name)[0], 303)
        event = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Post", "s3": {"bucket": {"name": "media"}, "object": {"key": form["key"].replace(" ", "+")}}}]}
        return form, event

    def state(self, form):
        recorded = self.server.status(form["id"])
        return recorded["state"], recorded.get("completed_by")

    def refused(self, make, status=403, reason=""):
        """Expects that an envelope about a stored object is rejected, and completes nothing."""
        form, event = self.uploaded()
        got, problem = self.send(make(event))
        self.assertEqual(got, status, problem)
        self.assertIn(reason, problem["detail"])
        self.assertEqual(self.state(form), ("issued", None))

    def test_both_signature_versions_are_accepted(self):
        for version in ("1", "2"):
            form, event = self.uploaded()
            self.assertEqual(self.send(self.sns.message(event, version=version)), (200, {"recorded": 1, "ignored": 0}))
            self.assertEqual(self.state(form), ("completed", "event"))
        # The certificate was fetched once, over TLS, and the issuer's certificate from the URL in it.
        self.assertEqual(self.sns.requests, [f"https://{HOST}/sns.amazonaws.com.pem", ISSUER_URL])

    def test_a_message_without_a_subject_is_accepted(self):
        form, event = self.uploaded()
        envelope = self.sns.message(event)
        del envelope["Subject"]
        self.assertEqual(self.send(envelope)[0], 403)  # it was signed
        with_none = self.sns.message({"Service": "Amazon S3", "Event": "s3:TestEvent"}, Subject="")
        self.assertEqual(self.send(with_none), (200, {"recorded": 0, "ignored": 0}))
        self.assertEqual(self.state(form), ("issued", None))

    def test_event_bridge_through_sns(self):
        form, _ = self.uploaded()
        event = {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "media"}, "object": {"key": form["key"]}}}
        self.assertEqual(self.send(self.sns.message(event))[0], 200)
        self.assertEqual(self.state(form), ("completed", "event"))

    def test_certificates_of_a_region_and_with_their_chain_are_accepted(self):
        self.sns.signer("regional", subject="sns-signing.eu-west-1.amazonaws.com")
        self.sns.signer("chained", with_chain=True)
        for signer in ("regional", "chained"):
            form, event = self.uploaded()
            self.assertEqual(self.send(self.sns.message(event, signer=signer))[0], 200)
            self.assertEqual(self.state(form), ("completed", "event"))
        self.assertEqual(self.sns.requests.count(ISSUER_URL), 1)  # not for the issuer that was sent with it

    def test_an_altered_message_is_rejected(self):
        def other_id(event):
            return dict(self.sns.message(event), MessageId="another")
        def other_message(event):
            envelope = self.sns.message({"Records": []})
            return dict(envelope, Message=json.dumps(event))
        def other_version(event):
            return dict(self.sns.message(event), SignatureVersion="1")
        def later(event):
            return dict(self.sns.message(event, Timestamp=timestamp(3000)), Timestamp=timestamp())
        for make in (other_id, other_message, other_version, later):
            self.refused(make, reason="signature does not match its certificate")
        self.refused(lambda e: dict(self.sns.message(e), Signature="!"), 400, "base64")

    def test_a_wrong_topic_is_rejected(self):
        self.refused(lambda e: self.sns.message(e, TopicArn=TOPIC + "2"), reason="not among events.sns_topics")
        self.assertEqual(self.sns.requests, [])

    def test_a_certificate_from_a_wrong_host_is_rejected(self):
        for host in ("https://example.com", f"http://{HOST}", f"https://{HOST}.example.com", f"https://{HOST}:8443", f"https://{HOST}@example.com", "https://127.0.0.1", f"https://x.{HOST}"):
            self.refused(lambda e: self.sns.message(e, host=host), reason="not at https://sns.")
        self.refused(lambda e: dict(self.sns.message(e), SigningCertURL=f"https://{HOST}/x.txt"), reason=".pem")
        self.assertEqual(self.sns.requests, [])
        # A URL of the right form, but the server has no valid certificate for that host.
        self.refused(lambda e: self.sns.message(e, host=ELSEWHERE), 503, "The service is unavailable at the moment")
        self.assertIn("TLS handshake", self.server.log_text())
        self.assertEqual(self.sns.requests, [])

    def test_a_replayed_message_is_processed_once(self):
        form, event = self.uploaded()
        old = self.sns.message(event, Timestamp=timestamp(3700))
        self.assertEqual(self.send(old)[0], 403)
        self.assertEqual(self.send(self.sns.message(event, Timestamp=timestamp(-400)))[0], 403)
        self.assertEqual(self.state(form), ("issued", None))
        envelope = self.sns.message(event)
        self.assertEqual(self.send(envelope), (200, {"recorded": 1, "ignored": 0}))
        for _ in range(2):
            self.assertEqual(self.send(envelope), (200, {"recorded": 0, "ignored": 1}))

    def test_invalid_certificates_are_rejected(self):
        self.sns.issue("stranger", None, ["basicConstraints=critical,CA:TRUE"])
        self.sns.signer("untrusted", by="stranger")
        self.sns.signer("chained-untrusted", by="stranger", with_chain=True)
        self.sns.signer("another", subject="mallory.example.com")
        self.sns.signer("other-region", subject="sns.us-east-1.amazonaws.com")
        self.sns.signer("expired", days=(-2, -1))
        self.sns.files["broken.pem"] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        shutil.copy(self.sns.path("another.key"), self.sns.path("broken.key"))
        shutil.copy(self.sns.path("another.key"), self.sns.path("missing.key"))
        for signer, reason in (("untrusted", "local issuer"), ("chained-untrusted", "certificate:"), ("another", "is not issued for"), ("other-region", "is not issued for"), ("expired", "expired at"),
                             ("broken", "not a certificate"), ("missing", "answered 404")):
            with self.subTest(signer):
                self.refused(lambda e: self.sns.message(e, signer=signer), reason=reason)
        # A valid certificate, but a signature by another key.
        self.refused(lambda e: dict(self.sns.message(e, signer="another"), SigningCertURL=f"https://{HOST}/sns.amazonaws.com.pem"), reason="signature does not match its certificate")

    def test_an_issuer_url_that_is_not_amazons_is_not_requested(self):
        self.sns.issue("elsewhere", "middle", ["subjectAltName=DNS:sns.amazonaws.com", "authorityInfoAccess=caIssuers;URI:http://169.254.169.254/middle.cer"], "sns.amazonaws.com")
        with open(self.sns.path("elsewhere.pem"), "rb") as f:
            self.sns.files["elsewhere.pem"] = f.read()
        self.refused(lambda e: self.sns.message(e, signer="elsewhere"), reason="local issuer")
        self.assertEqual(self.sns.requests, [f"https://{HOST}/elsewhere.pem"])

    def test_a_subscription_is_confirmed(self):
        envelope = self.sns.confirmation()
        self.assertEqual(self.send(envelope)[0], 200)
        self.assertEqual(self.sns.requests[-1], f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37")
        asked = len(self.sns.requests)
        self.assertEqual(self.send(envelope)[0], 200)  # a repeated confirmation is already done
        for url, changes in ((f"https://example.com/?Action=ConfirmSubscription&TopicArn={TOPIC}", {}), (f"https://{HOST}/?Action=Unsubscribe&TopicArn={TOPIC}", {}),
                             (f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}2", {}), (None, {"TopicArn": TOPIC + "2"})):
            self.assertEqual(self.send(self.sns.confirmation(url=url, **changes))[0], 403)
        self.assertEqual(self.send(dict(self.sns.confirmation(), Token="another"))[0], 403)
        self.assertEqual(self.send(self.sns.confirmation("UnsubscribeConfirmation"))[0], 200)
        self.assertEqual(len(self.sns.requests), asked)
        text = self.server.log_text()
        self.assertIn("SNS subscription confirmed", text)
        self.assertIn("SNS subscription ended", text)
        self.assertNotIn("2336412f37", text)

    def test_an_unreachable_sns_is_asked_again(self):
        port = free_port()
        with self.start(events__sns_connect_to=f"127.0.0.1:{port}") as server:
            envelope = json.dumps(self.sns.message({"Records": []}))
            status, headers, _ = server.request("POST", "/v1/events", envelope)
            self.assertEqual(status, 503)
            self.assertIn(headers["retry-after"], spread(5))

    def test_without_topics_sns_messages_are_rejected(self):
        with self.start(events__sns_topics="[]") as server:
            self.assertEqual(server.request("POST", "/v1/events", json.dumps(self.sns.message({"Records": []})))[0], 401)
        with self.start(events__sns_topics="[]", events__token="a token for the tests") as server:
            headers = {"Authorization": "Bearer a token for the tests"}
            self.assertEqual(server.request("POST", "/v1/events", json.dumps(self.sns.message({"Records": []})), headers)[0], 403)

    def test_an_issuer_unknown_to_the_system_is_rejected(self):
        with self.start(events__ca_file="") as server:
            status, _, body = server.request("POST", "/v1/events", json.dumps(self.sns.message({"Records": []})))
            self.assertEqual(status, 503, body)  # its TLS certificate is rejected too


if __name__ == "__main__":
    need_rgw()
    main()
