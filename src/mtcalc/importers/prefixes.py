# SPDX-License-Identifier: GPL-2.0-only
"""What mail, logs and journals put in front of a tool's own line, taken off; wraps of quoted-printable undone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mtcalc.importers.dump import Line

_LEAD = re.compile(
    r"""
    (?: [>|]                                                              # a quoted mail
      | (?:<\d{1,3}>)?1\ \d{4}-\d\d-\d\dT\S{8,24}\ \S{1,255}\ (?:kernel|-)\ \S{1,128}\ \S{1,32}
        \ (?:-|(?:\[[^\]]{1,400}\])+)(?:\ \ufeff?|$)                       # syslog of RFC 5424
      | //                                                                # a comment in C or Rust
      | <\d{1,3}>                                                         # a priority
      | [*#](?=\ )                                                         # a comment in C or in a script
      | \(XEN\)(?:\ \[[0-9a-f]{16}\])?                                    # console_timestamps=raw
      | (?:\d+\.\d+[\w.+-]{0,60},)?\d{1,4},\d{1,20},\d{1,20},[^;\s]{1,60};  # /dev/kmsg, netconsole
      | \[\ *\d+\.\d{3,9}\](?:\ ?\[\ *[TC]\d+\])?                         # printk.time, and the caller's number
      | \[\ *\d+\.\d{3,9}\ <\ *\d+\.\d{3,9}\ ?>\]                         # dmesg -d, journalctl's short-delta
      | \[\ *\+\ *\d+\.\d+\]                                              # dmesg -H
      | \[[A-Z][a-z]{2}\ ?\d{1,2}\ \d\d:\d\d\]                            # dmesg -H, the first of a minute
      | \[[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d\ \d{4}\] # dmesg -T
      | (?:[A-Z][a-z]{2}\ )?\[?\d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?
        (?:Z|\ ?[+-]\d\d:?\d\d|\ (?!MTRR|PAT\b|DMI\b|BIOS|CPU)[A-Z]{3,5}(?=\ ))?\]?  # a zone, not the line's own word
      | [A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d\ \d{4}(?=\ )  # ctime
      | \d\d:\d\d:\d\d(?:[.,]\d{3,9})?(?=\ )                              # ts, a terminal's log
      | \[\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]
      | (?:\d{4}\ )?[A-Z][a-z]{2}\ [\ \d]?\d\ \d\d:\d\d:\d\d(?:\.\d{1,9})?(?=\ )      # syslog
      | \d{10}\.\d{6}(?=\ \S+\ kernel)                                       # journalctl's short-unix
      | (?:[\w.:-]{1,64}\ )?(?:kern\.\w{3,7}\ )?kernel(?:\[\d+\])?:          # a host, and BusyBox's priority
      | (?:kern|user)\ *:(?:emerg|alert|crit|err|warn|notice|info|debug)\ *:  # dmesg --decode
      | kvm_(?:intel|amd):(?=\ )                                            # pr_fmt, from 6.3 on
      | \[(?:SPEW|DEBUG|INFO|NOTE|WARN|ERROR|CRIT|ALERT|EMERG)\ *\]          # coreboot's levels
      | (?:x86/)?mtrr:(?=\ +(?:MTRR|\d))
    )[ ]?""",
    re.VERBOSE,
)
_FILE = r"(?![0-9A-Fa-f]{2,8}:[0-9A-Fa-f]{2}:)[A-Za-z_./][\w.+/-]{0,200}?"
"""A file's path, no address of a PCI device and no time."""
_LOG = (
    rf"(?:(?:{_FILE})?[\w-]\.(?:dmesg|log|out|txt)(?:\.\d{{1,2}})?|(?:{_FILE}/)?(?:messages|syslog|dmesg|mtrr)"
    rf"|(?:[\w.+-]{{1,100}}/){{1,12}}[\w.+-]{{1,100}}(?=-\d{{1,7}}-(?!(?:\d\d-)?\d\dT)))"
)
"""A path that tells of itself that it is one of a log: it may stand in front of a dash, or without a number."""
_GREP = re.compile(
    rf"""
    (?:[>|]\ ?){{0,4}}
    (?: (?P<file>{_FILE}(?<!T\d\d):)?(?P<number>\d{{1,7}}):(?![0-9a-f]{{2}}[:.])  # grep -n
      | {_LOG}-\d{{1,7}}-                                               # and what stands beside it
      | \d{{1,7}}-(?=MTRR|PAT|reg\ ?\d|New\ |original\ |TOM2|x86|\[\ *\d|\ \ |<\d
        |[A-Z][a-z]{{2}}\ [\ \d]\d\ \d\d:|\d{{4}}-\d\d-\d\d
        |\d{{1,2}}\ (?:base|disabled)\b)                                # the same in one file
      | {_LOG}[:-]                                                     # grep, in several files
      | (?:\.{{1,2}})?/(?!/)[\w.+/-]{{1,200}}:
    )(?=\S|\ \ |$)""",
    re.VERBOSE,
)
"""What grep puts in front, at the very begin alone. Behind it there is a line's text, or the blanks that begin it."""
_QUOTES = re.compile(r"(?:[>|] ?){0,4}")
_NEXT, _NEXT_OF_FILE = re.compile(r"(\d{1,7})[:-]"), re.compile(r"[:-](\d{1,7})[:-]")


class _Grepped:
    """Takes off what grep -n -C puts in front of the lines beside those that match, told by their numbers.

    What such a line holds is not looked at: a number, or a file's name and it, goes on from the line before.
    """

    def __init__(self) -> None:
        self._file: str | None = None  # '' where no name stands in front; None: nothing was grepped yet
        self._number = 0
        self._apart = False  # the line before was grep's --

    def line(self, text: str) -> str:
        begin = _QUOTES.match(text)
        assert begin is not None
        rest = text[begin.end() :]
        found = _GREP.match(rest)
        apart, self._apart = self._apart, rest.strip() == "--"
        if found is not None and found["number"]:
            self._file = (found["file"] or "").rstrip(":")
            self._number = int(found["number"])
        elif self._file is not None and rest.startswith(self._file):
            form = _NEXT_OF_FILE if self._file else _NEXT
            following = form.match(rest, len(self._file))
            if following is not None and (apart or int(following[1]) == self._number + 1):
                self._number = int(following[1])
                return rest[following.end() :]
        return text


_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}[mK]")
_MESSAGE = re.compile(r'\s*"msg":\s*("(?:[^"\\]|\\.)*"),?\s*')
_NO_BREAK = re.compile(r"[ \xa0]*\xa0[ \xa0]*")
"""What a page shows as one blank or more: blanks that do not break stand beside others as well as for them."""
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_CODED = re.compile(r"=3D(?=0x|[ \"])| =3D|(?<=[a-z])=3D(?=\w)|=(?:0D|20|C2=A0)$")
_BARE = re.compile(r"=(?![0-9A-F]{2})")
_ASSIGNED = re.compile(r"(?:^|[\s,])(?:accel|blob|honor-guest-pat|host|hostmem|(?:host-)?phys-bits|mtrr|kvm)=$")
"""What a folded command of QEMU ends with, unless a mail that codes it goes on with =3D."""
_OCTETS = re.compile(r"(?:=[0-9A-F]{2})+")
_SHORTEST_WRAP, _LONGEST_WRAP = 60, 80
"""Characters of a line that quoted-printable breaks: 76, of which a mail reader may have taken some off."""


def tool_lines(lines: Iterable[tuple[int, bytes]], file: str) -> Iterator[Line]:
    """(number, line as it stands) -> Lines that are not empty. Bytes that are no UTF-8 become question marks' kin."""
    coded = False
    grepped = _Grepped()
    held: tuple[int, str] | None = None
    open_key = False  # the one that is held ends with an option's key, so that its = may be the text's own
    for number, data in lines:
        source = data.decode("utf-8", "replace").rstrip("\r\n")
        if "\r" in source:  # a serial console's: what is behind it begins at the left again
            *before, source = source.split("\r")
            for part in before if held is None else ():
                yield from _split(part, part, file, number)
        if held is not None and open_key and source.startswith("=3D"):
            coded = True
        elif held is not None and open_key:
            yield from _split(f"{held[1]}=", f"{held[1]}=", file, held[0])
            held = None
        if held is not None:
            source = held[1] + source
            number = held[0]
            held = None
        open_key = not coded and bool(_ASSIGNED.search(source))
        if source.endswith("=") and (coded or open_key or _broken_by_mail(source)):
            coded = not open_key
            held = (number, source[:-1])
            continue
        text = grepped.line(source)
        if coded or ("=" in text and _CODED.search(text)):
            coded = True
            text = _OCTETS.sub(_octets, text)
        yield from _split(text, source, file, number)
    if held is not None:
        last = f"{held[1]}=" if open_key else held[1]
        yield from _split(last, last, file, held[0])


def _broken_by_mail(source: str) -> bool:
    """Whether a line that ends with = is one that quoted-printable breaks, which codes every = of the text itself."""
    return _SHORTEST_WRAP <= len(source) <= _LONGEST_WRAP and not _BARE.search(source[:-1])


def _octets(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("=", "")).decode("utf-8", "replace")


def _split(text: str, source: str, file: str, number: int) -> Iterator[Line]:
    if '"msg":' in text and (message := _MESSAGE.match(text)) is not None:  # dmesg --json
        text = _of_json(f'{{"MESSAGE": {message[1]}}}')
    if text.startswith(("{", '"')) and ('"MESSAGE"' in text or '"return"' in text):
        for part in _of_json(text).splitlines():
            yield from _plain(part, source, file, number)
    else:
        yield from _plain(text, source, file, number)


def _plain(text: str, source: str, file: str, number: int) -> Iterator[Line]:
    bare = without_prefix(text)
    if bare:
        yield Line(bare, file, number, source)


def _of_json(text: str) -> str:
    """The message of journald's JSON, the answer of a QMP monitor."""
    import json

    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found = record.get("MESSAGE", record.get("return")) if isinstance(record, dict) else None
    if isinstance(found, list):  # bytes, where they are not all printable
        if all(isinstance(octet, int) and 0 <= octet < 256 for octet in found):
            return bytes(found).decode("utf-8", "replace")
        return text
    return found if isinstance(found, str) else text


def without_prefix(text: str) -> str:
    """A line's own text: no prefix, no blanks around it."""
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    if "<" in text or "&" in text or "\xa0" in text:
        from html import unescape

        text = _NO_BREAK.sub(" ", unescape(_BREAK.sub("", text)))
    if '\\"' in text:
        text = text.replace('\\"', '"')
    text = text.strip()
    if text.startswith("|") and text.endswith(" |"):  # a row of a table in Markdown
        text = text[1:-1].strip()
    if (grep := _GREP.match(text)) is not None:
        text = text[grep.end() :].lstrip()
    while (lead := _LEAD.match(text)) is not None:
        text = text[lead.end() :].lstrip()
    return text
