# SPDX-License-Identifier: GPL-2.0-only
"""The questions: from records to plain results. Never reads a file, never prints."""
