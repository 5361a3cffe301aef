"""Sampled pairs as one HTML page on which a person accepts or rejects each; the answers are a file to download.

The page is complete in itself, keeps answers in the browser's storage, and sends nothing anywhere. Texts are in it as
text: no script, style or address in them does anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import digest_of
from bench.report.blocks import TEXT_LIMIT
from bench.report.forms.html import STYLES, environment, page

LONGEST = 20_000
"""Characters of a text that the page shows."""


@dataclass(frozen=True)
class Card:
    """One pair to judge: its id, its texts, who says that they belong together, and where they come from."""

    pair_id: str
    query: str
    document: str
    origin: str
    weight: float
    place: str

    @property
    def lines(self) -> list[str]:
        """The document's lines, long ones in pieces: templates show `TEXT_LIMIT` characters of a text."""
        return [
            line[start : start + TEXT_LIMIT]
            for line in self.document[:LONGEST].splitlines()
            for start in range(0, max(1, len(line)), TEXT_LIMIT)
        ]

    @property
    def cut(self) -> bool:
        """Whether the page leaves out the document's end."""
        return len(self.document) > LONGEST


def audit_page(name: str, cards: Sequence[Card], *, digest: str) -> str:
    """The page as text.

    Args:
        name: of the table of pairs.
        cards: in the order in which they are shown.
        digest: of the pair file, which the answers repeat.
    """
    # A page of another sample of the same file has a storage of its own.
    sample = digest_of([digest, [card.pair_id for card in cards]])
    body = (
        environment()
        .get_template("audit.html.j2")
        .render(name=name, cards=cards, digest=digest, sample=sample, longest=LONGEST)
    )
    return page(f"Audit of pairs: {name}", body, styles=(*STYLES, "audit.css"), scripts=("audit.js",))
