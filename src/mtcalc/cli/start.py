# SPDX-License-Identifier: GPL-2.0-only
"""The process: how it starts and how it ends. Imports nothing before signals are what they are in any filter."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn


def run() -> NoReturn:
    """The program as a process of its own.

    It ends without taking the interpreter apart, which costs as much as a lookup; nor does a stream that could not
    be written get a second, failing flush that way. A run is short and makes few cycles, and imports would have the
    collector walk every module again: so the collector is off.
    """
    # A closed pipe ends mtcalc as it ends cat, Ctrl-C as it ends any filter.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    import gc

    gc.disable()
    # mtcalc speaks English: click need not look for a translation of its words (nor load locale for that), and none
    # that another program left under the same domain can mix into ours.
    import gettext

    gettext.gettext = lambda message: message
    from mtcalc.cli.main import main

    try:
        main()
    except SystemExit as stop:
        os._exit(stop.code if isinstance(stop.code, int) else 0)
    except Exception as error:  # a fault of ours, memory that ran out: one message all the same
        from mtcalc.text.errors import shown

        with suppress(OSError, AttributeError):
            sys.stderr.write(
                f"mtcalc: {shown(f'{type(error).__name__}: {error}')} (a fault of mtcalc: please report)\n"
            )
            sys.stderr.flush()
        os._exit(2)
