# SPDX-License-Identifier: GPL-2.0-only
"""A C function -> rules, and back: text, tree, names, values, expressions, statements, calls."""
