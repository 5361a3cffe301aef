"""Queries that a language model writes for passages, by any server of OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from bench.base.errors import ConfigError, PairsError, did_you_mean, excerpt
from bench.base.json_records import JsonRecord
from bench.records import Corpus, digest_texts
from bench.retrieval.remote import Endpoint, Pace, api_key
from bench.suites.checks import leaks
from bench.train.llm.batch import TOKENS_A_MESSAGE, Batch, Client, Job, Outcome, ServerConfig, Unusable
from bench.train.llm.ledger import AnswerStore, Budget, Spent, estimated_tokens
from bench.train.origins import Context
from bench.train.pairs import Pair
from bench.train.synthesize import STYLES, TEMPLATE, Prompt, cut, unknown_placeholders

TOKENS_A_QUERY = 45
"""Tokens of a query with the JSON around it, until a server has counted some."""

Result = TypeVar("Result")
Positive = Annotated[int, Field(ge=1)]


class Config(ServerConfig):
    """One entry of `from` of the kind `llm`."""

    kind: Literal["llm"]
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

    @field_validator("styles")
    @classmethod
    def _worded(cls, styles: list[str], info: ValidationInfo) -> list[str]:
        known = {**STYLES, **info.data.get("wordings", {})}
        for style in styles:
            if style not in known:
                raise ValueError(
                    f'"{style}" has no wording; expected some of {", ".join(known)}, or one that stands under '
                    f"wordings.{did_you_mean(style, known)}"
                )
        if len(set(styles)) != len(styles):
            raise ValueError("a style stands there twice")
        return styles


@dataclass(frozen=True)
class _Passage:
    """A passage to write queries for; `text` is its document's, cut to the length of a prompt."""

    doc_id: str
    document: str
    text: str
    job: Job


@dataclass(frozen=True)
class _Plan:
    """The questions of a run, and the outcomes that the store has already, by the questions' keys."""

    endpoint: Endpoint
    corpus: Corpus
    prompt: Prompt
    passages: tuple[_Passage, ...]
    answers: AnswerStore
    known: dict[str, Outcome]

    @property
    def jobs(self) -> list[Job]:
        """Questions without an answer, each once."""
        return list({p.job.key: p.job for p in self.passages if p.job.key not in self.known}.values())

    @property
    def n_known(self) -> int:
        """Passages with an answer in the store."""
        return sum(passage.job.key in self.known for passage in self.passages)


@dataclass(frozen=True)
class Estimate(JsonRecord):
    """The likely cost of a run; repeated and retried requests would come on top.

    `basis` says how tokens were estimated, `price` where the price is from; `spent` is the cost of earlier runs.
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
    """Pairs in the order of the passages chosen; the context's counts say what was answered and lost.

    Answers are kept in the store as they arrive, and the same question is not asked twice. Passages without a usable
    answer are left out and counted by reason; a later run asks about these alone.

    Raises:
        ConfigError: the key's variable is not set, or a file, a corpus or an address cannot be used.
        PairsError: there is no passage to ask about, or no answer at all.
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
    if plan.jobs:
        key = api_key(plan.endpoint)
        with context.store.lock(f"llm-{plan.answers.digest}"):
            # Another process may have answered some of them meanwhile.
            plan = replace(plan, known=_known(plan.passages, plan.answers))
            outcomes = plan.known | _ask(config, context, plan, key)
    context.count("passages chosen", len(plan.passages))
    context.this_run["passages answered in an earlier run"] = plan.n_known
    lost = Counter(outcomes[passage.job.key].lost for passage in plan.passages)
    for reason in filter(None, lost):
        context.count(f"passages lost: {reason}", lost[reason])
    if not lost[""]:
        reasons = "; ".join(f"{n} × {reason}" for reason, n in lost.most_common())
        raise PairsError(
            f"{plan.endpoint.base_url}, model {plan.endpoint.model}: not one of {len(plan.passages)} passages has an "
            f"answer ({reasons}). Mend that and run again: nothing that was paid for is asked anew."
        )
    for passage in plan.passages:
        outcome = outcomes[passage.job.key]
        for query in plan.prompt.queries(outcome.text, passage.text) if outcome.text is not None else ():
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


def estimate(config: Config, context: Context) -> Estimate:
    """The requests and the likely cost of a run, without a request."""
    plan = _plan(config, context)
    jobs, price, spent = plan.jobs, config.price, plan.answers.spent()
    measured, ratio, completion = plan.answers.measured()
    messages = [message["content"] for job in jobs for message in job.messages]
    prompt_tokens = math.ceil(sum(estimated_tokens(text) + TOKENS_A_MESSAGE for text in messages) * ratio)
    completion_tokens = math.ceil(len(jobs) * (completion or config.per_passage * TOKENS_A_QUERY))
    usd = (prompt_tokens * price.input + completion_tokens * price.output) / 1e6 if price else None
    planned = Spent(len(jobs), prompt_tokens, completion_tokens, 0, usd or 0.0)
    return Estimate(
        passages=len(plan.passages),
        answered=plan.n_known,
        requests=len(jobs),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        price_usd=usd,
        basis=f"tokens as the server counted them in {measured} answers"
        if measured
        else f"rule of thumb: a token for four ASCII or one other character, {TOKENS_A_QUERY} a query",
        price=f"{price.source}, {price.date}" if price else "not given",
        spent=spent,
        over=(config.budget or Budget()).exceeded_by(spent + planned),
    )


def _plan(config: Config, context: Context) -> _Plan:
    endpoint = Endpoint(config.base_url, config.model, config.api_key_env, config.timeout_s, config.plain_http)
    if config.budget is None and not endpoint.loopback:
        raise ConfigError(
            f"{endpoint.host} is not this machine and may ask for money, and budget is missing; expected a limit, such "
            f"as budget = {{ requests = 1000 }}. See what a run would take with --dry-run."
        )
    corpora = context.suite.corpora
    name = config.corpus or (next(iter(corpora)) if len(corpora) == 1 else "")
    if name not in corpora:
        problem = f'corpus is "{name}"' if name else "corpus is missing"
        raise ConfigError(
            f'A table of [pairs] of kind llm: {problem}; suite "{context.suite.name}" has {", ".join(corpora)}. '
            f"Name the one whose passages are asked about.{did_you_mean(name, corpora)}"
        )
    corpus, prompt = corpora[name], _prompt(config, context)
    answers = AnswerStore(
        context.store,
        {"model": config.model, "prompt_digest": prompt.digest, "prompt": prompt.spec, "parameters": config.parameters},
    )
    # The filters would remove pairs of these documents after they had been paid for.
    places = [(corpus.name, doc_id) for doc_id in corpus.ids]
    leaked = leaks([context.suite], [""] * len(places), corpus.texts, places, progress=context.progress)
    protected = frozenset(leak.row for leak in leaked)
    if protected:
        context.count("documents not asked about, because evaluation holds them", len(protected))
    passages = []
    for row in chosen(corpus, config, context.seed, protected):
        text = cut(corpus.texts[row], config.max_passage_chars)
        passages.append(_Passage(corpus.ids[row], corpus.texts[row], text, prompt.job(text)))
    return _Plan(endpoint, corpus, prompt, tuple(passages), answers, _known(passages, answers))


def _known(passages: Sequence[_Passage], answers: AnswerStore) -> dict[str, Outcome]:
    """Outcomes by key, of the stored answers that pass."""
    known = {}
    for passage in passages:
        job = passage.job
        answer = answers.read(job.key)
        if answer is not None:
            with contextlib.suppress(Unusable):
                job.check(answer["text"])
                known[job.key] = Outcome(job.key, answer["text"], answer["model"])
    return known


def _prompt(config: Config, context: Context) -> Prompt:
    template = TEMPLATE
    if config.template is not None:
        path = context.base / config.template
        try:
            template = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{path} cannot be read: {problem}. It is what template names.") from None
        problems = [f"holds {{{{{name}}}}}" for name in unknown_placeholders(template)]
        problems += [f"lacks {{{{{name}}}}}" for name in ("passage", "styles") if f"{{{{{name}}}}}" not in template]
        if problems:
            raise ConfigError(
                f"{path} {problems[0]}; expected {{{{passage}}}} and {{{{styles}}}}, and {{{{n}}}}, {{{{language}}}}, "
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


def chosen(corpus: Corpus, config: Config, seed: int, protected: Set[int] = frozenset()) -> list[int]:
    """Rows of the passages to ask about: drawn with the seed, each stratum in proportion, protected rows left out.

    The order is the same for all sizes: 200 passages are the 100 of a smaller run and 100 more.
    """
    least = config.min_passage_chars
    rows = [row for row, text in enumerate(corpus.texts) if row not in protected and len(text.strip()) >= least]
    strata: dict[object, list[int]] = {}
    if config.stratify == "length":
        for place, row in enumerate(sorted(rows, key=lambda row: (len(corpus.texts[row]), row))):
            strata.setdefault(4 * place // len(rows), []).append(row)
    else:
        pattern = re.compile(config.stratify[3:] if config.stratify != "none" else "")
        for row in rows:
            strata.setdefault(match[0] if (match := pattern.match(corpus.ids[row])) else None, []).append(row)
    ranked = []
    for members in strata.values():
        drawn = sorted((digest_texts([(str(seed), corpus.ids[row])]), row) for row in members)
        ranked += [((i + 0.5) / len(drawn), lot, row) for i, (lot, row) in enumerate(drawn)]
    return [row for _, _, row in sorted(ranked)][: config.passages]


def _ask(config: Config, context: Context, plan: _Plan, key: str) -> dict[str, Outcome]:
    """Outcomes by key, of the questions without an answer."""
    jobs = plan.jobs
    batch = Batch(
        Client(plan.endpoint, key),
        plan.answers,
        pace(config, context.seed),
        config,
        config.max_tokens or 2 * config.per_passage * TOKENS_A_QUERY,
    )
    outcomes = _run(batch.run(jobs, lambda done: context.progress("asking the language model", done, len(jobs))))
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

    def explained(outcome: Outcome) -> Outcome:
        # The server's words beside the first fault of each kind: "HTTP 400" alone does not say what to mend.
        detail = batch.details.get(outcome.lost)
        return replace(outcome, lost=f"{outcome.lost} ({excerpt(detail, 160)})") if detail else outcome

    return {outcome.key: explained(outcome) for outcome in outcomes}


def pace(config: Config, seed: int) -> Pace:
    """Backoff and circuit breaker of a batch; tests replace it with one that does not wait."""
    return Pace(give_up_after=config.give_up_after, seed=seed)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, also where a notebook's event loop runs in this thread already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
