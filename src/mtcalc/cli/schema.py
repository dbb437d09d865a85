# SPDX-License-Identifier: GPL-2.0-only
"""mtcalc schema: the keys of a scenario, for editors and for people."""

from __future__ import annotations

import click

from mtcalc.cli.params import Word, one_of

# Not the formats of an answer: MTCALC_OUTPUT, and whether there is a terminal, don't count.
_FORMATS = ("json", "markdown")
FORMAT: Word[str] = Word("format", one_of(_FORMATS), lambda: _FORMATS)


@click.command()
@click.option("-o", "--output", "form", type=FORMAT, default="json", metavar="|".join(_FORMATS), show_default=True)
def schema(form: str) -> None:
    """The JSON Schema of scenarios, for editors; in Markdown a table of their keys.

    \b
    mtcalc schema > scenario.schema.json
    # in the scenario:  # yaml-language-server: $schema=scenario.schema.json
    """
    if form == "json":
        import json

        from mtcalc.scenario.json_schema import json_schema

        click.echo(json.dumps(json_schema(), indent=2))
        return
    from mtcalc.scenario.reference import key_reference

    click.echo(key_reference(), nl=False)
