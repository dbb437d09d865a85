# SPDX-License-Identifier: GPL-2.0-only
"""The readers, what to feed them, and what must hold whatever they are fed."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from mtcalc.cli.main import main
from mtcalc.csource.writer import texts_of_its_time
from mtcalc.refs.resolve import resolve
from mtcalc.rulefile.write import write_rule_file
from mtcalc.rules.builtin import built_in_names

DATA = Path(__file__).resolve().parent.parent / "data"
LONGEST_REPORT = 1100
"""Characters of standard error: a report of less than 1,000, and where usage is wrong a line that names --help."""


class Target(NamedTuple):
    """A way into the program. `{}` in `args` is a file with the input and the suffix; `text`: the input itself."""

    name: str
    args: tuple[str, ...]
    corpus: tuple[str, ...]  # globs below tests/data, or texts where none of them is a file
    suffix: str = ""
    text: bool = False
    streams: bool = False  # answers stand beside messages
    remarks: bool = False  # remarks stand beside answers


_VFIO = str(DATA / "golden" / "vfio.yaml")
_TRACED = str(DATA / "live" / "6.1_non_bios.yaml")
_TRACES = ("traces/*.txt", "live/6.1_non_bios.trace", "live/7.3_huge1g_split.trace")
_SCENARIOS = ("golden/*.yaml", "live/*.yaml", "reports/*/*.yaml")
_PATCHES = ("patches/**/*",)
_TEXTS = (
    "0x0007040600070406",
    "WB WC UC- UC WB WP UC- WT",
    "0x2ff=0xc06",
    "0x6000000012345b77",
    "effective=WC",
    "mmio=no",
    "6.12.107+deb12-amd64",
    "kvm_own(vcpu)=yes",
    "0x100001000 WC",
    "WB  WT  UC- UC  WB  WT  UC- UC",
)

TARGETS = (
    Target("eval", ("eval", "-", "-o", "plain"), _SCENARIOS),
    Target("eval-tsv", ("eval", "-", "-o", "tsv"), _SCENARIOS),
    Target("mtrr", ("mtrr", "-", "-o", "plain"), _SCENARIOS),
    Target("check", ("check", "-", "-o", "plain"), _SCENARIOS),
    Target("explain", ("explain", "-", "--gpa", "0x1000", "-o", "plain"), _SCENARIOS),
    Target("rule-file", ("rules", "check", "{}", "-o", "tsv"), ("reports/*/*.yaml",), ".yaml"),
    Target("rule-diff", ("diff", "v6.7", "{}", "-o", "plain"), ("reports/*/*.yaml",), ".yaml"),
    Target("c", ("rules", "show", "{}", "-o", "plain"), ("c/**/*.c",), ".c"),
    Target("review", ("review", "-", "-o", "plain"), _PATCHES),
    Target("review-base", ("review", "-", "--base", "v6.7", "-o", "plain"), _PATCHES),
    Target("stream", ("eval", _VFIO, "--gpa", "-", "-o", "tsv"), _TEXTS, streams=True),
    Target("mtrr-stream", ("mtrr", _VFIO, "--gpa", "-", "-o", "tsv"), _TEXTS, streams=True),
    Target("epte-stream", ("decode", "epte", "-", "-o", "plain"), _TEXTS, streams=True),
    Target("import", ("import", "-", "--default-type", "UC"), ("importers/samples/*.txt",), remarks=True),
    Target("mtrr-dump", ("mtrr", "-", "-o", "plain"), ("importers/samples/*.txt",)),
    Target("audit", ("audit", "-", "-o", "plain"), _TRACES, streams=True),
    Target("audit-vm", ("audit", _TRACED, "-", "-o", "jsonl"), _TRACES, streams=True),
    Target(
        "audit-spte",
        ("audit", "--as", "spte", "-", "-o", "plain"),
        ("8 6000000012345b77 1", "0x9 0xa77 2"),
        streams=True,
    ),
    Target("audit-merge", ("audit", "--merge", "-", "-o", "plain"), ("traces/result.json",)),
    Target("pat", ("decode", "pat", "-o", "plain", "--"), _TEXTS, text=True),
    Target("msr", ("decode", "mtrr", "-o", "plain", "--"), _TEXTS, text=True),
    Target("epte", ("decode", "epte", "-o", "plain", "--"), _TEXTS, text=True),
    Target("where", ("table", "-o", "plain", "--where"), _TEXTS, text=True),
    Target("assume", ("lookup", "-o", "plain", "--assume"), _TEXTS, text=True),
    Target("rules", ("lookup", "-o", "plain", "-r"), _TEXTS, text=True),
)


def _rule_files() -> Iterator[str]:
    return (write_rule_file(resolve(name)) for name in built_in_names())


def _c_files() -> Iterator[str]:
    return (text for name in built_in_names() for text in texts_of_its_time(resolve(name).rules))


_MADE: dict[str, Callable[[], Iterable[str]]] = {".yaml": _rule_files, ".c": _c_files}


def corpus(target: Target) -> tuple[bytes, ...]:
    """What mutations start from."""
    files = [path for glob in target.corpus for path in sorted(DATA.glob(glob)) if path.is_file()]
    made = _MADE.get(target.suffix, lambda: ())()
    found = (*(path.read_bytes() for path in files), *(text.encode() for text in made))
    return found or tuple(text.encode() for text in target.corpus)


class Fault(AssertionError):
    """Something that no input may bring about."""


def check(target: Target, data: bytes, folder: Path, seconds: float) -> int:
    """Feeds a reader. Returns the exit status; raises Fault."""
    args = list(target.args)
    if target.text:
        args.append(data.decode("utf-8", "replace").replace("\0", " "))
        data = b""
    if target.suffix:
        path = folder / f"input{target.suffix}"
        path.write_bytes(data)
        args = [str(path) if arg == "{}" else arg for arg in args]
        data = b""
    started = time.monotonic()
    status, out, err = _call(args, data, folder, seconds)
    took = time.monotonic() - started
    if took > seconds:
        raise Fault(f"took {took:.1f} s")
    if status not in (0, 1, 2):
        raise Fault(f"exit status {status}")
    if "Traceback" in err:
        raise Fault("a traceback")
    if bool(err) is not (status == 2) and not (target.remarks and status == 0):
        raise Fault(f"exit status {status}, and {'a' if err else 'no'} message")
    if not target.streams:
        if status == 2 and out:
            raise Fault("a message beside an answer")
        if len(err) > LONGEST_REPORT and not (target.remarks and status == 0):
            raise Fault(f"a message of {len(err)} characters")
    odd = sorted({char for char in out + err if not char.isprintable() and char not in "\n\t"})
    if odd:
        raise Fault(f"control characters in what is printed: {odd}")
    return status


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Fault(f"no end within {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _call(args: list[str], data: bytes, folder: Path, seconds: float) -> tuple[int, str, str]:
    """main() in this process, its three streams being files: some readers take them by number."""
    with _redirected(data, folder) as texts:
        status = -1
        try:
            with _within(2 * seconds):
                main(args)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        except Fault:
            raise
        except BaseException as error:
            raise Fault(f"{type(error).__name__}: {error}"[:300]) from error
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return status, *texts()


@contextmanager
def _redirected(data: bytes, folder: Path) -> Iterator[Callable[[], tuple[str, str]]]:
    names = [folder / name for name in ("stdin", "stdout", "stderr")]
    names[0].write_bytes(data)
    kept = [os.dup(fd) for fd in range(3)]
    streams = (sys.stdin, sys.stdout, sys.stderr)
    try:
        for fd, (name, mode) in enumerate(
            zip(names, (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT | os.O_TRUNC,) * 2), strict=True)
        ):
            opened = os.open(name, mode, 0o600)
            os.dup2(opened, fd)
            os.close(opened)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), "utf-8")
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", write_through=True)
        yield lambda: (names[1].read_text("utf-8"), names[2].read_text("utf-8"))
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        for fd, before in enumerate(kept):
            os.dup2(before, fd)
            os.close(before)
