# SPDX-License-Identifier: GPL-2.0-only
"""Mail -> hunks -> the rules before and after, on a C file or on a built-in set."""
