"""Tables as LaTeX with booktabs, for papers; no name or text becomes a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bench.report.blocks import Block, Datum, Figure, Folded, Table
from bench.report.text import visible

CELL_LIMIT = 200
NOTE_LIMIT = 1500

_HEAD = r"""% In the preamble: \usepackage{booktabs,longtable,textcomp,amssymb} \usepackage[T1]{fontenc}
% Where a table is wider than the page, set it in \small or leave out columns."""

# Every character that means something to TeX, and signs that its fonts lack; `_JOINED` are pairs that become one sign.
_MARKS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    "[": "{[}", "]": "{]}", "*": "{*}",
    "−": "$-$", "–": r"\textendash{}", "—": r"\textemdash{}", "…": r"\ldots{}", "→": r"$\rightarrow$",
    "←": r"$\leftarrow$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$",
    "½": r"$\frac{1}{2}$", "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "\u00a0": "~", "\u202f": r"\,",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "’": "'", "‘": r"\textquoteleft{}",
}  # fmt: skip
_LIVE = re.compile("[" + "".join(map(re.escape, _MARKS)) + "]")
_JOINED = re.compile(r"([-,])(?=\1)")


def escaped(text: object, limit: int = CELL_LIMIT) -> str:
    """Text that LaTeX sets literally: one line, no command, no comment, no ligature."""
    return _JOINED.sub(r"\1{}", _LIVE.sub(lambda match: _MARKS[match[0]], visible(text, limit)))


def document(sections: Iterable[tuple[str, Sequence[Block]]]) -> str:
    """Every table below its section's name, those of figures and folds too.

    Args:
        sections: (title, blocks).
    """
    parts = [_HEAD]
    for title, blocks in sections:
        if tables := list(_tables(blocks)):
            # A comment may have any text except a line end, and `visible` leaves none.
            parts += [f"% --- {visible(title, 80)}", *map(_table, tables)]
    return "\n\n".join(parts) + "\n"


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Figure) and block.table:
            yield block.table
        elif isinstance(block, Folded):
            yield from _tables(block.blocks)


def _table(block: Table) -> str:
    kept = [place for place, column in enumerate(block.columns) if not column.minor]
    columns = [block.columns[place] for place in kept]
    rows = [[row[place] for place in kept] for row in block.rows]

    def alignment(place: int) -> str:
        if columns[place].numeric:
            return "r"
        # Sentences would run off the page in one line.
        return r"p{0.5\linewidth}" if any(len(row[place].text) > 60 for row in rows) else "l"

    spec = "".join(map(alignment, range(len(columns))))
    head = [r"\toprule", " & ".join(escaped(column.title) for column in columns) + r" \\", r"\midrule"]
    lines = [
        rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}",
        rf"\caption{{{escaped(block.caption)}}} \\",
        *head,
        r"\endfirsthead",
        *head,
        r"\endhead",
        *(line for row in rows for line in _row(row)),
        r"\bottomrule",
        r"\end{longtable}",
    ]
    if block.note:
        lines.append(rf"{{\footnotesize {escaped(block.note, NOTE_LIMIT)}\par}}")
    return "\n".join(lines)


def _row(row: Sequence[Datum]) -> Iterator[str]:
    """A row, and below it the notes of its cells in small print."""
    small = any(datum.note for datum in row)
    # The star keeps both lines on one page.
    yield " & ".join(map(_value, row)) + (r" \\*" if small else r" \\")
    if small:
        yield " & ".join(rf"{{\scriptsize {escaped(d.note)}}}" if d.note else "" for d in row) + r" \\"


def _value(datum: Datum) -> str:
    text = escaped(datum.text)
    if datum.kind == "name":
        return rf"\texttt{{{text}}}"
    return rf"\underline{{{text}}}" if "best" in datum.tone.split() else text
