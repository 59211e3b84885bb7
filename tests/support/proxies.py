"""The real nginx and HAProxy with the files of conf/, in front of a Postern of their own.

    class Tests(BehindProxy):           the tests, with self.server, self.request() and self.sign()
    class WithNginx(Nginx, Tests): pass
    class WithHaProxy(HaProxy, Tests): pass
    del BehindProxy, Tests              they are no tests themselves
"""

import ssl
from whole import *
from certificates import Authority

CONF = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "conf"))


def program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


class Proxy:
    """A proxy with a file of conf/. `changes` replaces the addresses, certificates and folders of the file: each text must occur in it."""

    def __init__(self, name, folder, command, changes):
        with open(os.path.join(CONF, name), encoding="utf-8") as f:
            text = f.read()
        for old, new in changes.items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        checked = subprocess.run([*command(path), "-t" if "nginx" in name else "-c"], capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stderr + checked.stdout
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        self.process = subprocess.Popen(command(path), stdout=self.log, stderr=self.log)
        watchdog.watch(self.process.pid)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def nginx_command(folder, path):
    return [program("nginx"), "-p", folder, "-c", path, "-g", "daemon off;"]


def nginx_changes(folder, port):
    """The changes that let nginx run in a folder of the test, in front of the Postern on `port`. The addresses and the certificate are the caller's."""
    temporary = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return {"user www-data;\n": "user root;\n" if os.geteuid() == 0 else "", "/run/nginx.pid": folder + "/nginx.pid", "/var/log/nginx": folder, "http {\n": "http {\n" + temporary,
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{port};"}


class PlainNginx(Proxy):
    """nginx with conf/nginx.conf, but without TLS: thousands of handshakes would be the test's own work. It listens on `port`."""

    def __init__(self, folder, port, server_port):
        changes = {**nginx_changes(folder, server_port), "listen 80;": f"listen unix:{folder}/plain;", "listen 443 ssl;": f"listen 127.0.0.1:{port};",
                   "ssl_certificate /etc/ssl/uploads.pem;": "", "ssl_certificate_key /etc/ssl/uploads.key;": ""}
        super().__init__("nginx.conf", folder, lambda path: nginx_command(folder, path), changes)


class BehindProxy(unittest.TestCase):
    """Tests behind one proxy, which Nginx or HaProxy names. Clients come from 127.0.0.2; the proxy connects from 127.0.0.1."""

    name, config = "", ""

    @classmethod
    def command(cls, path):
        raise NotImplementedError

    @classmethod
    def changes(cls):
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        if not program(cls.name):
            raise unittest.SkipTest(f"{cls.name} is not installed; tests/run installs it")
        cls.folder = tempfile.mkdtemp(prefix="postern-test-")
        watchdog.watch_folder(cls.folder)
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.authority = Authority(cls.folder)
        cls.certificate, cls.key = cls.authority.certificate("localhost")
        cls.plain_port, cls.tls_port = free_port(), free_port()
        cls.context = ssl.create_default_context(cafile=cls.authority.file)
        cls.url = f"https://127.0.0.1:{cls.tls_port}"
        cls.server = Server(server__public_url=cls.url, server__trusted_proxies='["127.0.0.1"]')
        cls.addClassCleanup(cls.server.close)
        proxy = cls.start(cls.changes())
        cls.addClassCleanup(proxy.close)

    @classmethod
    def start(cls, changes):
        proxy = Proxy(cls.config, cls.folder, cls.command, changes)
        try:
            wait_until(lambda: accepts(cls.tls_port), f"{cls.name} listens")
        except BaseException:
            proxy.close()
            raise
        return proxy

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=60, context=self.context, source_address=("127.0.0.2", 0))

    def request(self, method, path, body=None, headers=None):
        with contextlib.closing(self.connect()) as c:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()

    def sign(self, **ask):
        status, _, body = self.request("POST", "/v1/uploads", json.dumps({"filename": "a.bin", **ask}), {"Content-Type": "application/json"})
        self.assertEqual(status, 201, body)
        return json.loads(body)


class Nginx(BehindProxy):
    name, config = "nginx", "nginx.conf"

    @classmethod
    def command(cls, path):
        return nginx_command(cls.folder, path)

    @classmethod
    def changes(cls):
        return {**nginx_changes(cls.folder, cls.server.port), "listen 80;": f"listen 127.0.0.1:{cls.plain_port};", "listen 443 ssl;": f"listen 127.0.0.1:{cls.tls_port} ssl;",
                "/etc/ssl/uploads.pem": cls.certificate, "/etc/ssl/uploads.key": cls.key}


class HaProxy(BehindProxy):
    name, config = "haproxy", "haproxy.cfg"

    @classmethod
    def command(cls, path):
        return [program("haproxy"), "-db", "-f", path]

    @classmethod
    def changes(cls):
        both = os.path.join(cls.folder, "both.pem")
        with open(both, "w", encoding="utf-8") as f:
            for part in (cls.certificate, cls.key):
                with open(part, encoding="utf-8") as g:
                    f.write(g.read())
        return {**({} if os.geteuid() == 0 else {"  user haproxy\n  group haproxy\n": ""}), "bind :80\n": f"bind 127.0.0.1:{cls.plain_port}\n", "bind :443 ssl": f"bind 127.0.0.1:{cls.tls_port} ssl",
                "/etc/ssl/uploads-with-key.pem": both, "server node1 127.0.0.1:8080": f"server node1 127.0.0.1:{cls.server.port}"}
