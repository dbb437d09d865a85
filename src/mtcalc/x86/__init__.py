# SPDX-License-Identifier: GPL-2.0-only
"""What the CPU manual defines: memory types, PAT, MTRRs, EPT entries, the effective type."""
