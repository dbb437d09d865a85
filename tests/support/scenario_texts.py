# SPDX-License-Identifier: GPL-2.0-only
"""A scenario that names every section and most keys."""

from __future__ import annotations

WHOLE = """
rules: slot-flag
host: {self_snoop: true, pat_enabled: true, maxphyaddr: 46}
vm: {noncoherent_dma: false, disabled_quirks: []}
guest:
  maxphyaddr: 46
  cpuid_mtrr: true
  cr0: {cd: false, pg: true}
  pat: linux
  mtrr:
    enabled: true
    fixed_enabled: true
    default: WB
    fixed: {0x250: 0x0606060606060606}
    variable:
      - {base: 0xc0000000, size: 1G, type: UC}
      - {physbase: 0xe0000001, physmask: 0x3ffff0000800}
memslots:
  - {id: 0, name: ram, gpa: 0, size: 3G, flags: []}
  - {name: vgpu-blob, gpa: 4G, size: 256M, flags: [NON_COHERENT_DMA]}
  - {name: bar2, gpa: 0xe0000000, size: 16M, backing: mmio}
  - {name: vga, gpa: 0xd0000000, size: 128K, backing: {struct_page: true, reserved: true, host_type: WB}}
pages:
  - {gpa: 0x100001000, pat: WC}
expect:
  - {gpa: 0x100001000, pat: WC, effective: WC, ept: 0x30}
"""
