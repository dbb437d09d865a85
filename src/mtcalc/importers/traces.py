# SPDX-License-Identifier: GPL-2.0-only
"""SPTEs in traces and logs of KVM, as they arrive: by ftrace, trace-cmd, perf, bpftrace, printk.

The tracepoints are found by their own text wherever it stands, so what a tool, a mail or a journal puts in front does
not matter, nor a line that a mail wrapped. Source of the texts: arch/x86/kvm/mmu/mmutrace.h, and the printks in
arch/x86/kvm/vmx/vmx.c, mmu/mmu.c and mmu/tdp_mmu.c (before 4.20 and 5.10 in vmx.c and mmu.c).
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, NamedTuple

from mtcalc.importers.trace_events import (
    AGAIN,
    CHANGED,
    CHECKED,
    EVENTS,
    FAST,
    NAMED,
    NAMES,
    NO_WORDS,
    QUICK,
    WORDS,
    Make,
    count_named,
    from_words,
)
from mtcalc.kvm.recorded import NO_GFN, Batch, Entry, batch_of
from mtcalc.text.errors import InputError, Place
from mtcalc.text.packed import BLOCK, unpacked

FORMS = {
    "trace": "tracepoints, as ftrace, trace-cmd report and perf script print them",
    "log": "what KVM prints of misconfigured and reserved entries, in dmesg or a journal",
    "spte": "three words a line, gfn and spte in hex and the level, as bpftrace prints them",
}
"""The formats by name. Without one, trace and log are looked for together."""

_HELD = 1 << 12
"""Bytes at the end of a block that may be an event whose rest has not come."""
_LONGEST_LINE = 1 << 16
_MARK = 6
"""Bytes that tell how a file is packed."""
_RECENT = 1 << 17
"""Events remembered, so that what repeats costs little; the same entry may be handed out again all the same."""
_UNREMEMBERED = 7
"""Blocks for which nothing is remembered, once nearly all of one was new."""
_NOT_TEXT = {
    b"\x17\x08\x44tracing": "trace-cmd's own data (trace-cmd report prints it as text)",
    b"PERFILE2": "perf's own data (perf script prints it as text)",
}

_SHOWN = 200
"""Bytes that are shown of a line from its event on."""
# The texts up to 5.12, and those since; a line above tells the address.
_PRINTED = re.compile(
    rb"EPT:\s+GPA:\s+0x(?P<gpa>[0-9a-f]{1,16})\b"
    rb"|reserved bits [a-zA-Z -]{0,40}, addr 0x(?P<addr>[0-9a-f]{1,16})\b"
    rb"|as_id:\s+(?P<space>\d{1,2})\s+gfn:\s+(?P<gfn>[0-9a-f]{1,16})\s+old_spte:\s+(?P<old>[0-9a-f]{1,16})"
    rb"\s+new_spte:\s+(?P<new>[0-9a-f]{1,16})\s+level:\s+(?P<at>[1-5])\b"
    rb"|(?:inspect_spte:|------|: )\s*spte(?:\s+=)?\s+0x(?P<spte>[0-9a-f]{1,16}),?\s+level(?:\s+=)?\s+"
    rb"(?P<level>[1-5])\b"
)
_PRINTED_SIGNS = (
    (b"G", b"EPT: GPA"),
    (b"=", b"spte = 0x"),
    (b"-", b"------"),
    (b"_", b"inspect_spte"),
    (b"_", b"as_id:"),
    (b"y", b"hierarchy"),
)
"""Words, and a byte of each: one that is rare among tracepoints is found some five times faster."""
_PRINTED_NAMES = re.compile(rb"inspect_spte:\s*spte\b|------\s*spte\b|as_id:\s+\d")
"""What begins an entry among the printed lines."""
_BEGINS = re.compile(rb"kvm_\w+:|fast_page_fault:|check_mmio_spte:|EPT:|as_id:|inspect_spte:|------")
_QUOTED = re.compile(rb"^(?:[>|][ \t]?)+", re.M)
_SOFT = re.compile(rb"=\r?\n(?:[>|] ?)*([^\n]*)")
_MARKUP = (
    (b"\xc2", ((b"\xc2\xa0", b" "),)),
    (b"&", ((b"&nbsp;", b" "), (b"&gt;", b">"), (b"&lt;", b"<"))),
    (b"<", ((b"<br", b" <br"),)),
)
"""A byte that tells that there may be some, and what each is replaced with."""


class Unread(NamedTuple):
    """Lines of one kind, a key of EXAMPLES, that could not be read."""

    kind: str
    lines: int
    line: int  # the first of them, from 1
    column: int  # of its event, from 1
    text: str  # the line


class TraceReader:
    """The entries of one file, '-' for standard input, in batches as they arrive; an entry may come more than once.

    Memory does not grow with the file.
    """

    def __init__(self, path: str, form: str | None = None, tick: Callable[[], None] = lambda: None) -> None:
        """`form` is a key of FORMS, None for what the text tells; `tick` is called after each block."""
        self.file = path
        self.lines = 0  # handed out so far
        self.stopped = False
        self._form = form
        self._tick = tick
        self._reading = False
        self._in_print = False
        self._gfn = NO_GFN  # of the last printk that told an address
        self._unread: dict[str, Unread] = {}
        self._found = 0  # events of a block
        self._recent: dict[re.Pattern[bytes], set[bytes]] = {}
        self._unremembered: dict[re.Pattern[bytes], int] = {}

    def stop(self) -> None:
        """Ends the file here, from a signal handler: what has arrived is handed out still."""
        self.stopped = True
        if self._reading:
            raise KeyboardInterrupt

    @property
    def unread(self) -> list[Unread]:
        """What should be an entry and can't be read, so far, by the first line."""
        return sorted(self._unread.values(), key=lambda unread: unread.line)

    def __iter__(self) -> Iterator[Batch]:
        """Raises InputError for what can't be opened, read or unpacked, and for what is no text."""
        rest = b""
        first = True
        for block in unpacked(self._blocks(), self.file):
            if first:
                self._check(block)
                block = block.removeprefix(b"\xef\xbb\xbf")
                first = False
            if b"\0" in block:
                line = self.lines + (rest + block[: block.index(b"\0")]).count(b"\n") + 1
                raise InputError("NUL byte (text; is this a binary file?)", Place(self.file, line, 1))
            rest = yield from self._whole_events(rest + block)
            self._tick()
        if rest and not rest.endswith(b"\n"):
            rest = self._without_cut(rest)
        if rest:
            yield from self._entries(_plain(rest if rest.endswith(b"\n") else rest + b"\n"))

    def _check(self, head: bytes) -> None:
        for mark, what in _NOT_TEXT.items():
            if head.startswith(mark):
                raise InputError(what, Place(self.file, 1, 1))
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError("UTF-16 or UTF-32 text (save it as UTF-8)", Place(self.file, 1, 1))

    def _whole_events(self, data: bytes) -> Generator[Batch, None, bytes]:
        """The entries of the events that are whole; returns what may be the begin of another."""
        end = data.rfind(b"\n") + 1
        if not end:
            return data[-_LONGEST_LINE:]
        begin = end
        for found in _BEGINS.finditer(data, max(0, end - _HELD), end):
            begin = found.start()
        cut = data.rfind(b"\n", 0, begin) + 1
        yield from self._entries(_plain(data[:cut]))
        return data[cut:]

    def _without_cut(self, data: bytes) -> bytes:
        """The end of a file without what is no whole event: its last line has no end.

        A value that stands there may lack digits, unless it has all 16; in a file of one line it is taken as it is. A
        line that begins as the event before it does, and goes no further than its name, is the begin of another one.
        """
        begin = data.rfind(b"\n") + 1
        if self.stopped:
            return data[:begin]
        if self._form == "spte" or not (begin or self.lines):
            return data
        for pattern in (CHANGED, FAST, CHECKED):
            for event in pattern.finditer(data):
                if event.end() == len(data) and len(event[1].split()[-1].removeprefix(b"0x")) < 16:
                    self._missed(_kind_of(event[0]), data, event.start(), 1)
                    return data[: event.start()]
        words = data[begin:].split(None, 1)
        named = any(sign.search(data, begin) for sign in (NAMED, _BEGINS, _PRINTED_NAMES))
        if words and words[0] == data.split(None, 1)[0] and not named:
            self._missed("a cut event", data, begin, 1)
            return data[:begin]
        return data

    def _missed(self, kind: str, data: bytes, at: int, count: int) -> None:
        """Counts lines of a block that can't be read, the first at an offset."""
        known = self._unread.get(kind)
        if known is not None:
            self._unread[kind] = known._replace(lines=known.lines + count)
            return
        begin = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at)
        text = data[begin : end if end >= 0 else None][: at - begin + _SHOWN].decode("utf-8", "replace").rstrip("\r")
        column = len(data[begin:at].decode("utf-8", "replace")) + 1
        self._unread[kind] = Unread(kind, count, self.lines + data.count(b"\n", 0, at) + 1, column, text)

    def _look_for_unread(self, data: bytes) -> None:
        """Events that are named and were not found."""
        if self._form == "spte":
            if self._found < data.count(b"\n"):
                for line in NO_WORDS.finditer(data):
                    if not WORDS.match(data, line.start()):
                        self._missed("three words", data, line.start(1), 1)
            return
        if self._form == "log" or self._found == data.count(b"\n"):
            return
        named = {name: data.count(name) for name in NAMES}
        if sum(named.values()) == self._found:
            return
        for name, pattern in NAMES.items():
            at = data.find(name) if named[name] else -1
            while at >= 0:
                again = AGAIN.match(data, at + len(name))
                comment = data[data.rfind(b"\n", 0, at) + 1 : at].lstrip()[:1] == b"#"
                if not again and not comment and not pattern.match(data, at):
                    self._missed(_kind_of(name), data, at, 1)
                at = data.find(name, at + len(name))

    def _entries(self, data: bytes) -> Iterator[Batch]:
        lines = data.count(b"\n")
        alone = False  # whether there is one event a line, and so nothing else
        self._found = 0
        if self._form == "spte":
            yield from self._fresh(WORDS, from_words, data, WORDS.findall(data))
        if self._form in (None, "trace"):
            quick = {pattern: form.findall(data) for pattern, (form, _) in QUICK.items()}
            alone = sum(map(len, quick.values())) == lines
            for sign, pattern, make in EVENTS:
                found = quick.get(pattern, [])
                if not alone and sign in data and len(found) != count_named(pattern, data):
                    found = pattern.findall(data)
                yield from self._fresh(pattern, make, data, found)
        if self._form in (None, "log"):
            if not alone and (self._in_print or any(byte in data and words in data for byte, words in _PRINTED_SIGNS)):
                printed = self._printed(data)
                self._in_print = bool(printed.entries)  # the rest of what an address leads to may come yet
                yield printed
            else:
                self._in_print = False
        self._look_for_unread(data)
        self.lines += lines

    def _fresh(self, pattern: re.Pattern[bytes], make: Make, data: bytes, events: list[bytes]) -> Iterator[Batch]:
        """The entries of the events that are not remembered."""
        if not events:
            return
        self._found += len(events)
        if self._unremembered.get(pattern, 0) > 0:
            self._unremembered[pattern] -= 1
        else:
            recent = self._recent.setdefault(pattern, set())
            if recent.issuperset(events):
                return
            fresh = set(events) - recent
            if len(recent) + len(fresh) > _RECENT:
                recent.clear()
            recent |= fresh
            if 10 * len(fresh) > 9 * len(events):  # remembering costs more than it saves
                self._unremembered[pattern] = _UNREMEMBERED
            events = list(dict.fromkeys(filter(fresh.__contains__, events)))
        before = self.lines
        places: dict[bytes, int] = {}

        def line(number: int) -> int:
            if not places:
                at, last = before + 1, 0
                for event in pattern.finditer(data):
                    at += data.count(b"\n", last, event.start())
                    last = event.start()
                    places.setdefault(event[1], at)
            return places[events[number]]

        for columns in make(events):
            yield Batch(*columns, line)

    def _printed(self, data: bytes) -> Batch:
        """What KVM prints itself: an address, then the entries that lead there, the root first."""
        entries: list[Entry] = []
        lines: list[int] = []
        line, last = self.lines + 1, 0
        for name in _PRINTED_NAMES.finditer(data):
            if not _PRINTED.match(data, name.start()):
                self._missed("a printed entry", data, name.start(), 1)
        for part in _PRINTED.finditer(data):
            at = part.start()
            line += data.count(b"\n", last, at)
            last = at
            address = part["gpa"] or part["addr"]
            if address:
                self._gfn = int(address, 16) >> 12
            elif part["spte"]:
                entries.append((0, self._gfn, int(part["level"]), int(part["spte"], 16)))
                lines.append(line)
            else:
                space, gfn, level = int(part["space"]), int(part["gfn"], 16), int(part["at"])
                entries += ((space, gfn, level, int(part[name], 16)) for name in ("old", "new"))
                lines += (line, line)
        return batch_of(entries, lines.__getitem__)

    def _blocks(self) -> Iterator[bytes]:
        """The file as it arrives, a first block of six bytes at least where there are as many."""
        with self._open() as stream:
            head = b""
            begun = False
            while block := self._read(stream):
                if not begun:
                    head += block
                    if len(head) < _MARK:
                        continue
                    block, begun = head, True
                yield block
            if not begun:
                yield head

    def _read(self, stream: BinaryIO) -> bytes:
        """What has arrived, b'' at the end, and from stop() on."""
        try:
            self._reading = True
            return b"" if self.stopped else os.read(stream.fileno(), BLOCK)
        except KeyboardInterrupt:
            return b""
        except IsADirectoryError:
            raise InputError(f"{self.file}: is a directory (a file)") from None
        except OSError as error:
            raise InputError(f"{self.file}: {(error.strerror or str(error)).lower()} (a readable file)") from None
        finally:
            self._reading = False

    def _open(self) -> BinaryIO:
        try:
            if self.file == "-":
                if sys.stdin is None:
                    raise InputError("-: standard input is closed (a file, or a pipe into the program)")
                return sys.stdin.buffer
            return open(self.file, "rb")
        except FileNotFoundError:
            raise InputError(f"{self.file}: no such file (a path, or - for standard input)") from None
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise InputError(f"{self.file}: {reason.lower()} (a readable file)") from None


def _kind_of(event: bytes) -> str:
    return event.partition(b":")[0].decode()


def blocks_of(path: str) -> int:
    """How many blocks a file is read in, 0 where that is not known: a pipe."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0
    return status.st_size // BLOCK + 1 if stat.S_ISREG(status.st_mode) else 0


def _plain(data: bytes) -> bytes:
    """The lines without what mail puts around them: quoting, soft line breaks, HTML. As many lines as before."""
    # One byte is looked for some thirty times faster than two.
    for sign, marks in _MARKUP:
        if sign in data:
            for mark, plain in marks:
                data = data.replace(mark, plain)
    if (b">" in data and b"\n>" in data) or (b"|" in data and b"\n|" in data) or data[:1] in (b">", b"|"):
        data = _QUOTED.sub(b"", data)
    for _ in range(4):  # a line may be broken more than once
        if b"=" not in data or (b"=\n" not in data and b"=\r\n" not in data):
            break
        data = _SOFT.sub(rb"\1\n", data)
    return data
