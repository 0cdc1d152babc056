"""CMP with a CA that has an RA and a key generation authority of its own: `openssl cmp` and `openssl cms`
look at what they sign, and `openssl cmp` is an RA itself. Rows of CONFORMANCE (CMP-...) in the names."""
import json
import re
import subprocess

import pytest

from conftest import Server, need, run
from relay import Relay, elements, oid, tlv

OPENSSL = need("openssl")


def openssl(*args, cwd=None):
    r = subprocess.run([OPENSSL, *map(str, args)], capture_output=True, text=True, cwd=cwd)
    assert r.returncode == 0, r.stderr
    return r.stdout


class World:
    """A CA 'main' below a root, with an RA, that serves; entries dev and ra; openssl cmp."""

    def __init__(self, muster_ca, dir):
        self.program, self.dir, self.home = muster_ca, dir, dir / "ca"
        self.ask("init", "--cn", "Main", "--name", "main", "--listen", "127.0.0.1:0")
        self.ask("profile", "set", "default", "max-requests=none", "keygen=yes", "renew-before=any", "key-usage=digitalSignature,keyEncipherment")
        self.ask("profile", "new", "ra", "protocols=cmp", "key-usage=digitalSignature", "eku=cmcRA")
        self.secrets = {}
        for name, profile in (("dev", "default"), ("ra", "ra")):
            self.ask("entry", "new", name, "--profile", profile, "--protocol", "cmp", "--reusable", "--out", dir / f"{name}.secret")
            self.secrets[name] = (dir / f"{name}.secret").read_text().strip()
        self.server = Server([muster_ca, "--dir", self.home, "serve"], dir / "ca.log", r"CMP +(http://\S+)")
        self.url = self.server.match.group(1).decode()
        self.host, self.path = re.match(r"http://([^/]+)(/.*)", self.url).groups()
        shown = json.loads(self.ask("ca", "show", "main", "--json"))["ca"]
        (dir / "root.crt").write_text(shown["chain"][-1]["pem"])
        for kind, args in (("dev", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
                           ("new", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                           ("ra", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])):
            openssl("genpkey", *args, "-out", dir / f"{kind}.key")

    def ask(self, *args):
        r = run(self.program, "--dir", self.home, *args)
        assert r.code == 0, r
        return r.out

    def command(self, cmd, *args, by=None, entry=None):
        how = ["-cert", f"{by}.crt", "-key", f"{by}.key"] if by else ["-ref", entry, "-secret", f"pass:{self.secrets[entry]}"]
        return [OPENSSL, "cmp", "-config", "/dev/null", "-cmd", cmd, "-server", self.host, "-path", self.path, "-trusted", "root.crt",
                *how, *args]

    def cmp(self, *args, **how):
        r = run(*self.command(*args, **how), cwd=self.dir)
        r.err = r.out + r.err
        return r

    def ir(self, name, subject):
        r = self.cmp("ir", "-newkey", f"{name}.key", "-subject", subject, "-certout", f"{name}.crt", entry="dev")
        assert r.code == 0, r

    def ra(self):
        """A certificate with cmcRA: a person approves each one."""
        client = subprocess.Popen(self.command("ir", "-newkey", "ra.key", "-subject", "/CN=the ra", "-certout", "ra.crt",
                                               "-total_timeout", "100", entry="ra"), cwd=self.dir, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        queue = []
        while not queue:
            assert client.poll() is None, client.stdout.read()
            queue = json.loads(self.ask("queue", "list", "--json"))["queue"]
        self.ask("queue", "approve", queue[0]["id"])
        out, _ = client.communicate(timeout=120)
        assert client.returncode == 0, out

    def set(self, text):
        (self.dir / "main.conf").write_text("default = yes\ncmp-check-after = 1s\n" + text)
        self.ask("ca", "set", "main", self.dir / "main.conf")

    def subject(self, name):
        return openssl("x509", "-in", self.dir / f"{name}.crt", "-noout", "-subject").strip()


@pytest.fixture(scope="module")
def world(muster_ca, tmp_path_factory):
    w = World(muster_ca, tmp_path_factory.mktemp("roles"))
    w.set("")
    yield w
    w.server.stop()


def names(world, file):
    """Subjects of a file of certificates, in its order."""
    (world.dir / "extra.p7").write_text(openssl("crl2pkcs7", "-nocrl", "-certfile", file, cwd=world.dir))
    text = openssl("pkcs7", "-in", "extra.p7", "-print_certs", "-noout", cwd=world.dir)
    return [line[len("subject="):].strip().replace("CN=", "CN = ") for line in text.splitlines() if line.startswith("subject=")]


def test_CMP33_openssl_takes_what_the_ra_signs(world):
    """CMP-34..36: ir by MAC; cr, kur, rr, genm signed, answered under the RA's key and checked up to the root."""
    r = world.cmp("ir", "-newkey", "dev.key", "-subject", "/CN=dev1", "-certout", "dev.crt", "-extracertsout", "extra.pem", entry="dev")
    assert r.code == 0, r
    by_mac = names(world, "extra.pem")
    assert by_mac == ["CN = Main Issuing CA"], "CMP-36, CMP-37: the chain of the new certificate without its root"
    r = world.cmp("cr", "-newkey", "new.key", "-subject", "/CN=dev1", "-certout", "new.crt", "-extracertsout", "extra.pem", by="dev")
    assert r.code == 0, r
    assert names(world, "extra.pem") == ["CN = Main Issuing CA RA", "CN = Main Issuing CA"], "CMP-34: who signs, then its chain"
    assert world.cmp("genm", "-infotype", "caCerts", by="dev").code == 0
    r = world.cmp("kur", "-oldcert", "dev.crt", "-newkey", "dev.key", "-certout", "dev.crt", by="dev")
    assert r.code == 0, r
    r = world.cmp("rr", "-oldcert", "new.crt", "-revreason", "4", by="new")
    assert r.code == 0, r


def test_CMP65_CMP114_an_ra_speaks_for_others(world):
    """CMP-57, CMP-88, CMP-111: raVerified, any subject, kur by oldCertID and rr, from who has cmcRA and from nobody else."""
    world.ra()
    world.ir("dev", "/CN=dev2")
    ask = ("cr", "-newkey", "new.key", "-subject", "/CN=by the ra", "-popo", "0", "-certout", "byra.crt")
    r = world.cmp(*ask, by="dev")
    assert r.code != 0 and "notAuthorized" in r.err, r
    r = world.cmp(*ask, by="ra")
    assert r.code != 0 and "client-profile" in r.err, r
    world.set("client-profile = default\n")
    r = world.cmp(*ask, by="ra")
    assert r.code == 0, r
    assert world.subject("byra").endswith("by the ra")
    r = world.cmp("kur", "-oldcert", "byra.crt", "-newkey", "new.key", "-popo", "0", "-certout", "next.crt", by="ra")
    assert r.code == 0, r
    assert world.subject("next").endswith("by the ra")
    serial = openssl("x509", "-in", "next.crt", "-noout", "-serial", cwd=world.dir).strip().split("=")[1]
    assert json.loads(world.ask("issued", "show", serial, "--json"))["certificate"]["renews"].replace(":", "").upper() == openssl(
        "x509", "-in", "byra.crt", "-noout", "-serial", cwd=world.dir).strip().split("=")[1]
    assert world.cmp("rr", "-oldcert", "next.crt", "-revreason", "5", by="dev").code != 0
    r = world.cmp("rr", "-oldcert", "next.crt", "-revreason", "5", by="ra")
    assert r.code == 0, r
    r = world.cmp("genm", "-infotype", "currentCRL", "-rspout", "crl.der", by="ra")
    assert r.code == 0 and bytes.fromhex(serial) in (world.dir / "crl.der").read_bytes(), "what was just revoked is on the list"


def private_key(message):
    """EnvelopedData of certifiedKeyPair.privateKey in a PKIMessage with an ip or cp, its content."""
    rep = elements(elements(elements(message)[0][1])[1][1])[0][1]
    response = elements([c for t, c in elements(rep) if t == 0x30][0])[0][1]
    pair = [c for t, c in elements(response) if t == 0x30][1]
    key = [c for t, c in elements(pair) if t == 0xA0][1]  # behind certOrEncCert's [0]
    return elements(key)[0][1]


def test_CMP82_CMP86_generated_keys_are_signed_by_the_kga(world, muster, tmp_path):
    """Our client refuses a key that only the RA vouches for; openssl cms takes apart what the KGA signed."""
    world.ir("dev", "/CN=dev3")
    store, relay = tmp_path / "store", Relay(world.url, media="application/pkixcmp")
    ask = lambda *a: run(muster, "--store", store, *a)
    (tmp_path / "id.pem").touch(mode=0o600)
    (tmp_path / "id.pem").write_text((world.dir / "dev.crt").read_text() + (world.dir / "dev.key").read_text())
    assert ask("ca", "trust", world.dir / "root.crt", "--name", "root", "--yes").code == 0
    enroll = ("enroll", "sk", "--via", "cmp", "--url", relay.url, "--ca-cert", "root", "--subject", "/CN=dev3", "--server-key",
              "--cmp-request", "cr", "--client-cert", tmp_path / "id.pem")
    r = ask(*enroll)
    assert r.code != 0 and "no key generation authority" in r.err, r
    assert "KGA" in world.ask("ca", "kga", "main")
    r = ask(*enroll, "--replace")
    assert r.code == 0, r
    key, crt = store / "certs/sk/latest.key", store / "certs/sk/latest.crt"
    assert openssl("pkey", "-in", key, "-pubout") == openssl("x509", "-in", crt, "-noout", "-pubkey")
    answer = [reply["body"] for _, _, _, reply in relay.seen if len(reply["body"]) > 2500][-1]
    (tmp_path / "env.der").write_bytes(tlv(0x30, oid("1.2.840.113549.1.7.3"), tlv(0xA0, tlv(0x30, private_key(answer)))))
    openssl("cms", "-decrypt", "-inform", "DER", "-in", "env.der", "-inkey", world.dir / "dev.key", "-recip", world.dir / "dev.crt", "-binary",
            "-out", "signed.der", cwd=tmp_path)
    signed = (tmp_path / "signed.der").read_bytes()
    (tmp_path / "sig.der").write_bytes(tlv(0x30, oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed)))
    openssl("cms", "-verify", "-inform", "DER", "-in", "sig.der", "-CAfile", world.dir / "root.crt", "-purpose", "any", "-binary", "-signer",
            "kga.crt", "-out", "package.der", cwd=tmp_path)
    text = openssl("x509", "-in", "kga.crt", "-noout", "-text", cwd=tmp_path)
    assert "CA KGA" in text and ("1.3.6.1.5.5.7.3.32" in text or "Key Generation Authority" in text), text
    relay.stop()


def outside(dir, name, *extensions):
    """A root that is none of ours, and a certificate NAME below it."""
    if not (dir / "root2.crt").exists():
        openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", dir / "root2.key", "-subj",
                "/CN=Other Root", "-days", "30", "-out", dir / "root2.crt")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", dir / f"{name}.key", "-subj", f"/CN={name}",
            "-out", dir / f"{name}.csr")
    (dir / "ext").write_text("\n".join(("subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", *extensions)) + "\n")
    openssl("x509", "-req", "-in", dir / f"{name}.csr", "-CA", dir / "root2.crt", "-CAkey", dir / "root2.key", "-CAcreateserial", "-days", "20",
            "-extfile", dir / "ext", "-out", dir / f"{name}.crt")
    (dir / f"{name}.key").chmod(0o600)


def test_CMP82_a_kga_made_elsewhere_by_configuration(world, muster, tmp_path):
    """Its certificate has to be for that, and the client to trust who issued it; then it signs, and the CA's successor changes nothing."""
    outside(tmp_path, "authority", "keyUsage=critical,digitalSignature", "extendedKeyUsage=1.3.6.1.5.5.7.3.32")
    outside(tmp_path, "ordinary", "keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth")
    give = lambda cert, key: run(world.program, "--dir", world.home, "ca", "kga", "main", "--cert", tmp_path / f"{cert}.crt", "--key-file",
                                 tmp_path / f"{key}.key")
    r = give("ordinary", "ordinary")
    assert r.code != 0 and "cmKGA" in r.err, r
    r = give("authority", "ordinary")
    assert r.code != 0 and "M708" in r.err, r
    (tmp_path / "authority.key").chmod(0o644)
    assert "M701" in give("authority", "authority").err
    (tmp_path / "authority.key").chmod(0o600)
    r = give("authority", "authority")
    assert r.code == 0 and "CN=authority" in r.out, r
    secret = (tmp_path / "authority.key").read_text().splitlines()[1]
    assert secret not in r.out + r.err + (world.dir / "ca.log").read_text()

    world.ir("dev", "/CN=dev4")
    ask = lambda *a: run(muster, "--store", tmp_path / "store", *a)
    (tmp_path / "id.pem").touch(mode=0o600)
    (tmp_path / "id.pem").write_text((world.dir / "dev.crt").read_text() + (world.dir / "dev.key").read_text())
    assert ask("ca", "trust", world.dir / "root.crt", "--name", "root", "--yes").code == 0
    enroll = ("enroll", "sk", "--via", "cmp", "--url", world.url, "--subject", "/CN=dev4", "--server-key", "--cmp-request", "cr", "--client-cert",
              tmp_path / "id.pem")
    r = ask(*enroll)
    assert r.code != 0 and "who made the key" in r.err, r
    assert ask("ca", "trust", tmp_path / "root2.crt", "--name", "root2", "--yes").code == 0
    r = ask(*enroll, "--replace")
    assert r.code == 0, r
    assert "CN=Main" in world.ask("ca", "kga", "main"), "one made here takes its place again"


def test_CMP65_CMP114_an_ra_of_another_ca_by_configuration(world, tmp_path):
    """cmp-ra names it; without that its certificate is a stranger's, whatever usages it claims."""
    outside(world.dir, "other", "keyUsage=critical,digitalSignature", "extendedKeyUsage=1.3.6.1.5.5.7.3.28")
    ask = ("cr", "-newkey", "new.key", "-subject", "/CN=by the other", "-popo", "0", "-certout", "byother.crt")
    world.set("client-profile = default\n")
    r = world.cmp(*ask, by="other")
    assert r.code != 0 and "signerNotTrusted" in r.err, r
    lines = "\n ".join((world.dir / "other.crt").read_text().strip().splitlines())
    world.set(f"client-profile = default\ncmp-ra = {lines}\n")
    r = world.cmp(*ask, by="other")
    assert r.code == 0, r
    assert world.subject("byother").endswith("by the other")
    r = world.cmp("rr", "-oldcert", "byother.crt", "-revreason", "4", by="other")
    assert r.code == 0, r
    world.set("client-profile = default\n")
