# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc: the memory-type calculator for KVM on x86."""
