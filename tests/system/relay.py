"""Things that stand between client and responder: a relay that records and may change what passes,
and a responder that answers with replies made by hand. Both on loopback, on a port of their own."""
import http.client
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Relay:
    """Forwards to url's host. change(operation, reply) -> reply may alter a reply, which is a dict with
    status, headers (list of pairs) and body. Each exchange is kept in .seen as (method, target, body,
    reply)."""

    def __init__(self, url=None, change=None, media="application/x-pki-message"):
        self.seen, self.change, self.media = [], change, media
        self.upstream = urlsplit(url).netloc if url else None
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = relay.answer(self.command, self.path, body)
                relay.seen.append((self.command, self.path, body, reply))
                self.send_response(reply["status"])
                for name, value in reply["headers"]:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply["body"])))
                self.end_headers()
                self.wfile.write(reply["body"])

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        path = urlsplit(url).path if url else "/scep"
        self.url = f"http://127.0.0.1:{self.port}{path}"

    def answer(self, method, target, body):
        netloc, path = self.upstream, target
        if target.startswith("http://"):  # as a proxy
            parts = urlsplit(target)
            netloc, path = parts.netloc, parts.path + ("?" + parts.query if parts.query else "")
        c = http.client.HTTPConnection(netloc, timeout=20)
        c.request(method, path, body=body if method == "POST" else None,
                  headers={"Content-Type": self.media} if method == "POST" else {})
        r = c.getresponse()
        headers = [(n, v) for n, v in r.getheaders() if n.lower() in ("content-type", "date", "retry-after")]
        reply = {"status": r.status, "headers": headers, "body": r.read()}
        c.close()
        m = re.search(r"operation=(\w+)", target)
        return (self.change(m.group(1) if m else "", reply) or reply) if self.change else reply

    def operations(self):
        return [re.search(r"operation=(\w+)", t).group(1) for _, t, _, _ in self.seen]

    def messages(self):
        """Bodies of the PKIOperations that came by POST."""
        return [b for m, t, b, _ in self.seen if m == "POST" and "PKIOperation" in t]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


# ---- DER by hand ----

def tlv(tag, *parts):
    v = b"".join(parts)
    n = len(v)
    length = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + v


def oid(dotted):
    a = [int(x) for x in dotted.split(".")]
    out = bytes([a[0] * 40 + a[1]])
    for x in a[2:]:
        part = [x & 0x7F]
        while x > 0x7F:
            x >>= 7
            part.insert(0, 0x80 | (x & 0x7F))
        out += bytes(part)
    return tlv(6, out)


def take(data, at=0):
    """(tag, content, whole, offset behind)"""
    tag, n, p = data[at], data[at + 1], at + 2
    if n & 0x80:
        k = n & 0x7F
        n = int.from_bytes(data[p:p + k], "big")
        p += k
    return tag, data[p:p + n], data[at:p + n], p + n


VERISIGN = "2.16.840.1.113733.1.9."


def elements(der):
    """The elements one behind the other: (tag, content)."""
    out, at = [], 0
    while at < len(der):
        tag, content, _, at = take(der, at)
        out.append((tag, content))
    return out


def attribute_of(message, number):
    """Content of the one value of a SCEP attribute of a message."""
    at = message.index(oid(VERISIGN + str(number)))
    _, _, _, at = take(message, at)
    _, values, _, _ = take(message, at)
    return take(values)[1]


class Forger(Relay):
    """A responder with a root of its own whose every answer to a PKIOperation is a CertRep made by hand.
    Attributes can be given per test: status, fail_info, text, type, transaction, nonce; None leaves out."""

    def __init__(self, dir, **attributes):
        super().__init__()
        self.dir, self.attributes = dir, attributes
        self.damage = None
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", dir / "forger.key", "-out",
                        dir / "forger.pem", "-days", "3650", "-subj", "/CN=forger", "-addext", "basicConstraints=critical,CA:TRUE",
                        "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature,keyEncipherment"],
                       check=True, capture_output=True)
        self.root = dir / "forger.pem"
        self.der = subprocess.run(["openssl", "x509", "-in", self.root, "-outform", "DER"], check=True, capture_output=True).stdout

    def answer(self, method, target, body):
        if "GetCACaps" in target:
            return self.reply("text/plain", b"POSTPKIOperation\nSHA-256\nAES\nRenewal\nSCEPStandard\n")
        if "GetCACert" in target:
            return self.reply("application/x-x509-ca-cert", self.der)
        message = self.cert_rep(body)
        return self.reply("application/x-pki-message", self.damage(message) if self.damage else message)

    def issue(self, csr, out, days=10):
        """A certificate of the forger's root for a request, as if it came on paper."""
        subprocess.run(["openssl", "x509", "-req", "-in", csr, "-CA", self.root, "-CAkey", self.dir / "forger.key", "-set_serial", "0x4711",
                        "-days", str(days), "-out", out], check=True, capture_output=True)

    @staticmethod
    def reply(media, body):
        return {"status": 200, "headers": [("Content-Type", media)], "body": body}

    def cert_rep(self, request):
        a = {"type": 3, "status": 2, "fail_info": 2, "text": None, "transaction": attribute_of(request, 7),
             "nonce": attribute_of(request, 5)}
        a.update(self.attributes)

        def attribute(name, value):
            return tlv(0x30, oid(name), tlv(0x31, value))

        digest = subprocess.run(["openssl", "dgst", "-sha256", "-binary"], input=b"", capture_output=True, check=True).stdout
        attrs = [attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.7.1")), attribute("1.2.840.113549.1.9.4", tlv(4, digest)),
                 attribute(VERISIGN + "7", tlv(0x13, a["transaction"])), attribute(VERISIGN + "5", tlv(4, b"S" * 16))]
        for number, key in ((2, "type"), (3, "status"), (4, "fail_info")):
            if a[key] is not None:
                attrs.append(attribute(VERISIGN + str(number), tlv(0x13, str(a[key]).encode())))
        if a["nonce"] is not None:
            attrs.append(attribute(VERISIGN + "6", tlv(4, a["nonce"])))
        if a["text"] is not None:
            attrs.append(attribute("1.3.6.1.5.5.7.24.1", tlv(0x0C, a["text"].encode())))
        content = b"".join(sorted(attrs))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.dir / "forger.key"], input=tlv(0x31, content),
                                   capture_output=True, check=True).stdout
        tbs = take(take(self.der)[1])[1]
        fields, at = [], 0
        while at < len(tbs):
            _, _, whole, at = take(tbs, at)
            fields.append(whole)
        serial, issuer = fields[1], fields[3]
        sha256 = tlv(0x30, oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00")
        signer = tlv(0x30, tlv(2, b"\x01"), tlv(0x30, issuer, serial), sha256, tlv(0xA0, content),
                     tlv(0x30, oid("1.2.840.113549.1.1.1"), b"\x05\x00"), tlv(4, signature))
        signed = tlv(0x30, tlv(2, b"\x01"), tlv(0x31, sha256), tlv(0x30, oid("1.2.840.113549.1.7.1")), tlv(0xA0, self.der),
                     tlv(0x31, signer))
        return tlv(0x30, oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed))
