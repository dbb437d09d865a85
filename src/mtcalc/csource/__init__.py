# SPDX-License-Identifier: GPL-2.0-only
"""A C function -> rules, and back.

The text: text.py (comments blank), casts.py (what the grammar takes for a cast), parse.py (functions cut out and
parsed), macros.py and declared.py (what the file's own lines say of a name), tokens.py (fragments, for patches).

What C means: types.py, values.py, arithmetic.py, masks.py (bits of registers), operands.py, and the tables: words.py
(one spelling of a text), predicates.py (which text is which input). tree.py: decisions, and the rules they come to.

The interpreter, functions over one record (context.py), each module on those before it: names.py, expression_types.py,
expressions.py, statements.py, functions.py (a whole function), calls.py. The one circle, a call whose arguments are
expressions and whose function is executed, is closed by the record, which holds the function that evaluates calls.
helpers.py: whether a file's own definition of a known helper is the kernel's.

On top: source.py (vmx_get_mt_mask() -> rules), mmio.py (the host-MMIO test -> rules), kernel.py (the kernel around
them), writer.py (rules -> a text).
"""
