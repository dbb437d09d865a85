# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux guest's kernel decides: which PAT it programs, which PAT type a request becomes."""
