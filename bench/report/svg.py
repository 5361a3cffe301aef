"""matplotlib's SVG → SVG for a page: with the page's colours, and without addresses, styles or clashing ids."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

SERIES = tuple(f"#0100{i:02x}" for i in range(1, 9))
"""Stand-ins for the series colours, which the page's style sheet decides for light and dark."""

COLOURS = {
    "ink": "#020001",
    "quiet": "#020002",
    "grid": "#020003",
    "paper": "#020004",
    "better": "#020005",
    "worse": "#020006",
    "shade": "#020007",
}
"""Stand-ins for colours with a meaning. matplotlib leaves out plain black, so none of them is."""

_CLASSES = {colour: f"series-{i}" for i, colour in enumerate(SERIES, start=1)} | {v: k for k, v in COLOURS.items()}
_NAMESPACE = re.compile(r"^\{[^}]*\}")
# What matplotlib writes as style and SVG knows as an attribute; a strict Content-Security-Policy refuses the former.
_DROPPED = {"font-family", "font"}


def inlined(xml: str, *, uid: str, title: str, description: str) -> str:
    """An `<svg>` element for HTML.

    Args:
        xml: what matplotlib wrote, with colours from `SERIES` and `COLOURS`.
        uid: prefix of every id, unique on the page.
        title: what a screen reader announces.
        description: what can be seen, in a sentence.
    """
    # matplotlib wrote this document, so it has no entities or doctypes of others.
    root = ElementTree.fromstring(xml)  # noqa: S314
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child) in ("metadata", "style", "clipPath"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _tag(element)
        _clean(element, uid)
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
    view = root.get("viewBox", "0 0 100 100")
    root.attrib.clear()
    root.attrib |= {"class": "chart", "viewBox": view, "role": "img", "aria-labelledby": f"{uid}-title {uid}-desc"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{uid}-{tag}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _tag(element: ElementTree.Element) -> str:
    return _NAMESPACE.sub("", element.tag)


def _clean(element: ElementTree.Element, uid: str) -> None:
    """Styles to attributes, stand-in colours to classes, ids and references to this figure's own."""
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        key = _NAMESPACE.sub("", key)
        if key == "style":
            for declaration in value.split(";"):
                what, _, how = declaration.partition(":")
                if what.strip():
                    attributes[what.strip()] = how.strip()
        elif key != "clip-path":
            attributes[key] = value
    classes = []
    for paint in ("fill", "stroke"):
        meaning = _CLASSES.get(attributes.get(paint, ""))
        if meaning:
            del attributes[paint]
            classes.append(f"{paint}-{meaning}")
    for dropped in _DROPPED & attributes.keys():
        del attributes[dropped]
    # Groups carry ids such as "axes_1" in every figure; only what is referred to needs one.
    if "id" in attributes and element.tag == "g":
        del attributes["id"]
    for key, mark in (("id", ""), ("href", "#")):
        if key in attributes:
            attributes[key] = f"{mark}{uid}-{attributes[key].removeprefix(mark)}"
    if "d" in attributes:
        # Two decimals are finer than any screen.
        path = " ".join(attributes["d"].split())
        attributes["d"] = re.sub(r"-?\d+\.\d+", lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), path)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    if classes:
        attributes["class"] = " ".join(classes)
    element.attrib.clear()
    element.attrib |= attributes
