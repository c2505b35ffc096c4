"""Sections of a look's page: the pictures first, the numbers and the checks beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.look.verdict import verdict
from convscope.report.document import (
    Block,
    Callout,
    Details,
    Facts,
    Figure,
    Paragraph,
    Section,
    sentence,
)
from convscope.report.documented import Documented
from convscope.report.image_grid import Tile, grid_text


def attribution_section(found: Attribution, checks: AttributionChecks | None) -> Section:
    """Return an attribution with what its checks found."""
    facts = [block for block in found.document().blocks if isinstance(block, Facts)]
    callouts = [block for block in found.document().blocks if isinstance(block, Callout)]
    text = grid_text([Tile(found.cells, "cells")])
    figures: list[Block] = [
        Figure(block.source, block.caption, text) if isinstance(block, Figure) else block
        for block in found.document().blocks
        if isinstance(block, Figure)
    ]
    beside: list[Block] = [] if checks is None else list(_checks(checks))
    return Section(f"{found.title}: {verdict(found, checks)}", (*figures, *callouts, *beside, *facts))


def _checks(checks: AttributionChecks) -> Iterator[Block]:
    """Yield what the checks found: warnings, sentences, the numbers, and the curves for those who open them."""
    yield from (Callout("warning", sentence(text)) for text in checks.warnings)
    yield from (Paragraph(sentence(text)) for text in checks.sentences if text not in checks.warnings)
    curves = checks.randomization is not None or checks.perturbation is not None
    yield Details("Numbers and curves of the checks", (*([Figure(checks.figure)] if curves else []), checks.table()))


def part_section(title: str, found: Documented, *, said: Sequence[str]) -> Section:
    """Return a part's blocks, pictures first, without the notes that the page has at its top."""
    blocks = [block for block in found.document().blocks if not (isinstance(block, Callout) and block.text in said)]
    return Section(title, tuple(sorted(blocks, key=lambda block: not isinstance(block, Figure))))
