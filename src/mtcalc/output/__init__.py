# SPDX-License-Identifier: GPL-2.0-only
"""Results to table, plain, json, jsonl, csv and tsv. The only room that knows screens."""
