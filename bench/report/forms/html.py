"""A report as one HTML file that needs nothing else, and the same sections as Markdown, JSON and LaTeX."""

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
from bench.base.registry import listing, module_of, origin, plugin_errors
from bench.base.store import write_text
from bench.report import Material, explorer
from bench.report.blocks import Block, Figure, Folded, Heading, Prose, Table
from bench.report.forms import as_json, latex
from bench.report.forms import markdown as as_markdown
from bench.report.reading import systems, tasks
from bench.report.text import Parts, Text, fill, name, plain, strong, visible

TEMPLATES = Path(__file__).parents[1] / "templates"

# A file for each part of a page, in the order of the cascade.
STYLES = ("page.css", "tables.css", "charts.css", "explorer.css", "print.css")
SCRIPTS = ("page.js", "explorer.js")


@dataclass(frozen=True)
class Section:
    """A section's name (its file's), title and blocks."""

    name: str
    title: str
    blocks: list[Block]


def sections(material: Material) -> list[Section]:
    """All sections with content, in their order; the error of a section of another package comes at the end.

    A new section is a new file in `sections/`, or an entry point of another package.
    """
    built: list[tuple[float, Section]] = []
    for kind in listing("sections"):
        anchor, package = re.sub(r"\W", "_", kind), origin("sections", kind)
        try:
            module = module_of("sections", kind)
            with plugin_errors("sections", kind, "failed"):
                blocks: list[Block] = module.build(material)
                if package:
                    as_json.blocks(blocks)  # a block that no form can write is an error here, not amid a page
            built.append((module.ORDER, Section(anchor, module.TITLE, blocks)))
        except BenchError as error:
            if package is None:
                raise
            # The section of a package is on every page without being asked for, so no page is lost for it.
            why = f"{'' if isinstance(error, PluginError) else f'Section {kind} of {package}: '}{error}"
            built.append((math.inf, Section(anchor, kind, [Prose([why], "note")])))
    ordered = sorted(built, key=lambda item: (item[0], item[1].name))
    return [section for _, section in ordered if section.blocks]


def render(material: Material, *, only: str | None = None) -> str:
    """The whole report, or one section, as one HTML document: no outside address, no style or script but its own.

    Costs some tens of milliseconds per chart.
    """
    shown = [section for section in sections(material) if only in (None, section.name)]
    return composed(material, shown, _subtitle(material) if only is None else [])


def composed(material: Material, content: Sequence[Section], subtitle: Text) -> str:
    """Sections as one HTML document; of the material only its title, time and version are shown."""
    body = environment().get_template("body.html.j2").render(material=material, sections=content, subtitle=subtitle)
    return page(material.title, body, styles=STYLES, scripts=SCRIPTS)


def page_of(title: str, blocks: list[Block]) -> str:
    """Blocks alone as one HTML document."""
    return composed(Material(title, (), ""), [Section("answer", title, blocks)], [])


def fragment(blocks: Sequence[Block]) -> str:
    """Blocks as HTML for a notebook's cell, with the page's styles for tables and outcomes."""
    template = environment().get_template("fragment.html.j2")
    return str(_without_addresses(template.render(blocks=blocks, style=_joined(("fragment.css",)))))


def environment() -> Any:
    """A Jinja environment over the templates: everything is escaped, and no control characters reach the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Sees every value before it is escaped, so that no string reaches the page with control characters in it.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    jinja.filters |= {"safe_svg": Markup, "number": words.number, "script_json": explorer.script_json}
    return jinja


def page(title: str, body: str, *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A whole HTML document around a rendered body, with styles and scripts from the templates and no others."""
    from markupsafe import Markup, escape

    style, code = _joined(styles), _joined(scripts)
    template = environment().get_template("page.html.j2")
    html: str = template.render(
        title=_without_addresses(escape(visible(title))),
        body=_without_addresses(body),
        style=Markup(style),
        script=Markup(code),
        style_hash=_hash(style),
        script_hash=_hash(code),
    )
    return html


def _joined(names: Sequence[str]) -> str:
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8").strip() for name in names)


def _without_addresses(html: str) -> Any:
    """The same HTML to a reader; but a search for an address in the file finds none."""
    from markupsafe import Markup

    return Markup(html.replace("://", "&#58;//"))


def _hash(text: str) -> str:
    """The form in which a Content-Security-Policy names a style or a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _subtitle(material: Material) -> Parts:
    """What was compared, on how much."""
    sets, decision = tasks(material), material.recommendation
    if not sets and decision is not None:
        options, queries = words.count(decision.family, "option"), words.count(decision.n_held_out, "held-out query")
        return fill("{} compared with {} on {}.", options, name(decision.current), queries)
    if not sets:
        n_cells = sum(len(verdict.cells) for verdict in material.verdicts)
        return [f"A verdict from {words.count(n_cells, 'comparison')}." if n_cells else "No results."]
    names = systems(material)
    n_systems, n_queries = words.count(len(names), "system"), words.count(sum(task.n for task in sets), "query")
    listed = words.join([name(task.name) for task in sets], most=5)
    parts = fill("{} on {} in {} ({})", n_systems, n_queries, words.count(len(sets), "query set"), listed)
    suites = dict.fromkeys(f"{plain(task.suite, 40)} v{task.first.suite_version}" for task in sets if task.suite)
    if suites:
        parts += fill(" of {} {}", "suites" if len(suites) > 1 else "suite", words.join(map(name, suites), most=3))
    if len(names) > 1 and material.reference in names:
        parts += fill(", compared with {}", name(material.reference))
    return [*parts, "."]


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
    captioned: list[Block] = []
    for block in blocks:
        if isinstance(block, Table):
            captioned += [Prose([strong(block.caption)]), block]
        elif isinstance(block, Figure) and block.table:
            captioned += [Prose([strong(block.table.caption)]), block, Prose([block.caption], style="note")]
        elif isinstance(block, Folded):
            captioned.append(replace(block, blocks=_captioned(block.blocks)))
        else:
            captioned.append(block)
    return captioned


def whole_json(material: Material) -> dict[str, Any]:
    """The whole report as one JSON document: every section's blocks, as `bench.report.forms.as_json` has them."""
    head = {key: visible(getattr(material, key)) for key in ("title", "reference", "made", "version")}
    content = [{"name": s.name, "title": s.title, "blocks": as_json.blocks(s.blocks)} for s in sections(material)]
    return {**head, "sections": content}


def whole_latex(material: Material) -> str:
    """Every table of the report for a LaTeX document, those behind charts and folds too."""
    return latex.document([(section.title, section.blocks) for section in sections(material)])


def markdown(material: Material) -> str:
    """A material's verdicts for a job summary: the outcome, a table of comparisons, and the changed queries, folded."""
    from bench.report.sections import queries, verdicts

    changed = queries.changes(material)
    return as_markdown.markdown([*verdicts.build(material), *([changed] if changed else [])])
