# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc audit: recorded SPTEs against what the rules say they should be."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mtcalc.cli.options import (
    BASE,
    RELEASE,
    Assumptions,
    Output,
    assume_option,
    git_option,
    named_kernel,
    one_kernel,
    output_options,
)
from mtcalc.cli.params import REF, InputFile, Word, one_of
from mtcalc.cli.stdin import complain
from mtcalc.output.emit import PEOPLE, Result
from mtcalc.rules.kernel import Kernel
from mtcalc.text.errors import InputError, Place
from mtcalc.text.filenames import C_SUFFIXES, RULE_FILE_SUFFIXES, is_file_ref, is_git_ref, may_be

if TYPE_CHECKING:
    from mtcalc.importers.traces import TraceReader
    from mtcalc.scenario.record import Scenario

AUDITED = InputFile("")


def _names() -> tuple[str, ...]:
    from mtcalc.importers.traces import FORMS

    return tuple(FORMS)


_VENDORS = ("intel", "amd")
VENDOR: Word[str] = Word("vendor", lambda text: one_of(_VENDORS)(text.lower()), lambda: _VENDORS)
FORM: Word[str] = Word("format", lambda text: one_of(_names())(text), _names)


def _rules_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """-r, --base, --kernel and --git: as elsewhere, but that --kernel is the release whose SPTEs these are."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[BASE] = value

    base = click.option(
        "--base", type=REF, metavar="REF", expose_value=False, callback=remember, help="What a patch goes on top of."
    )
    kernel = click.option(
        "--kernel", type=REF, metavar="RELEASE", help="Whose SPTEs these are.  [those of -r, else what the values tell]"
    )
    rules = click.option(
        "-r", "--rules", "refs", type=REF, multiple=True, metavar="REF", help="Rule set.  [the scenario's; no default]"
    )
    return rules(base(kernel(git_option(function))))


@click.command()
@click.argument("paths", nargs=-1, type=AUDITED, metavar="[FILE] TRACE")
@_rules_options
@click.option("--as", "as_form", type=FORM, metavar="FORMAT", help="TRACE is of this format: trace, log, spte.")
@click.option("--vendor", type=VENDOR, default="intel", show_default=True, help="intel: EPT; amd: NPT, without FILE.")
@click.option("--merge", "merging", is_flag=True, help="The arguments are results of -o json: add them up.")
@click.option("--record", "recording", is_flag=True, help="The commands that record what an audit needs.")
@click.option("--pid", type=click.IntRange(min=1), metavar="N", help="The VM's process, in the commands of --record.")
@assume_option
@output_options()
@click.pass_context
def audit(
    ctx: click.Context,
    paths: tuple[str, ...],
    refs: tuple[str, ...],
    kernel: str | None,
    as_form: str | None,
    vendor: str,
    merging: bool,
    recording: bool,
    pid: int | None,
    assume: Assumptions,
    output: Output,
) -> None:
    """SPTEs that KVM wrote, from a trace or a log, against what the rules say of their pages; - is standard input.

    FILE is the scenario; without it entries are only decoded. Exit status 1 if one does not match, 2 if a line can't
    be read, whatever the others say.

    \b
    mtcalc example traced/vm > vm.yaml
    mtcalc example traced/trace.txt > trace.txt
    mtcalc audit vm.yaml trace.txt
    mtcalc audit -r 6.12.80 vm.yaml - < trace.txt
    mtcalc audit --record --pid 4711
    """
    if recording:
        _record(paths, refs, kernel, pid, output)
        return
    if pid is not None:
        raise click.UsageError("--pid without --record (it is for the commands that record)")
    if merging:
        ctx.exit(_merge(paths, output))
    if not paths:
        raise click.UsageError("no TRACE (a file, or - for standard input)")
    if len(paths) > 2:
        raise click.UsageError(f"{len(paths)} files (a scenario, then one trace; --merge adds results up)")
    if paths.count("-") > 1:
        raise click.UsageError("- twice (standard input can be read once)")
    ctx.exit(_audit(paths[0] if len(paths) == 2 else None, paths[-1], refs, kernel, as_form, vendor, assume, output))


def _audit(
    file: str | None,
    path: str,
    refs: tuple[str, ...],
    release_ref: str | None,
    form: str | None,
    vendor: str,
    assume: Assumptions,
    output: Output,
) -> int:
    """The exit status."""
    if vendor == "amd" and file is not None:
        raise click.UsageError("--vendor amd and a scenario (NPT's entries carry no memory type to compare)")
    from mtcalc.analysis.audit import edges_of, findings, refusal, rows_of
    from mtcalc.analysis.audit_entries import Tally, read_trace
    from mtcalc.cli.read import evaluator_for, read_scenario
    from mtcalc.output.audit import Source, audit_document, audit_record, audit_rows, line_record

    scenario = None if file is None else read_scenario(file, assume=assume)
    kernel = _kernel(refs, release_ref, scenario)
    release = _release(refs, release_ref, scenario, kernel)
    evaluator = None
    if scenario is not None:
        assert kernel is not None
        evaluator = evaluator_for(kernel, scenario)
        if evaluator.kernel.npt is not None:
            raise InputError(
                "the scenario's host is AMD, and NPT's entries carry no memory type to compare "
                "(--vendor amd and the trace alone say what they are)",
                Place(scenario.file, 1, 1),
            )
        kernel = kernel._replace(notes=(*kernel.notes, *evaluator.vm_notes))
    elif assume:
        raise click.UsageError("--assume without a scenario (it is for what its rules ask)")
    width = scenario.vm.host_maxphyaddr if scenario is not None else 52
    tally = Tally([] if evaluator is None else edges_of(evaluator), width, keep=output.form == "jsonl")
    reader = _read(path, form, tally, output)
    if reader.stopped and not tally.cells():
        _end_by_signal()
    if not tally.cells() and not any(True for _ in tally.without_level()):
        if reader.unread:
            raise _not_read(path, reader)
        raise InputError(_nothing(path, form), Place(path, max(reader.lines, 1), 1))
    if vendor == "amd":
        from mtcalc.analysis.audit_npt import read_npt_trace

        trace = read_npt_trace(tally, release)
    else:
        trace = read_trace(tally, release, width)
    refused = refusal(trace)
    if refused:
        line = trace.no_ept_example[4] if trace.no_ept_example is not None else 1
        raise InputError(refused, Place(path, line, 1))
    found = findings(tally, trace, evaluator)
    ref = refs[0] if refs else "" if scenario is None or scenario.rules is None else _typed(scenario)
    source = Source(file, path, ref, kernel, reader.lines, reader.stopped, reader.unread)
    record = audit_record(found, source)
    output.write(
        Result(
            document=lambda: audit_document(record),
            data=lambda: record,
            lines=lambda: (line_record(entry, group) for entry, group in rows_of(found, tally)),
            rows=lambda: audit_rows(record),
        )
    )
    if reader.stopped:
        sys.stdout.flush()
        _end_by_signal()
    if reader.unread:
        sys.stdout.flush()
        complain(_not_read(path, reader))
        return 2
    return 1 if found.groups else 0


def _not_read(path: str, reader: TraceReader) -> InputError:
    """What could not be read, at the first line of it."""
    from mtcalc.importers.trace_events import EXAMPLES
    from mtcalc.output.audit import unread_text

    first = reader.unread[0]
    what = unread_text([(unread.kind, unread.lines) for unread in reader.unread])
    right = f"such as '{EXAMPLES[first.kind]}'"
    return InputError(f"{what} not read ({right})", Place(path, first.line, first.column, first.text))


def _end_by_signal() -> None:
    """Ends the program as Ctrl-C ends any filter."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _typed(scenario: Scenario) -> str:
    """A scenario's rules as a command line has them."""
    assert scenario.rules is not None
    if is_file_ref(scenario.rules) and scenario.rules != "-":
        return os.path.join(os.path.dirname(scenario.file), scenario.rules)
    return scenario.rules


def _kernel(refs: tuple[str, ...], release: str | None, scenario: Scenario | None) -> Kernel | None:
    """The rule set asked for. Raises UsageError where a scenario has none and none is given."""
    asked = refs or ((scenario.rules,) if scenario is not None and scenario.rules is not None else ())
    if scenario is not None and not asked:
        right = "-r REF, or rules: in the scenario; an audit has no default"
        raise InputError(f"no rule set ({right})", Place(scenario.file, 1, 1))
    if not asked:
        return None
    if any(is_git_ref(ref) or may_be(ref, *C_SUFFIXES, *RULE_FILE_SUFFIXES) for ref in asked):
        click.get_current_context().meta[RELEASE] = release
    return one_kernel(refs, scenario) if scenario is not None else one_kernel(refs)


def _release(
    refs: tuple[str, ...], release: str | None, scenario: Scenario | None, kernel: Kernel | None
) -> tuple[int, ...] | None:
    """The release whose SPTEs these are: --kernel's, or that of a REF that names one; None: the values tell."""
    from mtcalc.kvm.spte_eras import layout_at
    from mtcalc.refs.names import parse_release

    found: tuple[int, ...] | None = None
    where = "-r: "
    if release is not None:
        word = release.strip().lower()
        where = "--kernel: "
        found = named_kernel(word.removeprefix("v") if parse_release(word) else release, where).release
    elif kernel is not None:
        ref = (refs[0] if refs else scenario.rules if scenario is not None and scenario.rules else "").strip()
        below = ref.partition("+")[0]
        named = parse_release(below) is not None and not _is_rule_set(below)
        if named or ref.lower() == "host" or is_git_ref(ref):
            found = kernel.release
    if found is not None:
        try:
            layout_at(found)
        except ValueError as error:
            raise InputError(f"{where}{error}") from None
    return found


def _is_rule_set(word: str) -> bool:
    """Whether a release's word is also the name of rules that lasted longer: v4.4."""
    from mtcalc.rules.builtin import built_in_names

    return word.lower() in built_in_names()


def _nothing(path: str, form: str | None) -> str:
    from mtcalc.importers.trace_events import EXAMPLES

    if path.endswith((".yaml", ".yml", ".json")):
        return "no SPTE in it (is this the scenario? FILE, then TRACE)"
    three = f"three words a line, gfn and spte in hex, the level 1 to 5, such as '{EXAMPLES['three words']}'"
    if form == "spte":
        return f"no SPTE in it ({three})"
    if form == "log":
        return f"no SPTE in it (lines such as '{EXAMPLES['a printed entry']}')"
    return f"no SPTE in it (lines such as '{EXAMPLES['kvm_mmu_set_spte']}'; --as spte: {three})"


def _read(path: str, form: str | None, tally: Any, output: Output) -> TraceReader:
    """Reads a trace to its end, or to Ctrl-C, which is remembered."""
    from mtcalc.importers.traces import TraceReader, blocks_of
    from mtcalc.output.progress import progress

    with progress("reading", blocks_of(path), output.colour) as tick:
        reader = TraceReader(path, form, tick)
        with _stopped_by_signal(reader):
            for batch in reader:
                tally.add(batch)
    return reader


@contextmanager
def _stopped_by_signal(reader: TraceReader) -> Iterator[None]:
    """Ctrl-C ends the reading; a second one the program."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        reader.stop()

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # as nohup has it
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _record(
    paths: tuple[str, ...], refs: tuple[str, ...], release: str | None, pid: int | None, output: Output
) -> None:
    """Prints how to record."""
    from mtcalc.kvm.recording import record_lines

    if paths:
        raise click.UsageError("--record and a TRACE (it says how to make one)")
    if output.form not in PEOPLE:
        raise click.UsageError(f"--record does not go with -o {output.form} (commands for a shell)")
    kernel = _kernel(refs, release, None)
    found = _release(refs, release, None, kernel) or (kernel.release if kernel is not None else None)
    click.echo("\n".join(record_lines("PID" if pid is None else str(pid), found)))


def _merge(paths: tuple[str, ...], output: Output) -> int:
    """Adds results up; the exit status."""
    from mtcalc.cli.audit_merge import read_result
    from mtcalc.output.audit import audit_document, audit_rows, merged

    if not paths:
        raise click.UsageError("--merge without FILE (results of audit -o json)")
    if paths.count("-") > 1:
        raise click.UsageError("- twice (standard input can be read once)")
    record = merged([read_result(path) for path in paths])
    output.write(
        Result(
            document=lambda: audit_document(record),
            data=lambda: record,
            lines=lambda: record["groups"],
            rows=lambda: audit_rows(record),
        )
    )
    if record["unread"]:
        return 2
    return 1 if record["groups"] else 0
