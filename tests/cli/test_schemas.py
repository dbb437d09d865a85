# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc schema NAME: what commands really write is valid by it, and what lacks a key or has another type is not."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import mtcalc
from mtcalc.output.schemas import SCHEMAS
from mtcalc.text.yaml import parse_yaml
from support.editors import as_editors_see
from support.program import DATA, Run, quick
from support.trees import linux

ROOT = Path(__file__).parents[2]
ODD = """\
u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
	if (is_mmio)
		return MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;
	if (own_test(vcpu))
		return 3 << VMX_EPT_MT_EPTE_SHIFT;
	return MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;
}
"""
PATCH = """\
--- a/odd.c
+++ b/odd.c
@@ -4,4 +4,4 @@
 \t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;
 \tif (own_test(vcpu))
-\t\treturn 3 << VMX_EPT_MT_EPTE_SHIFT;
+\t\treturn MTRR_TYPE_WRCOMB << VMX_EPT_MT_EPTE_SHIFT;
 \treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;
"""
FAILING = """\
memslots: [{name: ram, gpa: 0, size: 4G}]
expect:
  - {gpa: 0, pat: WC, effective: WC, ept: 0x30, ipat: 0, memtype: UC, level: 4K, rule: x, guest_mtrr: WB}
  - {gpa: 0x1000, rule: coherent}
"""
FOUND = "rules: [{id: a, when: mmio, ept: {byte: 0}}, {id: b, when: mmio and cr0_cd, ept: {byte: 0}}]\n"
GARBAGE = """\
rules: 4.3
vm: {noncoherent_dma: true}
guest: {mtrr: {msrs: {0x2ff: 0xc06, 0x20c: 0xc0000000, 0x20d: 0x3fffc0000800}}}
memslots:
  - {name: ram, gpa: 0, size: 3G}
  - {name: smm, id: 0x10001, gpa: 4G, size: 2M}
pages: [{gpa: 0x1000, pat: WC}, {gpa: 0xc0000}]
expect: [{gpa: 0x1000, pat: WC, effective: WC, ept: 0x08, guest_mtrr: WC, rule: cd}]
"""
RESERVED = "rules: [{id: a, ept: {byte: 0x10}}]\n"
SEED = "patches/noncoherent-dma-slot-flag-3of4.patch"

CALLS: dict[str, list[str]] = {
    "lookup": [
        "",
        "--pat wc",
        "--mmio --slot-flag 8 --mtrr uc --cd",
        "-r v6.7 -r 6.12.80 --noncoherent-dma --disable-quirk 0x3ff",
        "--no-paging",
        "-r kvm-mem-dma --mem-dma",
        "-r odd.c --assume own_test(vcpu)=yes",
        "-r odd.c --assume own_test(vcpu)=no --assume x=wc",
        "-r reserved.yaml",
        "--vendor amd",
        "--vendor amd --mmio --host-mtrr wc --pat uc -r 4.14",
        "--vendor amd --private",
        "--private",
        *(f"-r {name} --noncoherent-dma --mtrr wt" for name in mtcalc.built_in_names()),
    ],
    "eval": [
        "golden/vfio.yaml",
        "golden/virtio-gpu.yaml",
        "golden/vfio.yaml -r v6.7 -r 5.15 -r latest",
        "golden/amd.yaml",
        "golden/amd.yaml --gpa 1T --gpa 0",
        "golden/vfio.yaml --vendor amd -r 4.14",
        "golden/td.yaml",
        "golden/vfio.yaml --gpa 0 --gpa 1T --gpa 0xe0000000",
        "golden/vfio.yaml --gpa 1T --pat wc --gpa 0xa0000",
        "garbage.yaml",
        "garbage.yaml --ranges",
        "garbage.yaml --gpa 0x1000 --gpa 4G --gpa 0xc0000",
        "golden/vfio.yaml -r reserved.yaml",
        *(f"{path}" for path in sorted(ROOT.glob("examples/*.yaml")) if "\nmemslots:" in path.read_text()),
    ],
    "table": [
        "",
        "-r reserved.yaml",
        "--noncoherent-dma -r v6.7",
        "--where effective=WC",
        "--where ept=0x40",
        "--vendor amd",
        "--vendor amd --where effective=CD",
        "--who honours-pat",
        "--who honours-pat -r 6.8 --vendor amd",
        "-r v6.7 -r v6.16",
    ],
    "explain": [
        "",
        "--vendor amd --private --cd",
        "golden/amd.yaml --gpa 1T",
        "golden/td.yaml --gpa 0",
        "--mmio --pat wc -r v4.3",
        "--cd --noncoherent-dma -r v6.7",
        "golden/vfio.yaml --gpa 0xa0000",
        "golden/vfio.yaml --gpa 1T",
        "garbage.yaml --gpa 0x1000 --pat wc",
        "garbage.yaml --gpa 4G",
        "-r reserved.yaml",
        "golden/virtio-gpu.yaml --gpa 4G --pat wb -r 5.15",
        "--l2",
        "--l2 -r 4.3 --pat wc --l2-pat reset",
        "--l2 --vendor amd --l2-pat reset",
        "--l2 --vendor amd --l2-pat reset --pat wc --disable-quirk 0x800",
        "--l2 --vendor amd -r 4.14 --l2-pat 0 --pat wc",
        "--l2 -r reserved.yaml",
        "--l2 golden/amd.yaml --gpa 0",
        "--l2 golden/vfio.yaml --gpa 1T",
        "--l2 garbage.yaml --gpa 0x1000",
        "-r odd.c --assume own_test(vcpu)=yes",
    ],
    "diff": [
        "v6.7 v6.16",
        "v6.7 v6.16 --expand",
        "--vendor amd 4.14 6.8",
        "--vendor amd 4.14 6.8 --expand",
        "v6.7 v6.7",
        "v4.3 v4.4",
        "v2.6.28 v2.6.29",
        "slot-flag v6.7",
        "slot-flag v6.7 --expand",
        "kvm-mem-dma v6.7",
        "odd.c v6.16",
        "reserved.yaml v6.16",
        "v6.7 reserved.yaml --expand",
        "odd.c v6.16 --expand",
        "5.1 5.2",
        "5.1 5.2 --expand",
        "4.15 4.16 --expand",
        "4.1 6.12.80",
    ],
    "review": [
        SEED,
        f"{SEED} --expand",
        f"{SEED} --base v4.4",
        "git:v6.7..HEAD",
        "git:HEAD",
        "odd.patch --base odd.c",
        "odd.patch --base odd.c --expand",
        "untouched.patch",
    ],
    "log": ["", "v6.16..HEAD", "v6.7..v6.16"],
    "rules-list": [""],
    "rules-show": [*mtcalc.built_in_names(), "odd.c", "6.12.80", "6.1.0-18-amd64"],
    "rules-check": ["v6.7", "reserved.yaml", "odd.c", "found.yaml"],
    "map": [
        "golden/vfio.yaml",
        "golden/vfio.yaml -r 4.3 -r 6.12",
        "golden/virtio-gpu.yaml",
        "golden/amd.yaml",
        "golden/amd.yaml --request wb --request set_memory_wc --guest 5.4 -r 4.14",
        "golden/vfio.yaml --request ioremap -r reserved.yaml",
        "garbage.yaml",
        "golden/vfio.yaml -r reserved.yaml",
    ],
    "mtrr": [
        "golden/vfio.yaml",
        "golden/vfio.yaml -r v6.16",
        "golden/vfio.yaml -r 5.15 --gpa 0 --gpa 3G",
        "golden/virtio-gpu.yaml",
        "garbage.yaml",
        "garbage.yaml --gpa 0x1000 --gpa 0",
        "golden/vfio.yaml -r v6.16 --gpa 3G",
    ],
    "decode-pat": ["linux", "reset", "0x0606060606060606"],
    "decode-mtrr": [
        "0x2ff=0xc06 0x200=0xc0000000 0x201=0x3fffc0000800",
        "0x2ff=0xffff 0x250=0x0606060606060602 0xfe=0x508",
    ],
    "decode-epte": [
        "0x600000455299b77 0 1 7 0x37 0x3f 0x18000000000005a0 0x8000000000000000",
        "--level 2 60000021be00bf3 0xb77 7",
        "--level 3 0xb0 7",
        "--level 5 7",
        "--vendor amd --level 1 0xf77 0xff800ffc12817 0x455299e67 0 0x5a0",
        "--vendor amd 0x455299e67 0x7f --kernel 6.1",
    ],
    "audit": [
        "traces/kvm-trace-1-ftrace-ept.txt",
        "traces/kvm-trace-7-sve-frozen.txt --kernel 6.9",
        "traces/kvm-trace-2-npt-wrapped.txt --vendor amd",
        "live/6.1_non_bios.yaml live/6.1_non_bios.trace",
        "live/6.1_non_bios.yaml live/6.12_non_bios.trace",
        "live/6.1_noff_mtrr.yaml live/6.1_non_bios.trace",
        "live/6.1_non_huge_mixed.yaml live/6.1_non_huge_uniform.trace",
    ],
    "check": [
        "golden/virtio-gpu.yaml",
        "garbage.yaml",
        "failing.yaml",
        "--list",
        "--explain MT001,alias",
        "hazards/MT001.yaml hazards/MT008.yaml hazards/MT029.yaml",
        "golden/vfio.yaml",
    ],
}


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads(quick("schema", name).out)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schemas")
    (path / "odd.c").write_text(ODD)
    (path / "failing.yaml").write_text(FAILING)
    (path / "found.yaml").write_text(FOUND)
    (path / "odd.patch").write_text(PATCH)
    (path / "untouched.patch").write_text("--- a/README\n+++ b/README\n@@ -1 +1 @@\n-old\n+new\n")
    (path / "garbage.yaml").write_text(GARBAGE)
    (path / "reserved.yaml").write_text(RESERVED)
    if shutil.which("git"):
        linux(path / "linux")
    for name in ("golden", "hazards", "patches", "live", "traces"):
        (path / name).symlink_to(DATA / name)
    return path


def complaints(name: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in validator(name).iter_errors(value)]


def called(name: str, args: str, folder: Path, form: str) -> Run:
    if (name == "log" or "git:" in args) and not shutil.which("git"):
        pytest.skip("git is not installed")
    env = {"MTCALC_GIT": str(folder / "linux")}
    return quick(*name.split("-"), *args.split(), "-o", form, cwd=folder, env=env)


def answered(name: str, args: str, folder: Path) -> Any:
    done = called(name, args, folder, "json")
    assert done.status in (0, 1), done.err
    return json.loads(done.out)


CASES = [(name, args) for name, calls in CALLS.items() for args in calls]


@pytest.mark.parametrize(("name", "args"), CASES, ids=[f"{name} {args}"[:70] for name, args in CASES])
def test_what_commands_write_is_valid(name: str, args: str, folder: Path) -> None:
    assert complaints(name, answered(name, args, folder)) == []


LINES = [name for name in CALLS if name != "explain"]  # which has no jsonl


@pytest.mark.parametrize(("name", "args"), [case for case in CASES if case[0] in LINES])
def test_what_commands_write_line_by_line_is_valid(name: str, args: str, folder: Path) -> None:
    done = called(name, args, folder, "jsonl")
    assert done.status in (0, 1), done.err
    for line in done.out.splitlines():
        assert complaints(f"{name}-jsonl", json.loads(line)) == []


STREAMS = {
    "eval golden/vfio.yaml --gpa -": "0x1000\n1T\n0xa0000 wc\n# x\n1T 3\nzzz\n",
    "eval garbage.yaml --gpa -": "0x1000\n4G\n0x2000 5\n",
    "eval golden/vfio.yaml -r reserved.yaml --gpa - --pat wc": "0x1000\n1T\n",
    "eval golden/amd.yaml --gpa -": "0x1000\n1T\n0xe0000000 wc\n",
    "mtrr garbage.yaml --gpa -": "0x1000\n4G\nzzz\n",
    "mtrr golden/vfio.yaml -r v6.16 --gpa -": "0x1000\n3G\n",
    "decode epte -": "0x600000455299b77\n0\n7 level 2\nzzz\n0xff800ffc12817\n",
    "decode epte --vendor amd -": "0xf77 1\n0\n7 level 2\nzzz\n0xff800ffc12817\n0x455299e67\n",
}


@pytest.mark.parametrize("call", STREAMS)
def test_what_streams_write_is_valid(call: str, folder: Path) -> None:
    """Bad lines are no business of standard output."""
    done = quick(*call.split(), "-o", "jsonl", stdin=STREAMS[call], cwd=folder)
    assert done.status == (2 if "zzz" in STREAMS[call] else 0)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == sum(not line.startswith(("zzz", "#")) for line in STREAMS[call].splitlines())
    name = "decode-epte" if call.startswith("decode") else call.split()[0]
    assert [complaints(f"{name}-jsonl", line) for line in lines] == [[]] * len(lines)


def test_every_command_with_json_has_a_schema() -> None:
    assert {*SCHEMAS} == {"scenario", "rule-file", *CALLS, *(f"{name}-jsonl" for name in LINES)}


def _spoilt(value: Any) -> Iterator[Any]:
    """Copies that lack one key of the first object, or have another type in its place."""
    for key in value[0] if isinstance(value, list) else value:
        for gone in (True, False):
            other = copy.deepcopy(value)
            item = other[0] if isinstance(value, list) else other
            if gone:
                del item[key]
            else:
                item[key] = 0.5
            yield other


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_key_or_another_type_is_not_valid(name: str, folder: Path) -> None:
    """So the schemas say something; keys that come later do no harm."""
    value = answered(name, CALLS[name][-1], folder)
    spoilt = list(_spoilt(value))
    assert spoilt
    for other in spoilt:
        assert complaints(name, other)
    if name in LINES:
        outs = (called(name, args, folder, "jsonl").out for args in CALLS[name])
        line = json.loads(next(filter(None, outs)).splitlines()[0])
        line.pop("end", None)  # of ranges alone
        assert all(complaints(f"{name}-jsonl", other) for other in _spoilt(line))
    item = value[0] if isinstance(value, list) else value
    item["a_key_of_a_later_release"] = {"x": [1]}
    assert complaints(name, value) == []


def test_what_is_said_of_l2_lacks_nothing(folder: Path) -> None:
    value = answered("explain", "--l2 --vendor amd --pat wc", folder)
    for spoilt in _spoilt(value["l2"]):
        if "quirks" in spoilt:  # which Intel and releases before 7.2 have not
            assert complaints("explain", {**value, "l2": spoilt})
    assert complaints("explain", value) == []


RULE_FILES = [path for path in sorted(ROOT.glob("examples/*.yaml")) if "\nmemslots:" not in path.read_text()]


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_rule_files_that_stand_here_are_valid(path: Path) -> None:
    assert complaints("rule-file", as_editors_see(parse_yaml(path.read_text(), path.name))) == []


@pytest.mark.parametrize("name", [*mtcalc.built_in_names(), "odd.c"])
def test_rule_files_that_show_writes_are_valid(name: str, folder: Path) -> None:
    text = quick("rules", "show", name, "-o", "yaml", cwd=folder).out
    assert complaints("rule-file", as_editors_see(parse_yaml(text, "own.yaml"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{ept: {byte: 0}}]",
        "rules: [{id: a, ept: {bite: 0}}]",
        "rules: {id: a}",
        "ruels: []",
        "{base: v6.7, changes: [{insert_after: mmio, replace: x, id: a, ept: {byte: 0}}]}",
    ],
)
def test_what_an_editor_underlines_in_a_rule_file(text: str) -> None:
    assert complaints("rule-file", as_editors_see(parse_yaml(text, "own.yaml")))


@pytest.mark.parametrize(("words", "name"), [(("rules", "show"), "rules-show"), (("decode_epte",), "decode-epte")])
def test_a_name_as_the_command_is_called(words: tuple[str, ...], name: str) -> None:
    assert quick("schema", *words).out == quick("schema", name).out


def test_no_name_is_the_scenario() -> None:
    assert quick("schema").out == quick("schema", "scenario").out
    assert "eval" in quick("schema", "--help").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("evl",), "no schema 'evl' (did you mean eval?)"),
        (("eval", "-o", "markdown"), "the table in Markdown is of scenarios (without NAME)"),
    ],
)
def test_what_has_no_schema(args: tuple[str, ...], message: str) -> None:
    done = quick("schema", *args)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"mtcalc schema: {message}\nTry 'mtcalc schema --help'.\n"
