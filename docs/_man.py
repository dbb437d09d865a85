# SPDX-License-Identifier: GPL-2.0-only
"""The manual pages: mtcalc(1), one a command, and those that are pages of the docs too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _parts
import _roff as roff
import click

import mtcalc
from mtcalc.cli.main import COMMANDS, cli

PAGES = {
    "mtcalc-scenario.5": ("scenario.md", "a virtual machine as mtcalc reads it"),
    "mtcalc-rules.7": ("rules.md", "rule sets, and the names of kernels"),
    "mtcalc-scripts.7": ("scripts.md", "formats, JSON, exit status, environment, the Python library"),
    "mtcalc-guest.7": ("guest.md", "what a Linux guest's kernel makes of a request"),
    "mtcalc-npt.7": ("npt.md", "AMD's tables: guest PAT, nested type and host MTRR"),
}
"""Manual pages made from pages of the docs: the file, and the line of whatis."""

_ALSO = {
    "lookup.md": "mtcalc-lookup.1",
    "machine.md": "mtcalc-eval.1",
    "audit.md": "mtcalc-audit.1",
    "decode.md": "mtcalc-decode.1",
    "hazards.md": "mtcalc-check.1",
    "import/README.md": "mtcalc-import.1",
    "review.md": "mtcalc-review.1",
    "recipes.md": "mtcalc-review.1",
    "releases.md": "mtcalc-rules.7",
}
"""For links to pages that are no manual pages: the one that comes nearest."""

_NEAR = {
    "lookup": "eval explain table guest.7 npt.7",
    "eval": "lookup explain map mtrr check scenario.5",
    "explain": "lookup eval rules-show npt.7",
    "table": "lookup explain diff guest.7",
    "diff": "review rules-list rules.7",
    "review": "diff log rules-check rules.7",
    "log": "review diff rules.7",
    "rules": "diff rules.7",
    "rules-list": "rules-show rules.7",
    "rules-show": "rules-list rules-check diff rules.7",
    "rules-check": "rules-show diff rules.7",
    "mtrr": "map eval decode-mtrr import scenario.5",
    "map": "eval mtrr scenario.5",
    "decode": "mtrr audit",
    "decode-pat": "decode-mtrr lookup",
    "decode-mtrr": "decode-pat mtrr",
    "decode-epte": "audit explain",
    "import": "mtrr eval check scenario.5",
    "audit": "decode-epte explain import scenario.5",
    "check": "eval explain scenario.5",
    "example": "eval scenario.5",
    "schema": "scenario.5 scripts.7",
    "completion": "example",
}
"""SEE ALSO: for each command's page the others that its reader wants, without `mtcalc-`; section 1 if none is said."""

_ROOT = click.Context(cli, info_name="mtcalc", help_option_names=["-h", "--help"])

_BAD = "wrong usage or bad input, with one message on standard error and nothing on standard output"
_ENVIRONMENT = (
    ("refs", "MTCALC_RULES", "the rule set where neither option nor scenario names one"),
    ("--git", "MTCALC_GIT", "the git tree of git:REV, where --git names none"),
    ("form", "MTCALC_OUTPUT", "the output format; one that a command lacks is passed over"),
    ("color", "MTCALC_COLOR", "auto, always or never"),
    ("color", "NO_COLOR, FORCE_COLOR", "as everywhere; NO_COLOR wins, FORCE_COLOR=0 means no"),
)
"""A parameter's name, or an option: the variable that stands in for it."""

_STANDS_FOR = {
    "vm.yaml": "a scenario, such as 'mtcalc example vfio > vm.yaml' makes",
    "mail.patch": "a patch mail as it came, such as 'mtcalc example series.mbox > mail.patch' makes",
    "mine.yaml": "a rule file, such as 'mtcalc rules show v6.7 -o yaml > mine.yaml' makes",
}
"""Files of examples that nobody has: what they stand for."""

_PASSAGE = re.compile(r"<!-- man ([a-z -]+): ([a-z ]+) -->\n(.*?)<!-- /man -->\n?", re.S)
_STATUS_ROW = re.compile(r"^\| `([a-z -]+)` \| (.+) \|$", re.M)
_FILE = re.compile(r"examples/([\w./-]+)")


def passages(docs: Path) -> dict[tuple[str, str], list[str]]:
    """What the pages of docs/ say of a command: (the page's name without `mtcalc-`, the section) -> Markdown.

    A passage stands between `<!-- man NAME NAME...: SECTION -->` and `<!-- /man -->`.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for path in (docs.parent / "README.md", *sorted(docs.glob("*.md")), docs / "import" / "README.md"):
        for names, section, body in _PASSAGE.findall(path.read_text()):
            for name in names.split():
                found.setdefault((name, section), []).append(_parts.filled(body))
    return found


def statuses(docs: Path) -> dict[str, str]:
    """By command, when its exit status is 1, as docs/scripts.md has it; commands without a row never have it."""
    text = (docs / "scripts.md").read_text()
    return {name.replace(" ", "-"): words for name, words in _STATUS_ROW.findall(text)}


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Every page: its file's name and its text."""
    commands = dict(_commands(cli, "mtcalc"))
    also = {source: name for name, (source, _) in PAGES.items()} | _ALSO
    for source, name in also.items():
        stem, section = name.rsplit(".", 1)
        link = source if "/" in source else Path(source).name
        roff.LINKS[link] = roff.LINKS[f"../{link}"] = (stem, int(section))
    said, status = passages(docs), statuses(docs)
    for path, command in commands.items():
        name = path.replace(" ", "-")
        mine = {section: "".join(texts) for (page, section), texts in said.items() if page == _short(name)}
        yield f"{name}.1", _text(_command_page(path, command, commands, mine, status.get(_short(name), "")), name, 1)
    for name, (source, summary) in PAGES.items():
        stem, section = name.rsplit(".", 1)
        yield name, _text(_docs_page(stem, summary, _parts.filled((docs / source).read_text())), stem, int(section))


def _short(name: str) -> str:
    return name.removeprefix("mtcalc-")


def _text(lines: Iterator[str], name: str, section: int) -> str:
    head = f'.TH {name.upper()} {section} "{_released()}" "mtcalc {mtcalc.__version__}" "mtcalc manual"'
    # HY is what the macros of groff set hyphenation to at each paragraph, whatever .nh says.
    text = "\n".join(
        ('.\\" Made by docs/make.py: change that, or what it reads.', ".nr HY 0", head, ".nh", ".ad l", *lines, "")
    )
    return re.sub(r"(?m)^(\.S[HS] .*\n)\.PP\n", r"\1", text)


def _released() -> str:
    """The day of this version in CHANGELOG.md, '' until it has one: the same pages on whatever day they are made."""
    changes = (Path(__file__).resolve().parent.parent / "CHANGELOG.md").read_text()
    found = re.search(rf"^## {re.escape(mtcalc.__version__)} \((\d{{4}}-\d\d-\d\d)\)$", changes, re.M)
    return found[1] if found else ""


def _commands(group: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        ctx = click.Context(group, info_name=path)
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if command is not None and not command.hidden:
                yield from _commands(command, f"{path} {name}")


def _command_page(
    path: str, command: click.Command, commands: dict[str, click.Command], said: dict[str, str], status: str
) -> Iterator[str]:
    ctx = _ROOT if command is cli else click.Context(command, info_name=path.split()[-1], parent=_ROOT)
    description, examples = _help(command)
    summary = COMMANDS[path.split()[1]].summary if path.count(" ") == 1 else description[0].split(". ")[0]
    yield ".SH NAME"
    yield f"{roff.text(path.replace(' ', '-'))} \\- {roff.prose(_lower(summary))}"
    yield ".SH SYNOPSIS"
    pieces = " ".join(command.collect_usage_pieces(ctx))
    yield f"{roff.bold(path)} {roff.text(pieces)}"
    yield ".SH DESCRIPTION"
    for paragraph in description:
        yield from (".PP", roff.prose(paragraph))
    yield from roff.markdown(said.pop("description", ""))
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name, inner in commands.items():
            if name.startswith(f"{path} ") and name.count(" ") == path.count(" ") + 1:
                words = COMMANDS[name.split()[1]].summary if path == "mtcalc" else inner.get_short_help_str(200)
                yield from (".TP", f"\\fB{roff.text(name.replace(' ', '-'))}\\fR(1)", roff.prose(words))
    yield ".SH OPTIONS"
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None and record[1]:
            names, words = record
            yield from (".TP", _names(names), roff.prose(" ".join(words.split())))
    last = {name: said.pop(name, "") for name in ("files", "examples", "notes")}
    for section, body in said.items():
        yield from _section(section, body)
    yield from _exit_status(status, command is cli)
    yield from _environment(command, commands)
    yield from _section("files", last["files"])
    yield from _examples(examples, last["examples"])
    yield from _section("notes", last["notes"])
    yield ".SH SEE ALSO"
    yield ",\n".join(f"\\fB{roff.text(name)}\\fR({section})" for name, section in _see_also(path, commands))


def _section(name: str, body: str) -> Iterator[str]:
    if body:
        yield f'.SH "{name.upper()}"'
        yield from roff.markdown(body)


def _exit_status(status: str, every: bool) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    yield from (".TP", roff.bold("0"), "done" if every or not status else "done, and nothing of what 1 says")
    if every:
        yield from (".TP", roff.bold("1"), roff.prose("a difference or a finding; the command's page says which"))
    elif status:
        yield from (".TP", roff.bold("1"), *list(roff.markdown(status))[1:])
    yield from (".TP", roff.bold("2"), _BAD)


def _environment(command: click.Command, commands: dict[str, click.Command]) -> Iterator[str]:
    taken = [command] if command.name != "mtcalc" and command is not cli else list(commands.values())
    known = {word for one in taken for param in one.params for word in (str(param.name), *param.opts)}
    rows = [(variable, words) for key, variable, words in _ENVIRONMENT if key in known]
    if command.name == "audit":  # which has no default rule set
        rows = [row for row in rows if row[0] != "MTCALC_RULES"]
    if not any(param.name == "color" for one in taken for param in one.params):
        rows = [row for row in rows if row[0] != "MTCALC_OUTPUT"]
    if rows:
        yield ".SH ENVIRONMENT"
    for variable, words in rows:
        yield from (".TP", roff.bold(variable), roff.prose(words))


def _examples(lines: list[str], shown: str) -> Iterator[str]:
    """The lines of --help, what they take, and those that a page of docs/ shows with what they print."""
    if not lines and not shown:
        return
    yield ".SH EXAMPLES"
    if lines:
        yield from roff.example(lines)
    for file, words in _STANDS_FOR.items():
        if any(file in line for line in lines) and not any(f"> {file}" in line for line in lines):
            yield from (".PP", f"{roff.bold(file)} is {roff.prose(words)}.")
    yield from roff.markdown(_installed(shown))


def _installed(page: str) -> str:
    """The examples of a page as one types them without a checkout: `mtcalc example` makes the files that they take."""
    made: set[str] = set()

    def block(found: re.Match[str]) -> str:
        printed: list[str] = []
        for line in found[0].split("\n"):
            if line.startswith("$ "):
                for file in _FILE.findall(line):
                    if file not in made:
                        made.add(file)
                        printed.append(f"$ mtcalc example {file.removesuffix('.yaml')} > {Path(file).name}")
            short = _FILE.sub(lambda name: Path(name[1]).name, line)
            printed += _folded(short) if line.startswith("$ ") else [short]
        return "\n".join(printed)

    return re.sub(r"^```console\n.*?^```$", block, page, flags=re.M | re.S)


def _folded(command: str) -> list[str]:
    """A command in lines that a terminal of 80 columns has room for."""
    if len(command) <= 78:
        return [command]
    at = max(
        found.start()
        for found in re.finditer(r" (?=\| |-)", command[:77])
        if command.count("'", 0, found.start()) % 2 == 0
    )
    return [f"{command[:at]} \\", *_folded(f"    {command[at + 1 :]}")]


def _see_also(path: str, commands: dict[str, click.Command]) -> Iterator[tuple[str, str]]:
    if path == "mtcalc":
        yield from ((name.replace(" ", "-"), "1") for name in commands if name.count(" ") == 1)
        yield from (tuple(page.rsplit(".", 1)) for page in PAGES)  # type: ignore[misc]
        return
    yield "mtcalc", "1"
    command = _short(path.replace(" ", "-"))
    if command not in _NEAR:
        raise SystemExit(f"docs/_man.py: _NEAR has no row '{command}'")
    for word in _NEAR[command].split():
        name, _, section = word.partition(".")
        yield f"mtcalc-{name}", section or "1"


def _names(names: str) -> str:
    """Options bold, what they take slanted."""
    return "".join(map(_name, re.split(r"(, | / | )", names)))


def _name(word: str) -> str:
    if word.startswith("-"):
        return roff.bold(word)
    return f"\\fI{roff.text(word)}\\fR" if word.strip(" ,/") else word


def _help(command: Any) -> tuple[list[str], list[str]]:
    """The paragraphs of a command's help, and its examples: what stands behind \\b."""
    paragraphs: list[str] = []
    examples: list[str] = []
    # From 3.13 on the compiler takes the indent away.
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = block.split("\n")
        if lines[0].strip() == "\b":
            examples += [line.removeprefix("Try:  ") for line in lines[1:] if line.strip()]
        else:
            paragraphs.append(" ".join(line.strip() for line in lines))
    return paragraphs or [command.get_short_help_str(200)], examples


def _lower(words: str) -> str:
    words = words.rstrip(".")
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def _docs_page(name: str, summary: str, source: str) -> Iterator[str]:
    yield ".SH NAME"
    yield f"{roff.text(name)} \\- {roff.prose(summary)}"
    title, _, body = source.partition("\n")
    assert title.startswith("# "), name
    yield ".SH DESCRIPTION"
    yield from roff.markdown(_installed(body))
    yield ".SH SEE ALSO"
    others = (page.rsplit(".", 1) for page in PAGES if not page.startswith(f"{name}."))
    yield ",\n".join(["\\fBmtcalc\\fR(1)", *(f"\\fB{roff.text(stem)}\\fR({section})" for stem, section in others)])
