# SPDX-License-Identifier: GPL-2.0-only
"""Broken input for every reader: tests/test_fuzz.py runs it for a moment, `python tests/fuzz` long."""
