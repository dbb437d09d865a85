# SPDX-License-Identifier: GPL-2.0-only
"""REFs that are files: what they are relative to, what they come to, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtcalc.kvm.release import newest
from mtcalc.refs.file import kernel_of_file
from mtcalc.refs.resolve import resolve
from mtcalc.rulefile.write import write_rule_file
from mtcalc.text.errors import InputError
from support.patches import c_file, crlf, kernel, quoted, same_bytes
from support.program import DATA, Run, quick

SEED = (DATA / "patches" / "noncoherent-dma-slot-flag-3of4.patch").read_text()

FUNCTION = """\
static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tif (is_mmio)
\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;

\tif (!kvm_arch_has_noncoherent_dma(vcpu->kvm))
\t\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;

\treturn kvm_mtrr_get_guest_memory_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;
}
"""
OWN = """\
static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tif (is_mmio)
\t\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;

\tif (kvm_own(vcpu->kvm))
\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;

\treturn own_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;
}
"""
CONDITION, TYPE = "kvm_own(vcpu->kvm)", "own_type(vcpu, gfn)"
VARIATION = "base: {}\nchanges:\n  - remove: cd-quirk\n"
SLOT = "memslots:\n  - {gpa: 0, size: 1M}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files of every kind, and the same in a folder below."""
    for place in (tmp_path, tmp_path / "below"):
        place.mkdir(exist_ok=True)
        for name in ("rules.yaml", "rules.yml", "RULES.YAML"):
            (place / name).write_text(write_rule_file(kernel("v6.7")))
        for name in ("vmx.c", "VMX.C"):
            (place / name).write_text(c_file(FUNCTION))
        (place / "own.c").write_text(c_file(OWN))
        for name in ("m.patch", "m.diff", "m.mbox", "m.eml", "m.txt"):
            (place / name).write_text(SEED)
    return tmp_path


def lookup(folder: Path, *args: str, stdin: str = "") -> dict[str, Any]:
    answers = quick("lookup", *args, "--pat", "wb", "-o", "json", cwd=folder, stdin=stdin).json
    assert isinstance(answers, list)
    (answer,) = answers
    assert isinstance(answer, dict)
    return answer


def refused(done: Run) -> str:
    assert (done.status, done.out) == (2, "")
    return done.err


REFS = ["rules.yaml", "rules.yml", "RULES.YAML", "vmx.c", "VMX.C", "m.patch", "m.diff", "m.mbox", "m.eml", "m.txt"]


@pytest.mark.parametrize("ref", REFS)
def test_with_a_slash_and_without(ref: str, folder: Path) -> None:
    """A word with a `/` or one of these suffixes is a file."""
    names = [ref, f"below/{ref}"] if ref != "vmx.c" else [ref, f"./{ref}", str(folder / ref)]
    answers = [lookup(folder, "-r", name) for name in names]
    assert {answer["ept"]["mask"] for answer in answers} == {"0x70"}
    assert [answer["ref"] for answer in answers] == names
    assert len({answer["rule"]["id"] for answer in answers}) == 1


def test_what_they_come_to(folder: Path) -> None:
    place = str(folder)
    assert same_bytes(resolve("rules.yaml", directory=place).rules, kernel("v6.7").rules)
    assert same_bytes(resolve("m.patch", directory=place).rules, kernel("slot-flag").rules)
    assert same_bytes(resolve("m.patch", "v4.4", place).rules, resolve("m.patch", "4.5", place).rules)
    on_file = resolve("m.patch", "vmx.c", place)
    assert (on_file.rules.name, on_file.ref) == ("m.patch", str(folder / "m.patch"))
    assert [rule.id for rule in on_file.rules.rules][:2] == ["mmio", "slot-flag"]
    assert same_bytes(kernel_of_file("vmx.c", resolve, directory=place).rules, kernel("v2.6.31").rules)


def test_the_kernel_around(folder: Path) -> None:
    """Around a C file 6.10's if the rules ask for the guest's MTRR type, else the latest; a patch has its base's."""
    place = str(folder)
    assert resolve("vmx.c", directory=place).release == (6, 10)
    assert resolve("own.c", directory=place).release == newest()
    assert resolve("m.patch", directory=place).release == kernel("v6.7").release
    assert resolve("m.patch", "6.5", place).release == (6, 5)
    assert resolve("m.patch", "vmx.c", place).release == (6, 10)
    assert resolve("rules.yaml", directory=place).release == kernel("v6.7").release


def test_what_the_answer_calls_them(folder: Path) -> None:
    """A C file is named as it was given, a patch by its base name, a rule file by its own; a choice of base is said."""
    assert lookup(folder, "-r", "own.c", "--mmio")["rules"] == "own.c"
    assert lookup(folder, "-r", "below/vmx.c")["rules"] == "below/vmx.c"
    assert lookup(folder, "-r", "rules.yaml")["rules"] == "v6.7"
    answer = lookup(folder, "-r", "m.patch")
    assert answer["rules"] == "m.patch"
    assert answer["notes"] == [
        "m.patch is a patch on top of v6.7",
        "base v6.7: of those the patch fits (v4.4, v6.7, v6.11), the newest in mainline on 5 January 2024",
    ]
    assert lookup(folder, "-r", "m.patch", "--base", "v4.4")["notes"] == ["m.patch is a patch on top of v4.4"]
    below = lookup(folder, "-r", "below/m.patch", "--base", "v4.4")
    assert (below["rules"], below["ref"], below["notes"]) == (
        "m.patch",
        "below/m.patch",
        ["m.patch is a patch on top of v4.4"],
    )
    plain = quick("lookup", "-r", "below/m.patch", "--base", "v4.4", cwd=folder).out
    assert plain.startswith("rules below/m.patch, VMX with EPT\n")


@pytest.mark.parametrize("send", [str, crlf, quoted])
def test_a_patch_on_standard_input(send: Any, folder: Path) -> None:
    answer = lookup(folder, "-r", "-", "--slot-flag", "non-coherent-dma", stdin=send(SEED))
    assert (answer["rules"], answer["rule"]["id"], answer["ept"]["mask"]) == ("-", "slot-flag", "0x30")


ASKING = """\
Date: Tue, 2 Sep 2025 10:00:00 +0000
Subject: [PATCH] KVM: VMX: honour the guest's MTRRs

--- a/arch/x86/kvm/vmx/vmx.c
+++ b/arch/x86/kvm/vmx/vmx.c
@@ -7623,6 +7623,6 @@ u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
 \tif (vmx_ignore_guest_pat(vcpu->kvm))
 \t\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT;

-\treturn (MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT);
+\treturn kvm_mtrr_get_guest_memory_type(vcpu, gfn) << VMX_EPT_MT_EPTE_SHIFT;
 }

"""


def test_a_patch_that_asks_for_mtrrs_where_the_kernel_never_does(folder: Path) -> None:
    """lookup answers for the type that is given; eval, which has to find it out, says that nobody does."""
    (folder / "asking.patch").write_text(ASKING)
    refs = ("-r", "asking.patch", "--base", "v6.16")
    asked = lookup(folder, *refs, "--noncoherent-dma", "--mtrr", "wc")
    assert (asked["ept"]["mask"], asked["inputs"]["guest_mtrr"]) == ("0x08", "WC")
    assert lookup(folder, *refs, "--no-noncoherent-dma", "--mtrr", "wc")["ept"]["mask"] == "0x70"
    (folder / "vm.yaml").write_text(f"vm: {{noncoherent_dma: true}}\n{SLOT}")
    for more in ((), ("--gpa", "0x1000"), ("-o", "json")):
        message = refused(quick("eval", "vm.yaml", *refs, *more, cwd=folder))
        assert message == (
            "mtcalc: these rules ask for the guest's MTRR type, and the kernel around them never does "
            "(6.10 and older do; mtcalc lookup takes --mtrr)\n"
        )


def test_side_by_side(folder: Path) -> None:
    """--base is for the patches among several REFs."""
    done = quick("lookup", "-r", "v6.7", "-r", "m.patch", "--base", "v4.4", "--pat", "wc", "-o", "json", cwd=folder)
    assert [answer["rules"] for answer in done.json] == ["v6.7", "m.patch"]


# Relative to what.


@pytest.mark.parametrize("ref", REFS)
def test_relative_to_the_scenario(ref: str, folder: Path) -> None:
    """`rules:` of a scenario names files relative to the scenario."""
    (folder / "only").mkdir()
    (folder / ref).rename(folder / "only" / ref)
    (folder / "only" / "vm.yaml").write_text(f"rules: {ref}\n{SLOT}")
    done = quick("eval", "only/vm.yaml", "-o", "json", cwd=folder)
    assert [answer["ept"]["mask"] for answer in done.json["results"]] == ["0x70"]


def test_relative_to_the_scenario_wherever_it_is_called_from(folder: Path) -> None:
    (folder / "vm.yaml").write_text(f"rules: ./below/own.c\nassume: {{{json.dumps(CONDITION)}: true}}\n{SLOT}")
    for name, place in (("vm.yaml", folder), ("../vm.yaml", folder / "below"), (str(folder / "vm.yaml"), DATA)):
        (answer,) = quick("eval", name, "-o", "json", cwd=place).json["results"]
        assert answer["ept"]["mask"] == "0x30"


def test_base_is_relative_to_where_it_was_typed(folder: Path) -> None:
    """--base stands on the command line, the scenario's own names in the scenario."""
    (folder / "below" / "vm.yaml").write_text(f"rules: m.patch\n{SLOT}")
    (folder / "here.c").write_text(c_file(FUNCTION))
    done = quick("eval", "below/vm.yaml", "--base", "here.c", "-o", "json", cwd=folder)
    (answer,) = done.json["results"]
    assert answer["notes"] == [f"m.patch is a patch on top of {folder / 'here.c'}"]
    message = refused(quick("eval", "below/vm.yaml", "--base", "vmx-6.1.c", cwd=folder))
    assert "vmx-6.1.c: no such file" in message
    message = refused(quick("eval", "below/vm.yaml", "--base", "v6.6.6.6.6", cwd=folder))
    assert message.startswith("mtcalc: --base: unknown rule set 'v6.6.6.6.6' ")


def test_base_is_relative_to_the_rule_file(folder: Path) -> None:
    """`base:` of a rule file names files relative to the rule file."""
    for base in ("rules.yaml", "./rules.yml", "../rules.yaml", "m.patch", "v6.7", "6.8"):
        (folder / "below" / "own.yaml").write_text(VARIATION.format(base))
        found = resolve("below/own.yaml", directory=str(folder))
        assert "cd-quirk" not in [rule.id for rule in found.rules.rules]
        assert lookup(folder, "-r", "below/own.yaml")["rules"] == "own"
    # A base of a base, each relative to its own place.
    (folder / "below" / "own.yaml").write_text(VARIATION.format("../mid.yaml").replace("cd-quirk", "cd"))
    (folder / "mid.yaml").write_text(VARIATION.format("below/rules.yaml"))
    ids = [rule.id for rule in resolve("below/own.yaml", directory=str(folder)).rules.rules]
    assert ids == ["mmio", "coherent", "guest-mtrr"]


def test_from_the_environment(folder: Path) -> None:
    """MTCALC_RULES names a file relative to the current folder; -r goes before it."""
    for ref in ("own.c", "below/rules.yaml", "m.patch"):
        done = quick("lookup", "--mmio", "-o", "json", cwd=folder, env={"MTCALC_RULES": ref})
        assert done.json[0]["ref"] == ref
    done = quick("lookup", "-r", "v6.7", "-o", "json", cwd=folder, env={"MTCALC_RULES": "nowhere.c"})
    assert done.json[0]["rules"] == "v6.7"
    based = quick("lookup", "--base", "v4.4", "-o", "json", cwd=folder, env={"MTCALC_RULES": "m.patch"})
    assert "m.patch is a patch on top of v4.4" in based.json[0]["notes"]
    message = refused(quick("lookup", cwd=folder, env={"MTCALC_RULES": "nowhere.c"}))
    assert message == "mtcalc: MTCALC_RULES: nowhere.c: no such file (a path, or - for standard input)\n"


# What is wrong.


def test_cycles_of_bases(folder: Path) -> None:
    """A rule set stands by itself at the end."""
    (folder / "self.yaml").write_text(VARIATION.format("self.yaml"))
    message = refused(quick("lookup", "-r", "self.yaml", cwd=folder))
    assert message.startswith("self.yaml:1:7: self.yaml is its own base ")
    (folder / "a.yaml").write_text(VARIATION.format("below/b.yaml"))
    (folder / "below" / "b.yaml").write_text(VARIATION.format("../c.yaml"))
    (folder / "c.yaml").write_text(VARIATION.format("./below/../a.yaml"))
    for args in (("lookup", "-r"), ("rules", "check"), ("rules", "show"), ("diff", "v6.7")):
        message = refused(quick(*args, "a.yaml", cwd=folder))
        assert message.startswith("below/../c.yaml:1:7: ./below/../a.yaml is its own base ")
    (folder / "link.yaml").symlink_to("linked.yaml")
    (folder / "linked.yaml").write_text(VARIATION.format("link.yaml"))
    assert "is its own base" in refused(quick("lookup", "-r", "linked.yaml", cwd=folder))


WRONG = {
    "nowhere.yaml": "mtcalc: -r: nowhere.yaml: no such file (a path, or - for standard input)\n",
    "nowhere.c": "mtcalc: -r: nowhere.c: no such file (a path, or - for standard input)\n",
    "below/nowhere.mbox": "mtcalc: -r: below/nowhere.mbox: no such file (a path, or - for standard input)\n",
    "below": "mtcalc: -r: unknown rule set 'below' (",
    "below/": "mtcalc: -r: below/: unknown kind of rule set "
    "(.yaml, .c, .patch, .diff, .mbox, .eml, .txt, or - for a patch)\n",
    "./v6.7": "mtcalc: -r: ./v6.7: unknown kind of rule set ",
    "folder.c": "mtcalc: -r: folder.c: is a directory (a file)\n",
    "empty.yaml": "empty.yaml:1:1: ",
    "empty.c": "empty.c:1:1: no vmx_get_mt_mask() is defined here ",
    "empty.patch": "empty.patch:1:1: no patch found ",
    "binary.c": "binary.c:1:3: NUL byte ",
}


@pytest.mark.parametrize("ref", WRONG)
def test_what_is_wrong(ref: str, folder: Path) -> None:
    """Status 2, one message, nothing on standard output."""
    (folder / "folder.c").mkdir()
    for name in ("empty.yaml", "empty.c", "empty.patch"):
        (folder / name).write_text("")
    (folder / "binary.c").write_bytes(b"ab\0c\n")
    assert refused(quick("lookup", "-r", ref, cwd=folder)).startswith(WRONG[ref])


def test_what_is_wrong_in_a_scenario_is_told_there(folder: Path) -> None:
    (folder / "below" / "vm.yaml").write_text(f"# mine\nrules: nowhere.c\n{SLOT}")
    message = refused(quick("eval", "below/vm.yaml", cwd=folder))
    assert message.startswith("below/vm.yaml:2:8: below/nowhere.c: no such file ")
    (folder / "below" / "own.yaml").write_text(VARIATION.format("nowhere.yaml"))
    (folder / "below" / "vm.yaml").write_text(f"rules: own.yaml\n{SLOT}")
    message = refused(quick("eval", "below/vm.yaml", cwd=folder))
    assert message.startswith("below/own.yaml:1:7: below/nowhere.yaml: no such file ")


@pytest.mark.parametrize(
    "args",
    [
        ("lookup", "-r", "v6.7"),
        ("lookup",),
        ("table", "-r", "vmx.c"),
        ("explain", "-r", "rules.yaml"),
        ("eval", "vm.yaml"),
        ("diff", "v6.7", "vmx.c"),
        ("rules", "show", "v6.7"),
        ("rules", "check", "rules.yaml"),
    ],
)
def test_base_without_a_patch(args: tuple[str, ...], folder: Path) -> None:
    (folder / "vm.yaml").write_text(SLOT)
    message = refused(quick(*args, "--base", "v6.7", cwd=folder))
    assert ": --base without a patch (it says what a patch goes on top of)\n" in message


def test_a_base_that_is_not_known(folder: Path) -> None:
    for args in (("lookup", "-r"), ("diff", "v6.7"), ("rules", "show")):
        message = refused(quick(*args, "m.patch", "--base", "v6.71x", cwd=folder))
        assert message.startswith("mtcalc: --base: unknown rule set 'v6.71x' ")


def test_errors_are_input_errors(folder: Path) -> None:
    for ref in ("./x", "nowhere.yaml", "nowhere.c", "nowhere.patch"):
        with pytest.raises(InputError):
            kernel_of_file(ref, resolve, directory=str(folder))


# Conditions that only a C file or a patch knows.

GIVEN = ("--assume", f"{CONDITION}=no", "--assume", f"{TYPE}=wc")


def test_assumptions_in_lookup(folder: Path) -> None:
    yes = lookup(folder, "-r", "own.c", "--assume", f"{CONDITION}=yes")
    assert (yes["ept"]["mask"], yes["inputs"]["assume"]) == ("0x30", {CONDITION: True})
    no = lookup(folder, "-r", "own.c", *GIVEN)
    assert (no["ept"]["mask"], no["inputs"]["assume"]) == ("0x08", {CONDITION: False, TYPE: "WC"})
    # Not needed where the rules don't get that far.
    assert lookup(folder, "-r", "own.c", "--mmio")["ept"]["mask"] == "0x00"


def test_assumptions_in_table_and_explain(folder: Path) -> None:
    table = quick("table", "-r", "own.c", *GIVEN, "-o", "json", cwd=folder).json
    assert {answer["ept"]["mask"] for answer in table} == {"0x08"}
    explained = quick("explain", "-r", "own.c", *GIVEN, "-o", "json", cwd=folder).json
    assert explained["answer"]["ept"]["mask"] == "0x08"
    assert explained["answer"]["inputs"]["assume"] == {CONDITION: False, TYPE: "WC"}


def test_assumptions_of_a_patch(folder: Path) -> None:
    (folder / "own.patch").write_text(SEED.replace("slot->flags & KVM_MEM_NON_COHERENT_DMA", CONDITION))
    yes = lookup(folder, "-r", "own.patch", "--assume", f"{CONDITION}=yes")
    assert (yes["rule"]["text"], yes["ept"]["mask"]) == (f'assume "{CONDITION}" -> WB', "0x30")


@pytest.mark.parametrize("command", ["lookup", "table", "explain"])
def test_an_assumption_that_is_needed(command: str, folder: Path) -> None:
    """Needed and not given: exit 2, naming it."""
    message = refused(quick(command, "-r", "own.c", cwd=folder))
    assert message.startswith(f"mtcalc: these rules ask for `{CONDITION}` (say --assume '{CONDITION}=yes|no'")
    message = refused(quick(command, "-r", "own.c", "--assume", f"{CONDITION}=no", cwd=folder))
    assert f"these rules ask for `{TYPE}` (say --assume '{TYPE}=UC|WC|WT|WP|WB'" in message
    # A condition given as a type is not given.
    message = refused(quick(command, "-r", "own.c", "--assume", f"{CONDITION}=wb", cwd=folder))
    assert f"these rules ask for `{CONDITION}`" in message


def test_assumptions_of_a_scenario(folder: Path) -> None:
    text = f'rules: own.c\nassume: {{"{CONDITION}": no, "{TYPE}": WT}}\n{SLOT}'
    (folder / "vm.yaml").write_text(text.replace(": no,", ": false,"))
    (answer,) = quick("eval", "vm.yaml", "-o", "json", cwd=folder).json["results"]
    assert (answer["ept"]["mask"], answer["inputs"]["assume"]) == ("0x20", {CONDITION: False, TYPE: "WT"})
    explained = quick("explain", "vm.yaml", "--gpa", "0", "-o", "json", cwd=folder).json
    assert explained["answer"]["ept"]["mask"] == "0x20"
    (folder / "short.yaml").write_text(f"rules: own.c\n{SLOT}")
    for args in (("eval", "short.yaml"), ("explain", "short.yaml", "--gpa", "0"), ("eval", "short.yaml", "--gpa", "0")):
        message = refused(quick(*args, cwd=folder))
        assert f"these rules ask for `{CONDITION}` " in message
        assert "in a scenario, assume:" in message


def test_an_assumption_that_is_not_read_is_noted(folder: Path) -> None:
    note = "v6.7 does not read: `x == y`"
    assert note in lookup(folder, "-r", "v6.7", "--assume", "x == y=yes")["notes"]
    for command in ("table", "explain"):
        assert note in quick(command, "-r", "v6.7", "--assume", "x == y=yes", cwd=folder).out
    (folder / "vm.yaml").write_text(f'rules: v6.7\nassume: {{"x == y": true}}\n{SLOT}')
    (answer,) = quick("eval", "vm.yaml", "-o", "json", cwd=folder).json["results"]
    assert answer["notes"] == [note]
    assert note in quick("explain", "vm.yaml", "--gpa", "0", cwd=folder).out
    (other,) = json.loads(quick("eval", "vm.yaml", "-r", "v6.11", "-o", "json", cwd=folder).out)["results"]
    assert "v6.11 does not read: `x == y`" in other["notes"]


def test_an_assumption_that_is_none(folder: Path) -> None:
    for text in ("kvm_own", "kvm_own=perhaps", "=yes", "kvm_own=UC-"):
        assert "is no assumption" in refused(quick("lookup", "-r", "own.c", "--assume", text, cwd=folder))


TESTED = """static u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
\tif (own_test(vcpu))
\t\treturn MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT;
\treturn MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT;
}
"""


def test_assume_wherever_a_rule_set_is_asked_for(tmp_path: Path) -> None:
    """lookup, eval, explain, check: a condition that only the C file knows is given by --assume."""
    own, vm = tmp_path / "own.c", tmp_path / "vm.yaml"
    own.write_text(TESTED)
    vm.write_text("memslots: [{gpa: 0, size: 4K}]\nexpect: [{gpa: 0, ept: 0x30}]\n")
    for value, byte in (("yes", "0x30"), ("no", "0x00")):
        given = ("-r", str(own), "--assume", f"own_test(vcpu)={value}")
        assert quick("lookup", *given, "--pat", "wb", "-o", "json").json[0]["ept"]["mask"] == byte
        assert quick("eval", str(vm), *given, "-o", "json").json["results"][0]["ept"]["mask"] == byte
        streamed = quick("eval", str(vm), *given, "--gpa", "-", "-o", "jsonl", stdin="0x0\n")
        assert streamed.json["ept"]["mask"] == byte
        assert quick("explain", str(vm), "--gpa", "0", *given, "-o", "json").json["answer"]["ept"]["mask"] == byte
        assert quick("check", str(vm), *given).status == (0 if value == "yes" else 1)
    assert quick("eval", str(vm), "-r", str(own)).status == 2


def test_diff_with_a_condition_assumed(tmp_path: Path) -> None:
    """States with another value are left out; a condition that neither asks for is refused."""
    own, same = tmp_path / "own.c", tmp_path / "other.c"
    own.write_text(TESTED)
    same.write_text(TESTED.replace("MTRR_TYPE_WRBACK", "MTRR_TYPE_WRTHROUGH"))
    assert quick("diff", str(own), str(same), "--assume", "own_test(vcpu)=no").status == 0
    other = quick("diff", str(own), str(same), "--assume", "own_test(vcpu)=yes", "-o", "json")
    found = json.loads(other.out)
    assert (other.status, found["changed"], found["left_out"]) == (1, 1, 1)
    done = quick("diff", str(own), str(same), "--assume", "nobody(vcpu)=no")
    assert (done.status, done.out) == (2, "")
    assert "neither rule set asks for `nobody(vcpu)`" in done.err
