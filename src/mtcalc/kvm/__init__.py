# SPDX-License-Identifier: GPL-2.0-only
"""What KVM adds: memory slots, the VM, its walk over guest MTRRs, mapping level, host-MMIO test."""
