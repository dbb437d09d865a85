# SPDX-License-Identifier: GPL-2.0-only
"""Rules as YAML, and back."""
