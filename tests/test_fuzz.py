# SPDX-License-Identifier: GPL-2.0-only
"""Whatever a reader is fed, it answers or refuses: the harness for a moment; `python tests/fuzz` runs it long."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.mutate import mutated
from fuzz.target import TARGETS, Fault, Target, check, corpus

SECONDS = 30.0
"""Far more than an input takes: what is caught here is what never ends."""


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_broken_input_is_answered_or_refused(target: Target, tmp_path: Path) -> None:
    """One message and status 2, or an answer; no traceback, no hang, no control character."""
    seeds = corpus(target)
    assert seeds

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(st.randoms(use_true_random=False))
    def holds(random: Random) -> None:
        assert check(target, mutated(random, seeds), tmp_path, SECONDS) in (0, 1, 2)

    holds()


def test_what_the_harness_calls_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, a hang, an odd status, a control character: the harness sees them."""
    target = TARGETS[0]

    def fault(code: str) -> str:
        namespace: dict[str, object] = {}
        exec(f"import sys, time\ndef main(args):\n    {code}", namespace)
        monkeypatch.setattr("fuzz.target.main", namespace["main"])
        with pytest.raises(Fault) as caught:
            check(target, b"", tmp_path, 0.2)
        return str(caught.value)

    assert fault("raise RecursionError('deep')").startswith("RecursionError")
    assert fault("time.sleep(5)").startswith("no end within")
    assert fault("sys.exit(3)") == "exit status 3"
    assert fault("sys.exit(2)") == "exit status 2, and no message"
    assert fault("print('\\x1b[2J'); sys.exit(0)").startswith("control characters")
    assert fault("print('x'); sys.stderr.write('y'); sys.exit(2)") == "a message beside an answer"
    assert fault("sys.stderr.write('y' * 2000); sys.exit(2)") == "a message of 2000 characters"
