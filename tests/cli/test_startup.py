# SPDX-License-Identifier: GPL-2.0-only
"""Start-up: what each kind of call may import, in a fresh interpreter. Names do not flake, milliseconds do."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from mtcalc.importers.recognise import FORMATS
from support.program import DATA, environment

CODE = """
import sys
from mtcalc.cli.main import main
try:
    main()
finally:
    sys.stderr.write("\\n".join(sys.modules))
"""

OWN_OF_LOOKUP = """
    mtcalc
    mtcalc.analysis mtcalc.analysis.answer mtcalc.analysis.lookup
    mtcalc.cli mtcalc.cli.environment mtcalc.cli.lookup mtcalc.cli.main mtcalc.cli.options mtcalc.cli.params
    mtcalc.cli.question
    mtcalc.kvm mtcalc.kvm.flags mtcalc.kvm.history mtcalc.kvm.notes mtcalc.kvm.quirks mtcalc.kvm.release
    mtcalc.kvm.versions
    mtcalc.output mtcalc.output.answers mtcalc.output.document mtcalc.output.emit mtcalc.output.plain
    mtcalc.output.records
    mtcalc.rules mtcalc.rules.builtin mtcalc.rules.condition mtcalc.rules.inputs mtcalc.rules.kernel
    mtcalc.rules.mmio mtcalc.rules.proposals mtcalc.rules.releases mtcalc.rules.rule
    mtcalc.refs mtcalc.refs.names mtcalc.refs.resolve
    mtcalc.text mtcalc.text.errors mtcalc.text.filenames mtcalc.text.numbers mtcalc.text.record
    mtcalc.x86 mtcalc.x86.effective mtcalc.x86.ept mtcalc.x86.memtype
"""
OWN_OF_IMPORT_LIST = """
    mtcalc.importers mtcalc.importers.dmesg_sets mtcalc.importers.dump mtcalc.importers.lines mtcalc.importers.mtrr_map
    mtcalc.importers.prefixes mtcalc.importers.recognise mtcalc.importers.replay mtcalc.importers.signs
    mtcalc.text.packed mtcalc.x86.mtrr mtcalc.x86.pat
"""
LOOKUP = frozenset(OWN_OF_LOOKUP.split())
READERS = {form.reader.__module__ for form in FORMATS}

SLOW = {
    "asyncio",
    "difflib",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "socket",
    "ssl",
    "unittest",
    "urllib",
    "xml",
}
"""Parts of the standard library that a quick answer has no use for."""


@cache
def loaded(*args: str) -> frozenset[str]:
    """Every module loaded by the end of a call that went well."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *args],
        input="0x1000\n",
        capture_output=True,
        text=True,
        env=environment(),
        cwd=DATA,
        check=True,
    )
    assert done.stdout
    return frozenset(done.stderr.split())


def foreign(modules: frozenset[str]) -> set[str]:
    """Top-level packages that are neither the standard library's nor mtcalc; nor what an editable install adds."""
    tops = {name.partition(".")[0] for name in modules}
    return {
        name
        for name in tops - sys.stdlib_module_names - {"mtcalc", "__main__", "cython_runtime", "sitecustomize"}
        if not name.startswith(("_", "distutils"))
    }


def own(modules: frozenset[str]) -> set[str]:
    """mtcalc's own."""
    return {name for name in modules if name.partition(".")[0] == "mtcalc"}


@pytest.mark.parametrize("form", ["plain", "json", "jsonl", "csv", "tsv"])
def test_a_quick_lookup_loads_click_and_little_more(form: str) -> None:
    """`lookup` in plain or JSON imports neither rich, pydantic nor yaml."""
    modules = loaded("lookup", "--slot-flag", "8", "-r", "6.12.80", "--pat", "wc", "-o", form)
    assert foreign(modules) == {"click"}
    assert own(modules) <= LOOKUP | {"mtcalc.kvm.slot_history"}  # 6.12.80 refuses this flag: that is looked up
    assert own(loaded("lookup", "--mmio", "-o", form)) <= LOOKUP
    assert not SLOW & modules
    assert "dataclasses" not in modules
    assert ("json" in modules) is (form in ("json", "jsonl"))
    assert ("csv" in modules) is (form in ("csv", "tsv"))


def test_a_quick_lookup_on_amd_loads_npt_besides() -> None:
    """And nobody else does."""
    npt = {"mtcalc.analysis.npt", "mtcalc.rules.platform", "mtcalc.x86.npt", "mtcalc.x86.pat"}
    modules = loaded("lookup", "--vendor", "amd", "-r", "6.12.80", "--pat", "wc")
    assert foreign(modules) == {"click"}
    assert own(modules) <= LOOKUP | npt
    assert not SLOW & modules
    assert not npt & loaded("eval", "golden/vfio.yaml") - {"mtcalc.x86.pat"}


def test_a_table_without_a_scenario_loads_rich_alone() -> None:
    modules = loaded("lookup", "-o", "table")
    assert foreign(modules) == {"click", "rich"}
    assert own(modules) <= LOOKUP | {"mtcalc.output.screen"}
    assert not {"rich.markdown", "rich.syntax", "rich.traceback", "rich.progress"} & modules
    assert not (SLOW - {"logging"}) & modules


@pytest.mark.parametrize(
    ("args", "more"),
    [
        (("rules", "list"), {"mtcalc.cli.rules", "mtcalc.output.rules"}),
        (
            ("rules", "show", "v6.7"),
            {"mtcalc.cli.rules", "mtcalc.output.rules", "mtcalc.rulefile", "mtcalc.rulefile.write"}
            | {"mtcalc.analysis.around", "mtcalc.kvm.slot_history"},
        ),
        (
            ("decode", "pat", "linux"),
            {"mtcalc.cli.decode", "mtcalc.output.decode", "mtcalc.x86.pat", "mtcalc.x86.mtrr"},
        ),
        (
            ("decode", "epte", "0x600000455299b77"),
            {"mtcalc.cli.decode", "mtcalc.cli.epte_stream", "mtcalc.output.spte", "mtcalc.x86.pat", "mtcalc.x86.mtrr"}
            | {"mtcalc.refs.uname"}
            | {"mtcalc.kvm.spte", "mtcalc.kvm.spte_eras", "mtcalc.kvm.spte_reading", "mtcalc.x86.ept_entry"},
        ),
        (("--version",), set()),
        (("example", "vfio"), {"mtcalc.cli.example"}),
        (("import", "--list"), {"mtcalc.cli.import_", *OWN_OF_IMPORT_LIST.split(), *READERS}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_commands_without_a_file_load_no_reader(args: tuple[str, ...], more: set[str]) -> None:
    modules = loaded(*args)
    assert foreign(modules) == {"click"}
    assert own(modules) <= LOOKUP | more
    assert not SLOW & modules


def test_explain_and_table_from_flags_load_no_reader() -> None:
    """Not even with rule sets side by side."""
    for args in (("explain", "--cd"), ("table", "--cd"), ("lookup", "-r", "v6.7", "-r", "v6.16")):
        modules = loaded(*args)
        assert foreign(modules) == {"click"}
        assert not {name for name in own(modules) if name.startswith("mtcalc.scenario")}
        assert not {"mtcalc.csource.source", "mtcalc.patches.read", "mtcalc.rulefile.load"} & modules


def test_a_scenario_loads_yaml_and_no_c_parser() -> None:
    """pydantic only to describe scenarios, rich only when a table is drawn, tree-sitter only for C."""
    readers = {"click", "yaml"}
    modules = loaded("eval", "golden/vfio.yaml")
    assert foreign(modules) <= readers
    assert "yaml" in modules
    assert not SLOW & modules
    drawn = loaded("eval", "golden/vfio.yaml", "-o", "table")
    assert foreign(drawn) <= {*readers, "rich"}
    assert "rich.console" in drawn
    for modules in (drawn, loaded("eval", "golden/vfio.yaml", "--gpa", "-")):
        assert not {
            name for name in modules if name.startswith(("mtcalc.csource", "mtcalc.patches.read", "tree_sitter"))
        }


def test_importing_the_library_costs_nothing() -> None:
    """Public names are loaded when first used."""
    code = "import sys, mtcalc; assert mtcalc.MemType; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    modules = frozenset(done.stdout.split())
    assert foreign(modules) == set()
    assert own(modules) == {"mtcalc", "mtcalc.x86", "mtcalc.x86.memtype"}
