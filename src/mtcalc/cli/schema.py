# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc schema: the keys of a scenario, for editors and for people; and of what commands write."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mtcalc.cli.params import Word, one_of

# Not the formats of an answer: MTCALC_OUTPUT, and whether there is a terminal, don't count.
_FORMATS = ("json", "markdown")
FORMAT: Word[str] = Word("format", one_of(_FORMATS), lambda: _FORMATS)


def _names() -> Iterable[str]:
    from mtcalc.output.schemas import SCHEMAS

    return SCHEMAS


NAME: Word[str] = Word("name", str, _names)


@click.command()
@click.argument("words", metavar="[NAME]", type=NAME, nargs=-1)
@click.option("-o", "--output", "form", type=FORMAT, default="json", metavar="|".join(_FORMATS), show_default=True)
def schema(words: tuple[str, ...], form: str) -> None:
    """The JSON Schema of scenarios, for editors; in Markdown a table of their keys.

    With NAME that of rule files (rule-file) or of a command's JSON: lookup, eval, table, explain, diff, review,
    rules-list, rules-show, rules-check, mtrr, decode-pat, decode-mtrr, decode-epte, audit, check. NAME-jsonl is that of
    a line of its jsonl, of streams and --expand too.

    \b
    mtcalc schema > scenario.schema.json
    # in the scenario:  # yaml-language-server: $schema=scenario.schema.json
    mtcalc schema rule-file > rules.schema.json
    """
    from mtcalc.output.schemas import SCHEMAS

    name = "-".join(words).lower().replace("_", "-") or "scenario"
    if name not in SCHEMAS:
        from mtcalc.text.suggest import did_you_mean

        right = did_you_mean(name[:80], tuple(SCHEMAS))
        raise click.UsageError(f"no schema '{name[:80]}' ({right})", click.get_current_context())
    if form == "json":
        import json

        click.echo(json.dumps(SCHEMAS[name](), indent=2))
        return
    if name != "scenario":
        raise click.UsageError("the table in Markdown is of scenarios (without NAME)", click.get_current_context())
    from mtcalc.scenario.reference import key_reference

    click.echo(key_reference(), nl=False)
