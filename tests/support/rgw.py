"""A real S3 and STS server for the tests: Ceph RGW in front of one OSD, as plain processes in a folder of their own.

    with Rgw() as s3:            objects in memory, at most some 4 GiB of them
    with Rgw(disk=20 << 30):     objects in a sparse file
    s3.kill(), s3.revive()       the gateway alone, as if it had crashed; what it stored stays

python3 tests/support/rgw.py runs one until Ctrl-C and prints how to reach it.
"""

import os, shutil, signal, subprocess, sys, tempfile, time, urllib.parse, uuid
from ports import free_port
from s3_requests import ACCESS_KEY, SECRET_KEY, REGION, Denied, S3Server, signed  # pylint: disable=unused-import  # the tests take these names from here
import watchdog


def is_installed():
    return all(shutil.which(p) for p in ("ceph-mon", "ceph-osd", "radosgw", "ceph", "radosgw-admin", "monmaptool"))


class Rgw(S3Server):
    def __init__(self, bucket="media", disk=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="postern-rgw-")
        watchdog.watch_folder(self.folder)
        self.bucket, self.disk = bucket, disk
        self.port, self.mon_port = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.processes = {}
        self.environment = dict(os.environ, CEPH_CONF=self.path("ceph.conf"), CEPH_ARGS="", MALLOC_MMAP_THRESHOLD_="131072")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    # --- life -----------------------------------------------------------------------------------

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
        for name in ("mon", "osd", "run", "log"):
            os.makedirs(self.path(name), exist_ok=True)
        fsid = str(uuid.uuid4())
        self.write_configuration(fsid)
        self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{self.mon_port}/0]", self.path("monmap"))
        self.tool("ceph-mon", "-i", "a", "--mkfs", "--monmap", self.path("monmap"))
        self.daemon("ceph-mon", "-i", "a")
        if self.disk:
            with open(self.path("osd", "block"), "wb") as f:
                f.truncate(self.disk)
        self.tool("ceph-osd", "-i", "0", "--mkfs", "--no-mon-config", "--osd-uuid", str(uuid.uuid4()))
        self.daemon("ceph-osd", "-i", "0")
        self.wait("the OSD", lambda: " 1 up" in self.tool("ceph", "--connect-timeout", "10", "osd", "stat"))
        self.tool("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", "--caps", "roles=*", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        # Host style too: BUCKET.localhost is 127.0.0.1.
        zonegroup = self.tool("radosgw-admin", "zonegroup", "get").replace('"hostnames": []', '"hostnames": ["localhost"]')
        self.tool("radosgw-admin", "zonegroup", "set", stdin=zonegroup)
        self.revive()
        self.wait("the gateway", lambda: self.make_bucket(self.bucket))

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self):
        process = self.processes.pop("radosgw")
        process.kill()
        process.wait()

    def revive(self):
        self.daemon("radosgw", "-n", "client.rgw")

    def freeze(self, yes=True):
        """The gateway accepts connections and does not answer, as an overloaded store does."""
        self.processes["radosgw"].send_signal(signal.SIGSTOP if yes else signal.SIGCONT)

    def slow_down(self, milliseconds):
        """Each write of the OSD takes that much longer."""
        self.tool("ceph", "daemon", self.path("run", "osd.0.asok"), "config", "set", "osd_debug_inject_dispatch_delay_duration", str(milliseconds / 1000))
        self.tool("ceph", "daemon", self.path("run", "osd.0.asok"), "config", "set", "osd_debug_inject_dispatch_delay_probability", "1" if milliseconds else "0")

    # --- what tests ask of it beside S3's requests ------------------------------------------------

    def make_role(self, name="uploader", allow="s3:*", principal="arn:aws:iam:::user/test"):
        def ask(**parameters):
            # No blanks: RGW reads the + of an encoded blank as a plus sign.
            body = "&".join(f"{k}={urllib.parse.quote(v, safe='-_.~')}" for k, v in parameters.items()).encode()
            return signed("POST", self.endpoint + "/", body, {"Content-Type": "application/x-www-form-urlencoded"}, service="iam")
        trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["%s"]},"Action":["sts:AssumeRole"]}]}' % principal
        rights = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["%s"],"Resource":["arn:aws:s3:::*"]}]}' % allow
        ask(Action="CreateRole", RoleName=name, Path="/", AssumeRolePolicyDocument=trust)
        ask(Action="PutRolePolicy", RoleName=name, PolicyName="s3", PolicyDocument=rights)
        return f"arn:aws:iam:::role/{name}"

    def make_topic(self, endpoint, name="events", persistent=False, secure=True):
        """An SNS topic that pushes to `endpoint`, which may contain user:password@. Returns the topic's ARN."""
        # RGW accepts a password only over HTTPS, or from a proxy that reports HTTPS: rgw_trust_forwarded_https.
        headers = {"Content-Type": "application/x-www-form-urlencoded", **({"X-Forwarded-Proto": "https"} if secure else {})}
        attributes = {"push-endpoint": endpoint, **({"persistent": "true"} if persistent else {})}
        parameters = {"Action": "CreateTopic", "Name": name}
        for i, (key, value) in enumerate(attributes.items(), 1):
            parameters.update({f"Attributes.entry.{i}.key": key, f"Attributes.entry.{i}.value": value})
        body = "&".join(f"{k}={urllib.parse.quote(v, safe='-_.~')}" for k, v in parameters.items()).encode()
        answer = signed("POST", self.endpoint + "/", body, headers, service="sns")[1].decode()
        return answer.split("<TopicArn>")[1].split("</TopicArn>")[0]

    def notify(self, topic, events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), prefix="", bucket=None, id="to-postern"):
        """Sends the bucket's events to the topic."""
        rule = f"<Filter><S3Key><FilterRule><Name>prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter>" if prefix else ""
        body = ('<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TopicConfiguration>' f"<Id>{id}</Id><Topic>{topic}</Topic>" +
                "".join(f"<Event>{e}</Event>" for e in events) + rule + "</TopicConfiguration></NotificationConfiguration>").encode()
        self.request("PUT", bucket=bucket, query="?notification=", body=body)

    def make_user(self, name, access_key, secret_key):
        self.tool("radosgw-admin", "user", "create", "--uid", name, "--display-name", name, "--access-key", access_key, "--secret-key", secret_key)

    # --- processes --------------------------------------------------------------------------------

    def tool(self, *command, stdin=None):
        done = subprocess.run(command, env=self.environment, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def daemon(self, *command):
        with open(self.path("log", command[0] + ".out"), "ab") as out:
            # Debian 13's OSD looks for its classes in lib/…, seen from where it was started.
            self.processes[command[0]] = subprocess.Popen([*command, "-f"], env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True)
        watchdog.watch(self.processes[command[0]].pid)

    def wait(self, what, probe):
        end = time.monotonic() + 90
        while True:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended while waiting for {what}: " + open(self.path("log", name + ".out"), errors="replace").read()[-2000:])
            try:
                if probe():
                    return
            except (OSError, RuntimeError, Denied) as e:
                if time.monotonic() > end:
                    raise RuntimeError(f"gave up waiting for {what}: {e}") from e
            time.sleep(0.05)

    def write_configuration(self, fsid):
        backend = ("bluestore", {"bluestore_block_create": "false", "osd_memory_target": str(1 << 30)}) if self.disk else ("memstore", {"memstore_device_bytes": str(6 << 30)})
        common = {
            "fsid": fsid, "mon_initial_members": "a", "mon_host": f"[v2:127.0.0.1:{self.mon_port}/0]", "public_addr": "127.0.0.1", "cluster_addr": "127.0.0.1", "ms_bind_msgr1": "false",
            # Only this user can reach the ports, so no keys are needed.
            "auth_cluster_required": "none", "auth_service_required": "none", "auth_client_required": "none", "ms_mon_client_mode": "crc", "keyring": "/dev/null",
            "pid_file": "", "run_dir": self.path("run"), "crash_dir": self.path("log"), "log_file": self.path("log", "$name.log"), "admin_socket": self.path("run", "$name.asok"),
            # One copy of everything in one placement group a pool.
            "osd_pool_default_size": "1", "osd_pool_default_min_size": "1", "osd_pool_default_pg_num": "1", "osd_pool_default_pgp_num": "1", "osd_pool_default_pg_autoscale_mode": "off",
            "osd_crush_chooseleaf_type": "0",
        }
        sections = {
            "global": common,
            "mon": {"mon_data": self.path("mon"), "mon_cluster_log_to_file": "false", "mon_data_avail_crit": "1", "mon_allow_pool_size_one": "true", "paxos_propose_interval": "0.02", "paxos_min_wait": "0.01"},
            "osd": {"osd_data": self.path("osd"), "osd_objectstore": backend[0], **backend[1]},
            "client.admin": {"admin_socket": "", "log_file": "/dev/null"},
            "client.rgw": {
                "rgw_frontends": f"beast endpoint=127.0.0.1:{self.port} tcp_nodelay=1", "rgw_enable_apis": "s3, admin, sts, iam, notifications", "rgw_thread_pool_size": "64",
                "rgw_s3_auth_use_sts": "true", "rgw_sts_key": "abcdefghijklmnop", "rgw_sts_min_session_duration": "1", "rgw_s3_auth_order": "sts, local, external",
                "rgw_trust_forwarded_https": "true",
                # Deleted objects give their memory back soon.
                "rgw_gc_max_objs": "2", "rgw_gc_obj_min_wait": "10", "rgw_gc_processor_period": "10", "rgw_gc_processor_max_time": "10",
            },
        }
        with open(self.path("ceph.conf"), "w") as f:
            for name, settings in sections.items():
                f.write(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))


def leave(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)  # while it starts too, so that no daemon is left behind
    with Rgw() as s3:
        role = s3.make_role()
        print(f"endpoint {s3.endpoint}  bucket {s3.bucket}  access key {ACCESS_KEY}  secret key {SECRET_KEY}  role {role}", flush=True)
        while True:
            signal.pause()
