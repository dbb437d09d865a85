# SPDX-License-Identifier: GPL-2.0-only
"""Other tools' dumps to scenarios: one module a format, one contract for all (mtcalc.importers.dump)."""
