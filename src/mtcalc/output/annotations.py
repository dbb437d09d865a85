# SPDX-License-Identifier: GPL-2.0-only
"""What `check` found for a CI: JUnit's XML, and the workflow commands of GitHub.

Sources: the JUnit schema that Jenkins, GitLab and others read (testsuites, testsuite, testcase, failure, system-out);
GitHub's documentation, "Workflow commands", for `::error file=...,line=...,title=...::message` and its escapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mtcalc.analysis.hazards import Hazard
from mtcalc.kvm.hazards import HAZARDS
from mtcalc.kvm.note_codes import Level
from mtcalc.output.markup import escape_xml
from mtcalc.output.verdicts import AnyVerdict, Checked
from mtcalc.text.errors import InputError, Place, printable

_KINDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def _names(verdicts: Sequence[AnyVerdict]) -> Iterator[str]:
    """A name for each expectation: its line, and its column where others begin on that line."""
    lines = Counter(verdict.expect.place.line for verdict in verdicts)
    for verdict in verdicts:
        line, column = verdict.expect.place.line, verdict.expect.place.column
        yield f"expect, line {line}" + (f", column {column}" if lines[line] > 1 else "")


Broken = tuple[str, InputError]
"""A file that can't be read, and why."""


def _wrong(verdict: AnyVerdict) -> str:
    return "; ".join(map(str, verdict.failures))


def _title(hazard: Hazard) -> str:
    slot = f" {hazard.slot.name}" if hazard.slot else ""
    return f"{hazard.code} {HAZARDS[hazard.code].name}{slot}"


def _addresses(hazard: Hazard) -> str:
    if hazard.gpa is None or hazard.end is None:
        return ""
    return f"{hazard.gpa:#x}: " if hazard.gpa == hazard.end else f"{hazard.gpa:#x}-{hazard.end:#x}: "


def _message(hazard: Hazard) -> str:
    return f"{_addresses(hazard)}{hazard.text}; remedy: {hazard.remedy}"


def github(checked: Sequence[Checked], broken: Sequence[Broken] = ()) -> Iterator[str]:
    """A workflow command a failed expectation, one a hazard, and one a file that can't be read."""
    for file, error in broken:
        yield _command("error", file, _own_place(file, error), "not checked", error.message)
    for one in checked:
        for verdict in one.verdicts:
            if verdict.failures:
                yield _command("error", one.file, verdict.expect.place, "expectation failed", _wrong(verdict))
        for hazard in one.hazards:
            yield _command(_KINDS[hazard.level], one.file, one.place(hazard), _title(hazard), _message(hazard))


def _command(kind: str, file: str, place: Place | None, title: str, message: str) -> str:
    properties = [f"file={_property(file)}"]
    if place is not None:
        properties += [f"line={place.line}", f"col={place.column}"]
    properties.append(f"title={_property(title)}")
    return f"::{kind} {','.join(properties)}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _own_place(file: str, error: InputError) -> Place | None:
    """Where an error is, None where that is in another file: a rule file that the scenario names."""
    return error.place if error.place is not None and error.place.file == file else None


def junit(checked: Sequence[Checked], broken: Sequence[Broken] = ()) -> Iterator[str]:
    """A suite a file, a case an expectation and a hazard; what is no error passes, and says what it is.

    A file that can't be read is a suite of one case, which is an error.
    """
    suites = [list(_cases(one)) for one in checked]
    tests = sum(map(len, suites))
    failures = sum(failed for cases in suites for failed, _ in cases)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="mtcalc check" tests="{tests + len(broken)}" failures="{failures}" errors="{len(broken)}">'
    for one, cases in zip(checked, suites, strict=True):
        count = f'tests="{len(cases)}" failures="{sum(failed for failed, _ in cases)}"'
        yield f'  <testsuite name={_attribute(one.file)} {count} errors="0" skipped="0">'
        yield from (f"    {line}" for _, lines in cases for line in lines)
        yield "  </testsuite>"
    for file, error in broken:
        place = _own_place(file, error)
        line = "" if place is None else f' line="{place.line}"'
        yield f'  <testsuite name={_attribute(file)} tests="1" failures="0" errors="1" skipped="0">'
        yield f'    <testcase classname={_attribute(file)} name="not checked" file={_attribute(file)}{line}>'
        yield f'      <error type="input" message={_attribute(str(error).splitlines()[0])}/>'
        yield "    </testcase>"
        yield "  </testsuite>"
    yield "</testsuites>"


def _cases(one: Checked) -> Iterator[tuple[bool, list[str]]]:
    for verdict, name in zip(one.verdicts, _names(one.verdicts), strict=True):
        yield _case(one.file, verdict.expect.place, name, "expectation", _wrong(verdict), "")
    for hazard in one.hazards:
        said = f"{hazard.level.value}: {_message(hazard)}"
        bad = hazard.level is Level.ERROR
        name = f"{_title(hazard)} {_addresses(hazard).removesuffix(': ')}".strip()
        yield _case(one.file, one.place(hazard), name, hazard.code, said if bad else "", "" if bad else said)
    if not one.verdicts and not one.hazards:
        yield _case(one.file, None, "no hazards", "hazards", "", "")


def _case(file: str, place: Place | None, name: str, kind: str, failure: str, said: str) -> tuple[bool, list[str]]:
    line = "" if place is None else f' line="{place.line}"'
    head = f"<testcase classname={_attribute(file)} name={_attribute(name)} file={_attribute(file)}{line}"
    if failure:
        inner = f"  <failure type={_attribute(kind)} message={_attribute(failure)}/>"
    elif said:
        inner = f"  <system-out>{escape_xml(said)}</system-out>"
    else:
        return False, [f"{head}/>"]
    return bool(failure), [f"{head}>", inner, "</testcase>"]


def _attribute(text: str) -> str:
    return f'"{escape_xml(text)}"'
