"""A report as one HTML file that needs nothing else, and a verdict as Markdown."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.base import words
from bench.base.errors import BenchError, PluginError
from bench.base.registry import blamed, listing, module_of, origin
from bench.base.store import write_text
from bench.report import Material, embedded
from bench.report.blocks import (
    Block,
    Explorer,
    Figure,
    Folded,
    Heading,
    Prose,
    Table,
    Text,
    name,
    plain,
    strong,
    visible,
)
from bench.report.forms import as_json, latex
from bench.report.forms import markdown as as_markdown
from bench.report.reading import systems, tasks

TEMPLATES = Path(__file__).parents[1] / "templates"

# Which part of a page a file is about; the order is that of the cascade.
STYLES = ("page.css", "tables.css", "charts.css", "explorer.css", "print.css")
SCRIPTS = ("page.js", "explorer.js")


@dataclass(frozen=True)
class Section:
    """A section's name (its file's), title and blocks."""

    name: str
    title: str
    blocks: list[Block]


def sections(material: Material) -> list[Section]:
    """All sections that have something to say, in their order; those of other packages that failed say so at the end.

    A new one is a new file in `sections/`, or an entry point of another package.
    """
    built: list[tuple[float, Section]] = []
    for kind in listing("sections"):
        anchor, package = re.sub(r"\W", "_", kind), origin("sections", kind)
        try:
            module = module_of("sections", kind)
            with blamed("sections", kind, "failed"):
                blocks: list[Block] = module.build(material)
                if package:
                    as_json.blocks(blocks)  # what no form can be made of breaks here, not in the middle of a page
            built.append((module.ORDER, Section(anchor, module.TITLE, blocks)))
        except BenchError as error:
            if package is None:
                raise
            # It is on every page and nobody asked for it: no page is lost for it.
            why = f"{'' if isinstance(error, PluginError) else f'Section {kind} of {package}: '}{error}"
            built.append((math.inf, Section(anchor, kind, [Prose([why], "note")])))
    ordered = sorted(built, key=lambda item: (item[0], item[1].name))
    return [section for _, section in ordered if section.blocks]


def render(material: Material, *, only: str | None = None) -> str:
    """The whole report, or one section of it, as one HTML document: no outside address, no style or script but its own.

    Costs some tens of milliseconds per chart.
    """
    kept = [section for section in sections(material) if only in (None, section.name)]
    return composed(material, kept, _subtitle(material) if only is None else [])


def composed(material: Material, made_of: Sequence[Section], subtitle: Text) -> str:
    """Sections as one HTML document; of the material only its title, time and version are shown."""
    env = environment()
    env.filters |= {"number": words.number, "explorer_data": _explorer_data}
    body = env.get_template("body.html.j2").render(material=material, sections=made_of, subtitle=subtitle)
    return page(material.title, body, styles=STYLES, scripts=SCRIPTS)


def page_of(title: str, blocks: list[Block]) -> str:
    """Blocks alone as one HTML document."""
    return composed(Material(title, (), ""), [Section("answer", title, blocks)], [])


def fragment(blocks: Sequence[Block]) -> str:
    """Blocks as HTML for a notebook's cell, with the page's styles for tables and outcomes."""
    env = environment()
    env.filters |= {"number": words.number, "explorer_data": _explorer_data}
    body: str = env.get_template("fragment.html.j2").render(blocks=blocks, style=_joined(("fragment.css",)))
    return str(_without_addresses(body))


def environment() -> Any:
    """A Jinja environment over the templates: everything is escaped, and no control characters reach the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    # finalize sees every value before it is escaped: no string reaches the page with control characters in it.
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters["safe_svg"] = Markup
    return made


def page(title: str, body: str, *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A whole HTML document around a rendered body, with styles and scripts from the templates and no other."""
    from markupsafe import Markup, escape

    style, code = _joined(styles), _joined(scripts)
    made: str = (
        environment()
        .get_template("page.html.j2")
        .render(
            title=_without_addresses(escape(visible(title))),
            body=_without_addresses(body),
            style=Markup(style),
            script=Markup(code),
            style_hash=_hash(style),
            script_hash=_hash(code),
        )
    )
    return made


def _joined(names: Sequence[str]) -> str:
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8").strip() for name in names)


def _without_addresses(html: str) -> Any:
    """HTML that reads the same: an address in a text is shown, and not even a search finds one in the file."""
    from markupsafe import Markup

    return Markup(html.replace("://", "&#58;//"))


def _hash(text: str) -> str:
    """The form in which a Content-Security-Policy names a style or a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _subtitle(material: Material) -> list[Any]:
    """What was compared, on how much."""
    held = tasks(material)
    if not held:
        if material.recommendation is not None:
            found = material.recommendation
            asked = words.count(found.n_held_out, "held-out query")
            return [words.count(found.family, "measured option"), " beside ", name(found.current), f", on {asked}."]
        n_cells = sum(len(verdict.cells) for verdict in material.verdicts)
        return [f"Judged by {words.count(n_cells, 'check')}."] if n_cells else ["No results."]
    who = systems(material)
    suites = dict.fromkeys(f"{plain(task.suite, 40)} v{task.first.suite_version}" for task in held if task.suite)
    n_queries = sum(task.n for task in held)
    parts: list[Any] = [f"{words.count(len(who), 'system')} on {words.count(n_queries, 'query')} "]
    parts += [
        f"in {words.count(len(held), 'query set')} (",
        *words.listed([name(task.name) for task in held], most=5),
        ")",
    ]
    if suites:
        parts += [" of suite", "s " if len(suites) > 1 else " ", *words.listed(map(name, suites), most=3)]
    if len(who) > 1 and material.reference in who:
        parts += [", compared with ", name(material.reference)]
    return [*parts, "."]


def _explorer_data(block: Explorer) -> Any:
    """The queries of an explorer as JSON inside a script element."""
    from markupsafe import Markup

    return Markup(embedded.script_json(embedded.document(block)))


def write(material: Material, path: Path) -> Path:
    """Write the report whole or not at all."""
    return write_text(Path(path), render(material))


def whole_markdown(material: Material) -> str:
    """The whole report as Markdown: every section's sentences and tables, charts as the tables of their numbers."""
    blocks: list[Block] = [Heading([material.title], level=1), Prose(_subtitle(material))]
    for section in sections(material):
        blocks += [Heading([section.title], level=2), *_captioned(section.blocks)]
    blocks.append(Prose([f"Made {material.made} by retrieval-gate {material.version}."], style="note"))
    return as_markdown.markdown(blocks)


def _captioned(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with every table's name above it, and a chart's caption below the table of its numbers."""
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Table):
            found += [Prose([strong(block.caption)]), block]
        elif isinstance(block, Figure) and block.table:
            found += [Prose([strong(block.table.caption)]), block, Prose([block.caption], style="note")]
        elif isinstance(block, Folded):
            found.append(replace(block, blocks=_captioned(block.blocks)))
        else:
            found.append(block)
    return found


def whole_json(material: Material) -> dict[str, Any]:
    """The whole report as one JSON document: every section's blocks, as `bench.report.forms.as_json` has them."""
    return {
        "title": visible(material.title),
        "reference": visible(material.reference),
        "made": visible(material.made),
        "version": visible(material.version),
        "sections": [
            {"name": section.name, "title": section.title, "blocks": as_json.blocks(section.blocks)}
            for section in sections(material)
        ],
    }


def whole_latex(material: Material) -> str:
    """Every table of the report for a LaTeX document, those behind charts and folds too."""
    return latex.document([(section.title, section.blocks) for section in sections(material)])


def markdown(material: Material) -> str:
    """A material's verdicts for a job summary: the outcome first, a table of checks, changed queries folded."""
    from bench.report.sections import queries, verdicts

    listed = queries.changes(material)
    return as_markdown.markdown([*verdicts.build(material), *([listed] if listed else [])])
