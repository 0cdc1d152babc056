"""Real services with a prefix and ports of their own, and a client that never stops shaking hands with them."""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

from conftest import need


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(fact, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = fact()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Service:
    """A program in front, ended with its children."""

    def __init__(self, args, dir, **kw):
        self.dir = Path(dir)
        self.port = None
        self.log = open(self.dir / "service.log", "ab")
        self.process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True, **kw)

    def text(self):
        return (self.dir / "service.log").read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


def hello_plain(sock):
    pass


def hello_postgres(sock):
    """SSLRequest, and S for yes."""
    sock.sendall(struct.pack("!ii", 8, 80877103))
    assert sock.recv(1) == b"S"


def handshake(port, roots, hello=hello_plain):
    """One whole handshake with the chain checked; the serial in upper-case hex."""
    context = ssl.create_default_context(cafile=str(roots))
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        hello(sock)
        with context.wrap_socket(sock) as tls:
            return tls.getpeercert()["serialNumber"]


class Load:
    """Handshakes without a pause from several threads; what failed and which serials were seen."""

    def __init__(self, port, roots, hello=hello_plain, threads=2):
        self.port, self.roots, self.hello = port, roots, hello
        self.failed, self.serials, self.count, self.over = [], [], 0, False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for t in self.threads:
            t.join(30)

    def _run(self):
        while not self.over:
            try:
                serial = handshake(self.port, self.roots, self.hello)
            except Exception as e:  # every one counts
                with self.lock:
                    self.failed.append(repr(e))
                time.sleep(0.05)
                continue
            with self.lock:
                self.count += 1
                if serial not in self.serials:
                    self.serials.append(serial)

    def wait_count(self, more):
        want = self.count + more
        wait_for(lambda: self.count >= want or self.failed, f"{more} handshakes", 60)


class Nginx(Service):
    def __init__(self, dir, cert, key):
        dir = Path(dir)
        self.conf = dir / "nginx.conf"
        port = free_port()
        self.conf.write_text(f"""daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log notice; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
 scgi_temp_path {dir}/s; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; return 204; }} }}
""")
        self.program = need("nginx")
        self.args = f"{self.program} -p {dir} -e {dir}/error.log -c {self.conf}"
        super().__init__(self.args.split(), dir)
        self.port = port
        self.settings = f"TEST='{self.args} -t -q' ACT='{self.args} -s reload'\n"
        self.await_port = lambda roots: wait_for(lambda: _answers(port), "nginx")


class Haproxy(Service):
    def __init__(self, dir, pem):
        dir = Path(dir)
        port = free_port()
        self.conf = dir / "h.cfg"
        self.socket = dir / "admin.sock"
        self.conf.write_text(f"""global
 stats socket {self.socket} mode 600 level admin expose-fd listeners
defaults
 mode http
 timeout client 10s
 timeout server 10s
 timeout connect 10s
frontend f
 bind 127.0.0.1:{port} ssl crt {pem}
 http-request return status 204
""")
        self.program = need("haproxy")
        super().__init__([self.program, "-W", "-f", self.conf], dir)
        self.port = port
        self.await_port = lambda roots: wait_for(lambda: _answers(port), "haproxy")


class Postgres(Service):
    bin = Path("/usr/lib/postgresql/15/bin")

    def __init__(self, dir, cert, key):
        dir = Path(dir)
        port = free_port()
        data = dir / "data"
        assert (self.bin / "initdb").exists(), "postgresql-15 is not installed: script/bootstrap installs it"
        shutil.chown(dir, "postgres")
        self.user = ["runuser", "-u", "postgres", "--"]
        made = subprocess.run([*self.user, self.bin / "initdb", "-D", data, "-A", "trust", "-N"], capture_output=True, text=True, cwd="/")
        assert made.returncode == 0, made.stdout + made.stderr
        with open(data / "postgresql.conf", "a") as f:
            f.write(f"listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories=''\nfsync=off\nssl=on\n"
                    f"ssl_cert_file='{cert}'\nssl_key_file='{key}'\n")
        super().__init__([*self.user, self.bin / "postgres", "-D", data], dir, cwd="/")
        self.port = port
        self.settings = f"ACT='runuser -u postgres -- {self.bin}/pg_ctl reload -D {data}'\n"
        self.await_port = lambda roots: wait_for(lambda: _answers(port), "postgres")


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
