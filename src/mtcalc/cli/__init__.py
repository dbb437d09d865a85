# SPDX-License-Identifier: GPL-2.0-only
"""One module a command: parse, read, call one question, hand the result to output."""
