# SPDX-License-Identifier: GPL-2.0-only
"""What options take: types that say what would be right, and that complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from mtcalc.cli import environment
from mtcalc.kvm.flags import QUIRKS, SLOT_FLAGS, parse_quirk, parse_slot_flag
from mtcalc.kvm.versions import Vendor
from mtcalc.text.filenames import GIT
from mtcalc.text.numbers import parse_address
from mtcalc.x86.memtype import MTRR_TYPES, PAT_TYPES, MemType, parse_memtype

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mtcalc.linux.functions import Request
    from mtcalc.refs.guest import GuestKernel
    from mtcalc.x86.pat import Pat

T = TypeVar("T")


class Word(click.ParamType[Any], Generic[T]):
    """A parameter read by a function that raises ValueError; `words` are offered on TAB."""

    def __init__(self, name: str, read: Callable[[str], T], words: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._read = read
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        typed = incomplete.lower().replace("_", "-")
        return [CompletionItem(w) for w in self._words() if w.lower().replace("_", "-").startswith(typed)]


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """A reader of exactly these words."""

    def read(text: str) -> str:
        if text not in words:
            from mtcalc.text.suggest import did_you_mean

            # Short words: csv looks like svg to difflib.
            raise ValueError(f"'{text}' is not known ({did_you_mean(text, words, cutoff=0.7)})")
        return text

    return read


def _completed(names: Iterable[str]) -> list[str]:
    return [name.lower().replace("_", "-") for name in names]


def _read_mtrr(text: str) -> MemType:
    if text.strip().lower() in ("off", "none", "disabled"):
        what = "MTRRs that are off have no type: KVM up to 6.10 reads UC, or WB where CPUID lacks them"
        raise ValueError(f"'{text}': {what} (--mtrr uc or wb; in a scenario guest: {{mtrr: {{enabled: false}}}})")
    return parse_memtype(text, MTRR_TYPES)


MTRR_TYPE: Word[MemType] = Word("type", _read_mtrr, lambda: [str(kind) for kind in MTRR_TYPES])
PAT_TYPE: Word[MemType] = Word("type", parse_memtype, lambda: [str(kind) for kind in PAT_TYPES])


def _read_pat(text: str) -> Pat:
    from mtcalc.x86.pat import parse_pat

    return parse_pat(text)


PAT_REGISTER: Word[Pat] = Word("pat", _read_pat, lambda: ["linux", "reset"])
"""A whole PAT: by name, as its register or as eight types."""
SLOT_FLAG: Word[int] = Word("name", parse_slot_flag, lambda: _completed(SLOT_FLAGS))
QUIRK: Word[int] = Word("name", parse_quirk, lambda: _completed(QUIRKS))


def _read_request(text: str) -> Request | None:
    if text == EVERY_REQUEST:
        return None
    from mtcalc.linux.functions import parse_request

    return parse_request(text)


def _request_words() -> Iterable[str]:
    from mtcalc.linux.functions import request_names

    return request_names()


def _read_guest(text: str) -> GuestKernel:
    from mtcalc.refs.guest import parse_guest

    return parse_guest(text)


EVERY_REQUEST = ""
REQUEST: Word[Request | None] = Word("type|function", _read_request, _request_words)
"""What a driver of a Linux guest asks for; None where the option stands without one."""
GUEST: Word[GuestKernel] = Word("release", _read_guest, lambda: ["latest", *_releases("")])
_VENDORS = tuple(vendor.value for vendor in Vendor)
VENDOR: Word[Vendor] = Word("vendor", lambda text: Vendor(one_of(_VENDORS)(text.lower())), lambda: _VENDORS)
ADDRESS: Word[int] = Word("address", parse_address, list)


def _read_gpa(text: str) -> int | None:
    return None if text == "-" else parse_address(text)


GPA: Word[int | None] = Word("address", _read_gpa, list)
"""A guest address in bytes; None for '-', standard input."""


def _read_assumption(text: str) -> tuple[str, bool | MemType]:
    condition, equals, value = text.rpartition("=")
    word = value.strip().lower()
    if equals and condition.strip():
        if word in ("yes", "no", "true", "false"):
            return condition.strip(), word in ("yes", "true")
        try:
            return condition.strip(), parse_memtype(value, MTRR_TYPES)
        except ValueError:
            pass
    raise ValueError(f"'{text}' is no assumption (TEXT=yes or TEXT=no, TEXT=WC for a memory type)")


ASSUMPTION: Word[tuple[str, bool | MemType]] = Word("text=yes|no", _read_assumption, list)


LONGTERM = ("5.4", "5.10", "5.15", "6.1", "6.6", "6.12", "6.18")
"""The releases that people run for years, offered before anything is typed."""


def _releases(typed: str) -> list[str]:
    """Kernel releases to offer: the long-term ones, or those that begin with what is typed."""
    from mtcalc.kvm.release import SERIES

    if not typed:
        return list(LONGTERM)
    last = {series[0]: minor for series, minor in SERIES.items() if len(series) == 1}
    known = [f"{major}.{minor}" for major, end in last.items() if major > 2 for minor in range(end + 1)]
    return [release for release in known if release.startswith(typed)]


TREE = "mtcalc.git"
"""Where a command's context keeps the folder of --git."""

_GIT_SECONDS = 0.5
"""How long a TAB waits for git."""


def _revisions(ctx: click.Context, typed: str, prefix: str = GIT) -> list[CompletionItem]:
    """The branches and tags of the git tree that a word goes on with, behind `prefix` and the first end of a range.

    None that a shell would not take as it stands: a name of somebody else's tree ends up on a command line.
    """
    from click.shell_completion import CompletionItem

    from mtcalc.refs.git import open_git
    from mtcalc.text.errors import InputError

    first, dots, last = typed.removeprefix(prefix).rpartition("..")
    lead = f"{prefix}{first}{dots}"
    try:
        with open_git(ctx.meta.get(TREE) or os.environ.get(environment.GIT) or None) as git:
            names = ["HEAD", *git.names(_GIT_SECONDS)]
    except InputError:
        return []
    plain = (name for name in dict.fromkeys(names) if _is_plain(name))
    return [CompletionItem(f"{lead}{name}") for name in plain if name.startswith(last)]


def _is_plain(name: str) -> bool:
    return name.isascii() and name[:1].isalnum() and all(one.isalnum() or one in "_.+/-" for one in name)


class Ref(click.ParamType[str]):
    """A REF as typed; it is resolved by the command. Completes names, releases, and files by their suffixes.

    Behind `git:` the branches and tags of the git tree.
    """

    name = "ref"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith(GIT):
            return _revisions(ctx, incomplete)
        from mtcalc.rules.builtin import built_in_names
        from mtcalc.text.filenames import C_SUFFIXES, PATCH_SUFFIXES, RULE_FILE_SUFFIXES

        typed = incomplete.lower()
        words = [word for word in (*built_in_names(), "latest", "host") if word.startswith(typed)]
        found = [CompletionItem(word) for word in (*words, *_releases(typed))]
        suffixes = RULE_FILE_SUFFIXES + C_SUFFIXES + PATCH_SUFFIXES
        return [*found, CompletionItem(incomplete, type="file", suffixes=suffixes)]


class InputFile(click.ParamType[str]):
    """A file to read, '-' for standard input; it is opened by the command, which locates its errors.

    Completes files with one of the suffixes, any file where there is none, and folders on the way to them.
    """

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file", suffixes=self.suffixes)]


class Patches(InputFile):
    """Patches: a file, or commits of a git tree, which complete behind `git:`."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith(GIT):
            return _revisions(ctx, incomplete)
        return super().shell_complete(ctx, param, incomplete)


class Commits(click.ParamType[str]):
    """[git:]A..B or one revision of a git tree; its branches and tags complete."""

    name = "commits"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _revisions(ctx, incomplete, GIT if incomplete.startswith(GIT) else "")


REF = Ref()
COMMITS = Commits()
PATCH_FILE = Patches(".patch", ".diff", ".mbox", ".eml", ".txt")
SCENARIO_FILE = InputFile(".yaml", ".yml", ".json")
