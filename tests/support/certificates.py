"""A certificate authority for one test, and certificates that it signs. Needs the openssl program.

The certificates have what Python 3.13 requires of them (RFC 5280): the authority's key usage, and the identifiers of both keys.
"""

import os, subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    def __init__(self, folder, name="an authority of the tests"):
        self.folder = folder
        self.file, self.key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        self.openssl("req", "-x509", *KEY, "-days", "2", "-subj", "/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.file)

    def certificate(self, name="localhost", addresses=("127.0.0.1",)):
        """Makes a certificate for that DNS name and those addresses: (certificate file, key file)."""
        certificate, key, request = (os.path.join(self.folder, name + end) for end in (".pem", ".key", ".csr"))
        self.openssl("req", "-new", *KEY, "-subj", "/CN=" + name, "-keyout", key, "-out", request)
        with open(request + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join(["DNS:" + name] + ["IP:" + a for a in addresses]) + "\nbasicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-extfile", request + ".ext", "-out", certificate)
        return certificate, key

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
