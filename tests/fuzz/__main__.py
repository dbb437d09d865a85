# SPDX-License-Identifier: GPL-2.0-only
"""python tests/fuzz [--count N] [--seed N] [--reader NAME]... [--atheris]: broken input for every reader, by hand.

Each reader gets N mutated inputs; what must not happen is printed with the input, which is kept, and the figures come
at the end. With --atheris (pip install atheris) coverage guides the mutations of one reader until Ctrl-C.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import mkdtemp

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from fuzz.mutate import mutated  # noqa: E402
from fuzz.target import TARGETS, Fault, Target, check, corpus  # noqa: E402

SECONDS = 2.0
"""An input of less than 64 KiB is answered or refused within this time ..."""
MEMORY = 1 << 31
"""... and this much of memory, of which the libraries and all inputs before take a part."""


def fuzz(target: Target, count: int, seed: int, folder: Path) -> int:
    """Feeds one reader; the number of faults."""
    random, seeds = Random(f"{seed} {target.name}"), corpus(target)
    statuses: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    started = time.monotonic()
    for number in range(count):
        data = mutated(random, seeds)
        try:
            statuses[check(target, data, folder, SECONDS)] += 1
        except Fault as fault:
            faults[str(fault)] += 1
            if faults[str(fault)] == 1:
                kept = folder / f"{target.name}-{number}"
                kept.write_bytes(data)
                print(f"{target.name}: {fault} [{kept}]", flush=True)
    took = time.monotonic() - started
    answered = statuses[0] + statuses[1]
    line = f"{target.name:12} {count:7} inputs, {answered:7} answered, {statuses[2]:7} refused, {faults.total()} faults"
    print(f"{line}, {took:.0f} s", flush=True)
    return faults.total()


def guided(target: Target, folder: Path) -> None:
    """atheris, until it is stopped or finds a fault."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    kept = folder / "corpus"
    kept.mkdir()
    for number, data in enumerate(corpus(target)):
        (kept / str(number)).write_bytes(data)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], "-max_len=65536", str(kept)], lambda data: check(target, data, folder, SECONDS))
    atheris.Fuzz()


def run() -> int:
    """The whole run; 1 where a fault was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reader", action="append", choices=[target.name for target in TARGETS])
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args()
    folder = Path(mkdtemp(prefix="mtcalc-fuzz-"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    targets = [target for target in TARGETS if not options.reader or target.name in options.reader]
    if options.atheris:
        guided(targets[0], folder)
    found = sum(fuzz(target, options.count, options.seed, folder) for target in targets)
    print(f"{options.count * len(targets)} inputs, {found} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(run())
