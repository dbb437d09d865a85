# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis without deadlines (machines differ), and with the same examples on every run in CI."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")
