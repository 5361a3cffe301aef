#!/usr/bin/env python3
"""Ask Elasticsearch or OpenSearch every query and write a TREC run, which `bench gate` and `bench measure` read.

Needs Python 3.11 and nothing else. Queries go in batches to `_msearch`; the request body is a JSON file in which
"{{query}}" stands for the query's text and "{{vector}}" for its vector:

    python search_engine.py --url https://localhost:9200 --index docs --queries queries.jsonl --body bm25.json \
        --out branch.run

Secrets come from the environment: ENGINE_API_KEY, or ENGINE_USER and ENGINE_PASSWORD.

The run file is whole or absent. A failed item, a shard that failed, a search that timed out: each ends the script
with a sentence. Exit codes: 0 written, 2 unusable input, 4 the engine failed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import math
import os
import re
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
OWN_KEYS = {
    "size": "give it as --size",
    "from": "a run begins at the best document",
    "_source": "the script asks for what it needs",
    "search_pipeline": "give it as --search-pipeline",
}
"""What a body may not set, and what to do instead."""

LONGEST_PAUSE = 30.0
"""Seconds; an engine that asks for more is down, not busy."""


class Unusable(Exception):
    """What was given cannot be used: exit 2."""


class EngineFailed(Exception):
    """The engine did not answer, or not wholly: exit 4."""


class Query(NamedTuple):
    """One query; `vector` is None where none is needed."""

    query_id: str
    text: str
    vector: list[float] | None


class Engine(NamedTuple):
    """Where to send requests, and how."""

    address: str
    opener: urllib.request.OpenerDirector
    headers: dict[str, str]
    timeout: float
    retries: int


class Counts(NamedTuple):
    """What was written, and what was not."""

    hits: int
    without_hit: list[str]
    repeated: int


# --- input -----------------------------------------------------------------------------------------


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) of a JSON-lines file."""
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
            if line.strip():
                where = f"{path}:{number}"
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise Unusable(f"{where}: not JSON ({error}).") from None
                if not isinstance(row, dict):
                    raise Unusable(f"{where}: a {type(row).__name__}; expected an object.")
                yield where, row
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}.") from None


def checked_id(where: str, row: dict[str, Any]) -> str:
    """A row's "_id", which a TREC file must be able to hold."""
    value = row.get("_id")
    if not isinstance(value, str) or not is_id(value):
        raise Unusable(f'{where}: "_id" is {value!r:.80}; expected a string without white space.')
    return value


def is_id(text: str) -> bool:
    """Whether a TREC file, whose fields white space separates, can hold an id."""
    return bool(text) and not any(c.isspace() or c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def read_queries(path: Path, *, judged: set[str] | None, vectors: dict[str, list[float]] | None) -> list[Query]:
    """Queries in the file's order; those that are judged, where judgements are given."""
    found: dict[str, Query] = {}
    for where, row in rows(path):
        query_id = checked_id(where, row)
        if query_id in found:
            raise Unusable(f'{where}: query "{query_id}" stands twice; ids must be unique.')
        if not isinstance(row.get("text"), str):
            raise Unusable(f'{where}: query "{query_id}" has no "text"; expected a string.')
        if judged is not None and query_id not in judged:
            continue
        if vectors is not None and query_id not in vectors:
            raise Unusable(f'{where}: query "{query_id}" has no vector in the file of --vectors.')
        found[query_id] = Query(query_id, row["text"], vectors[query_id] if vectors is not None else None)
    lacking = sorted((judged or set()) - found.keys())
    if lacking:
        raise Unusable(f'{path} lacks {len(lacking)} queries that are judged (first: "{lacking[0]}").')
    if not found:
        raise Unusable(f"{path} holds no query.")
    return list(found.values())


def read_vectors(path: Path) -> dict[str, list[float]]:
    """Query id → vector, all of one length."""
    found: dict[str, list[float]] = {}
    for where, row in rows(path):
        vector = row.get("vector")
        numbers = isinstance(vector, list) and all(type(x) in (int, float) and math.isfinite(x) for x in vector)
        if not vector or not numbers:
            raise Unusable(f'{where}: "vector" is no list of finite numbers.')
        first = next(iter(found.values()), vector)
        if len(vector) != len(first):
            raise Unusable(f"{where}: a vector of {len(vector)} numbers; those above have {len(first)}.")
        found[checked_id(where, row)] = vector
    return found


def read_judged(path: Path) -> set[str]:
    """Ids of the queries that a qrels file (BEIR's or TREC's) judges."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}.") from None
    # BEIR's first line is a heading: its grade is a word.
    header = bool(lines) and not any(c.isdigit() for c in lines[0].split()[-1])
    return {line.split()[0] for line in lines[header:]}


# --- the request body ------------------------------------------------------------------------------


def read_body(path: Path, *, has_vectors: bool) -> dict[str, Any]:
    """The body's template, checked."""
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} is no JSON file: {error}.") from None
    if not isinstance(body, dict):
        raise Unusable(f"{path} holds a {type(body).__name__}; expected an object, the body of a search.")
    for key, instead in OWN_KEYS.items():
        if key in body:
            raise Unusable(f'{path} sets "{key}"; leave it out: {instead}.')
    used = set(placeholders(body))
    for name in sorted(used - {"query", "vector"}):
        raise Unusable(f"{path} has the placeholder {{{{{name}}}}}; expected {{{{query}}}} or {{{{vector}}}}.")
    if not used:
        raise Unusable(f"{path} has no placeholder; every query would be the same. Put {{{{query}}}} where it goes.")
    if ("vector" in used) != has_vectors:
        raise Unusable(f"{path}: {{{{vector}}}} in the body and --vectors go together.")
    return body


def placeholders(value: Any) -> Iterator[str]:
    """Names in double braces anywhere in the template's strings."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from placeholders(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from placeholders(inner)
    elif isinstance(value, str):
        yield from PLACEHOLDER.findall(value)


def filled(value: Any, query: Query) -> Any:
    """The template for one query. Values are replaced in the parsed tree, once: no text can end its string."""
    if isinstance(value, dict):
        return {key: filled(inner, query) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, query) for inner in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole and whole[1] == "vector":
        return query.vector
    return PLACEHOLDER.sub(lambda _: query.text, value)


# --- the engine ------------------------------------------------------------------------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the secret to another host, and turn POST into GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


def connect(options: argparse.Namespace) -> Engine:
    """The engine's address and how to talk to it; secrets from the environment."""
    try:
        parts = urllib.parse.urlsplit(options.url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not options.url.isascii() or not options.url.isprintable() or " " in options.url:
        raise Unusable(f'--url is "{options.url}"; expected http://HOST:PORT or https://HOST:PORT.')
    if parts.username or parts.password:
        raise Unusable("--url holds a user name; arguments are seen by everyone. Set ENGINE_USER and ENGINE_PASSWORD.")
    headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
    # A secret read from a file often ends in a line break.
    key, user = os.environ.get("ENGINE_API_KEY", "").strip(), os.environ.get("ENGINE_USER", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise Unusable("ENGINE_API_KEY holds a character that no key has; expected the encoded key.")
    if key:
        headers["Authorization"] = f"ApiKey {key}"
    elif user:
        pair = f"{user}:{os.environ.get('ENGINE_PASSWORD', '').strip()}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if options.ca_file:
        try:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=options.ca_file)))
        except (OSError, ssl.SSLError) as error:
            raise Unusable(f"--ca-file {options.ca_file}: {error}.") from None
    address = f"{options.url.rstrip('/')}/{urllib.parse.quote(options.index, safe=',*-')}/_msearch"
    return Engine(address, urllib.request.build_opener(*handlers), headers, options.timeout, options.retries)


def post(engine: Engine, data: bytes) -> Any:
    """The parsed answer to one request; 429 and 5xx are tried again, after a pause that doubles."""
    request = urllib.request.Request(engine.address, data, engine.headers, method="POST")  # noqa: S310 (checked above)
    for attempt in range(engine.retries + 1):
        try:
            with engine.opener.open(request, timeout=engine.timeout) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            said = ""
            with error, contextlib.suppress(OSError, http.client.HTTPException):
                said = error.read(2000).decode("utf-8", "replace")
            if attempt < engine.retries and (error.code == 429 or error.code >= 500):
                time.sleep(pause(attempt, error.headers.get("Retry-After")))
                continue
            raise EngineFailed(f"{engine.address} answered {error.code} {error.reason}: {said}") from None
        except (OSError, http.client.HTTPException) as error:
            raise EngineFailed(f"{engine.address}: no whole answer ({error or type(error).__name__}).") from None
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise EngineFailed(f"{engine.address}: the answer is not JSON, or cut off ({error}).") from None
    raise AssertionError("the last attempt returns or raises")


def pause(attempt: int, asked: str | None) -> float:
    """Seconds to wait: what the engine asks for, else half a second, doubled each time."""
    seconds = float(asked) if asked and asked.isdecimal() else 0.5 * 2**attempt
    return min(seconds, LONGEST_PAUSE)


def search(engine: Engine, body: dict[str, Any], queries: Sequence[Query]) -> list[list[dict[str, Any]]]:
    """Hits of each query, best first; refuses an answer that is not whole."""
    # One preference for all: the same copies of the shards answer, so that scores repeat.
    header = json.dumps({"preference": "retrieval-gate"})
    lines = [f"{header}\n{json.dumps(filled(body, query))}\n" for query in queries]
    answer = post(engine, "".join(lines).encode("ascii"))
    items = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(queries):
        found = len(items) if isinstance(items, list) else "no"
        raise EngineFailed(f"{engine.address}: {found} answers to {len(queries)} queries.")
    return [hits_of(item, query) for item, query in zip(items, queries, strict=True)]


def hits_of(item: Any, query: Query) -> list[dict[str, Any]]:
    """The hits of one answer, if it covers the whole index."""
    what = f'Query "{query.query_id}":'
    if not isinstance(item, dict):
        raise EngineFailed(f"{what} the answer is a {type(item).__name__}; expected an object.")
    if "error" in item or item.get("status", 200) != 200:
        raise EngineFailed(f"{what} status {item.get('status')}, {json.dumps(item.get('error'))}")
    if item.get("timed_out") is not False:
        raise EngineFailed(f"{what} the search timed out; its hits are not all there are.")
    if item.get("terminated_early"):
        raise EngineFailed(f"{what} the search ended early (terminate_after); its hits are not all there are.")
    shards = item.get("_shards")
    if not isinstance(shards, dict) or shards.get("failed") != 0 or shards.get("total") == 0:
        raise EngineFailed(f"{what} not every shard answered: {json.dumps(shards)}")
    clusters = item.get("_clusters")
    if isinstance(clusters, dict) and any(clusters.get(state) for state in ("skipped", "partial", "failed")):
        raise EngineFailed(f"{what} not every cluster answered: {json.dumps(clusters)}")
    hits = item.get("hits", {}).get("hits") if isinstance(item.get("hits"), dict) else None
    if not isinstance(hits, list) or not all(isinstance(hit, dict) for hit in hits):
        raise EngineFailed(f"{what} no list of hits in the answer.")
    return hits


# --- the run ---------------------------------------------------------------------------------------


def doc_id_of(hit: dict[str, Any], field: str, query: Query) -> str:
    """The document's id: `_id`, or a field of `_source`, whose parts dots separate."""
    value: Any = hit.get("_id")
    if field != "_id":
        value = hit.get("_source")
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Unusable(f'Query "{query.query_id}": hit {hit.get("_id")!r:.60} has no {field}. See --id-field.')
    if not is_id(value):
        raise Unusable(
            f'Query "{query.query_id}": document id {value!r:.80} is empty or holds white space, which separates the '
            "fields of a run file. Name a field without it with --id-field."
        )
    return value


def ranking(hits: list[dict[str, Any]], query: Query, options: argparse.Namespace) -> tuple[list[tuple[str, str]], int]:
    """(document id, score) best first, and how many hits were further parts of a document that is already there."""
    found: dict[str, str] = {}
    for place, hit in enumerate(hits):
        score = len(hits) - place if options.rank_scores else hit.get("_score")
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise EngineFailed(
                f'Query "{query.query_id}": hit {hit.get("_id")!r:.60} has the score {score!r:.40}; expected a finite '
                "number. If the engine ranks without scores, use --rank-scores."
            )
        found.setdefault(doc_id_of(hit, options.id_field, query), repr(score))
    return list(found.items()), len(hits) - len(found)


def write_run(path: Path, engine: Engine, body: dict[str, Any], queries: list[Query], options: Any) -> Counts:
    """Ask every query and write the run, whole or not at all; a file that was there before is gone either way."""
    n_hits, repeated, without = 0, 0, []
    tag = re.sub(r"\s+", "_", options.tag.strip()) or "run"
    path.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            for start in range(0, len(queries), options.batch):
                batch = queries[start : start + options.batch]
                for query, hits in zip(batch, search(engine, body, batch), strict=True):
                    ranked, more = ranking(hits, query, options)
                    repeated += more
                    n_hits += len(ranked)
                    if not ranked:
                        without.append(query.query_id)
                        ranked = [(options.no_hit_id, "0")] if options.no_hit_id else []
                    for rank, (doc_id, score) in enumerate(ranked, 1):
                        file.write(f"{query.query_id} Q0 {doc_id} {rank} {score} {tag}\n")
        if not n_hits:
            raise EngineFailed(f"None of {len(queries)} queries has a hit. Is the index filled and refreshed?")
        # mkstemp lets only its owner read; a run is an ordinary file.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    return Counts(n_hits, without, repeated)


# --- the command line ------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        description="Ask Elasticsearch or OpenSearch every query and write a TREC run for `bench gate`.",
        epilog="Secrets from the environment: ENGINE_API_KEY, or ENGINE_USER and ENGINE_PASSWORD. "
        "Exit codes: 0 written, 2 unusable input, 4 the engine failed (no file is left).",
    )
    made.add_argument("--url", required=True, help="the engine's address, such as https://localhost:9200")
    made.add_argument("--index", required=True, help="index, alias, or several separated by commas")
    made.add_argument("--queries", required=True, type=Path, metavar="F", help='JSON lines {"_id", "text"}')
    made.add_argument("--body", required=True, type=Path, metavar="F", help="JSON body with {{query}} or {{vector}}")
    made.add_argument("--out", required=True, type=Path, metavar="F", help="the TREC run to write")
    made.add_argument("--qrels", type=Path, metavar="F", help="ask only the queries that these judgements name")
    made.add_argument("--vectors", type=Path, metavar="F", help='JSON lines {"_id", "vector"}, one for each query')
    made.add_argument("--size", type=int, default=100, help="documents for each query (default: 100)")
    made.add_argument("--batch", type=int, default=50, help="queries in one request (default: 50)")
    made.add_argument("--id-field", default="_id", help="field with the document's id (default: _id); of several hits "
                      "with one id, such as passages of a document, the best counts")  # fmt: skip
    made.add_argument("--search-pipeline", metavar="NAME", help="OpenSearch 2.18 or newer: pipeline of hybrid queries")
    made.add_argument("--rank-scores", action="store_true", help="write falling ranks instead of the engine's scores")
    made.add_argument("--no-hit-id", metavar="ID", help="written for a query without a hit; an id that no document has")
    made.add_argument("--tag", default="run", help="name in the run's last column (default: run)")
    made.add_argument("--ca-file", metavar="F", help="certificates to trust, for an engine that signs its own")
    made.add_argument("--timeout", type=float, default=60, help="seconds for one request (default: 60)")
    made.add_argument("--retries", type=int, default=5, help="further attempts after 429 or 5xx (default: 5)")
    return made


def run(options: argparse.Namespace) -> None:
    """Read, ask, write, and say what was written."""
    for name, least in (("size", 1), ("batch", 1), ("retries", 0)):
        if getattr(options, name) < least:
            raise Unusable(f"--{name} is {getattr(options, name)}; expected {least} or more.")
    if not 0 < options.timeout < 1e6:
        raise Unusable(f"--timeout is {options.timeout:g}; expected seconds above 0.")
    if options.no_hit_id is not None and not is_id(options.no_hit_id):
        raise Unusable("--no-hit-id is empty or holds white space; expected an id that no document has.")
    if not options.out.parent.is_dir() or options.out.is_dir():
        raise Unusable(f"--out {options.out}: expected a file in a folder that exists.")
    body = read_body(options.body, has_vectors=options.vectors is not None)
    vectors = read_vectors(options.vectors) if options.vectors else None
    judged = read_judged(options.qrels) if options.qrels else None
    queries = read_queries(options.queries, judged=judged, vectors=vectors)
    body |= {"size": options.size, "_source": False if options.id_field == "_id" else [options.id_field]}
    if options.search_pipeline:
        body["search_pipeline"] = options.search_pipeline
    started = time.perf_counter()
    counts = write_run(options.out, connect(options), body, queries, options)
    say(f"{options.out}: {len(queries)} queries, {counts.hits} documents, {time.perf_counter() - started:.1f} s.")
    if counts.without_hit:
        what = f"written as {options.no_hit_id}" if options.no_hit_id else "not in the file"
        say(f'{len(counts.without_hit)} queries without a hit, {what} (first: "{counts.without_hit[0]}").')
    if counts.repeated:
        say(f"{counts.repeated} hits were further parts of a document and left out; ask for more with --size.")


def say(text: str) -> None:
    """One line for people; nothing that an engine answers can colour it, move the cursor or end the line."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    print(clean if len(clean) <= 1000 else clean[:999] + "…", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 written, 2 unusable input, 4 the engine failed."""
    options = parser().parse_args(arguments)
    try:
        run(options)
    except Unusable as error:
        say(f"error: {error}")
        return 2
    except EngineFailed as error:
        say(f"error: {error} No run was written.")
        return 4
    except KeyboardInterrupt:
        say("Interrupted. No run was written.")
        return 130
    except OSError as error:
        say(f"error: {error.filename or options.out}: {error.strerror or error}.")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
