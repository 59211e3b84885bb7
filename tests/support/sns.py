"""Amazon SNS for the tests: a certificate authority made with the openssl command, messages signed as SNS signs them, and
one port on which its hosts answer, over TLS and, for issuers' certificates, in plain HTTP."""

import base64, http.server, json, os, shutil, socket, ssl, subprocess, tempfile, threading, time, uuid

# For `openssl ca`: only this command accepts past dates in all releases of OpenSSL 3.
AUTHORITY = """[ca]
default_ca = authority
[authority]
database = {folder}/issued
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
[policy]
commonName = supplied
"""
TOPIC = "arn:aws:sns:eu-west-1:123456789012:uploads"
HOST = "sns.eu-west-1.amazonaws.com"
ISSUER_URL = "http://crt.test.amazontrust.com/middle.cer"
SIGNED = {"Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")}
SIGNED_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def timestamp(ago=0):
    return time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime(time.time() - ago))


class Sns:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="postern-sns-")
        self.requests, self.files = [], {}
        with open(self.path("authority"), "w") as f:
            f.write(AUTHORITY.format(folder=self.folder))
        open(self.path("issued"), "w").close()
        self.issue("root", None, ["basicConstraints=critical,CA:TRUE"])
        self.issue("middle", "root", ["basicConstraints=critical,CA:TRUE"])
        self.issue(HOST, "root", [f"subjectAltName=DNS:{HOST}"])
        self.files[ISSUER_URL.rsplit("/", 1)[1]] = subprocess.run(["openssl", "x509", "-in", self.path("middle.pem"), "-outform", "DER"], check=True, capture_output=True).stdout
        # As SNS does: the certificate alone, with the URL of its issuer's certificate.
        self.signer("sns.amazonaws.com")
        self.ca_file = self.path("root.pem")
        self.server = self.listen()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    # --- certificates -----------------------------------------------------------------------------

    def issue(self, name, by, extensions, subject=None, days=(-1, 1)):
        """Makes a certificate NAME.pem with its key, signed by BY or self-signed, valid for these days relative to now."""
        def openssl(*command):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + (subject or name), "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        with open(self.path("extensions"), "w") as f:
            f.write("\n".join(extensions) + "\n")
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * 86400)) for d in days)
        issuer = ["-cert", self.path(by + ".pem"), "-keyfile", self.path(by + ".key")] if by else ["-selfsign", "-keyfile", self.path(name + ".key")]
        openssl("ca", "-batch", "-notext", "-config", self.path("authority"), "-in", self.path(name + ".csr"), *issuer, "-startdate", begin, "-enddate", end,
                "-extfile", self.path("extensions"), "-out", self.path(name + ".pem"))

    def signer(self, name, subject="sns.amazonaws.com", by="middle", with_chain=False, **more):
        """Makes a certificate that signs messages, served as /NAME.pem."""
        self.issue(name, by, [f"subjectAltName=DNS:{subject}", f"authorityInfoAccess=caIssuers;URI:{ISSUER_URL}"], subject, **more)
        with open(self.path(name + ".pem"), "rb") as f:
            self.files[name + ".pem"] = f.read()
        if with_chain:
            with open(self.path(by + ".pem"), "rb") as f:
                self.files[name + ".pem"] += f.read()

    # --- messages ---------------------------------------------------------------------------------

    def message(self, message, signer="sns.amazonaws.com", version="2", host="https://" + HOST, **changes):
        """An envelope around `message`, signed. `changes` are made before it is signed."""
        envelope = {"Type": "Notification", "MessageId": str(uuid.uuid4()), "TopicArn": TOPIC, "Subject": "Amazon S3 Notification",
                    "Message": message if isinstance(message, str) else json.dumps(message), "Timestamp": timestamp(), "SignatureVersion": version,
                    "SigningCertURL": f"{host}/{signer}.pem", "UnsubscribeURL": f"https://{HOST}/?Action=Unsubscribe"}
        envelope.update(changes)
        names = SIGNED.get(envelope["Type"], SIGNED_CONFIRMATION)
        text = "".join(f"{n}\n{envelope[n]}\n" for n in names if n in envelope)
        done = subprocess.run(["openssl", "dgst", "-sha1" if version == "1" else "-sha256", "-sign", self.path(signer + ".key")], input=text.encode(), check=True, capture_output=True)
        envelope["Signature"] = base64.b64encode(done.stdout).decode()
        return envelope

    def confirmation(self, kind="SubscriptionConfirmation", url=None, **changes):
        url = url or f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
        return self.message("You have chosen to subscribe to the topic.", Type=kind, Token="2336412f37", SubscribeURL=url, **changes)

    # --- the hosts --------------------------------------------------------------------------------

    def listen(self):
        sns = self
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.path(HOST + ".pem"), self.path(HOST + ".key"))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
                sns.requests.append(f"{scheme}://{self.headers['Host']}{self.path}")
                body = sns.files.get(self.path.lstrip("/"), b"<ConfirmSubscriptionResponse/>" if "Action=ConfirmSubscription" in self.path else None)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, request, address):
                request.settimeout(30)
                if request.recv(1, socket.MSG_PEEK) != b"\x16":  # no TLS handshake
                    return Handler(request, address, self)
                with tls.wrap_socket(request, server_side=True) as secure:
                    Handler(secure, address, self)

            def handle_error(self, *_):
                pass  # the client rejects the certificate

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
