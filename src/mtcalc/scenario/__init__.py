# SPDX-License-Identifier: GPL-2.0-only
"""One VM as a person writes it: the schema, and the step from there to kvm and x86 records."""
