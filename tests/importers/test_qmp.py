# SPDX-License-Identifier: GPL-2.0-only
"""A running QEMU: a real one under TCG, and monitors that are none or that break off."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mtcalc.importers.qmp import read_qmp
from mtcalc.scenario.load import load_scenario
from mtcalc.text.errors import InputError
from support.program import quick

QEMU = "qemu-system-x86_64"
GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 9}, "package": ""}, "capabilities": ["oob"]}}


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder with a short name: a socket's path has 108 bytes at most."""
    with TemporaryDirectory(prefix="mq") as name:
        yield Path(name)


@pytest.mark.parametrize("machine", ["q35,smm=on", "pc,smm=off"])
def test_a_real_qemu(room: Path, machine: str) -> None:
    if not shutil.which(QEMU):
        assert os.environ.get("CI") != "true", f"{QEMU} is not installed, and .ci/run installs it"
        pytest.skip(f"{QEMU} is not installed")
    path = room / "s"
    command = [QEMU, "-accel", "tcg", "-machine", machine, "-m", "256", "-display", "none", "-nodefaults"]
    with subprocess.Popen([*command, "-qmp", f"unix:{path},server=on,wait=off"], stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 60
            while not path.exists():
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            done = quick("import", "--qmp", str(path))
        finally:
            process.terminate()
            process.wait()
    assert done.status == 0, done.err
    scenario = load_scenario(done.out, "vm.yaml")
    ram = [slot for slot in scenario.slots if slot.name.startswith("pc.ram")]
    assert ram[0].gpa == 0
    assert max(slot.end for slot in ram if slot.address_space == 0) == 256 << 20
    assert any(slot.name == "pc.bios" and slot.flags == 2 and slot.end == 1 << 32 for slot in scenario.slots)
    assert "does not use KVM" in " ".join(done.err.split())
    assert "no row is marked KVM" in " ".join(done.err.split())


class Monitor:
    """A server that says these lines in answer to what comes in, and then closes."""

    def __init__(self, path: Path, answers: list[object], greeting: object = GREETING, stay: float = 0) -> None:
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(1)
        self.answers, self.greeting, self.stay = answers, greeting, stay
        self.asked: list[str] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        client, _ = self.server.accept()
        with client:
            try:
                if self.greeting is not None:
                    client.sendall(line(self.greeting))
                for answer in self.answers:
                    asked = json.loads(client.recv(10_000))
                    self.asked.append(asked["execute"])
                    named = {"id": asked["id"]} if "id" in asked else {}
                    client.sendall(line({**named, **answer} if isinstance(answer, dict) else answer))
                time.sleep(self.stay)
            except (OSError, ValueError):
                pass
        self.server.close()


def line(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\r\n"


MTREE = 'FlatView #0\r\n AS "memory", root: system\r\n  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM\r\n'
CR0 = "CPU#0\r\nCR0=80050033 CR2=0000000000000000 CR3=0000000001c0a000 CR4=000006f0\r\n"


def test_what_is_asked_of_a_qemu(room: Path) -> None:
    """Capabilities first; then whether it uses KVM, its memory, CR0."""
    answers: list[object] = [{"return": told} for told in ({}, {"enabled": True, "present": True}, MTREE, CR0)]
    monitor = Monitor(room / "s", answers, stay=1)
    dumps = read_qmp(str(room / "s"))
    assert monitor.asked == ["qmp_capabilities", "query-kvm", *["human-monitor-command"] * 2]
    assert [dump.format for dump in dumps] == ["mtree", "info-registers"]
    assert str(dumps[0].place).startswith(f"{room}/s, info mtree -f:1:")


@pytest.mark.parametrize(
    ("answers", "greeting", "message"),
    [
        ([], b"SSH-2.0-OpenSSH_9.2\r\n", "no QMP monitor that answers"),
        ([], b"", "no QMP monitor that answers"),
        ([{"return": {}}], GREETING, "no QMP monitor that answers"),
        ([{"return": {}}, {"error": {"class": "CommandNotFound", "desc": "not here"}}], GREETING, "not here"),
        ([{"return": {}}, {"return": {"enabled": True}}, {"return": MTREE}], GREETING, "no QMP monitor that answers"),
        ([{"return": {}}, {"return": {}}], GREETING, "no QMP monitor that answers"),
        ([{"error": {"class": "GenericError", "desc": "no"}}], GREETING, "no QMP monitor that answers"),
    ],
)
def test_what_is_no_qemu_or_dies(room: Path, answers: list[object], greeting: object, message: str) -> None:
    Monitor(room / "s", answers, greeting)
    with pytest.raises(InputError) as caught:
        read_qmp(str(room / "s"), seconds=10)
    assert message in caught.value.message
    assert caught.value.message.endswith(")")


def test_one_that_says_nothing(room: Path) -> None:
    Monitor(room / "s", [], None, stay=3)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"no answer in 0\.5 s"):
        read_qmp(str(room / "s"), seconds=0.5)
    assert time.monotonic() - start < 3


def test_no_socket(room: Path) -> None:
    done = quick("import", "--qmp", str(room / "s"))
    assert (done.status, done.out) == (2, "")
    assert "no such socket" in done.err
    (room / "s").write_text("")
    assert quick("import", "--qmp", str(room / "s")).status == 2


def test_without_the_client(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "qemu.qmp", None)
    with pytest.raises(InputError, match=r"pip install qemu\.qmp, pipx inject mtcalc qemu\.qmp"):
        read_qmp(str(room / "s"))
