#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""CPU time of whole commands as ratios, measured side by side: `python benchmarks/bench.py [NAME...]`.

Every pair runs in turn, A B A B, so that a machine whose speed drifts does so for both; the figure is the median of the
pairs' ratios of user + system time. Run it with the Python of the environment that mtcalc is installed in.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
MTCALC = str(Path(PYTHON).parent / "mtcalc")
RUNS = 15
LINES = 1_000_000
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

Command = list[str]

LOOP = """
import sys
for line in sys.stdin:
    print(int(line, 16))
"""


def cpu_seconds(command: Command, stdin: Path | None) -> float:
    """User and system time of one run, its output thrown away; modules are compiled as an installed program's are."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    away = subprocess.DEVNULL
    with open(stdin or os.devnull, "rb") as source:
        subprocess.run(command, stdin=source, stdout=away, stderr=away, check=True, cwd=ROOT, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(
    name: str, a: Command, b: Command, words: str, stdin: Path | None = None, runs: int = RUNS, warm: bool = True
) -> None:
    """Prints the median ratio A/B with its range, and the median seconds of both; `warm`: each has a run before."""
    if warm:
        cpu_seconds(a, stdin), cpu_seconds(b, stdin)
    pairs = [(cpu_seconds(a, stdin), cpu_seconds(b, stdin)) for _ in range(runs)]
    ratios = sorted(x / y for x, y in pairs)
    seconds = [statistics.median(column) for column in zip(*pairs, strict=True)]
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"{name:<14} {statistics.median(ratios):5.2f}  ({spread})  {seconds[0]:.3f} s / {seconds[1]:.3f} s  {words}")


def python(code: str) -> Command:
    return [PYTHON, "-c", code]


def bench_startup() -> None:
    """lookup and eval against the imports that they can't do without."""
    click = python("import click")
    rich = "import click, rich.console, rich.table"
    lookup = [MTCALC, "lookup", "--slot-flag", "non-coherent-dma", "--pat", "wc", "-o"]
    ratio("lookup-plain", [*lookup, "plain"], click, "lookup -o plain / import click")
    ratio("lookup-json", [*lookup, "json"], click, "lookup -o json / import click")
    ratio("lookup-table", [*lookup, "table"], python(rich), "lookup -o table / import click, rich")
    scenario = [MTCALC, "eval", "examples/virtio-gpu.yaml", "-o", "table"]
    ratio("eval-table", scenario, python(f"{rich}, yaml"), "eval -o table / those, yaml")
    plain = [MTCALC, "eval", "examples/plain.yaml", "-o", "plain"]
    ratio("eval-lookup", plain, [*lookup, "plain"], "eval -o plain / lookup -o plain")


PAT_WORDS = ("UC", "UC-", "WC", "WT", "WP", "WB", "wc", "write-back", "0", "7")
REQUESTS = ("ioremap", "ioremap_wc", "ioremap_cache", "memremap", "pgprot_writecombine", "/dev/mem")


def bench_stream() -> None:
    """A million addresses through eval and mtrr against jq and a bare loop over the same lines."""
    with tempfile.TemporaryDirectory() as room:
        lines = Path(room) / "addresses"
        draw = random.Random(1)
        lines.write_text("".join(f"{draw.randrange(0, 9 << 30):#x}\n" for _ in range(LINES)))
        others = [("loop", python(LOOP), "a loop that parses and prints")]
        if shutil.which("jq"):
            others.insert(0, ("jq", ["jq", "-R", "."], "jq -R ."))
        else:
            print("jq is not installed: no ratio to it")
        for form in ("plain", "tsv", "csv", "jsonl"):
            command = [MTCALC, "eval", "examples/vfio.yaml", "--gpa", "-", "-o", form]
            for name, other, words in others:
                ratio(f"{form}-{name}", command, other, f"eval --gpa - -o {form} / {words}", lines, runs=5)
        worded = Path(room) / "worded"
        for what, asked in (("pat", PAT_WORDS), ("request", REQUESTS)):
            worded.write_text("".join(f"{line} {draw.choice(asked)}\n" for line in lines.read_text().splitlines()))
            _, other, words = others[0]
            for form in ("plain", "tsv", "csv", "jsonl"):
                command = [MTCALC, "eval", "examples/vfio.yaml", "--gpa", "-", "-o", form]
                ratio(f"{form}-{what}", command, other, f"with {what} words, -o {form} / {words}", worded, runs=5)
        command = [MTCALC, "mtrr", "examples/vfio.yaml", "--gpa", "-", "-o", "tsv"]
        for name, other, words in others:
            ratio(f"mtrr-{name}", command, other, f"mtrr --gpa - -o tsv / {words}", lines, runs=5)


def many_slots(path: Path, count: int) -> None:
    """A scenario of `count` slots of 64K with gaps between, and 8 variable MTRRs."""
    slots = "".join(f"  - {{name: s{i}, gpa: {i << 17:#x}, size: 64K}}\n" for i in range(count))
    ranges = "".join(f"      - {{base: {(i + 1) << 28:#x}, size: 128M, type: UC}}\n" for i in range(8))
    head = "rules: v6.7\nvm: {noncoherent_dma: true}\nguest:\n  mtrr:\n    default: WB\n    variable:\n"
    path.write_text(f"{head}{ranges}memslots:\n{slots}")


def bench_size() -> None:
    """From 1,000 slots to KVM's limit: the ratio to the smaller size, and to what n log n allows."""
    with tempfile.TemporaryDirectory() as room:
        sizes = (1_000, 8_000, 32_764)
        for count in sizes:
            many_slots(Path(room) / f"{count}.yaml", count)

        def command(count: int) -> Command:
            return [MTCALC, "eval", f"{room}/{count}.yaml", "-o", "csv"]

        for small, large in ((1_000, 8_000), (8_000, 32_764), (1_000, 32_764)):
            words = f"eval of {large} slots / {small} slots ({large / small:.1f} times as many)"
            ratio(f"size-{large}", command(large), command(small), words, runs=5)


BARE_LOOP = """
import sys
lines = 0
for line in open(sys.argv[1]):
    lines += 1
print(lines)
"""
LOG_WORDS = (
    "usb 1-1: new high-speed USB device number 4 using xhci_hcd",
    "audit: type=1400 audit(1694: 3): apparmor=DENIED operation=open",
    "eth0: Link is Up - 1Gbps/Full - flow control rx/tx",
    "systemd[1]: Starting Daily apt download activities...",
    "kvm [4711]: vcpu0, guest rIP: 0xffffffff8108aca7 ignored rdmsr: 0x122",
)


def long_log(path: Path, lines: int) -> None:
    """A log with one block of MTRRs in its middle."""
    draw = random.Random(1)
    sample = (ROOT / "tests/data/importers/samples/dmesg-mtrr-9-syslog.txt").read_text()
    head = "Sep 11 07:20:{:02} host kernel: [{:12.6f}] {}\n"
    with path.open("w") as file:
        for line in range(lines):
            if line == lines // 2:
                file.write(sample)
            file.write(head.format(line % 60, line / 7, draw.choice(LOG_WORDS)))


def bench_import() -> None:
    """Lines of a long log a second, against a bare loop over them: at most 3 (1 is as fast)."""
    with tempfile.TemporaryDirectory() as room:
        log = Path(room) / "log"
        long_log(log, 2 * LINES)
        loop = [*python(BARE_LOOP), str(log)]
        ratio("import-log", [MTCALC, "import", str(log)], loop, "import of 2 million lines / a bare loop", runs=5)


SPLIT_LOOP = """
import sys
for line in open(sys.argv[1]):
    line.split()
"""
TRACED = "rules: 6.12.60\nmemslots:\n  - {name: low, gpa: 0, size: 3G}\n  - {name: high, gpa: 4G, size: 16G}\n"
SPTE = 0x8600_0000_0000_0B77


def long_trace(path: Path, lines: int, pages: int) -> None:
    """A trace of a VM that has touched so many pages, each as often as it takes."""
    draw = random.Random(1)
    with path.open("w") as file:
        for line in range(lines):
            gfn = draw.randrange(pages) if pages < lines else line
            gfn += 0x40000 if gfn >= 0xC0000 else 0
            spte = SPTE | (gfn * 7 + 1) << 12 & 0xF_FFFF_F000
            head = f" qemu-system-x86-{8397 + line % 8}    [{line % 16:03}] ..... {line / 1000:12.6f}: "
            if line % 2:
                old = "8000000000000000"
                text = f"kvm_tdp_mmu_spte_changed: as id 0 gfn {gfn:x} level 1 old_spte {old} new_spte {spte:x}"
            else:
                text = f"kvm_mmu_set_spte: gfn {gfn:x} spte {spte:x} (rwxu) level 1 at 10052fa5020"
            file.write(f"{head}{text}\n")


def bench_audit() -> None:
    """Lines of a long trace against a loop that splits them: at most 4; and the memory of ten times as many."""
    with tempfile.TemporaryDirectory() as room:
        vm = Path(room) / "vm.yaml"
        vm.write_text(TRACED)
        for name, lines, pages in (
            ("audit", LINES, 50_000),
            ("audit-pages", LINES, LINES),
            ("audit-ten", 10 * LINES, 50_000),
        ):
            trace = Path(room) / "trace"
            long_trace(trace, LINES, pages)
            if lines > LINES:  # the same ones again and again
                part = trace.rename(Path(room) / "part")
                with trace.open("wb") as file, part.open("rb") as source:
                    for _ in range(lines // LINES):
                        source.seek(0)
                        shutil.copyfileobj(source, file)
            loop = [*python(SPLIT_LOOP), str(trace)]
            words = f"audit of {lines} lines of {pages} pages / a loop that splits them"
            few = lines > LINES  # one pair of a minute, in which start-up and caches are nothing
            command = [MTCALC, "audit", str(vm), str(trace)]
            ratio(name, command, loop, words, runs=1 if few else 5, warm=not few)
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
            print(f"{'':14} at most {most} MiB so far")


COMMITS = 50_000
TOUCHING = 3_000
VMX_FUNCTIONS = 800
VMX = "arch/x86/kvm/vmx/vmx.c"


def many_commits(folder: Path) -> None:
    """A git tree of COMMITS commits; TOUCHING change a large vmx.c, every hundredth of those its rules."""
    from mtcalc.csource.writer import Style, texts_of_its_time, write_c
    from mtcalc.rules.builtin import built_in

    named = [built_in(name) for name in ("v4.4", "v6.7", "slot-flag", "v6.11")]
    texts = [texts_of_its_time(kernel.rules)[0] for kernel in named if kernel]
    texts += [write_c(kernel.rules, Style.GOTO) for kernel in named if kernel]
    draw = random.Random(1)

    def function(number: int, value: int) -> str:
        body = "\n".join(f"\tvmx_some_value[{line}] = value + {value + line};" for line in range(6))
        return f"static void vmx_stand_in_{number}(struct kvm_vcpu *vcpu, u32 value)\n{{\n{body}\n}}\n"

    functions = [function(number, number) for number in range(VMX_FUNCTIONS)]
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    git = ["git", "-C", str(folder)]
    feed = subprocess.Popen([*git, "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert feed.stdin

    def put(path: str, text: str) -> bytes:
        return f"M 100644 inline {path}\ndata {len(text)}\n{text}\n".encode()

    rules = 0
    for number in range(COMMITS):
        who = f"A Writer <writer@example.org> {1_500_000_000 + number * 600} +0000"
        feed.stdin.write(f"commit refs/heads/master\nauthor {who}\ncommitter {who}\ndata 6\nchange\n".encode())
        if not number:
            feed.stdin.write(put("Makefile", "VERSION = 6\nPATCHLEVEL = 7\nSUBLEVEL = 0\nEXTRAVERSION =\n"))
            for other in range(300):
                feed.stdin.write(put(f"arch/x86/d{other % 20}/f{other}.c", f"int x{other};\n"))
        if number % (COMMITS // TOUCHING) == 0:
            at = draw.randrange(VMX_FUNCTIONS)
            functions[at] = function(at, number)
            rules += number % (100 * (COMMITS // TOUCHING)) == 0
            half = VMX_FUNCTIONS // 2
            text = "\n".join([*functions[:half], texts[rules % len(texts)], *functions[half:]])
            feed.stdin.write(put(VMX, text))
        else:
            feed.stdin.write(put(f"arch/x86/d{number % 20}/f{number % 300}.c", f"int x{number};\n"))
    feed.stdin.close()
    feed.wait()
    subprocess.run([*git, "gc", "--quiet"], check=True)


def bench_log() -> None:
    """The history of the rules against the patches to their file, as git prints them."""
    with tempfile.TemporaryDirectory() as room:
        tree = Path(room) / "tree"
        many_commits(tree)
        ours = [MTCALC, "log", "--git", str(tree), "-o", "json"]
        patches = ["git", "-C", str(tree), "log", "-p", "--", VMX]
        found = ["git", "-C", str(tree), "rev-list", "HEAD", "--", VMX]
        ratio("log-patches", ours, patches, f"log of {TOUCHING} in {COMMITS} commits / git log -p -- vmx.c", runs=3)
        ratio("log-commits", ours, found, "the same / git rev-list HEAD -- vmx.c", runs=3)


BENCHES: dict[str, Callable[[], None]] = {
    "startup": bench_startup,
    "stream": bench_stream,
    "size": bench_size,
    "import": bench_import,
    "log": bench_log,
    "audit": bench_audit,
}


def main() -> None:
    """Runs the benches named, or all."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.exit(f"no bench {unknown[0]} (one of {', '.join(BENCHES)})")
    print(f"{'':14} ratio  (range)        CPU seconds A / B")
    for name in names:
        BENCHES[name]()


if __name__ == "__main__":
    main()
