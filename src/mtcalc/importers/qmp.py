# SPDX-License-Identifier: GPL-2.0-only
"""A running QEMU, asked through its monitor: its memory as KVM gets it, and the first vCPU's CR0.

Needs qemu.qmp, the QEMU project's own client: the extra mtcalc[qmp]. QEMU's side is -qmp
unix:PATH,server=on,wait=off; a monitor that somebody else uses, libvirt's, takes no second client.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from io import BytesIO
from typing import Any

from mtcalc.importers.dump import Dump, ImportRemark
from mtcalc.importers.lines import DumpLines
from mtcalc.importers.recognise import read_lines
from mtcalc.text.errors import InputError, Place

SECONDS = 10.0
"""For all of it; info mtree -f of a large VM takes a tenth of one."""

COMMANDS = (("info mtree -f", "mtree"), ("info registers", "info-registers"))
"""What is asked, and the format of the answer."""

_BROKEN = (OSError, EOFError, ValueError, LookupError, TypeError, AssertionError)
"""What a peer that is none, or that dies, ends in besides qemu.qmp's own errors; it asserts some of its states."""
_RIGHT = "the path of -qmp unix:PATH,server=on,wait=off"


def read_qmp(socket: str, seconds: float = SECONDS) -> tuple[Dump, ...]:
    """What a QEMU tells. Raises InputError: no qemu.qmp, no QEMU there, no answer in `seconds`."""
    try:
        client = import_module("qemu.qmp")
    except ImportError:
        raise InputError(
            "--qmp needs the Python package qemu.qmp beside mtcalc, which is not installed (pip install qemu.qmp,"
            " pipx inject mtcalc qemu.qmp, or uv tool install --with qemu.qmp)"
        ) from None
    answers, kvm = _asked(client, socket, seconds)
    dumps: list[Dump] = []
    for (command, name), answer in zip(COMMANDS, answers, strict=True):
        source = DumpLines(BytesIO(answer.encode()), f"{socket}, {command}")
        dumps += read_lines(source, name)
    if not kvm:
        place = Place(f"{socket}, query-kvm", 1, 1)
        remark = ImportRemark("this QEMU does not use KVM, which so decides no memory type", place)
        dumps.append(Dump("qmp", place, remarks=(remark,)))
    return tuple(dumps)


def _asked(client: Any, socket: str, seconds: float) -> tuple[list[str], bool]:
    """The answers to COMMANDS, and whether QEMU uses KVM."""
    import asyncio
    import logging

    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)  # it tells of what it raises as well
    answers: list[str] = []
    kvm = False

    async def ask() -> None:
        nonlocal kvm
        # Tasks of the client that die with the connection are not worth a message of their own.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        monitor = client.QMPClient("mtcalc")
        await monitor.connect(socket)
        try:
            kvm = bool((await monitor.execute("query-kvm"))["enabled"])
            for command, _ in COMMANDS:
                answer = await monitor.execute("human-monitor-command", {"command-line": command})
                answers.append(str(answer).replace("\r\n", "\n"))
        finally:
            with suppress(*_BROKEN, client.QMPError):  # it tells again of a peer that is gone
                await monitor.disconnect()

    try:
        asyncio.run(asyncio.wait_for(ask(), seconds))
    except TimeoutError:
        right = f"a QMP monitor that nobody else uses: {_RIGHT}"
        raise InputError(f"{socket}: no answer in {seconds:g} s ({right})") from None
    except (*_BROKEN, client.QMPError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None or (isinstance(cause, client.QMPError) and cause.__context__ is not None):
            cause = cause.__cause__ or cause.__context__ or cause
        if isinstance(cause, FileNotFoundError):
            raise InputError(f"{socket}: no such socket ({_RIGHT})") from None
        why = str(cause) or type(cause).__name__
        raise InputError(f"{socket}: no QMP monitor that answers: {why} ({_RIGHT})") from None
    return answers, kvm
