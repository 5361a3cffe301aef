"""Chat completions: POST {base_url}/chat/completions, and the model's answer or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.retrieval.remote import client as remote
from bench.retrieval.remote.client import Fault


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `model` as the server reports it; tokens None where the server counted none."""

    text: str
    model: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


class Client(remote.Client):
    """Asks a language model."""

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
            message = choice["message"]
            text, finish = message.get("content"), choice.get("finish_reason")
            refusal = message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError):
            text = finish = refusal = None
            message = None
        if message is None or not (isinstance(text, str) or isinstance(refusal, str)):
            detail = self.shown(body.decode("utf-8", "replace"))
            raise Fault("the server's answer is no chat completion", detail, retry=True, billed=True)
        usage = document.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        model = document.get("model")
        return Answer(
            self.hidden(text) if isinstance(text, str) and text else "",
            self.shown(model, 200) if isinstance(model, str) and model.strip() else self.endpoint.model,
            "refusal" if not text and isinstance(refusal, str) else str(finish or "stop")[:40],
            _tokens(usage.get("prompt_tokens")),
            _tokens(usage.get("completion_tokens")),
        )


def _tokens(value: object) -> int | None:
    """A count of tokens as a server may state it; None where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None
