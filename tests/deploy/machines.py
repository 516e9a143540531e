"""Two machines on this one: Linux namespaces with processes, a network address, a host name and mounts of their own."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
_APART = ["--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
_PRIVATE = "/tmp/ray"


class Machine:
    """One machine; commands see its processes, its address and what is mounted there."""

    def __init__(self, name: str, address: str) -> None:
        Path(_PRIVATE).mkdir(exist_ok=True)
        self.name, self.address = name, address
        self._keeper = subprocess.Popen(["unshare", *_APART, "sleep", "infinity"])
        self.pid = self._first_process()
        self.do("hostname", name)
        self.do("ip", "link", "set", "lo", "up")
        self.hide(Path(_PRIVATE))

    def _first_process(self) -> int:
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children")
        while not children.read_text().split():
            assert self._keeper.poll() is None, "no namespaces here"
            time.sleep(0.01)
        return int(children.read_text().split()[0])

    def command(self, *command: str, folder: str = "/") -> list[str]:
        """A command line that runs `command` there, in a folder."""
        return ["nsenter", "-t", str(self.pid), "--net", "--pid", "--mount", "--uts", "env", "-C", folder, *command]

    def do(self, *command: str) -> None:
        """Runs a command there that must succeed."""
        subprocess.run(self.command(*command), check=True, capture_output=True)

    def start(self, *command: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
        """Starts a command there."""
        return subprocess.Popen(
            self.command(*command, folder=str(folder)),
            env=surroundings(**environment),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def hide(self, folder: Path) -> None:
        """Puts an empty folder over one; on this machine alone."""
        self.do("mount", "-t", "tmpfs", "none", str(folder))

    def show(self, folder: Path) -> None:
        """Ends `hide`."""
        self.do("umount", "--lazy", str(folder))

    def close(self) -> None:
        """Power off."""
        self._keeper.kill()
        self._keeper.wait()
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)


def surroundings(**environment: str) -> dict[str, str]:
    """The environment of a shell on a machine: nothing of this process's Ray, and the commands of its Python."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "DML_STUDY_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    return {**inherited, "PATH": path, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", **environment}


def two_machines() -> tuple[Machine, Machine]:
    """Two machines that reach each other; the second has none of this project's code."""
    first, second = Machine("node1", "10.77.0.1"), Machine("node2", "10.77.0.2")
    link = ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", str(second.pid)]
    subprocess.run(["nsenter", "-t", str(first.pid), "--net", *link], check=True)  # sees both machines' processes
    for machine, interface in ((first, "eth0"), (second, "eth1")):
        machine.do("ip", "addr", "add", f"{machine.address}/24", "dev", interface)
        machine.do("ip", "link", "set", interface, "up")
        machine.do(
            "ip", "route", "add", "default", "dev", interface
        )  # Ray takes the address that leads out for its own
    for folder in _code():
        second.hide(folder)
    return first, second


def _code() -> list[Path]:
    """This project's packages, in this tree and where an editable installation finds them."""
    installed = json.loads(metadata.distribution("dml-study").read_text("direct_url.json") or "{}")
    roots = {ROOT, Path(unquote(urlsplit(installed.get("url", "")).path) or ROOT)}
    packages = ("study", "trainables", "analysis")
    return [root / name for root in roots for name in packages if (root / name).is_dir()]


def possible() -> bool:
    """Whether this user may make namespaces here."""
    try:
        done = subprocess.run(["unshare", *_APART, "ip", "link"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
