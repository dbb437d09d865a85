# SPDX-License-Identifier: GPL-2.0-only
"""Reading what people type: numbers, sizes, YAML with positions, located errors. Knows no domain."""
