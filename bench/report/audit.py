"""An HTML page on which a person accepts or rejects each sampled pair, and downloads the answers as a file.

The page is complete, keeps the answers in the browser's storage, and sends nothing. Scripts, styles and addresses in
texts have no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import digest_of
from bench.report.forms.html import STYLES, environment, page
from bench.report.text import TEXT_LIMIT

LONGEST = 20_000
"""Characters of a text that the page shows."""


@dataclass(frozen=True)
class Card:
    """One pair to judge: its id, its texts, the origin of the pair, and the place that it comes from."""

    pair_id: str
    query: str
    document: str
    origin: str
    weight: float
    place: str

    @property
    def lines(self) -> list[str]:
        """The document's lines, long ones in pieces, because templates show `TEXT_LIMIT` characters of a text."""
        return [
            line[start : start + TEXT_LIMIT]
            for line in self.document[:LONGEST].splitlines()
            for start in range(0, max(1, len(line)), TEXT_LIMIT)
        ]

    @property
    def cut(self) -> bool:
        """Whether the page leaves out the end of the document."""
        return len(self.document) > LONGEST


def audit_page(name: str, cards: Sequence[Card], *, digest: str) -> str:
    """The page as text.

    Args:
        name: the table of pairs.
        cards: pairs, in the order of the page.
        digest: of the pair file; the answers repeat it.
    """
    # Another sample of the same file has its own storage.
    sample = digest_of([digest, [card.pair_id for card in cards]])
    template = environment().get_template("audit.html.j2")
    body = template.render(name=name, cards=cards, digest=digest, sample=sample, longest=LONGEST)
    return page(f"Audit of pairs: {name}", body, styles=(*STYLES, "audit.css"), scripts=("audit.js",))
