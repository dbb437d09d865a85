# SPDX-License-Identifier: GPL-2.0-only
"""python -m mtcalc"""

from mtcalc.cli.start import run

run()
