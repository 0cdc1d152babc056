"""A small EST server in Python, a test double and no peer: written from RFC 7030, with openssl's
command lines for everything that is ASN.1 and nothing of ours in it.

It serves cacerts, csrattrs, simpleenroll, simplereenroll and serverkeygen over TLS, writes down what
it was asked and over which connection, and can be told to answer wrongly.
"""
import base64
import http.server
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

EXTENSIONS = """basicConstraints=CA:FALSE
keyUsage=digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


def openssl(*args, input=None):
    p = subprocess.run(["openssl", *[str(a) for a in args]], input=input, capture_output=True)
    assert p.returncode == 0, (args, p.stderr.decode(errors="replace"))
    return p.stdout


def make_ca(dir, name, issuer=None, serial=None):
    """A CA certificate dir/name.pem with its key; self-signed, or below issuer; serial in hex."""
    key, cert = dir / f"{name}.key", dir / f"{name}.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    extra = [] if issuer is None else ["-CA", dir / f"{issuer}.pem", "-CAkey", dir / f"{issuer}.key"]
    extra += [] if serial is None else ["-set_serial", f"0x{serial}"]
    openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "3650", "-out", cert, *extra,
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-addext", "subjectKeyIdentifier=hash")
    return cert


def certs_only(dir, *pems):
    """base64 of a certs-only CMS with these certificates, wrapped at 64."""
    args = [x for p in pems for x in ("-certfile", p)]
    der = openssl("crl2pkcs7", "-nocrl", "-outform", "DER", *args)
    return wrap(der)


def wrap(der):
    text = base64.b64encode(der).decode()
    return "".join(text[i:i + 64] + "\r\n" for i in range(0, len(text), 64)).encode()


def tlv(tag, *content):
    value = b"".join(content)
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if len(value) < 128 else bytes([0x80 | len(size)]) + size) + value


def value_of(der):
    """Content of the first element, and what is behind it."""
    n, at = der[1], 2
    if n >= 128:
        n, at = int.from_bytes(der[2:2 + n - 128], "big"), 2 + n - 128
    return der[at:at + n], der[at + n:]


# Attributes by which a key is asked for encrypted (RFC 7030 4.4.1).
DECRYPT_KEY = bytes.fromhex("060b2a864886f70d010910022531")
ASYMMETRIC_DECRYPT_KEY = bytes.fromhex("060b2a864886f70d010910023631")
DATA, SIGNED_DATA = bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010702")


def wish(csr, attribute):
    """The identifier in that attribute of a CSR; None: it has none."""
    at = csr.find(attribute)
    return None if at < 0 else value_of(value_of(csr[at + len(attribute) - 1:])[0])[0]


class Asked:
    def __init__(self, connection, method, path, headers, body, client, version):
        self.connection, self.method, self.path, self.headers = connection, method, path, headers
        self.body, self.client, self.version = body, client, version
        self.answer = []            # header lines of our answer, in their order

    @property
    def op(self):
        return self.path.rsplit("/", 1)[1]

    def csr(self, *args):
        """openssl req's words about the request that was posted."""
        return openssl("req", "-inform", "DER", "-noout", *args, input=base64.b64decode(self.body)).decode()


class EstDouble:
    def __init__(self, dir, host="127.0.0.1", port=0, version=None, ca="estDouble", dns="localhost"):
        self.dir = Path(dir)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.root = make_ca(self.dir, ca)
        self.ca = ca
        self.cacerts = [self.root]
        self.user = None            # ("user", "password"): HTTP Basic is wanted for requests
        self.csrattrs = None        # text of the answer; None: 404
        self.pending = 0            # so many requests are answered 202
        self.retry_after = "1"
        self.answers = {}           # operation -> (status, headers, body) instead of the real one
        self.issuer = ca            # CA that signs
        self.extensions = EXTENSIONS
        self.copy = False           # issue with the extensions that were asked for
        self.days = 365
        self.need_client = False    # a request without a client certificate: 401
        self.one_line = False       # bodies without line breaks
        self.shared = (b"", "")     # name and hex of the AES key that a key may be encrypted to
        self.client_pem = None      # or the certificate: the one that the client shows
        self.linked = []            # of each request: challengePassword equals tls-unique
        self.asked, self.connections, self.issued, self.lock = [], 0, [], threading.Lock()
        key, csr, cert = self.dir / "tls.key", self.dir / "tls.csr", self.dir / "tls.pem"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                "-subj", "/CN=est double", "-out", csr)
        ext = self.dir / "tls.ext"
        ext.write_text(f"subjectAltName=IP:127.0.0.1,DNS:{dns}\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", csr, "-CA", self.root, "-CAkey", self.dir / f"{ca}.key", "-days", "90",
                "-extfile", ext, "-out", cert)
        (self.dir / "tls.chain").write_text(cert.read_text() + self.root.read_text())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.dir / "tls.chain", key)
        self.context.load_verify_locations(self.root)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        if version is not None:
            self.context.maximum_version = version
        double = self

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                self.request.settimeout(20)
                self.request = double.context.wrap_socket(self.request, server_side=True)
                with double.lock:
                    double.connections += 1
                    self.number = double.connections
                super().setup()

            def log_message(self, *args):
                pass

            def send_header(self, name, value):
                self.asked.answer.append(f"{name}: {value}")
                super().send_header(name, value)

            def do_GET(self):
                double.serve(self, b"")

            def do_POST(self):
                double.serve(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        self.server = Server((host, port), Handler)
        self.server.handle_error = lambda *args: None  # handshakes that are meant to fail
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def ops(self):
        return [a.op for a in self.asked]

    def serve(self, handler, body):
        cert = handler.request.getpeercert()
        client = None if not cert else dict(x[0] for x in cert["subject"]).get("commonName")
        asked = Asked(handler.number, handler.command, handler.path, dict(handler.headers), body, client,
                      handler.request.version())
        handler.asked = asked
        with self.lock:
            self.asked.append(asked)
        status, headers, answer = self.answers.get(asked.op) or self.answer(asked, handler)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def pkcs7(self, *pems):
        body = certs_only(self.dir, *pems)
        if self.one_line:
            body = body.replace(b"\r\n", b"")
        return 200, {"Content-Type": "application/pkcs7-mime; smime-type=certs-only",
                     "Content-Transfer-Encoding": "base64"}, body

    def allowed(self, asked):
        if asked.op == "simplereenroll" or self.need_client:
            return asked.client is not None
        if self.user is None:
            return True
        want = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
        return asked.headers.get("Authorization") == want

    def answer(self, asked, handler):
        text = {"Content-Type": "text/plain"}
        if asked.op == "cacerts":
            return self.pkcs7(*self.cacerts)
        if asked.op == "csrattrs":
            if self.csrattrs is None:
                return 404, text, b"none\n"
            return 200, {"Content-Type": "application/csrattrs"}, self.csrattrs.encode() + b"\n"
        if asked.op not in ("simpleenroll", "simplereenroll", "serverkeygen") or asked.method != "POST":
            return 404, text, b"no such operation\n"
        if not self.allowed(asked):
            return 401, {**text, "WWW-Authenticate": 'Basic realm="double"'}, b"who are you?\n"
        with self.lock:
            if self.pending > 0:
                self.pending -= 1
                return 202, {**text, "Retry-After": self.retry_after}, b"an operator looks at it\n"
        return self.issue(asked, handler)

    def issue(self, asked, handler):
        der = base64.b64decode(asked.body)
        n = len(self.issued)
        csr, cert, ext = self.dir / f"{n}.csr", self.dir / f"{n}.crt", self.dir / f"{n}.ext"
        csr.write_bytes(openssl("req", "-inform", "DER", input=der))
        key = None
        if asked.op == "serverkeygen":
            key = self.dir / f"{n}.key"
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
            subject = openssl("req", "-in", csr, "-noout", "-subject", "-nameopt", "compat").decode().strip()
            csr.write_bytes(openssl("req", "-new", "-key", key, "-subj", subject.split("subject=", 1)[1].strip()))
        ext.write_text("" if self.copy else self.extensions)
        openssl("x509", "-req", "-in", csr, "-CA", self.dir / f"{self.issuer}.pem", "-CAkey",
                self.dir / f"{self.issuer}.key", "-days", self.days, "-out", cert,
                *(["-copy_extensions", "copyall"] if self.copy else ["-extfile", ext]))
        self.linked.append(self.is_linked(csr, handler))
        self.issued.append(cert)
        if key is None:
            return self.pkcs7(cert)
        kind, delivered = self.deliver(der, openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER"))
        body = (b"preamble\r\n--part\r\nContent-Type: " + kind + b"\r\n\r\n" + wrap(delivered)
                + b"\r\n--part\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\n\r\n"
                + certs_only(self.dir, cert) + b"\r\n--part--\r\nepilogue\r\n")
        return 200, {"Content-Type": "multipart/mixed; boundary=part"}, body

    def deliver(self, csr, pkcs8):
        """Media type and content of the part with the key (RFC 7030 4.4.2)."""
        by_name, by_cert = wish(csr, DECRYPT_KEY), wish(csr, ASYMMETRIC_DECRYPT_KEY)
        if by_name is None and by_cert is None:
            return b"application/pkcs8", pkcs8
        assert by_cert is not None or by_name == self.shared[0], by_name
        signed = openssl("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-keyid", "-econtent_type", "2.16.840.1.101.2.1.2.78.5",
                         "-signer", self.root, "-inkey", self.dir / f"{self.ca}.key", input=tlv(0x30, pkcs8))
        bare, _ = value_of(value_of(value_of(signed)[0])[1])
        to = [self.client_pem] if by_name is None else ["-secretkey", self.shared[1], "-secretkeyid", self.shared[0].hex()]
        enveloped = openssl("cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", *to, input=bare)
        assert enveloped.count(DATA) == 1
        return b"application/pkcs7-mime; smime-type=server-generated-key", enveloped.replace(DATA, SIGNED_DATA)

    def is_linked(self, csr, handler):
        """tls-unique in challengePassword (RFC 7030 3.5)? None: there is no challengePassword."""
        for line in openssl("req", "-in", csr, "-noout", "-text").decode().splitlines():
            if "challengePassword" in line:
                unique = handler.request.get_channel_binding("tls-unique")
                return unique is not None and line.split(":", 1)[1].strip() == base64.b64encode(unique).decode()
        return None
