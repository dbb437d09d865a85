# SPDX-License-Identifier: GPL-2.0-only
"""The options that commands share: rules, output, assumptions, vendor."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from mtcalc.cli import environment
from mtcalc.cli.params import (
    ASSUMPTION,
    REF,
    TREE,
    VENDOR,
    Word,
    one_of,
)
from mtcalc.kvm.history import PAIRS, row_at
from mtcalc.kvm.notes import Note
from mtcalc.output.emit import Result, emit, formats
from mtcalc.refs.resolve import DEFAULT_REF, resolve
from mtcalc.rules.inputs import (
    Input,
    Value,
    input_words,
)
from mtcalc.rules.kernel import Kernel, unread
from mtcalc.text.errors import InputError, Place
from mtcalc.text.filenames import C_SUFFIXES, PATCH_SUFFIXES, RULE_FILE_SUFFIXES, is_file_ref, is_git_ref, may_be
from mtcalc.text.record import Record
from mtcalc.x86.memtype import MemType

if TYPE_CHECKING:
    from mtcalc.scenario.record import Scenario

Command: TypeAlias = Callable[..., Any]

OF_SOME = ("yaml", "junit", "github")
"""The formats that some commands have besides those of every answer."""
ALL_FORMATS = (*formats(), *OF_SOME)
STREAMED = ("jsonl", "tsv", "csv", "plain")
COLOURS = ("auto", "always", "never")


Assumptions: TypeAlias = tuple[tuple[str, Value], ...]
"""What --assume gives: source texts with their values."""


class Output(Record):
    """How to print: one of the formats, with colour or without."""

    form: str
    colour: bool

    def write(self, result: Result) -> None:
        """Prints a result."""
        emit(result, self.form, self.colour)


class _OutputOption(click.Option):
    """-o, which every command has; it spares the command's parser what click does in vain for a short option.

    click looks for one among the long options first, and for want of it words an error, with suggestions from
    difflib (5 ms), that nobody will see: without names to suggest it is made at once.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        match = parser._match_long_opt

        def match_long_opt(opt: str, explicit_value: str | None, state: Any) -> None:
            if opt not in parser._long_opt and opt[:2] not in parser._opt_prefixes:
                raise click.NoSuchOption(opt, "", ctx=ctx)
            match(opt, explicit_value, state)

        parser._match_long_opt = match_long_opt


def output_options(*supported: str) -> Callable[[Command], Command]:
    """-o and --color, handed to the command as `output: Output`. `supported` are the formats it has."""
    allowed = supported or formats()
    read = one_of(allowed)

    def default(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
        import sys

        if value is None:
            # From the environment a format that this command lacks is not this command's business.
            value = os.environ.get(environment.OUTPUT) or None
            if value is not None and value not in allowed:
                if value not in ALL_FORMATS:
                    raise click.UsageError(
                        f"{environment.OUTPUT}: '{value}' is no format ({', '.join(ALL_FORMATS)})", ctx
                    )
                value = None
        return value or ("table" if sys.stdout.isatty() else "plain")

    def colour(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        value = value or os.environ.get(environment.COLOR) or None
        if value is not None and value not in COLOURS:
            raise click.UsageError(f"{environment.COLOR}: '{value}' is not known ({', '.join(COLOURS)})", ctx)
        return value

    def wrap(function: Command) -> Command:
        from functools import wraps

        @wraps(function)
        def call(*args: Any, form: str, color: str | None, **kwargs: Any) -> Any:
            return function(*args, output=Output(form, environment.colour(color)), **kwargs)

        words: Word[str] = Word("format", read, lambda: allowed)
        shade: Word[str] = Word("when", one_of(COLOURS), lambda: COLOURS)
        decorated = click.option(
            "--color", type=shade, callback=colour, metavar="|".join(COLOURS), help="Colour; auto: on a terminal."
        )(call)
        return click.option(
            "-o",
            "--output",
            "form",
            cls=_OutputOption,
            type=words,
            callback=default,
            metavar="FORMAT",
            help=f"{', '.join(allowed)}; default: table on a terminal, else plain.",
        )(decorated)

    return wrap


def assume_option(function: Command) -> Command:
    """--assume, as `assume`: conditions that only a C file or a patch knows, each once."""

    def once(ctx: click.Context, param: click.Parameter, value: Assumptions) -> Assumptions:
        texts = [text for text, _ in value]
        for text in texts:
            if texts.count(text) > 1:
                raise click.UsageError(f"--assume: `{text}` is given twice (one value)", ctx)
        return value

    return click.option(
        "--assume", type=ASSUMPTION, multiple=True, callback=once, help="A condition of a C file or patch."
    )(function)


def base_option(function: Command) -> Command:
    """--base, for REFs that are patches, and --kernel, for C files; both are taken from the context."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[BASE] = value

    return click.option(
        "--base",
        type=REF,
        metavar="REF",
        expose_value=False,
        callback=remember,
        help="What a patch goes on top of.  [the built-in set that it fits]",
    )(release_option(function))


BASE = "mtcalc.base"
RELEASE = "mtcalc.release"


def release_option(function: Command) -> Command:
    """--kernel, the kernel around every C file among the REFs, and --git, the tree of git:REV; both in the context."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[RELEASE] = value

    return click.option(
        "--kernel",
        type=REF,
        metavar="RELEASE",
        expose_value=False,
        callback=remember,
        help="The kernel around a C file.  [as its rules and names tell]",
    )(git_option(function))


def release_word() -> str | None:
    """The RELEASE of --kernel, whatever it is for."""
    ctx = click.get_current_context(silent=True)
    word: str | None = ctx.meta.get(RELEASE) if ctx else None
    return word


def release_of(refs: Iterable[str]) -> str | None:
    """The RELEASE of --kernel. Raises UsageError where it is given and none of `refs` can be C."""
    release = release_word()
    refs = tuple(refs)
    # A rule file's base may be C.
    if release is not None and not any(
        is_git_ref(ref) or may_be(ref, *C_SUFFIXES, *RULE_FILE_SUFFIXES) for ref in refs
    ):
        raise click.UsageError("--kernel without a C file (it says which kernel is around it)")
    return release


def git_option(function: Command) -> Command:
    """--git, the git tree of every git:REV; git_folder() takes it from the context."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        ctx.meta[TREE] = value

    return click.option(
        "--git",
        type=click.Path(),
        metavar="DIR",
        expose_value=False,
        callback=remember,
        help="The git tree of git:REV.  [the working directory's]",
    )(function)


def git_folder() -> str | None:
    """The folder of --git, else of MTCALC_GIT; None: the working directory."""
    ctx = click.get_current_context(silent=True)
    folder: str | None = ctx.meta.get(TREE) if ctx else None
    return folder if folder is not None else os.environ.get(environment.GIT) or None


def check_git(refs: Iterable[str]) -> None:
    """Raises UsageError where --git is given, and none of `refs` can be in a git tree, nor a patch on top of it."""
    ctx = click.get_current_context(silent=True)
    given = ctx is not None and ctx.meta.get(TREE) is not None
    if given and not any(is_git_ref(ref) or may_be(ref, *PATCH_SUFFIXES, *RULE_FILE_SUFFIXES) for ref in refs):
        raise click.UsageError("--git without a git:REV (it says which tree that is in)")


def base_of(refs: Iterable[str]) -> str | None:
    """The REF of --base. Raises UsageError where it is given and none of `refs` is a patch."""
    refs = tuple(refs)
    ctx = click.get_current_context(silent=True)
    base: str | None = ctx.meta.get(BASE) if ctx else None
    if base is not None and not any(may_be(ref, *PATCH_SUFFIXES) for ref in refs):
        raise click.UsageError("--base without a patch (it says what a patch goes on top of)")
    every = (*refs, base) if base is not None else refs
    release_of(every)
    check_git(every)
    return base


def rules_option(function: Command) -> Command:
    """-r as `refs`, for commands that take one, and --base."""
    return _rules_option(function, "")


def sides_option(function: Command) -> Command:
    """-r, once or more, as `refs`, and --base."""
    return _rules_option(function, "  Twice: side by side.")


def _rules_option(function: Command, several: str) -> Command:
    return click.option(
        "-r",
        "--rules",
        "refs",
        type=REF,
        multiple=True,
        metavar="REF",
        help=f"Rule set: name, release, uname -r, host, latest, .yaml, .c, patch, git:REV.  [{DEFAULT_REF}]{several}",
    )(base_option(function))


def kernels(refs: tuple[str, ...], scenario: "Scenario | None" = None) -> tuple[Kernel, ...]:
    """The kernels of -r, else the scenario's, the environment's, the default.

    They note what the scenario assumes and they do not read. Raises InputError for one that is not known, or that
    gives a guest fewer variable MTRRs than the scenario has.
    """
    found = _kernels(refs, scenario)
    if scenario is None:
        return found
    found = tuple(_around(scenario, kernel) for kernel in found)
    if not scenario.vm.assume:
        return found
    given = assumptions(scenario.vm.assume)
    return tuple(kernel._replace(notes=(*kernel.notes, *unread_inputs(kernel, given))) for kernel in found)


def _around(scenario: "Scenario", kernel: Kernel) -> Kernel:
    """The kernel, with what it makes of the scenario's variable MTRRs among its notes. Raises InputError."""
    notes = scenario.pair_notes(row_at(PAIRS, kernel.release).what)
    return kernel._replace(notes=(*kernel.notes, *notes)) if notes else kernel


def _kernels(refs: tuple[str, ...], scenario: "Scenario | None") -> tuple[Kernel, ...]:
    named = os.environ.get(environment.RULES)
    if refs:
        return tuple(named_kernel(ref, "-r: ", base=base_of(refs)) for ref in refs)
    if scenario is not None and scenario.rules is not None:
        directory = os.path.dirname(scenario.file)
        ref = scenario.rules
        base = base_of([ref])
        if base is not None and is_file_ref(base) and base != "-":
            # Typed here, while the scenario's names are relative to its own place.
            with suppress(OSError):  # a directory that is gone has no such file either
                base = os.path.abspath(base)
        return (named_kernel(ref, "", scenario.rules_place, base, directory),)
    if named:
        return (named_kernel(named, f"{environment.RULES}: ", base=base_of([named])),)
    base_of([])
    return (resolve(DEFAULT_REF)._replace(default=True),)


def named_kernel(
    ref: str, origin: str = "", place: Place | None = None, base: str | None = None, directory: str = ""
) -> Kernel:
    """The kernel a REF names; errors begin with `origin`, and stand at `place`, where a file names it.

    Raises InputError.
    """
    ctx = click.get_current_context(silent=True)
    release = ctx.meta.get(RELEASE) if ctx else None
    try:
        if place is None or not (is_file_ref(ref) or is_git_ref(ref)):
            return resolve(ref, base, directory, release, git_folder())
        from mtcalc.refs.named_file import check_named_file, unquoted

        if is_file_ref(ref):
            check_named_file(ref, directory)
        with unquoted():
            return resolve(ref, base, directory, release, git_folder())
    except InputError as error:
        if error.place is not None:
            raise
        raise InputError(f"{origin}{error.message}", place) from None
    except ValueError as error:
        if str(error).startswith("--kernel"):
            raise InputError(str(error)) from None
        if base is not None and may_be(ref, *PATCH_SUFFIXES):  # of a patch, its base alone is looked up by name
            raise InputError(f"--base: {error}") from None
        raise InputError(f"{origin}{error}", place) from None


def one_kernel(refs: tuple[str, ...], scenario: "Scenario | None" = None) -> Kernel:
    """As kernels(), for commands that take one. Raises UsageError for more."""
    if len(refs) > 1:
        raise click.UsageError("-r is given twice (one rule set here; lookup, table and eval take several)")
    return kernels(refs, scenario)[0]


def vendor_option(default: str = "the scenario's") -> Callable[[Command], Command]:
    """--vendor; `default` in words. The option wins over a scenario that says it too."""
    return click.option("--vendor", type=VENDOR, help=f"The host's CPU: intel (EPT), amd (NPT).  [{default}]")


def assumptions(assume: Mapping[str, Value]) -> tuple[Input, ...]:
    """What is assumed, as the inputs that it gives."""
    return tuple(
        Input("assume_type" if isinstance(value, MemType) else "assume", text) for text, value in assume.items()
    )


def unread_inputs(kernel: Kernel, given: tuple[Input, ...]) -> tuple[Note, ...]:
    """A note on inputs that somebody gave and the rules do not read."""
    # Of a quirk that the kernel does not have, another note speaks.
    known = [item for item in given if item.name != "quirk" or item.arg in kernel.quirks]
    names = [input_words(item) for item in unread(kernel, known)]
    return (Note("unread", f"{kernel.rules.name} does not read: {', '.join(names)}"),) if names else ()
