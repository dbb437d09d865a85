# SPDX-License-Identifier: GPL-2.0-only
"""The heart: vmx_get_mt_mask() through time, as data, and the engine that decides by it."""
