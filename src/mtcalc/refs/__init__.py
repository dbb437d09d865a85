# SPDX-License-Identifier: GPL-2.0-only
"""REF -> Kernel: names, releases, files."""
