# SPDX-License-Identifier: GPL-2.0-only
"""Objects out of a git tree, by `git cat-file --batch` and `git rev-list` alone.

Who reads a tree did not write its .git/config: nothing in it may run a program. Neither command looks at the index,
at filters or at textconv; what else could run or fetch is turned off besides. Objects are what their ids say:
replacements and grafts do not count. What a shallow or a partial clone lacks is said to be missing, never fetched.

    with open_git("/src/linux") as git:
        commit = git.commit("v6.7")
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import IO, NamedTuple, NoReturn

from mtcalc.text.errors import InputError, printable
from mtcalc.text.source import LIMIT

OPTIONS = (
    "--no-pager",
    "--no-replace-objects",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.sshCommand=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "log.showSignature=false"),
)
"""Before the command. No alias can stand for a command of git's own."""

KEPT = re.compile(
    r"GIT_(?:CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|EXEC_PATH)$"
)
"""Of the variables that git reads, those that say where to look; GIT_DIR and the rest speak of another tree."""

OWN = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}

LONGEST_REVISION = 1_000

LONGEST_TITLE = 80
"""Characters."""

_HEADER = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?) (commit|tree|blob|tag) (\d+)\n")
_ENTRY = {
    20: re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL),
    32: re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{32})", re.DOTALL),
}
_PERSON = re.compile(r"(.*?) ?<[^>]*> (-?\d{1,12}) ([+-]\d{4})$")
_LACKS = re.compile(r"from promisor remote|unable to read tree|missing (?:blob|tree|commit)|bad (?:tree )?object", re.I)


class MissingObject(InputError):
    """An object that the tree names and does not have: a shallow or a partial clone."""


class AmbiguousObject(InputError):
    """Several objects whose ids begin with the digits given."""


class GitCommit(NamedTuple):
    """One commit. `date` is its author's day, YYYY-MM-DD, in the time zone of the author."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    date: str
    subject: str
    message: str = ""  # the subject and all behind it

    @property
    def title(self) -> str:
        """The subject as notes show it: three dots stand for what is behind 80 characters."""
        if len(self.subject) > LONGEST_TITLE:
            return f"{self.subject[: LONGEST_TITLE - 3].rstrip()}..."
        return self.subject or "no subject"


class Entry(NamedTuple):
    """One entry of a tree object: a file's or a folder's id."""

    folder: bool
    id: str


class Git:
    """An open git tree. Made by open_git()."""

    def __init__(self, program: str, folder: str, shown: str) -> None:
        self.shown = shown  # what messages call it
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._trees: dict[str, dict[bytes, Entry]] = {}

    def commit(self, revision: str) -> GitCommit:
        """The commit that a revision names. Raises InputError."""
        check_revision(revision)
        found = self._ask(f"{revision}^{{commit}}")
        if found is None:
            raise InputError(f"git:{revision}: no such commit in {self.shown} (a branch, a tag, a commit's id)")
        return _commit(found[0], found[2])

    def commit_of(self, object_id: str) -> GitCommit:
        """The commit of an id. Raises MissingObject."""
        return _commit(object_id, self.read(object_id))

    def blob(self, abbreviated: str) -> tuple[str, bytes] | None:
        """The id and the bytes of the one blob whose id begins so; None where there is none, or several.

        Raises InputError for no git tree.
        """
        try:
            found = self._ask(f"{abbreviated}^{{blob}}")
        except AmbiguousObject:
            return None
        return None if found is None else (found[0], found[2])

    def read(self, object_id: str) -> bytes:
        """An object's content. Raises MissingObject; InputError for more than LIMIT bytes."""
        found = self._ask(object_id)
        if found is None:
            raise MissingObject(f"{self.shown}: object {object_id[:12]} is missing ({HOW_TO_GET})")
        return found[2]

    def tree(self, object_id: str) -> dict[bytes, Entry]:
        """The files and folders of a tree object by name; links and submodules are neither. Raises MissingObject."""
        known = self._trees.get(object_id)
        if known is None:
            entries = _ENTRY[len(object_id) // 2].findall(self.read(object_id))
            known = {
                name: Entry(mode == b"40000", found.hex())
                for mode, name, found in entries
                if mode[:2] in (b"40", b"10")
            }
            self._trees[object_id] = known
        return known

    def commits(self, last: str, without: str | None, paths: Sequence[str] = (), merges: bool = False) -> list[str]:
        """The ids of commits reachable from `last` and not from `without`, newest first, that touch `paths`.

        All that touch them: on side branches too, and those that were undone in a merge. Raises InputError.
        """
        asked = ["rev-list", "--full-history", *([] if merges else ["--no-merges"]), last]
        asked += [f"^{without}"] if without else []
        return self._list([*asked, "--", *(f":(top,literal){path}" for path in paths)])

    def fork_points(self, last: str, without: str) -> list[str]:
        """The commits at which the history of `last` leaves that of `without`. Raises InputError."""
        listed = self._list(["rev-list", "--boundary", last, f"^{without}", "--"])
        return [line[1:] for line in listed if line.startswith("-")]

    def close(self) -> None:
        """Ends git."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # both are pipes
            process.stdout.close()  # type: ignore[union-attr]
            process.wait()
        if self._said is not None:
            self._said.close()
            self._said = None

    def _ask(self, name: str) -> tuple[str, str, bytes] | None:
        """(id, kind, content) of what `name` names to `git cat-file --batch`; None where it names nothing here."""
        process = self._running()
        assert process.stdin
        assert process.stdout
        header = b""
        with suppress(OSError):  # it ended: its words say why
            process.stdin.write(os.fsencode(name) + b"\n")
            process.stdin.flush()
            header = process.stdout.readline()
        if not header:
            said = self._last_words()
            if _LACKS.search(said):
                return None
            self._refuse(said)
        found = _HEADER.fullmatch(header)
        if found is None:
            if header.endswith(b" ambiguous\n"):
                raise AmbiguousObject(f"git:{name.partition('^')[0]}: several objects begin so (more digits of the id)")
            return None
        size = int(found[3])
        if size > LIMIT:
            self.close()  # rather than to read on to its end
            raise InputError(f"{self.shown}: object {found[1][:12].decode()} is too large (at most {LIMIT >> 20} MiB)")
        content = process.stdout.read(size + 1)
        if len(content) != size + 1:
            self._refuse(self._last_words())
        return found[1].decode(), found[2].decode(), content[:-1]

    def names(self, seconds: float) -> list[str]:
        """The branches and tags, those of other trees too, as revisions; none where that takes longer.

        Raises InputError for no git tree.
        """
        kinds = ("refs/heads", "refs/tags", "refs/remotes")
        try:
            return self._list(["for-each-ref", "--format=%(refname:strip=2)", *kinds], seconds)
        except subprocess.TimeoutExpired:
            return []

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115  # close() closes it
            self._process = subprocess.Popen(
                [self._program, *OPTIONS, "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                cwd=self._folder,
                env=_environment(),
            )
        return self._process

    def _last_words(self) -> str:
        """What git said before it ended; the next question starts it anew."""
        process, said = self._process, self._said
        assert process
        assert said
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        process.wait()
        said.seek(0)
        words = said.read(10_000).decode("utf-8", "replace")
        self.close()
        return words

    def _list(self, arguments: Sequence[str], seconds: float | None = None) -> list[str]:
        done = subprocess.run(
            [self._program, *OPTIONS, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self._folder,
            env=_environment(),
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace")
            if _LACKS.search(said):
                raise MissingObject(f"{self.shown}: trees or commits are missing ({HOW_TO_GET})")
            self._refuse(said)
        return done.stdout.decode("utf-8", "replace").split()

    def _refuse(self, said: str) -> NoReturn:
        """Raises InputError with what git said."""
        if "not a git repository" in said:
            raise InputError(f"{self.shown} is no git tree (git:REV is read in one: --git DIR)")
        if "dubious ownership" in said:
            what = f"{self.shown}: git does not read a tree that somebody else owns"
            raise InputError(f"{what} (git config --global --add safe.directory DIR, if you trust it)")
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
        word = lines[-1].partition(":")[2].strip() if lines else "git ended without a word"
        raise InputError(f"{self.shown}: {printable(word)} (a git tree that git can read)")


HOW_TO_GET = "a shallow or partial clone; nothing is fetched: git fetch gets more"


@contextmanager
def open_git(folder: str | None = None) -> Iterator[Git]:
    """The git tree that a folder is in, bare or not; None is the working directory.

    Raises InputError: no such folder, no git program; no tree there, when first asked.
    """
    # Only where a path is absolute: a program of the tree itself must not be taken for git.
    places = [place for place in os.get_exec_path() if os.path.isabs(place)]
    program = next((path for place in places if _is_program(path := os.path.join(place, "git"))), None)
    if program is None:
        raise InputError("git is not installed, and git:REV is read with it (or give the C file)")
    if folder is not None and not os.path.isdir(folder):
        raise InputError(f"--git {folder}: no such folder (a git tree)")
    git = Git(program, folder or ".", folder or "the working directory")
    # A git that ended must not end us with it, as the broken pipe of our own output does.
    before: object = None
    with suppress(ValueError):  # not the main thread, where Python's own way is kept
        before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield git
    finally:
        git.close()
        if before is not None:
            signal.signal(signal.SIGPIPE, before)  # type: ignore[arg-type]  # what signal() gave


def check_revision(revision: str) -> None:
    """Raises InputError for what is no single revision."""
    if not revision:
        raise InputError("git: names no revision (git:HEAD, git:v6.7)")
    if len(revision) > LONGEST_REVISION or any(ord(c) < 0x20 or ord(c) == 0x7F for c in revision):
        raise InputError("git:REV has characters that are in no revision (git:HEAD, git:v6.7)")
    if ".." in revision:
        raise InputError(f"git:{revision} is a range (one revision; review and log take git:A..B)")
    if ":" in revision or revision.startswith("^"):
        raise InputError(f"git:{revision} is no plain revision (git:HEAD, git:v6.7: the file in it is known)")


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or KEPT.match(name)}
    return kept | OWN


def _commit(object_id: str, content: bytes) -> GitCommit:
    """Raises InputError for what is no commit."""
    head, _, message = content.decode("utf-8", "replace").partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    tree = next((value for key, _, value in fields if key == "tree"), "")
    person = next((value for key, _, value in fields if key == "author"), "")
    parents = tuple(value for key, _, value in fields if key == "parent")
    match = _PERSON.match(person)
    if not tree:
        raise InputError(f"object {object_id[:12]} is no commit")
    subject = " ".join(message.lstrip("\n").partition("\n\n")[0].split())
    return GitCommit(object_id, tree, parents, match[1] if match else "", _day(match), subject, message)


def _day(person: re.Match[str] | None) -> str:
    if person is None:
        return ""
    offset = timedelta(hours=int(person[3][:3]), minutes=int(person[3][0] + person[3][3:]))
    with suppress(ValueError, OverflowError, OSError):  # a year, or a zone, that no calendar has
        return datetime.fromtimestamp(int(person[2]), timezone(offset)).date().isoformat()
    return ""
