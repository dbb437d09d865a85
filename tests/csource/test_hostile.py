# SPDX-License-Identifier: GPL-2.0-only
"""C made to crash, hang or leak: read or refused soon, with the place and few words."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtcalc.csource.parse import MAX_FILE
from mtcalc.csource.source import rules_from_c
from mtcalc.text.errors import InputError
from support.program import environment, quick

DATA = Path(__file__).parent.parent / "data" / "c" / "hostile"
HEAD = "u8 vmx_get_mt_mask(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)\n{\n"
END = "return 0;\n}\n"
KB = 60_000

FILES = {
    "crlf-column": "6:56: '\"' is missing here",
    "long-number": "3:9: 11111111111111111111... does not fit 64 bits",
    "nested-conditions": "23:6: a condition that is too large",
    "slow-calls": "3:208: nested too deeply",
    "slow-heads": "55:1: f begins too many lines",
    "slow-parens": "3:108: nested too deeply",
}


@pytest.mark.parametrize("name", FILES)
def test_refused_soon_with_the_place(name: str) -> None:
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        rules_from_c((DATA / f"{name}.c").read_bytes().decode(), "f.c")
    assert time.process_time() - started < 1
    assert str(caught.value).startswith(f"f.c:{FILES[name]}")
    place = caught.value.place
    assert place is not None
    assert place.column <= len(place.source) + 1


def test_escape_codes_of_a_comment_do_not_reach_the_terminal() -> None:
    for form in ("plain", "table", "json", "markdown", "html"):
        done = quick("rules", "show", str(DATA / "escape-in-comment.c"), "-o", form)
        assert done.status == 0
        assert "\x1b[31m" not in done.out


def chain(count: int, *parts: str) -> str:
    return "".join(part.format(n=n, m=n + 1) for n in range(count) for part in parts)


HOSTILE = {
    # Scans.
    "quotes": '"' * KB,
    "quotes escaped": '"' + '\\"' * (KB // 2),
    "apostrophes escaped": "'" + "\\'" * (KB // 2),
    "blanks": " " * KB,
    "blank lines": "\n" * KB,
    "blanks before #": (" " * 1000 + "\n") * 60,
    "comments": "/**/" * (KB // 4) + HEAD + END,
    "comments that go on": "//\\\n" * (KB // 4),
    "open comments": "/*" * (KB // 2),
    "enums": "enum{" * (KB // 5),
    "enum and blanks": "enum" + " " * KB + HEAD + "return X;\n}\n",
    "typedefs": "typedef " * (KB // 8) + HEAD + END,
    "typedefs that end": "typedef int a;" * (KB // 14) + HEAD + "a x = 1;\nreturn x;\n}\n",
    "macros": "#define A 1\n" * (KB // 12) + HEAD + "return A;\n}\n",
    "macros of macros": chain(30, "#define A{n} (A{m} + A{m})\n") + HEAD + "return A0;\n}\n",
    "open #if": "#if X\n" * (KB // 6) + HEAD + "return A;\n}\n",
    "#else": "#if X\n#else\n" * (KB // 12) + "#define A 1\n" + HEAD + "return A;\n}\n",
    "enumerators": "enum { A0, " + chain(2000, "A{m} = A{n} + 1, ") + "};\n" + HEAD + "return A1999;\n}\n",
    "heads": "a b(\n" * (KB // 5) + HEAD + END,
    "own heads": "vmx_get_mt_mask(\n" * (KB // 17),
    "long head": "a " * (KB // 2) + "vmx_get_mt_mask(void)\n{\nreturn 0;\n}\n",
    "calls of heads": chain(3000, "f{n}(\n") + HEAD + chain(90, "if (f{n}()) return 1;\n") + END,
    "long name": f"{HEAD}return {'a' * KB};\n}}\n",
    "long condition": f"{HEAD}if ({'a' * 45_000}) return 1;\n{END}",
    "long macro": f"#define {'A' * 40_000} B\n{HEAD}return {'A' * 9_000};\n}}\n",
    "nul": "\0" * KB,
    "surrogates": "\udcff" * 1000 + HEAD + END,
    # Nesting.
    **{
        name: f"{HEAD}return {text};\n}}\n"
        for name, text in {
            "parentheses": "(" * 20_000 + "0" + ")" * 20_000,
            "signs": "!" * 20_000 + "0",
            "casts": "(u8)" * 10_000 + "0",
            "stars": "*" * 10_000 + "vcpu",
            "fields": "vcpu" + "->a" * 15_000,
            "indices": "vcpu" + "[0]" * 15_000,
            "calls": "f" + "()" * 15_000,
            "sum": "+".join(["1"] * 10_000),
            "signs in an arm": f"is_mmio ? {'!' * 20_000}0 : 1",
            "casts in an arm": f"is_mmio ? {'(u8)' * 10_000}0 : 1",
            "sum in an arm": f"is_mmio ? {'+'.join(['1'] * 10_000)} : 1",
            "arms": "(is_mmio ? " * 95 + "0" + " : 1)" * 95,
        }.items()
    },
    "blocks": f"{HEAD}{'{' * 20_000}{'}' * 20_000}{END}",
    "labels": HEAD + chain(5000, "l{n}:\n") + END,
    "else if": HEAD + chain(1000, "if (a{n}()) return 1; else ") + END,
    "helpers": chain(90, "static int h{n}(int x)\n{{\nreturn h{m}(x) + h{m}(x);\n}}\n") + HEAD + "return h0(1);\n}\n",
    # Growth.
    "text that doubles": f"{HEAD}u64 x = f();\n{'x = g(x, x);' * 60}\nif (x) return 1;\n{END}",
    "condition that doubles": f"{HEAD}bool x = f();\n{chain(60, 'x = (x && a{n}()) || b{n}(x);')}\nreturn x;\n}}\n",
    "ways that double": f"{HEAD}u64 x = 0;\n{chain(60, 'if (a{n}()) x |= {n};')}\nreturn x;\n}}\n",
    "bits that double": f"{HEAD}u64 x = slot->flags & 15;\n{'x ^= slot->flags & 15;' * 500}\nreturn x;\n}}\n",
    "cases": f"{HEAD}switch (f()) {{\n{chain(2500, 'case {n}: return 1;')}\n}}\n{END}",
    "locals": f"{HEAD}{chain(1500, 'u8 x{n} = is_mmio;')}{END}",
    "semicolons": HEAD + ";" * 45_000 + END,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_law_any_c_is_read_or_refused_soon(name: str) -> None:
    """64 KB of anything end within 2 s, with rules or a located error of a few words."""
    text = HOSTILE[name]
    assert len(text) < 1 << 16
    started = time.process_time()
    refused: InputError | None = None
    try:
        assert rules_from_c(text, "f.c").rules
    except InputError as error:
        refused = error
    assert time.process_time() - started < 2
    if refused is not None:
        assert refused.place is not None
        assert refused.place.column <= len(refused.place.source) + 1
        assert len(refused.message) < 600


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(InputError, match=rf"^f\.c:1:1: a C file of \d+ characters \(at most {MAX_FILE}"):
        rules_from_c(" " * (MAX_FILE + 1), "f.c")


@pytest.mark.parametrize("part", ['"', "(\n", "f(\n", "/**/", "#if A\n", "\n"])
def test_two_million_characters_end_within_limits(part: str, tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text(part * ((MAX_FILE - 10) // len(part)))
    code = (
        "import resource, sys\nfrom mtcalc.csource.source import rules_from_c\n"
        "try:\n rules_from_c(open('f.c').read(), 'f.c')\nexcept ValueError as error:\n print(str(error)[:200])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment(), check=True
    )
    assert time.monotonic() - started < 30  # 10 s on an idle machine
    *_, size = done.stdout.split()
    assert re.match(r"f\.c:\d+:\d+: ", done.stdout)
    assert int(size) < 500_000
