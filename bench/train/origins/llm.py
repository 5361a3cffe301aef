"""Queries that a language model writes for passages, from any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Coroutine, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from bench.base.errors import ConfigError, PairsError, did_you_mean, excerpt
from bench.base.json_records import JsonRecord
from bench.config import Strict
from bench.records import Corpus, digest_texts
from bench.suites.checks import leaks
from bench.train.llm import Answers, Batch, Budget, Endpoint, Job, Outcome, Pace, Price, Spent, Unusable, api_key
from bench.train.llm import estimated_tokens as tokens_of
from bench.train.llm.client import Client
from bench.train.origins import Context
from bench.train.pairs import Pair
from bench.train.synthesize import STYLES, TEMPLATE, Prompt, cut, unknown_placeholders

TOKENS_A_QUERY = 45
"""What a query and the JSON around it are taken for until a server has counted some."""

Result = TypeVar("Result")
Positive = Annotated[int, Field(ge=1)]


class PriceConfig(Strict):
    """US dollars per million tokens, who says so, and when."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = Field(min_length=1)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


class BudgetConfig(Strict):
    """Limits on all runs of the job together."""

    requests: Positive | None = None
    tokens: Positive | None = None
    usd: float | None = Field(default=None, gt=0)


class Config(Strict):
    """One entry of `from` of the kind `llm`."""

    kind: Literal["llm"]
    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str = ""
    plain_http: bool = False
    corpus: str = ""
    passages: Positive | None = None
    stratify: str = "length"
    min_passage_chars: int = Field(default=80, ge=1)
    max_passage_chars: int = Field(default=6000, ge=200)
    per_passage: int = Field(default=3, ge=1, le=20)
    wordings: dict[str, str] = Field(default={})
    styles: list[str] = Field(default=["question", "keywords", "statement", "colloquial"], min_length=1)
    template: str | None = None
    language: str = Field(default="", pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]+)*)?$")
    min_query_chars: int = Field(default=8, ge=1)
    max_query_chars: int = Field(default=400, ge=10)
    weight: float = Field(default=1.0, gt=0, le=1)
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: Positive | None = 800
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, Any] = Field(default={})
    response_format: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    concurrency: int = Field(default=4, ge=1, le=256)
    timeout_s: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=4, ge=1, le=20)
    give_up_after: int = Field(default=8, ge=1)
    asks_again: int = Field(default=2, ge=0, le=10)
    price: PriceConfig | None = None
    budget: BudgetConfig | None = None

    @field_validator("stratify")
    @classmethod
    def _known_strata(cls, value: str) -> str:
        if value in ("length", "none"):
            return value
        if not value.startswith("id:"):
            raise ValueError(
                'expected length, none, or "id:" and a regular expression that begins the ids of a stratum'
            )
        try:
            re.compile(value[3:])
        except re.error as problem:
            raise ValueError(f"not a regular expression: {problem}") from None
        return value

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(set(extra) & {"model", "messages", "response_format", "stream", "n"})
        if ours:
            raise ValueError(f"{', '.join(ours)} cannot be set here")
        try:
            json.dumps(extra, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("expected values that JSON has: texts, numbers, booleans, lists and tables") from None
        return extra

    # One validator a key: an error shows what stands there, and the whole table may hold an address with a password.
    @field_validator("styles")
    @classmethod
    def _worded(cls, styles: list[str], found: ValidationInfo) -> list[str]:
        known = {**STYLES, **found.data.get("wordings", {})}
        for style in styles:
            if style not in known:
                raise ValueError(
                    f'"{style}" has no wording; expected some of {", ".join(known)}, or one that stands under '
                    f"wordings.{did_you_mean(style, known)}"
                )
        if len(set(styles)) != len(styles):
            raise ValueError("a style stands there twice")
        return styles

    @field_validator("budget")
    @classmethod
    def _priced(cls, budget: BudgetConfig | None, found: ValidationInfo) -> BudgetConfig | None:
        if budget and budget.usd is not None and found.data.get("price") is None:
            raise ValueError("usd needs a price: { input, output, source, date }, US dollars per million tokens")
        return budget

    @property
    def parameters(self) -> dict[str, Any]:
        """What goes into the request beside model, messages and format, and so into the answers' digest."""
        ours: dict[str, Any] = {} if self.temperature is None else {"temperature": self.temperature}
        if self.max_tokens is not None:
            ours[self.max_tokens_key] = self.max_tokens
        return ours | self.extra


@dataclass(frozen=True)
class _Passage:
    doc_id: str
    document: str
    asked: str
    job: Job


@dataclass(frozen=True)
class _Plan:
    """What is to be asked, and what is known already: `known` has the outcome of each key that the store answers."""

    endpoint: Endpoint
    corpus: Corpus
    prompt: Prompt
    passages: tuple[_Passage, ...]
    answers: Answers
    known: dict[str, Outcome]

    @property
    def holes(self) -> list[Job]:
        """Questions without an answer, each once."""
        return list({p.job.key: p.job for p in self.passages if p.job.key not in self.known}.values())


@dataclass(frozen=True)
class Estimate(JsonRecord):
    """What a run would cost at most a little more than: re-asked and retried requests are not in it.

    `basis` says where the tokens come from, `price` whose price it is; `spent` is what earlier runs have cost.
    `price_usd` is None where no price is known; `over` names the limit of the budget that would end the run.
    """

    passages: int
    answered: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    price_usd: float | None
    basis: str
    price: str
    spent: Spent
    over: str


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """Pairs in the order of the passages chosen; what was paid for, kept and lost is in the context's counts.

    Answers are kept in the store as they arrive, and the same question is not asked twice. Passages that bring no
    usable answer are left out and counted by reason; a later run asks about these alone.

    Raises:
        ConfigError: the key's variable is not set, or a file, a corpus or an address will not do.
        PairsError: there is no passage to ask about, or not one has an answer.
        StoreError: another process has been asking the same for an hour.
    """
    plan = _plan(config, context)
    if not plan.passages:
        raise PairsError(
            f'Corpus "{plan.corpus.name}" has no passage to ask about: of {len(plan.corpus.ids)} none has '
            f"{config.min_passage_chars} characters and is free of evaluation. Lower min_passage_chars, or name "
            f"another corpus."
        )
    outcomes = plan.known
    if plan.holes:
        key = api_key(plan.endpoint)
        with context.store.lock(f"llm-{plan.answers.digest}"):
            # Another process may have answered some of them meanwhile.
            plan = replace(plan, known=_known(plan.passages, plan.answers))
            outcomes = plan.known | _ask(config, context, plan, key)
    context.count("passages chosen", len(plan.passages))
    context.this_run["passages answered in an earlier run"] = sum(p.job.key in plan.known for p in plan.passages)
    for passage in plan.passages:
        if lost := outcomes[passage.job.key].lost:
            context.count(f"passages lost: {lost}")
    if not any(outcomes[p.job.key].text is not None for p in plan.passages):
        raise PairsError(_nothing(plan, outcomes))
    for passage in plan.passages:
        yield from _pairs_of(passage, outcomes[passage.job.key], config, plan)


def estimate(config: Config, context: Context) -> Estimate:
    """What a run would ask and cost, without asking anything."""
    plan = _plan(config, context)
    holes = plan.holes
    measured, ratio, completion = plan.answers.measured()
    guessed = sum(tokens_of(message["content"]) + 4 for job in holes for message in job.messages)
    prompt_tokens = math.ceil(guessed * ratio)
    completion_tokens = math.ceil(len(holes) * (completion or config.per_passage * TOKENS_A_QUERY))
    price, budget = _price(config), _budget(config)
    usd = (prompt_tokens * price.input + completion_tokens * price.output) / 1e6 if price else None
    spent = plan.answers.spent()
    planned = Spent(len(holes), prompt_tokens, completion_tokens, 0, usd or 0.0)
    return Estimate(
        passages=len(plan.passages),
        answered=sum(p.job.key in plan.known for p in plan.passages),
        requests=len(holes),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        price_usd=usd,
        basis=f"tokens as the server counted them in {measured} answers"
        if measured
        else f"rule of thumb: a token for four ASCII or one other character, {TOKENS_A_QUERY} a query",
        price=f"{price.source}, {price.date}" if price else "not given",
        spent=spent,
        over=budget.exceeded_by(spent + planned),
    )


# --- what is asked ---------------------------------------------------------------------------------


def _plan(config: Config, context: Context) -> _Plan:
    endpoint = Endpoint(config.base_url, config.model, config.api_key_env, config.timeout_s, config.plain_http)
    if config.budget is None and not endpoint.loopback:
        raise ConfigError(
            f"{endpoint.host} is not this machine and may ask for money, and budget is missing; expected a limit, such "
            f"as budget = {{ requests = 1000 }}. See what a run would take with --dry-run."
        )
    corpus = _corpus(config, context)
    prompt = _prompt(config, context)
    answers = Answers(
        context.store,
        {"model": config.model, "prompt_digest": prompt.digest, "prompt": prompt.spec, "parameters": config.parameters},
    )
    held = _held(corpus, context)
    if held:
        context.count("documents not asked about, because evaluation holds them", len(held))
    passages = []
    for row in chosen(corpus, config, context.seed, held):
        asked = cut(corpus.texts[row], config.max_passage_chars)
        passages.append(_Passage(corpus.ids[row], corpus.texts[row], asked, prompt.job(asked)))
    return _Plan(endpoint, corpus, prompt, tuple(passages), answers, _known(passages, answers))


def _known(passages: Sequence[_Passage], answers: Answers) -> dict[str, Outcome]:
    known = {}
    for passage in passages:
        answer = answers.read(passage.job.key)
        if answer is not None and _passes(passage.job, answer["text"]):
            known[passage.job.key] = Outcome(passage.job.key, answer["text"], answer["model"])
    return known


def _held(corpus: Corpus, context: Context) -> frozenset[int]:
    """Rows that no pair may be made of: the filters would remove it, and it would have been paid for."""
    places = [(corpus.name, doc_id) for doc_id in corpus.ids]
    found = leaks([context.suite], [""] * len(places), corpus.texts, places, progress=context.progress)
    return frozenset(leak.row for leak in found)


def _corpus(config: Config, context: Context) -> Corpus:
    corpora = context.suite.corpora
    name = config.corpus or (next(iter(corpora)) if len(corpora) == 1 else "")
    if name not in corpora:
        said = f'corpus is "{name}"' if name else "corpus is missing"
        hint = did_you_mean(name, corpora)
        raise ConfigError(
            f'A table of [pairs] of kind llm: {said}; suite "{context.suite.name}" has {", ".join(corpora)}. '
            f"Name the one whose passages are asked about.{hint}"
        )
    return corpora[name]


def _prompt(config: Config, context: Context) -> Prompt:
    template = TEMPLATE
    if config.template is not None:
        path = context.base / config.template
        try:
            template = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{path} cannot be read: {problem}. It is what template names.") from None
        unknown = unknown_placeholders(template)
        missing = [name for name in ("passage", "styles") if f"{{{{{name}}}}}" not in template]
        if unknown or missing:
            found = f"holds {{{{{unknown[0]}}}}}" if unknown else f"lacks {{{{{missing[0]}}}}}"
            raise ConfigError(
                f"{path} {found}; expected {{{{passage}}}} and {{{{styles}}}}, and {{{{n}}}}, {{{{language}}}}, "
                f"{{{{mark}}}} where wanted."
            )
    wordings = {**STYLES, **config.wordings}
    return Prompt(
        {style: wordings[style] for style in config.styles},
        config.per_passage,
        template=template,
        language=config.language,
        min_chars=config.min_query_chars,
        max_chars=config.max_query_chars,
    )


def chosen(corpus: Corpus, config: Config, seed: int, held: Set[int] = frozenset()) -> list[int]:
    """Rows of the passages to ask about: none that is held, seeded, each stratum in proportion.

    The order is one for all sizes: 200 passages are the 100 of a smaller run and 100 more.
    """
    least = config.min_passage_chars
    rows = [row for row, text in enumerate(corpus.texts) if row not in held and len(text.strip()) >= least]
    strata: dict[object, list[int]] = {}
    for row, stratum in zip(rows, _strata(corpus, rows, config.stratify), strict=True):
        strata.setdefault(stratum, []).append(row)
    placed = []
    for members in strata.values():
        drawn = sorted((digest_texts([(str(seed), corpus.ids[row])]), row) for row in members)
        placed += [((i + 0.5) / len(drawn), lot, row) for i, (lot, row) in enumerate(drawn)]
    return [row for _, _, row in sorted(placed)][: config.passages]


def _strata(corpus: Corpus, rows: Sequence[int], by: str) -> list[object]:
    if by == "none":
        return [None] * len(rows)
    if by == "length":
        ranked = sorted(rows, key=lambda row: (len(corpus.texts[row]), row))
        quarter = {row: 4 * place // len(ranked) for place, row in enumerate(ranked)}
        return [quarter[row] for row in rows]
    pattern = re.compile(by[3:])
    return [found[0] if (found := pattern.match(corpus.ids[row])) else None for row in rows]


# --- asking ----------------------------------------------------------------------------------------


def _price(config: Config) -> Price | None:
    return Price(**dict(config.price)) if config.price else None


def _budget(config: Config) -> Budget:
    return Budget(**dict(config.budget)) if config.budget else Budget()


def _passes(job: Job, text: str) -> bool:
    try:
        job.check(text)
    except Unusable:
        return False
    return True


def _ask(config: Config, context: Context, plan: _Plan, key: str) -> dict[str, Outcome]:
    jobs = plan.holes
    batch = Batch(
        Client(plan.endpoint, key),
        plan.answers,
        pace(config, context.seed),
        _budget(config),
        _price(config),
        config.parameters,
        concurrency=config.concurrency,
        attempts=config.attempts,
        asks_again=config.asks_again,
        response_format=config.response_format,
        completion_tokens=config.max_tokens or 2 * config.per_passage * TOKENS_A_QUERY,
    )
    outcomes = _finished(batch.run(jobs, lambda done: context.progress("asking the language model", done, len(jobs))))
    spent, total = batch.spent, batch.earlier + batch.spent
    context.this_run |= {
        "requests": spent.requests,
        "prompt tokens": spent.prompt_tokens,
        "completion tokens": spent.completion_tokens,
        "of these tokens, estimated because the server counted none": spent.estimated_tokens,
        "requests over all runs": total.requests,
        "tokens over all runs": total.tokens,
    }
    if config.price:
        context.this_run |= {"US dollars": spent.price_usd, "US dollars over all runs": total.price_usd}
    return {outcome.key: _explained(outcome, batch.details) for outcome in outcomes}


def _explained(outcome: Outcome, details: Mapping[str, str]) -> Outcome:
    """The server's words beside the first fault of each kind: "HTTP 400" alone tells nobody what to mend."""
    detail = details.get(outcome.lost)
    return replace(outcome, lost=f"{outcome.lost} ({excerpt(detail, 160)})") if detail else outcome


def pace(config: Config, seed: int) -> Pace:
    """Backoff and circuit breaker of a batch. Tests put one without waiting in its place."""
    return Pace(give_up_after=config.give_up_after, seed=seed)


def _finished(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, also where a notebook's event loop runs in this thread already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


def _nothing(plan: _Plan, outcomes: dict[str, Outcome]) -> str:
    reasons: dict[str, int] = {}
    for passage in plan.passages:
        lost = outcomes[passage.job.key].lost
        reasons[lost] = reasons.get(lost, 0) + 1
    said = "; ".join(f"{n} × {reason}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1]))
    return (
        f"{plan.endpoint.base_url}, model {plan.endpoint.model}: not one of {len(plan.passages)} passages has an "
        f"answer ({said}). Mend that and run again: nothing that was paid for is asked anew."
    )


def _pairs_of(passage: _Passage, outcome: Outcome, config: Config, plan: _Plan) -> Iterator[Pair]:
    if outcome.text is None:
        return
    for query in plan.prompt.queries(outcome.text, passage.asked):
        yield Pair(
            "llm-" + digest_texts([(passage.doc_id, query.style, query.text)])[:16],
            query.text,
            passage.doc_id,
            passage.document,
            plan.corpus.name,
            "llm",
            weight=config.weight,
            provenance={
                "model": outcome.model,
                "prompt": plan.prompt.digest,
                "style": query.style,
                "answer": f"llm/{plan.answers.digest}/{passage.job.key}",
            },
        )
