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
from convscope.report.table import Table

_ROWS = 24  # of a table, above which it is to be opened
_SAME = ("class", "score")  # what is the same for all attributions of a page


def attribution_section(found: Attribution, checks: AttributionChecks | None) -> Section:
    """Return an attribution with what its checks found."""
    blocks = found.document().blocks
    facts = [fact for block in blocks if isinstance(block, Facts) for fact in block.facts if fact.name not in _SAME]
    callouts = [Callout(block.severity, sentence(block.text)) for block in blocks if isinstance(block, Callout)]
    text = found.in_words()
    figures: list[Block] = [
        Figure(block.source, block.caption, text) if isinstance(block, Figure) else block
        for block in blocks
        if isinstance(block, Figure)
    ]
    said: list[Block] = [] if checks is None else list(_said(checks))
    numbers = [Facts(tuple(facts)), Paragraph(text), *([] if checks is None else _numbers(checks))]
    return Section(
        f"{found.title}: {verdict(found, checks)}",
        (*figures, *callouts, *said, Details("Settings, numbers and curves", tuple(numbers))),
    )


def _said(checks: AttributionChecks) -> Iterator[Block]:
    """Yield what the checks found in sentences, warnings first."""
    yield from (Callout("warning", sentence(text)) for text in checks.warnings)
    yield from (Paragraph(sentence(text)) for text in checks.sentences if text not in checks.warnings)


def _numbers(checks: AttributionChecks) -> list[Block]:
    curves = checks.randomization is not None or checks.perturbation is not None
    return [*([Figure(checks.figure)] if curves else []), checks.table()]


def once(blocks: Sequence[Block], said: set[str]) -> tuple[Block, ...]:
    """Return blocks without the remarks that were said before, and add those that are said now."""
    kept = tuple(block for block in blocks if not (isinstance(block, Callout) and block.text in said))
    said.update(block.text for block in kept if isinstance(block, Callout))
    return kept


def part_section(title: str, found: Documented, *, said: Sequence[str]) -> Section:
    """Return a part's blocks, pictures first, facts and long tables to be opened, without the notes at the top."""
    blocks = [block for block in found.document().blocks if not (isinstance(block, Callout) and block.text in said)]
    figures = [block for block in blocks if isinstance(block, Figure)]
    folded = [block for block in blocks if isinstance(block, Facts) or _is_long(block)]
    others = [block for block in blocks if not isinstance(block, Figure | Facts) and not _is_long(block)]
    return Section(title, (*figures, *others, *([Details("Numbers", tuple(folded))] if folded else [])))


def _is_long(block: Block) -> bool:
    return isinstance(block, Table) and len(block.rows) > _ROWS
