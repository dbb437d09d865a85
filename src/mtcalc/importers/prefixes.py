# SPDX-License-Identifier: GPL-2.0-only
"""What mail, logs and journals put in front of a tool's own line, taken off; wraps of quoted-printable undone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mtcalc.importers.dump import Line

_LEAD = re.compile(
    r"""
    (?: [>|]                                                              # a quoted mail
      | //                                                                # a comment in C or Rust
      | <\d{1,3}>                                                         # a priority
      | [*#](?=\ )                                                         # a comment in C or in a script
      | \(XEN\)(?:\ \[[0-9a-f]{16}\])?                                    # console_timestamps=raw
      | \d{1,3},\d{1,20},\d{1,20},[^;\s]{1,40};                            # /dev/kmsg
      | [\w./-]{1,200}\.(?:dmesg|log|out|txt):(?:\d{1,7}:)?                # grep, in several files
      | \[\ *\d+\.\d{3,9}\](?:\ ?\[\ *[TC]\d+\])?                         # printk.time, and the caller's number
      | \[\ *\+\ *\d+\.\d+\]                                              # dmesg -H
      | \[[A-Z][a-z]{2}\ ?\d{1,2}\ \d\d:\d\d\]                            # dmesg -H, the first of a minute
      | \[[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d\ \d{4}\] # dmesg -T
      | (?:[A-Z][a-z]{2}\ )?\[?\d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?
        (?:Z|\ ?[+-]\d\d:?\d\d|\ (?!MTRR|PAT\b|DMI\b|BIOS|CPU)[A-Z]{3,5}(?=\ ))?\]?  # a zone, not the line's own word
      | [A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d\ \d{4}(?=\ )  # ctime
      | \d\d:\d\d:\d\d(?:[.,]\d{3,9})?(?=\ )                              # ts, a terminal's log
      | \[\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]
      | (?:\d{4}\ )?[A-Z][a-z]{2}\ [\ \d]?\d\ \d\d:\d\d:\d\d(?:\.\d{1,9})?(?=\ )      # syslog
      | (?:[\w.-]{1,64}\ )?kernel(?:\[\d+\])?:
      | (?:kern|user)\ *:(?:emerg|alert|crit|err|warn|notice|info|debug)\ *:  # dmesg --decode
      | kvm_(?:intel|amd):(?=\ )                                            # pr_fmt, from 6.3 on
      | \[(?:SPEW|DEBUG|INFO|NOTE|WARN|ERROR|CRIT|ALERT|EMERG)\ *\]          # coreboot's levels
      | (?:x86/)?mtrr:(?=\ +(?:MTRR|\d))
    )[ ]?""",
    re.VERBOSE,
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,40}[mK]")
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
    held: tuple[int, str] | None = None
    open_key = False  # the one that is held ends with an option's key, so that its = may be the text's own
    for number, data in lines:
        source = data.decode("utf-8", "replace").rstrip("\r\n")
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
        text = source
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
    while (lead := _LEAD.match(text)) is not None:
        text = text[lead.end() :].lstrip()
    return text
