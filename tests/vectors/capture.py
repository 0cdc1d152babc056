#!/usr/bin/env python3
"""Records SCEP messages that other programs exchange.

Stands between a SCEP client and a SCEP server on loopback and writes every message in and out
as a file: NN-<operation>-request.der and NN-<operation>-reply.<ext>. The READMEs beside the
vectors say with which programs and command lines they were made.

    capture.py --listen 2017 --upstream http://127.0.0.1:2016 --dir OUT [--caps WORD]... [--fail]

--caps adds a word to GetCACaps' answer: some clients send nothing before they have seen it.
--fail answers every PKIOperation with HTTP 500 instead of asking the server.
"""
import argparse
import base64
import http.server
import os
import threading
import urllib.error
import urllib.parse
import urllib.request

EXTENSIONS = {"GetCACaps": "txt", "target": "txt"}


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None
    count = 0
    lock = threading.Lock()

    def write(self, number, operation, what, data):
        extension = EXTENSIONS.get(what, EXTENSIONS.get(operation, "der"))
        name = f"{number:02d}-{operation.lower()}-{what}.{extension}"
        with open(os.path.join(self.options.dir, name), "wb") as f:
            f.write(data)

    def forward(self, body):
        url = self.options.upstream + self.path
        request = urllib.request.Request(url, data=body, method=self.command)
        for name in ("Content-Type",):
            if name in self.headers:
                request.add_header(name, self.headers[name])
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers.get("Content-Type", ""), answer.read()

    def exchange(self):
        with Recorder.lock:
            Recorder.count += 1
            number = Recorder.count
        raw = urllib.parse.urlsplit(self.path).query
        query = dict(part.partition("=")[::2] for part in raw.split("&"))
        operation = query.get("operation", "none")
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if self.command == "POST" else None
        if operation == "PKIOperation":
            message = body
            if message is None:
                text = urllib.parse.unquote(query["message"]).replace(" ", "+")
                message = base64.b64decode(text)
                self.write(number, operation, "target", self.path.encode())
            self.write(number, operation, "request", message)
        if self.options.fail and operation == "PKIOperation":
            status, kind, data = 500, "text/plain", b"recorded\n"
        else:
            status, kind, data = self.forward(body)
        if operation == "GetCACaps":
            data += "".join(f"\n{word}" for word in self.options.caps).encode()
        self.write(number, operation, "reply", data)
        print(f"{number:02d} {self.command} {operation} {status} {kind} {len(data)}", flush=True)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = exchange
    do_POST = exchange

    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--caps", action="append", default=[])
    parser.add_argument("--fail", action="store_true")
    Recorder.options = parser.parse_args()
    os.makedirs(Recorder.options.dir, exist_ok=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", Recorder.options.listen), Recorder).serve_forever()


if __name__ == "__main__":
    main()
