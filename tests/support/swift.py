"""A real S3 server without POST Object: OpenStack Swift's s3api, as plain processes in a folder of their own, objects in memory.

    with Swift() as s3:

It has no POST Object, no If-None-Match, no checksums, and no documents of a bucket (CORS, lifecycle, notifications). Which pages may upload is a setting of the server, `cors`.

python3 tests/support/swift.py runs one until Ctrl-C and prints how to reach it.
"""

import os, shutil, signal, subprocess, sys, tempfile, time, urllib.request
from ports import free_port
from s3_requests import REGION, Denied, S3Server
import watchdog

PACKAGES = "swift-proxy, swift-account, swift-container and swift-object"
PROXY = """[DEFAULT]
swift_dir = {folder}
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
workers = 0
log_address = /dev/null
{cors_of_answers}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
check_bucket_owner = false
location = {region}
{cors_of_preflights}
allow_multipart_uploads = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
"""
STORAGE = """[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
workers = 0
log_address = /dev/null
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{app}
"""
# Swift's own program makes a ring in three runs, each of which takes a second to start.
MAKE_RINGS = """import sys
from swift.common.ring import RingBuilder
for path, port in zip(sys.argv[1::2], sys.argv[2::2]):
    ring = RingBuilder(1, 1, 1)
    at = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
    ring.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1.0, "meta": "", **at})
    ring.rebalance()
    ring.get_ring().save(path)
"""
PYTHON = "/usr/bin/python3"  # of the packages
APPS = {"account": "account", "container": "container", "object": "mem_object"}


def is_installed():
    return all(shutil.which(f"swift-{name}-server") for name in ("proxy", *APPS))


class Swift(S3Server):
    access_key, secret_key = "test:tester", "the-key-of-the-tester"

    def __init__(self, bucket="media", cors=True):
        self.folder = tempfile.mkdtemp(prefix="postern-swift-")
        watchdog.watch_folder(self.folder)
        self.bucket, self.cors = bucket, cors
        self.ports = {name: free_port() for name in ("proxy", *APPS)}
        self.port = self.ports["proxy"]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.processes = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        os.makedirs(self.path("devices/d1"))
        self.write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n[storage-policy:0]\nname = gold\ndefault = yes\n")
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        for name, app in APPS.items():
            self.write(f"{name}-server.conf", STORAGE.format(folder=self.folder, port=self.ports[name], user=user, name=name, app=app))
        self.make_rings()
        self.write("proxy-server.conf", PROXY.format(
            folder=self.folder, port=self.port, user=user, region=REGION, secret=self.secret_key, cors_of_preflights="cors_preflight_allow_origin = *" if self.cors else "",
            cors_of_answers="cors_allow_origin = *\ncors_expose_headers = etag\nstrict_cors_mode = false" if self.cors else ""))
        for name in (*APPS, "proxy"):
            with open(self.path(name + ".out"), "ab") as out:
                self.processes[name] = subprocess.Popen([f"swift-{name}-server", self.path(f"{name}-server.conf")], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True)
            watchdog.watch(self.processes[name].pid)
        self.wait("the proxy", lambda: urllib.request.urlopen(self.endpoint + "/healthcheck", timeout=10).close() is None)
        self.wait("the bucket", lambda: self.make_bucket(self.bucket))

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def make_rings(self):
        rings = [text for name in APPS for text in (self.path(name + ".ring.gz"), str(self.ports[name]))]
        done = subprocess.run([PYTHON, "-c", MAKE_RINGS, *rings], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"the rings cannot be made: {done.stdout[-1000:]}{done.stderr[-2000:]}")

    def wait(self, what, probe):
        end = time.monotonic() + 90
        while True:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    with open(self.path(name + ".out"), errors="replace") as f:
                        raise RuntimeError(f"the server of {name} ended while waiting for {what}: {f.read()[-2000:]}")
            try:
                if probe():
                    return
            except (OSError, Denied) as e:
                if time.monotonic() > end:
                    raise RuntimeError(f"gave up waiting for {what}: {e}") from e
            time.sleep(0.05)


def leave(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    with Swift() as swift:
        print(f"endpoint {swift.endpoint}  bucket {swift.bucket}  access key {swift.access_key}  secret key {swift.secret_key}", flush=True)
        while True:
            signal.pause()
