"""Recipes run as their hook contract says: a clean environment, the paths of a serial, settings of a test."""
import os
import subprocess
from pathlib import Path

from conftest import ROOT

RECIPES = ROOT / "share/recipes"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Entry:
    """One certificate of a store, and recipes run for it by hand."""

    def __init__(self, cli, name, conf, stubs=None):
        self.cli, self.name, self.conf = cli, name, Path(conf)
        self.dir = cli.store / "certs" / name
        self.path = f"{stubs}:{PATH}" if stubs else PATH
        self.conf.mkdir(exist_ok=True)

    @property
    def serial(self):
        return os.readlink(self.dir / "current").rsplit("/", 1)[1]

    def settings(self, recipe, text):
        (self.conf / f"{recipe}.conf").write_text(text)

    def env(self, event="renewed", **more):
        s = self.serial
        return {"PATH": self.path, "MUSTER": str(self.cli.muster), "MUSTER_RECIPE_CONF": str(self.conf), "MUSTER_EVENT": event,
                "MUSTER_NAME": self.name, "MUSTER_DIR": str(self.dir), "MUSTER_SERIAL": s,
                "MUSTER_CERT": str(self.dir / f"{s}.crt"), "MUSTER_KEY": str(self.dir / f"{s}.key"),
                "MUSTER_CHAIN": " ".join(str(p) for p in sorted(self.dir.glob("ca.crt-*"))),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=0"), **more}

    def run(self, recipe, *args, event="renewed", **more):
        p = subprocess.run([RECIPES / recipe, *args], env=self.env(event, **more), stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, cwd="/", timeout=60)
        p.all = p.stdout + p.stderr
        assert "Sanitizer" not in p.all, p.all
        return p

    def fullchain(self):
        return "".join(Path(p).read_text() for p in (self.env()["MUSTER_CERT"], *self.env()["MUSTER_CHAIN"].split()))

    def key(self):
        return Path(self.env()["MUSTER_KEY"]).read_text()
