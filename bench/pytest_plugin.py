"""The gate inside pytest: `pytest --bench` has an item per gate rule and query set; `bench` gates a function.

Every run of pytest that finds this package installed loads this file: nothing heavy is imported before it is needed.
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
    from bench.records import Cell, Check, Result, Suite, Verdict

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
    """`--bench` and what belongs to it."""
    group = parser.getgroup("bench", "retrieval gate")
    group.addoption("--bench", action="store_true", help="collect every gate rule of bench.toml as a test")
    group.addoption("--bench-config", metavar="FILE", help="the config file (default: bench.toml in the root folder)")
    group.addoption("--bench-base-ref", metavar="REF", help="take baseline and rules from this git ref")
    group.addoption(
        "--bench-accept", metavar="REASON", help="let what the fixture `bench` finds become the accepted baseline"
    )
    group.addoption("--bench-allow-worse", action="store_true", help="accept a failing or inconclusive candidate")


def pytest_configure(config: pytest.Config) -> None:
    """Make bench.toml one of the places that are collected, whatever else the command line names."""
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
    # Somebody who names one check of this file wants that one alone.
    chosen = any("::" in arg and _absolute(config, arg.split("::")[0]) == path for arg in config.args)
    config.args[:] = [arg for arg in config.args if _absolute(config, arg) != path]
    config.pluginmanager.register(_Collected(path, chosen=chosen), "bench-collected")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line on all checks; built from the reports, which xdist brings from its workers."""
    outcomes = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "bench"
    ]
    found = [outcome for outcome in SEVEREST_FIRST if outcome in outcomes]
    if found:
        counts = [f"{outcomes.count(outcome)} {SEVEREST_FIRST[outcome]}" for outcome in found]
        number, _, word = counts[0].partition(" ")
        counts[0] = f"{number} of {len(outcomes)} check{'s' * (len(outcomes) != 1)} {word}"
        terminalreporter.write_line(f"bench: {found[0]} — {', '.join(counts)}")


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


# --- what is told, and how it ends ------------------------------------------------------------------


class _Check(NamedTuple):
    """What one item stands for: a rule's measures on a query set; without a query set, what its name says."""

    name: str
    query_set: str | None = None
    measures: tuple[str, ...] = ()
    variant: str = ""
    slice: str | None = None
    kind: str = "margin"

    def holds(self, found: Cell | Check) -> int:
        """How surely a cell or check of the verdict is this one's: 2, through a rule for every slice 1, else 0."""
        kind = found.kind if hasattr(found, "kind") else "margin"
        if kind == "ceiling":
            return 2 * (found.name == self.name)
        mine = (self.query_set, self.variant, self.kind) == (found.query_set, found.variant, kind)
        if not mine or found.measure not in self.measures:
            return 0
        return 2 if self.slice == found.slice else int(self.slice == "*" and found.slice is not None)

    def claims(self, where: str) -> int:
        """How much a place in the verdict is this check's: its own 3, its query set 2, within that 1, another's 0."""
        if where == self.name or where in [f"{self.query_set}/{measure}" for measure in self.measures]:
            return 3
        if self.query_set is None:
            return 0
        return 2 if where == self.query_set else int(where.startswith(f"{self.query_set}/"))


Told = list[tuple[str, str]]
"""(outcome or "note", sentence) pairs."""


def _told(verdict: Verdict, checks: Sequence[_Check]) -> list[Told]:
    """All that a verdict says, each sentence under the check it belongs to, or under the first where it is nobody's."""
    told: list[Told] = [[] for _ in checks]

    def tell(where: str, outcome: str, sentence: str) -> None:
        owner = max(range(len(checks)), key=lambda i: checks[i].claims(where))
        told[owner].append((outcome, sentence))

    blocks = verdict.policy.on_inconclusive == "block"
    found: list[Cell | Check] = [*verdict.cells, *verdict.checks]
    for cell in found:
        blocked = cell.outcome == "inconclusive" and (blocks or getattr(cell, "softened", False))
        owner = max(range(len(checks)), key=lambda i: checks[i].holds(cell))
        told[owner].append(("fail" if blocked else cell.outcome or "fail", cell.reason))
    for finding in verdict.findings:
        kept = "pass" if finding.where in [check.name for check in checks] else "note"
        tell(finding.where, "fail" if finding.severity == "error" else kept, finding.message)
    too_small = {finding.where for finding in verdict.findings if finding.code == "slice-too-small"}
    for check, mine in zip(checks, told, strict=True):
        if check.slice == "*" and not mine and check.query_set in too_small:
            mine.append(("inconclusive", f"No slice of {check.query_set} is large enough to be gated."))
    if verdict.exit_code and not any(outcome == "fail" for mine in told for outcome, _ in mine):
        told[0].append(("fail", f"The verdict is {verdict.outcome}; see: bench gate"))
    return told


def _conclude(node: pytest.Item, told: Told, *, against: str = "") -> None:
    """End a test as its sentences say; return where it passes."""
    __tracebackhide__ = True
    worst = next((outcome for outcome in SEVEREST_FIRST if outcome in [outcome for outcome, _ in told]), None)
    if worst is None:
        _unjudged(node, f"The verdict says nothing on {node.name}; it was not judged.")
    node.user_properties.append(("bench", worst))
    notes = [sentence for outcome, sentence in told if outcome in ("note", "accepted")]
    if notes:
        node.add_report_section("call", "bench", _inert("\n".join(notes)))
    reasons = [sentence for outcome, sentence in told if outcome in ("fail", "inconclusive")]
    sentences = _inert("\n".join([*reasons, *filter(None, [against])]))
    if worst == "fail":
        pytest.fail(sentences, pytrace=False)
    if worst == "inconclusive":
        pytest.skip(sentences)


def _unjudged(node: pytest.Item, sentence: str) -> NoReturn:
    """Fail a test for which there is no verdict."""
    __tracebackhide__ = True
    node.user_properties.append(("bench", "error"))
    pytest.fail(_inert(sentence), pytrace=False)


def _inert(text: str) -> str:
    from bench.report.forms.terminal import inert

    return "\n".join(inert(line, 2000) for line in text.split("\n"))


# --- pytest --bench ---------------------------------------------------------------------------------


class _Collected:
    """Adds the config file to what is collected; where single checks of it are `chosen`, pytest asks for the file."""

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
        found: pytest.Collector = _ConfigFile.from_parent(parent, path=self.path)
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A skipped item is shown where its rule stands, not in this file."""
        report = yield
        if isinstance(item, _Item) and report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report


class _ConfigFile(pytest.File):
    """bench.toml: one item per rule and query set, and one for the pinned queries."""

    checks: Sequence[_Check] = ()

    def collect(self) -> Iterator[pytest.Item]:
        """The items. Reads config and suite and judges nothing."""
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
        """End as the verdict says; the first item to run asks for it."""
        from bench.base.errors import BenchError

        judged = _verdict(self.config, self.path)
        if isinstance(judged, BenchError):
            _unjudged(self, str(judged))
        _conclude(self, _told(judged, self.parent.checks)[self.number])

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands."""
        return self.path, 0, self.name


_VERDICTS = pytest.StashKey[dict[Path, "Verdict | BenchError"]]()


def _verdict(config: pytest.Config, path: Path) -> Verdict | BenchError:
    """The whole gate's verdict, or why there is none; judged once per process, because Holm looks at all cells."""
    from bench.base.errors import BenchError

    found = config.stash.setdefault(_VERDICTS, {})
    if path not in found:
        try:
            found[path] = _judged(path, config.getoption("--bench-base-ref"))
        except BenchError as error:
            found[path] = error
    return found[path]


def _judged(path: Path, base_ref: str | None) -> Verdict:
    """The verdict on the stored results of the gated system, as `bench gate` gives it."""
    from bench.project.api import open_project

    return open_project(path, base_ref=base_ref).gate().verdict


def _checks(path: Path) -> list[_Check]:
    """What the gate of a config will check, from its rules and the suite's query sets.

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
            measures = tuple(measure for measure in rule.measures if owner[(*place, measure)] is rule)
            if measures:
                narrowed = [rule.variant.strip("@"), rule.slice or "", "" if rule.kind == "margin" else rule.kind]
                parts = [query_set.role, _id(query_set.name), ",".join(measures), *map(_id, filter(None, narrowed))]
                checks.append(_Check("/".join(parts), query_set.name, measures, *place))
        pinned = pinned or bool(suite.labels[query_set.name].pinned)
    if pinned:
        checks.append(_Check("pinned"))
    checks += [_Check(ceiling.name, kind="ceiling") for ceiling in policy.ceilings]
    # A gate to which no rule applies is an error, and the verdict's to tell.
    return checks or [_Check("gate")]


def _id(name: str) -> str:
    """A name as part of a node id: a shell passes it on unquoted, and no `::` splits it."""
    return re.sub(r"[^\w.@+-]+", "-", _inert(name))


# --- the fixture ------------------------------------------------------------------------------------


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """Gates a search function against an accepted baseline: `bench.gate(search)`."""
    return Bench(request)


_SUITES = pytest.StashKey[dict[Path, "Suite"]]()


class Bench:
    """What a test asks to gate a function; one per test."""

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

        A regression fails the test. Where nothing can be told, the test is skipped, or fails under
        `on_inconclusive = "block"`. With `--bench-accept` what is found becomes the baseline.

        Args:
            search: a function as in kind `python`: `search(text)` or `search(text, depth)`.
            suite: a suite of bench.toml, a bundled one, or a folder, from the folder of bench.toml or of the test.
            baseline: the accepted baseline's file, from the same folder; `baselines/<test name>.json` where None.
            margin: the drop tolerated, instead of every rule's.
            measures: what is gated, instead of every rule's.
            depth: documents asked of the function; the suite's where None.
            query_sets: held-out and out-of-distribution sets to evaluate; all where None.

        Returns:
            The verdict where it is pass or improved. After `--bench-accept`, what was accepted against itself.
        """
        __tracebackhide__ = True
        from bench.base.errors import BenchError

        try:
            judged, told, against = self._gated(search, suite, baseline, margin, measures, depth, query_sets)
        except BenchError as error:
            sentence = "\n".join([str(error), *_callers_lines(error.__cause__)])
        else:
            _conclude(self._node, told, against=against)
            return judged
        # Outside of the handler, or pytest would tell it twice.
        _unjudged(self._node, sentence)

    def _gated(
        self,
        search: Callable[..., Any],
        suite: str | Path | None,
        baseline: str | Path | None,
        margin: float | None,
        measures: str | Sequence[str] | None,
        depth: int | None,
        query_sets: Sequence[str] | None,
    ) -> tuple[Verdict, Told, str]:
        """The verdict, its sentences, and a sentence on the baseline."""
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
                f"No baseline at {path}. Accept what the function finds now, and commit the file: "
                f'pytest {shlex.quote(self._node.nodeid)} --bench-accept "first baseline"'
            )
        policy = workspace.config.gate.policy() if workspace else Policy()
        loaded = self._suite(workspace, base, suite)
        name = getattr(search, "__qualname__", type(search).__name__)
        results = evaluate(loaded, {name: search}, query_sets=query_sets, measures=measures, depth=depth)
        gate = functools.partial(judge, results, policy=policy, query_sets=query_sets, measures=measures, margin=margin)
        if reason is not None:
            verdict = gate(baseline=results).verdict
            self._accept(path, results, gate, reason)
            return verdict, [("accepted", f"Accepted as {path}.")], ""
        header, accepted = read_baseline(path)
        if baseline is None:
            self._own(path, header)
        verdict = gate(baseline=accepted).verdict
        (told,) = _told(verdict, [_Check("gate")])
        return verdict, told, f"Accepted baseline: {path} ({header.get('reason')}, {header.get('accepted')})."

    def _suite(self, workspace: Workspace | None, base: Path, given: str | Path | None) -> Suite:
        """The suite meant, read once per process."""
        from bench.base.errors import UsageError
        from bench.suites import suite as suites

        loaded = self._config.stash.setdefault(_SUITES, {})
        if given is None:
            if workspace is None:
                raise UsageError('There is no bench.toml; name a suite: bench.gate(search, suite="FOLDER").')
            if len(workspace.config.suites) > 1:
                several = ", ".join(workspace.config.suites)
                raise UsageError(f'{workspace.path} names several suites ({several}); say which: suite="…".')
            given = workspace.config.suites[0]
        names = workspace.config.suites if workspace else []
        name = next((name for name in names if str(given) in (name, Path(name).name)), str(given))
        folder = suites.find(name, relative_to=base)
        if folder not in loaded:
            loaded[folder] = suites.load(folder)
        return loaded[folder]

    def _own(self, path: Path, header: dict[str, Any]) -> None:
        """Refuse another test's baseline: its numbers would be those of another function."""
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
        from bench.base.errors import NotComparable
        from bench.gate.verdict import baseline_document, read_baseline, write_baseline

        outcome = None
        with _alone(path.parent):
            if path.exists():
                header, accepted = read_baseline(path)
                self._own(path, header)
                # A changed suite is the very reason to accept anew.
                with contextlib.suppress(NotComparable):
                    outcome = self._outcome(gate(baseline=accepted).verdict)
            document = baseline_document(
                results,
                reason=reason,
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                commit=git.commit(path.parent),
                version=__version__,
                outcome=outcome,
            )
            document["baseline"]["test"] = self._node.nodeid
            write_baseline(path, document)

    def _outcome(self, judged: Verdict) -> str:
        """The verdict's outcome; refused where it is not shown to be as good, unless that was asked for."""
        from bench.base.errors import BaselineError

        allowed = self._config.getoption("--bench-allow-worse")
        if judged.outcome in ("fail", "inconclusive") and not allowed:
            (told,) = _told(judged, [_Check("gate")])
            reasons = [sentence for outcome, sentence in told if outcome in ("fail", "inconclusive")]
            way_out = "Not accepted. To accept it all the same: --bench-allow-worse"
            raise BaselineError("\n".join([*reasons, way_out]))
        return judged.outcome


def _callers_lines(cause: BaseException | None) -> list[str]:
    """Where the caller's own code raised an exception, without our frames."""
    if cause is None:
        return []
    import traceback

    ours = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if not frame.filename.startswith(ours)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(cause)]).splitlines()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder among processes, so that of two tests with one baseline the second sees the first's."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
