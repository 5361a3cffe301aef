"""Many questions to one server: concurrently, each until its answer passes, within budget, until the server is down."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bench.config import Strict
from bench.retrieval.remote import Fault, Pace, Stopped
from bench.retrieval.remote import client as remote
from bench.train.llm.ledger import AnswerStore, Budget, Price, Spent, estimated_tokens

FORMATS = ("json_schema", "json_object", "none")
"""Ways to ask for JSON, the strictest first."""
MOST_ECHOED = 2000
"""Characters of a bad answer that the model gets to see again."""
TOKENS_A_MESSAGE = 4
"""Tokens that the chat format adds to each message, in OpenAI's; others add about as many."""
UNKNOWN_FORM = (400, 422)
"""Status codes of a server that does not support a way to ask for JSON."""

Messages = Sequence[Mapping[str, str]]


class ServerConfig(Strict):
    """A server of chat completions, and the requests to it.

    `attempts` are requests for one answer while the server fails; `asks_again` counts repetitions after an
    answer that does not pass; `response_format` "auto" is the strictest of FORMATS that the server supports.
    """

    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str = ""
    plain_http: bool = False
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: Annotated[int, Field(ge=1)] | None = 800
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, Any] = Field(default={})
    response_format: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    concurrency: int = Field(default=4, ge=1, le=256)
    timeout_s: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=4, ge=1, le=20)
    give_up_after: int = Field(default=8, ge=1)
    asks_again: int = Field(default=2, ge=0, le=10)
    price: Price | None = None
    budget: Budget | None = None

    # One validator a key: an error shows the value, and the whole table may hold an address with a password.
    @field_validator("extra")
    @classmethod
    def _not_our_keys(cls, extra: dict[str, Any]) -> dict[str, Any]:
        own = sorted(set(extra) & {"model", "messages", "response_format", "stream", "n"})
        if own:
            raise ValueError(f"{', '.join(own)} cannot be set here")
        try:
            json.dumps(extra, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("expected values that JSON has: texts, numbers, booleans, lists and tables") from None
        return extra

    @field_validator("budget")
    @classmethod
    def _priced(cls, budget: Budget | None, info: ValidationInfo) -> Budget | None:
        if budget and budget.usd is not None and info.data.get("price") is None:
            raise ValueError("usd needs a price: { input, output, source, date }, US dollars per million tokens")
        return budget

    @property
    def parameters(self) -> dict[str, Any]:
        """Keys of the request beside model, messages and format; they are part of the answers' digest."""
        own: dict[str, Any] = {} if self.temperature is None else {"temperature": self.temperature}
        if self.max_tokens is not None:
            own[self.max_tokens_key] = self.max_tokens
        return own | self.extra


class Unusable(Exception):
    """An answer that does not pass: `reason` to count by; the text says what is wrong, and the model gets it."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


@dataclass(frozen=True)
class Job:
    """One question. `check` raises Unusable where an answer does not pass; `schema` is the answer's JSON Schema."""

    key: str
    messages: tuple[Mapping[str, str], ...] = field(repr=False)
    check: Callable[[str], object] = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """The answer to a question; where `text` is None, `lost` says why."""

    key: str
    text: str | None = field(repr=False)
    model: str = ""
    lost: str = ""


@dataclass(frozen=True)
class Answer:
    """A model's text; `model` as the server reports it; tokens None where the server counted none."""

    text: str
    model: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


class Client(remote.Client):
    """A client of chat completions."""

    async def ask(self, body: dict[str, Any], *, wall: float) -> Answer:
        """The model's answer to one request.

        Raises:
            Fault: there is none.
        """
        return self._answer(await self.exchange("chat/completions", body, wall=wall))

    def _answer(self, body: bytes) -> Answer:
        document = self.read(body)
        try:
            choice = document["choices"][0]
            text, refusal = choice["message"].get("content"), choice["message"].get("refusal")
            finish = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError):
            text = finish = refusal = None
        if not (isinstance(text, str) or isinstance(refusal, str)):
            detail = self.shown(body.decode("utf-8", "replace"))
            raise Fault("the server's answer is no chat completion", detail, retry=True, billed=True)
        usage, model = document.get("usage"), document.get("model")
        counts = [usage.get(f"{side}_tokens") if isinstance(usage, dict) else None for side in ("prompt", "completion")]
        # A server may state anything as a count.
        tokens = [n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 10**9 else None for n in counts]
        return Answer(
            self.hidden(text) if isinstance(text, str) and text else "",
            self.shown(model, 200) if isinstance(model, str) and model.strip() else self.endpoint.model,
            "refusal" if not text and isinstance(refusal, str) else str(finish or "stop")[:40],
            *tokens,
        )


@dataclass
class Batch:
    """Questions to one server.

    Args:
        answers: where answers and the ledger are kept; a budget counts all of the ledger.
        pace: backoff and circuit breaker.
        completion_tokens: the most tokens of an answer, as far as known.
    """

    client: Client
    answers: AnswerStore
    pace: Pace
    config: ServerConfig
    completion_tokens: int
    spent: Spent = field(default_factory=Spent, init=False)
    earlier: Spent = field(default_factory=Spent, init=False)
    details: dict[str, str] = field(default_factory=dict, init=False)
    _reserved: Spent = field(default_factory=Spent, init=False)

    async def run(self, jobs: Sequence[Job], progress: Callable[[int], None] = lambda done: None) -> list[Outcome]:
        """One outcome for each job, in their order. Answers are kept as they arrive; `progress` gets the jobs done."""
        self.answers.prepare()
        self.earlier = self.answers.spent()
        self._changed = asyncio.Condition()
        self._negotiation = asyncio.Lock()
        self._format = FORMATS[0] if self.config.response_format == "auto" else self.config.response_format
        self._agreed = self.config.response_format != "auto"
        outcomes: dict[int, Outcome] = {}
        waiting = iter(enumerate(jobs))

        async def work() -> None:
            for position, job in waiting:
                outcomes[position] = await self._outcome(job)
                progress(len(outcomes))

        async with self.client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.config.concurrency, len(jobs))):
                        group.create_task(work())
            except BaseExceptionGroup as several:
                # A full disk is one error to its reader, not a group of them.
                raise several.exceptions[0] from None
        return [outcomes[i] for i in range(len(jobs))]

    async def _outcome(self, job: Job) -> Outcome:
        messages, paid, lost = list(job.messages), Spent(), ""
        for _ in range(self.config.asks_again + 1):
            try:
                answer, cost = await self._complete(job, messages)
                paid += cost
                if answer.finish in ("refusal", "content_filter"):
                    return Outcome(job.key, None, lost="the model refused")
                if answer.finish == "length":
                    raise Unusable("cut at the token limit", "it was cut off at the token limit; be shorter")
                job.check(answer.text)
            except Stopped as stopped:
                return Outcome(job.key, None, lost=lost if paid.requests else f"not asked: {stopped}")
            except Fault as fault:
                return Outcome(job.key, None, lost=fault.reason)
            except Unusable as problem:
                lost = f"unusable answer: {problem.reason}"
                again = f"That answer cannot be used: {problem}. Answer anew, with the JSON object alone."
                messages = [
                    *job.messages,
                    {"role": "assistant", "content": answer.text[:MOST_ECHOED]},
                    {"role": "user", "content": again},
                ]
                continue
            self.answers.write(job.key, {"text": answer.text, "model": answer.model, "asked": self._format}, paid)
            return Outcome(job.key, answer.text, answer.model)
        return Outcome(job.key, None, lost=lost)

    async def _complete(self, job: Job, messages: Messages) -> tuple[Answer, Spent]:
        """The server's answer, usable or not, after up to `attempts` requests."""
        attempt = 0
        last: Fault | None = None
        while True:
            # Until the server has taken one form of request, requests go one by one: a wrong key or address, or a
            # form that it does not support, then costs one request and not one for each of `concurrency`.
            async with contextlib.nullcontext() if self._agreed else self._negotiation:
                try:
                    return await self._negotiated(job, messages)
                except Stopped:
                    if last is None:
                        raise
                    raise last from None
                except Fault as fault:
                    last, attempt = fault, attempt + 1
                    if not fault.retry or fault.fatal or attempt >= self.config.attempts:
                        raise
            await self.pace.pause(attempt)

    async def _negotiated(self, job: Job, messages: Messages) -> tuple[Answer, Spent]:
        forms = [self._format] if self._agreed else FORMATS[FORMATS.index(self._format) :]
        for form in forms[:-1]:
            try:
                return await self._send(job, messages, form, may_differ=True)
            except Fault as fault:
                if fault.status not in UNKNOWN_FORM:
                    raise
        return await self._send(job, messages, forms[-1])

    async def _send(self, job: Job, messages: Messages, form: str, *, may_differ: bool = False) -> tuple[Answer, Spent]:
        guess = sum(estimated_tokens(message["content"]) + TOKENS_A_MESSAGE for message in messages)
        most = Spent.of(guess, self.completion_tokens, guess + self.completion_tokens, self.config.price)
        body = {"model": self.client.endpoint.model, "messages": list(messages), **self.config.parameters}
        if form == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": job.schema}
            body["response_format"] = {"type": form, "json_schema": schema}
        elif form == "json_object":
            body["response_format"] = {"type": form}
        async with self._reserve(most):
            began = await self.pace.ready()
            # Until its outcome is known a request counts as one whose prompt was read: it may be billed.
            cost, outcome = Spent.of(guess, 0, guess, self.config.price), "interrupted"
            try:
                answer = await self.client.ask(body, wall=self.pace.wall())
                prompt, completion, estimated = answer.prompt_tokens, answer.completion_tokens, 0
                if prompt is None:
                    prompt, estimated = guess, guess
                if completion is None:
                    completion = estimated_tokens(answer.text)
                    estimated += completion
                cost, outcome = Spent.of(prompt, completion, estimated, self.config.price), "answered"
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

    @contextlib.asynccontextmanager
    async def _reserve(self, most: Spent) -> AsyncIterator[None]:
        """Reserve what a request may cost; where it does not fit, wait for those under way, then end the batch."""
        budget = self.config.budget or Budget()
        async with self._changed:
            while over := budget.exceeded_by(self.earlier + self.spent + self._reserved + most):
                if not self._reserved.requests:
                    self.pace.stop(f"the budget of {over} is used up")
                if self.pace.why:
                    raise Stopped(self.pace.why)
                await self._changed.wait()
            self._reserved += most
        try:
            yield
        finally:
            async with self._changed:
                self._reserved -= most
                self._changed.notify_all()
