"""Many questions to one server: concurrently, each until its answer passes, within budget, until the server is down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.retrieval.remote import Fault, Pace, Stopped
from bench.train.llm.answers import Answers
from bench.train.llm.budget import Budget, Price, Spent, estimated_tokens
from bench.train.llm.client import Answer, Client

FORMATS = ("json_schema", "json_object", "none")
"""How JSON can be asked for, the strictest first."""
MOST_ECHOED = 2000
"""Characters of a bad answer that the model is shown again."""


TOKENS_A_MESSAGE = 4
"""What the chat format adds to each message, in OpenAI's; others add about as much."""
UNKNOWN_FORM = (400, 422)
"""What a server answers that does not know a way to ask for JSON."""


class Unusable(Exception):
    """An answer that does not pass: `reason` to count by; the text says what is wrong, and the model is told it."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


@dataclass(frozen=True)
class Job:
    """One question. `check` raises Unusable where an answer will not do; `schema` is the answer's JSON Schema."""

    key: str
    messages: tuple[Mapping[str, str], ...] = field(repr=False)
    check: Callable[[str], object] = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """`text` is None where the question brought nothing; `lost` then says why."""

    key: str
    text: str | None = field(repr=False)
    model: str = ""
    lost: str = ""


@dataclass
class Batch:
    """How questions are asked.

    Args:
        client: the server.
        answers: where answers and the ledger are kept; a budget counts all that its ledger holds.
        pace: backoff and circuit breaker.
        budget: limits on the job, over all of its runs.
        price: of tokens, where known.
        parameters: more of the request's JSON: temperature and the like.
        concurrency: requests under way at once.
        attempts: requests for one answer while the server fails.
        asks_again: how often an answer that does not pass is asked for anew, with what was wrong.
        response_format: one of FORMATS, or "auto": the strictest that the server takes.
        completion_tokens: what an answer may take at most, as far as known.
    """

    client: Client
    answers: Answers
    pace: Pace
    budget: Budget = field(default_factory=Budget)
    price: Price | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 4
    attempts: int = 4
    asks_again: int = 2
    response_format: str = "auto"
    completion_tokens: int = 500
    spent: Spent = field(default_factory=Spent, init=False)
    _reserved: Spent = field(default_factory=Spent, init=False)
    earlier: Spent = field(default_factory=Spent, init=False)
    details: dict[str, str] = field(default_factory=dict, init=False)

    async def run(self, jobs: Sequence[Job], told: Callable[[int], None] = lambda done: None) -> list[Outcome]:
        """One outcome a job, in their order. Answers are kept as they arrive; `told` is told how many jobs are over."""
        self.answers.prepare()
        self.earlier = self.answers.spent()
        self._settled = asyncio.Condition()
        self._negotiating = asyncio.Lock()
        self._format = FORMATS[0] if self.response_format == "auto" else self.response_format
        self._agreed = self.response_format != "auto"
        outcomes: dict[int, Outcome] = {}
        waiting = iter(enumerate(jobs))

        async def work() -> None:
            for position, job in waiting:
                outcomes[position] = await self._one(job)
                told(len(outcomes))

        async with self.client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(jobs))):
                        group.create_task(work())
            except BaseExceptionGroup as several:
                # A full disk is one error to its reader, not a group of them.
                raise several.exceptions[0] from None
        return [outcomes[i] for i in range(len(jobs))]

    async def _one(self, job: Job) -> Outcome:
        messages, paid = list(job.messages), Spent()
        unusable = Unusable("", "")
        for _ in range(self.asks_again + 1):
            try:
                answer, cost = await self._complete(job, messages)
                paid += cost
                if answer.finish in ("refusal", "content_filter"):
                    return Outcome(job.key, None, lost="the model refused")
                if answer.finish == "length":
                    raise Unusable("cut at the token limit", "it was cut off at the token limit; be shorter")
                job.check(answer.text)
            except Stopped as stopped:
                return Outcome(
                    job.key,
                    None,
                    lost=f"unusable answer: {unusable.reason}" if paid.requests else f"not asked: {stopped}",
                )
            except Fault as fault:
                return Outcome(job.key, None, lost=fault.reason)
            except Unusable as problem:
                unusable = problem
                messages = [*job.messages, *_once_more(answer.text, problem)]
                continue
            self.answers.write(job.key, {"text": answer.text, "model": answer.model, "asked": self._format}, paid)
            return Outcome(job.key, answer.text, answer.model)
        return Outcome(job.key, None, lost=f"unusable answer: {unusable.reason}")

    async def _complete(self, job: Job, messages: Sequence[Mapping[str, str]]) -> tuple[Answer, Spent]:
        """The server's answer, whatever it is worth, after as many attempts as it may take."""
        attempt = 0
        last: Fault | None = None
        while True:
            # Until the server has taken one form of request, requests go one by one: a wrong key or address, or a
            # form that it does not know, is found out once and not once for each request under way.
            async with contextlib.nullcontext() if self._agreed else self._negotiating:
                try:
                    return await self._negotiated(job, messages)
                except Stopped:
                    if last is None:
                        raise
                    raise last from None
                except Fault as fault:
                    last, attempt = fault, attempt + 1
                    if not fault.retry or fault.fatal or attempt >= self.attempts:
                        raise
            await self.pace.pause(attempt)

    async def _negotiated(self, job: Job, messages: Sequence[Mapping[str, str]]) -> tuple[Answer, Spent]:
        forms = [self._format] if self._agreed else FORMATS[FORMATS.index(self._format) :]
        for form in forms[:-1]:
            try:
                return await self._send(job, messages, form, may_differ=True)
            except Fault as fault:
                if fault.status not in UNKNOWN_FORM:
                    raise
        return await self._send(job, messages, forms[-1])

    async def _send(
        self, job: Job, messages: Sequence[Mapping[str, str]], form: str, *, may_differ: bool = False
    ) -> tuple[Answer, Spent]:
        guess = sum(estimated_tokens(message["content"]) + TOKENS_A_MESSAGE for message in messages)
        wanted = Spent.of(guess, self.completion_tokens, guess + self.completion_tokens, self.price)
        body = {"model": self.client.endpoint.model, "messages": list(messages), **self.parameters}
        async with self._reserved_for(wanted):
            began = await self.pace.ready()
            # Until its outcome is known a request counts as one whose prompt was read: it may be billed.
            cost, outcome = Spent.of(guess, 0, guess, self.price), "interrupted"
            try:
                answer = await self.client.ask(body | _wanted(form, job.schema), wall=self.pace.wall())
                cost, outcome = self._cost(answer, guess), "answered"
            except Fault as fault:
                cost, outcome = cost if fault.billed else Spent(1), fault.reason
                self.details.setdefault(fault.reason, fault.detail)
                if not (may_differ and fault.status in UNKNOWN_FORM):
                    self.pace.failed(fault, began)
                raise
            finally:
                self.spent += cost
                self.answers.record(outcome, cost, guess)
        self.pace.succeeded()
        self._format, self._agreed = form, True
        return answer, cost

    def _cost(self, answer: Answer, guess: int) -> Spent:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        written = estimated_tokens(answer.text)
        estimated = (guess if prompt is None else 0) + (written if completion is None else 0)
        return Spent.of(
            guess if prompt is None else prompt, written if completion is None else completion, estimated, self.price
        )

    @contextlib.asynccontextmanager
    async def _reserved_for(self, wanted: Spent) -> AsyncIterator[None]:
        """Set aside what a request may cost; where it does not fit, wait for those under way, then end the batch."""
        async with self._settled:
            while over := self.budget.exceeded_by(self.earlier + self.spent + self._reserved + wanted):
                if not self._reserved.requests:
                    self.pace.stop(f"the budget of {over} is used up")
                if self.pace.why:
                    raise Stopped(self.pace.why)
                await self._settled.wait()
            self._reserved += wanted
        try:
            yield
        finally:
            async with self._settled:
                self._reserved -= wanted
                self._settled.notify_all()


def _wanted(form: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if form == "none":
        return {}
    if form == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": form, "json_schema": {"name": "answer", "strict": True, "schema": schema}}}


def _once_more(text: str, problem: Unusable) -> list[dict[str, str]]:
    return [
        {"role": "assistant", "content": text[:MOST_ECHOED]},
        {"role": "user", "content": f"That answer cannot be used: {problem}. Answer anew, with the JSON object alone."},
    ]
