"""A report as one HTML file that needs nothing else, and a verdict as Markdown."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.report import Material, words
from bench.report import markdown as as_markdown
from bench.report import sections as sections_package
from bench.report.blocks import Block, QueryList, name, plain, visible
from bench.report.reading import systems, tasks
from bench.store import write_text

__all__ = ["Section", "environment", "markdown", "page", "render", "sections", "write"]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A section's name (its file's), title and blocks."""

    name: str
    title: str
    blocks: list[Block]


def sections(material: Material) -> list[Section]:
    """All sections that have something to say, in their order. A new one is a new file in `sections/`."""
    modules: list[ModuleType] = [
        importlib.import_module(f"{sections_package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(sections_package.__path__)
    ]
    modules.sort(key=lambda module: (module.ORDER, module.__name__))
    built = [Section(module.__name__.rpartition(".")[2], module.TITLE, module.build(material)) for module in modules]
    return [section for section in built if section.blocks]


def render(material: Material) -> str:
    """The whole report as one HTML document: no outside address, no style or script but its own.

    Costs some tens of milliseconds per chart.
    """
    env = environment()
    env.filters |= {"number": words.number, "query_data": _query_data}
    body = env.get_template("body.html.j2").render(
        material=material, sections=sections(material), subtitle=_subtitle(material)
    )
    return page(material.title, body, styles=("style.css",), script="script.js")


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


def page(title: str, body: str, *, styles: Sequence[str], script: str) -> str:
    """A whole HTML document around a rendered body, with styles and a script from the templates and no other."""
    from markupsafe import Markup, escape

    style = "".join((TEMPLATES / file).read_text(encoding="utf-8") for file in styles)
    code = (TEMPLATES / script).read_text(encoding="utf-8")
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


def _query_data(block: QueryList) -> Any:
    """The rankings of an explorer as JSON that is safe inside a script element; documents are named by number.

    {"documents": [[id, first words], …], "queries": [[relevant], [before], [after]], …]} in the order of the entries.
    """
    from markupsafe import Markup

    places: dict[tuple[str, str], int] = {}
    queries = []
    for group in block.groups:
        for entry in group.entries:
            lists = ([document.doc_id for document in entry.relevant], entry.before, entry.after)
            queries.append([[places.setdefault((entry.query_set, d), len(places)) for d in ids] for ids in lists])
    documents = [
        [visible(doc, 80), visible(block.snippets.get(query_set, {}).get(doc, ""), 200)] for query_set, doc in places
    ]
    text = json.dumps({"documents": documents, "queries": queries}, ensure_ascii=True, separators=(",", ":"))
    # "</script>" and "<!--" would end the element; "://" is kept out of the file altogether.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text.replace("://", ":\\u002f/"))


def write(material: Material, path: Path) -> Path:
    """Write the report whole or not at all."""
    return write_text(Path(path), render(material))


def markdown(material: Material) -> str:
    """A material's verdicts for a job summary: the outcome first, a table of checks, changed queries folded."""
    from bench.report.sections import queries, verdicts

    explorer = [block for block in queries.build(material) if isinstance(block, QueryList)]
    return as_markdown.markdown([*verdicts.build(material), *explorer])
