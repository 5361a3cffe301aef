"""The gate inside pytest: `pytest --bench` has an item per gate rule and query set; `bench` is a fixture that gates.

Every run of pytest with this package installed loads this file: heavy modules are imported where they are needed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from bench.base.errors import BenchError
    from bench.project.answers import Judged
    from bench.project.workspace import Workspace
    from bench.records import Cell, Limit, Result, Suite, Verdict

SEVEREST_FIRST = {
    "error": "without a verdict",
    "fail": "failed",
    "inconclusive": "inconclusive",
    "accepted": "accepted",
    "pass": "passed",
    "improved": "improved",
}
"""Outcome of a check → its word in the summary."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--bench` and its further options."""
    group = parser.getgroup("bench", "retrieval gate")
    group.addoption("--bench", action="store_true", help="collect every gate rule of bench.toml as a test")
    group.addoption("--bench-config", metavar="FILE", help="the config file (default: bench.toml in the root folder)")
    group.addoption("--bench-base-ref", metavar="REF", help="take baseline and rules from this git ref")
    text = "make the results of the fixture `bench` the accepted baseline"
    group.addoption("--bench-accept", metavar="REASON", help=text)
    group.addoption("--bench-allow-worse", action="store_true", help="accept a failing or inconclusive candidate")


def pytest_configure(config: pytest.Config) -> None:
    """Collect bench.toml too, beside the files that the command line names."""
    reason = config.getoption("--bench-accept")
    if reason is not None and not reason.strip():
        raise pytest.UsageError('a baseline changes only with a reason: --bench-accept "…"')
    if not config.getoption("--bench"):
        return
    path = _config_path(config)
    if not path.is_file():
        raise pytest.UsageError(
            f"--bench: there is no file {path}. Start pytest in the folder that has a bench.toml, or name it: "
            "--bench-config FILE"
        )
    # Where the command line names single checks of this file, only these are collected.
    chosen = any("::" in arg and _absolute(config, arg.split("::")[0]) == path for arg in config.args)
    config.args[:] = [arg for arg in config.args if _absolute(config, arg) != path]
    config.pluginmanager.register(_Collected(path, chosen=chosen), "bench-collected")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write one line on all checks, from the reports: xdist sends these from its workers."""
    outcomes = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "bench"
    ]
    counts = {outcome: outcomes.count(outcome) for outcome in SEVEREST_FIRST if outcome in outcomes}
    if counts:
        (worst, n), *others = counts.items()
        first = f"{n} of {len(outcomes)} check{'s' * (len(outcomes) != 1)} {SEVEREST_FIRST[worst]}"
        rest = [f"{n} {SEVEREST_FIRST[outcome]}" for outcome, n in others]
        terminalreporter.write_line(f"bench: {worst} — {', '.join([first, *rest])}")


def _absolute(config: pytest.Config, name: str) -> Path:
    # Not resolved: pytest itself keeps symbolic links.
    return Path(os.path.abspath(config.invocation_params.dir / name))  # noqa: PTH100


def _config_path(config: pytest.Config) -> Path:
    """The file named, else bench.toml in the root folder, else where pytest was started; it may not exist."""
    given = config.getoption("--bench-config")
    if given:
        return _absolute(config, given)
    # Without an ini file, pytest takes the common folder of its arguments for the root.
    places = [config.rootpath / "bench.toml", _absolute(config, "bench.toml")]
    return next((place for place in places if place.is_file()), places[0])


# --- sentences of a verdict and outcomes of tests ---------------------------------------------------


class _Check(NamedTuple):
    """One item: a rule's measures on a query set; an item without a query set is identified by its name."""

    name: str
    query_set: str | None = None
    measures: tuple[str, ...] = ()
    variant: str = ""
    slice: str | None = None
    kind: str = "margin"

    def match(self, result: Cell | Limit) -> int:
        """How closely a cell or check of the verdict matches: 2 exactly, 1 through a rule for every slice, 0 not."""
        kind = getattr(result, "kind", "margin")
        if kind == "ceiling":
            return 2 * (result.name == self.name)
        same = (self.query_set, self.variant, self.kind) == (result.query_set, result.variant, kind)
        if not same or result.measure not in self.measures:
            return 0
        return 2 if self.slice == result.slice else int(self.slice == "*" and result.slice is not None)

    def match_place(self, where: str) -> int:
        """How closely a finding's place matches: this check 3, its query set 2, a place in its query set 1, else 0."""
        if where == self.name or where in [f"{self.query_set}/{measure}" for measure in self.measures]:
            return 3
        if self.query_set is None:
            return 0
        return 2 if where == self.query_set else int(where.startswith(f"{self.query_set}/"))


Sentences = list[tuple[str, str]]
"""(outcome or "note", sentence) pairs."""


def _sentences(verdict: Verdict, checks: Sequence[_Check]) -> list[Sentences]:
    """The sentences of a verdict by check; a sentence that matches no check goes to the first."""
    sentences: list[Sentences] = [[] for _ in checks]
    blocks = verdict.policy.on_inconclusive == "block"
    results: list[Cell | Limit] = [*verdict.cells, *verdict.limits]
    for result in results:
        blocked = result.outcome == "inconclusive" and (blocks or getattr(result, "softened", False))
        owner = max(range(len(checks)), key=lambda i: checks[i].match(result))
        sentences[owner].append(("fail" if blocked else result.outcome or "fail", result.reason))
    for finding in verdict.findings:
        harmless = "pass" if finding.where in [check.name for check in checks] else "note"
        owner = max(range(len(checks)), key=lambda i: checks[i].match_place(finding.where))
        sentences[owner].append(("fail" if finding.severity == "error" else harmless, finding.message))
    too_small = {finding.where for finding in verdict.findings if finding.code == "slice-too-small"}
    for check, own in zip(checks, sentences, strict=True):
        if check.slice == "*" and not own and check.query_set in too_small:
            own.append(("inconclusive", f"No slice of {check.query_set} is large enough to be gated."))
    if verdict.exit_code and not any(outcome == "fail" for own in sentences for outcome, _ in own):
        sentences[0].append(("fail", f"The verdict is {verdict.outcome}; see: bench gate"))
    return sentences


def _reasons(sentences: Sentences) -> list[str]:
    return [sentence for outcome, sentence in sentences if outcome in ("fail", "inconclusive")]


def _end_test(node: pytest.Item, sentences: Sentences, *, against: str = "") -> None:
    """Fail or skip a test by the worst of its sentences; return where it passes."""
    __tracebackhide__ = True
    worst = next((outcome for outcome in SEVEREST_FIRST if outcome in dict(sentences)), None)
    if worst is None:
        _fail_without_verdict(node, f"The verdict says nothing on {node.name}; it was not judged.")
    node.user_properties.append(("bench", worst))
    notes = [sentence for outcome, sentence in sentences if outcome in ("note", "accepted")]
    if notes:
        node.add_report_section("call", "bench", _inert("\n".join(notes)))
    text = _inert("\n".join([*_reasons(sentences), *filter(None, [against])]))
    if worst == "fail":
        pytest.fail(text, pytrace=False)
    if worst == "inconclusive":
        pytest.skip(text)


def _fail_without_verdict(node: pytest.Item, sentence: str) -> NoReturn:
    __tracebackhide__ = True
    node.user_properties.append(("bench", "error"))
    pytest.fail(_inert(sentence), pytrace=False)


def _inert(text: str) -> str:
    from bench.report.forms.terminal import inert

    return "\n".join(inert(line, 2000) for line in text.split("\n"))


# --- pytest --bench ---------------------------------------------------------------------------------


class _Collected:
    """Adds the config file to the collection; where single checks of it are `chosen`, pytest collects it itself."""

    def __init__(self, path: Path, *, chosen: bool) -> None:
        self.path, self.chosen = path, chosen

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """The config file's collector."""
        return self._file(parent) if self.chosen and file_path == self.path else None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """The session's children, and the config file."""
        report = yield
        # Not one more argument: pytest before 9 loses a folder of which a file is named as well.
        if isinstance(collector, pytest.Session) and not self.chosen and report.passed:
            report.result.append(self._file(collector))
        return report

    def _file(self, parent: pytest.Collector) -> pytest.Collector:
        collector: pytest.Collector = _ConfigFile.from_parent(parent, path=self.path)
        return collector

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A skipped item is shown where its rule stands, not in this file."""
        report = yield
        if isinstance(item, _Item) and report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report


class _ConfigFile(pytest.File):
    """bench.toml: an item per rule and query set, and one for the pinned queries."""

    checks: Sequence[_Check] = ()

    def collect(self) -> Iterator[pytest.Item]:
        """The items, from config and suite; judges nothing."""
        from bench.base.errors import BenchError

        try:
            self.checks = _checks(self.path)
        except BenchError as error:
            raise self.CollectError(_inert(str(error))) from None
        for number, check in enumerate(self.checks):
            yield _Item.from_parent(self, name=check.name, number=number)


class _Item(pytest.Item):
    """One check of the gate."""

    parent: _ConfigFile

    def __init__(self, *, number: int, **more: Any) -> None:
        super().__init__(**more)
        self.number = number

    def runtest(self) -> None:
        """End as the verdict says; the first item that runs computes it."""
        from bench.base.errors import BenchError

        verdict = _verdict(self.config, self.path)
        if isinstance(verdict, BenchError):
            _fail_without_verdict(self, str(verdict))
        _end_test(self, _sentences(verdict, self.parent.checks)[self.number])

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line and name."""
        return self.path, 0, self.name


_VERDICTS = pytest.StashKey[dict[Path, "Verdict | BenchError"]]()


def _verdict(config: pytest.Config, path: Path) -> Verdict | BenchError:
    """The gate's verdict on stored results, or the error; computed once per process, as Holm looks at all cells."""
    from bench.base.errors import BenchError
    from bench.project.api import open_project

    verdicts = config.stash.setdefault(_VERDICTS, {})
    if path not in verdicts:
        try:
            verdicts[path] = open_project(path, base_ref=config.getoption("--bench-base-ref")).gate().verdict
        except BenchError as error:
            verdicts[path] = error
    return verdicts[path]


def _checks(path: Path) -> list[_Check]:
    """The checks of a config's gate, from its rules and the suite's query sets.

    Raises:
        BenchError: a config or suite that cannot be used.
    """
    from bench.base.errors import UsageError
    from bench.base.names import table_of
    from bench.gate.rules import rank
    from bench.project.workspace import Workspace
    from bench.records import EVALUATION_ROLES

    workspace = Workspace.open(path)
    policy = workspace.config.gate.policy()
    if len(workspace.config.suites) > 1:
        several = ", ".join(workspace.config.suites)
        raise UsageError(f"{path} names several suites ({several}). Judge them one by one: bench gate --suite NAME")
    suite = workspace.suite()
    table = workspace.config.systems.get(table_of(workspace.gated_system(None)), {})
    roles = table.get("roles") or EVALUATION_ROLES
    checks, pinned = [], False
    for query_set in suite.of_role(*roles):
        rules = [
            rule for rule in policy.rules if rule.role == query_set.role and rule.query_set in (None, query_set.name)
        ]
        owner = {
            (rule.variant, rule.slice, rule.kind, measure): rule
            for rule in sorted(rules, key=rank, reverse=True)
            for measure in rule.measures
        }
        for rule in rules:
            place = (rule.variant, rule.slice, rule.kind)
            if measures := tuple(measure for measure in rule.measures if owner[(*place, measure)] is rule):
                narrowed = [rule.variant.strip("@"), rule.slice or "", "" if rule.kind == "margin" else rule.kind]
                parts = [query_set.role, _id(query_set.name), ",".join(measures), *map(_id, filter(None, narrowed))]
                checks.append(_Check("/".join(parts), query_set.name, measures, *place))
        pinned = pinned or bool(suite.labels[query_set.name].pinned)
    if pinned:
        checks.append(_Check("pinned"))
    checks += [_Check(ceiling.name, kind="ceiling") for ceiling in policy.ceilings]
    # Where no rule applies, the verdict reports the error.
    return checks or [_Check("gate")]


def _id(name: str) -> str:
    """A name as part of a node id: needs no quotes in a shell, and has no `::`."""
    return re.sub(r"[^\w.@+-]+", "-", _inert(name))


# --- the fixture ------------------------------------------------------------------------------------


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """Gates a search function against an accepted baseline: `bench.gate(search)`."""
    return Bench(request)


_SUITES = pytest.StashKey[dict[Path, "Suite"]]()


class Bench:
    """The fixture of one test: gates a search function."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._node: pytest.Item = request.node
        self._config = request.config
        self._baselines: list[Path] = []

    def gate(
        self,
        search: Callable[..., Any],
        *,
        suite: str | Path | None = None,
        baseline: str | Path | None = None,
        margin: float | None = None,
        measures: str | Sequence[str] | None = None,
        depth: int | None = None,
        query_sets: Sequence[str] | None = None,
    ) -> Verdict:
        """Evaluate a search function now, and end the test unless it is no worse than the accepted baseline.

        A regression fails the test. An inconclusive verdict skips the test, or fails it under
        `on_inconclusive = "block"`. With `--bench-accept` the results become the baseline.

        Args:
            search: a function as in kind `python`: `search(text)` or `search(text, depth)`.
            suite: a suite of bench.toml, a bundled one, or a folder, from the folder of bench.toml or of the test.
            baseline: the accepted baseline's file, from the same folder; `baselines/<test name>.json` where None.
            margin: the tolerated drop, instead of every rule's.
            measures: the gated measures, instead of every rule's.
            depth: documents per query; the suite's where None.
            query_sets: held-out and out-of-distribution sets to evaluate; all where None.

        Returns:
            The verdict where it is pass or improved. After `--bench-accept`, the results against themselves.
        """
        __tracebackhide__ = True
        from bench.base.errors import BenchError

        only = {"query_sets": query_sets, "measures": measures}
        try:
            verdict, sentences, against = self._gated(search, suite, baseline, margin, depth, only)
        except BenchError as error:
            sentence = "\n".join([str(error), *_callers_lines(error.__cause__)])
        else:
            _end_test(self._node, sentences, against=against)
            return verdict
        # After the handler: pytest would show an exception raised in it twice.
        _fail_without_verdict(self._node, sentence)

    def _gated(
        self,
        search: Callable[..., Any],
        suite: str | Path | None,
        baseline: str | Path | None,
        margin: float | None,
        depth: int | None,
        only: dict[str, Any],
    ) -> tuple[Verdict, Sentences, str]:
        """The verdict, its sentences, and a sentence on the baseline; `only` are query sets and measures."""
        from bench.base.errors import BaselineError, UsageError
        from bench.gate.verdict import read_baseline
        from bench.project.api import evaluate, judge
        from bench.project.workspace import Workspace
        from bench.records import Policy

        config = _config_path(self._config)
        workspace = Workspace.open(config) if config.is_file() or self._config.getoption("--bench-config") else None
        base = workspace.base if workspace else self._node.path.parent
        path = base / (baseline or f"baselines/{re.sub(r'[^A-Za-z0-9._-]+', '-', self._node.name)}.json")
        if path in self._baselines:
            raise UsageError(f'This test uses {path} twice; give each bench.gate(…) its own: baseline="FILE".')
        self._baselines.append(path)
        reason = self._config.getoption("--bench-accept")
        if reason is None and not path.exists():
            raise BaselineError(
                f"No baseline at {path}. Accept the function's results of now, and commit the file: "
                f'pytest {shlex.quote(self._node.nodeid)} --bench-accept "first baseline"'
            )
        policy = workspace.config.gate.policy() if workspace else Policy()
        name = getattr(search, "__qualname__", type(search).__name__)
        results = evaluate(self._suite(workspace, base, suite), {name: search}, depth=depth, **only)
        gate = functools.partial(judge, results, policy=policy, margin=margin, **only)
        if reason is not None:
            verdict = gate(baseline=results).verdict
            self._accept(path, results, gate, reason)
            return verdict, [("accepted", f"Accepted as {path}.")], ""
        header, accepted = read_baseline(path)
        if baseline is None:
            self._check_owner(path, header)
        verdict = gate(baseline=accepted).verdict
        (sentences,) = _sentences(verdict, [_Check("gate")])
        return verdict, sentences, f"Accepted baseline: {path} ({header.get('reason')}, {header.get('accepted')})."

    def _suite(self, workspace: Workspace | None, base: Path, name: str | Path | None) -> Suite:
        """The suite of a name, or the only one of bench.toml; read once per process."""
        from bench.base.errors import UsageError
        from bench.suites import suite as suites

        names = workspace.config.suites if workspace else []
        if name is None:
            if workspace is None:
                raise UsageError('There is no bench.toml; name a suite: bench.gate(search, suite="FOLDER").')
            if len(names) > 1:
                listed = ", ".join(names)
                raise UsageError(f'{workspace.path} names several suites ({listed}); say which: suite="…".')
            name = names[0]
        name = next((known for known in names if str(name) in (known, Path(known).name)), str(name))
        folder = suites.find(name, relative_to=base)
        loaded = self._config.stash.setdefault(_SUITES, {})
        if folder not in loaded:
            loaded[folder] = suites.load(folder)
        return loaded[folder]

    def _check_owner(self, path: Path, header: dict[str, Any]) -> None:
        """Refuse another test's baseline: its numbers are those of another function."""
        from bench.base.errors import BaselineError

        test = header.get("test")
        if test != self._node.nodeid:
            owner = f"the test {test}" if test else "bench baseline accept"
            raise BaselineError(
                f"{path} was accepted by {owner}, and this is {self._node.nodeid}. Give this test its own: "
                'bench.gate(search, baseline="FILE"). If the test was moved, remove the file and accept anew.'
            )

    def _accept(self, path: Path, results: Sequence[Result], gate: Callable[..., Judged], reason: str) -> None:
        """Write the baseline; refuse another test's, and a candidate that is not shown to be as good."""
        from datetime import UTC, datetime

        from bench import __version__
        from bench.base import git
        from bench.base.errors import BaselineError, NotComparable
        from bench.gate.verdict import baseline_document, read_baseline, write_baseline

        verdict = None
        with _locked(path.parent):
            if path.exists():
                header, accepted = read_baseline(path)
                self._check_owner(path, header)
                # A changed suite is the usual reason to accept anew.
                with contextlib.suppress(NotComparable):
                    verdict = gate(baseline=accepted).verdict
            worse = verdict is not None and verdict.outcome in ("fail", "inconclusive")
            if verdict and worse and not self._config.getoption("--bench-allow-worse"):
                (sentences,) = _sentences(verdict, [_Check("gate")])
                advice = "Not accepted. To accept it all the same: --bench-allow-worse"
                raise BaselineError("\n".join([*_reasons(sentences), advice]))
            document = baseline_document(
                results,
                reason=reason,
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                commit=git.commit(path.parent),
                version=__version__,
                outcome=verdict.outcome if verdict else None,
            )
            document["baseline"]["test"] = self._node.nodeid
            write_baseline(path, document)


def _callers_lines(cause: BaseException | None) -> list[str]:
    """The traceback of an exception in the caller's own code, without frames of this package."""
    if cause is None:
        return []
    import traceback

    ours = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if not frame.filename.startswith(ours)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(cause)]).splitlines()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder among processes: where two tests share a baseline, the second must see the first's."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
