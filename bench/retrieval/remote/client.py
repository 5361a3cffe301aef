"""One request to a server over HTTP: POST a JSON object, and the faults that may come instead of an answer.

A server's answer is untrusted data: its size is bounded, the key never appears in messages, a redirect is not followed,
and the whole exchange, headers included, has one deadline.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from bench.base.errors import ConfigError, MissingExtra, excerpt

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

MOST_BYTES = 4 * 2**20
"""Most bytes of an answer; a larger one is a fault."""
RETRIED = frozenset({408, 409, 425, 429})
FATAL = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
HIDDEN = "[key]"


@dataclass(frozen=True)
class Endpoint:
    """The address of a server, and the model there.

    `api_key_env` names the environment variable with the key; empty for a server without one. `timeout_s` is the
    deadline of a whole exchange. `plain_http` allows a key to travel unencrypted to another machine.
    """

    base_url: str
    model: str
    api_key_env: str = ""
    timeout_s: float = 60.0
    plain_http: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        # The message does not repeat an address that may contain a secret.
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ConfigError(
                "base_url has a user name, a password, a query or a fragment; expected scheme, host and path alone, "
                "such as https://host/v1. A key belongs in an environment variable that api_key_env names."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url is {excerpt(self.base_url)!r}; expected an address such as https://host/v1.")
        if self.api_key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", self.api_key_env):
            raise ConfigError(
                "api_key_env is not the name of an environment variable; expected letters, digits and underscores, "
                "such as OPENAI_API_KEY. Its value is not shown, because it may be the key itself."
            )
        if self.api_key_env and parts.scheme == "http" and not self.loopback and not self.plain_http:
            raise ConfigError(
                f"base_url is http://{parts.hostname}, and a key would go there unencrypted: others could read it. "
                "Use https, or set plain_http = true for a network that you trust."
            )

    @property
    def host(self) -> str:
        """The server's host, which contains no secret."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the server runs on this machine, so that nothing leaves it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, path: str) -> str:
        """The address of a kind of request; `path` such as "chat/completions"."""
        return f"{self.base_url.rstrip('/')}/{path}"


def api_key(endpoint: Endpoint) -> str:
    """The key from the environment; empty where the endpoint names no variable.

    Raises:
        ConfigError: the variable is not set, or its value cannot be in a header.
    """
    if not endpoint.api_key_env:
        return ""
    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"The environment variable {endpoint.api_key_env} is not set; expected the server's key there."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"The environment variable {endpoint.api_key_env} has characters that no key has.")
    return key


class Fault(Exception):
    """The reason why a request got no answer.

    `reason` is a short text by which faults are counted; `detail` the server's text, cut. `retry`: the same request may
    succeed later, after `after_s` seconds if the server says so. `fatal`: every other request would fail alike.
    `billed`: the server may charge for it. `status` is HTTP's, 0 without one.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        retry: bool = False,
        fatal: bool = False,
        billed: bool = False,
        status: int = 0,
        after_s: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {excerpt(detail, 200)}" if detail else reason)
        self.reason, self.detail, self.status = reason, detail, status
        self.retry, self.fatal, self.billed, self.after_s = retry, fatal, billed, after_s


def retry_after_s(value: str | None, wall: float) -> float | None:
    """Seconds from a Retry-After header, which has seconds or a date; None where it has neither.

    Source: RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d{1,6})?\s*", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass
class Client:
    """Sends requests of one batch; an asynchronous context manager. `key` is never shown."""

    endpoint: Endpoint
    key: str = field(default="", repr=False)
    most_bytes: int = MOST_BYTES
    _http: AsyncClient | None = field(default=None, repr=False)

    async def __aenter__(self) -> Client:
        try:
            import httpx2
        except ImportError:
            raise MissingExtra("A server over HTTP", "httpx2", "llm") from None
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        # No proxy for a server on this machine: it would get the key for nothing.
        self._http = httpx2.AsyncClient(
            headers=headers,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            timeout=self.endpoint.timeout_s,
            follow_redirects=False,
            trust_env=not self.endpoint.loopback,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def exchange(self, path: str, body: dict[str, Any], *, wall: float) -> bytes:
        """The body of the server's answer with status 200 to one request.

        Args:
            path: of the request, after the base address.
            body: the request's JSON.
            wall: current time, in seconds since 1970, for a Retry-After date.

        Raises:
            Fault: no such answer.
        """
        import httpx2

        # Half a surrogate pair is not Unicode; json.dumps escapes it, and some servers then fail.
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                if self._http is None:
                    raise RuntimeError("the client has not been entered")
                async with self._http.stream("POST", self.endpoint.url(path), content=content) as response:
                    status, received = response.status_code, await _bounded(response, self.most_bytes)
                    headers = {name.lower(): value for name, value in response.headers.items()}
        except (TimeoutError, httpx2.TimeoutException):
            detail = f"no complete answer within {self.endpoint.timeout_s:g} s"
            raise Fault("timeout", detail, retry=True, billed=True) from None
        except httpx2.ConnectError as error:
            raise Fault("no connection", self.shown(str(error)), retry=True) from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Fault("connection cut", self.shown(str(error)), retry=True, billed=True) from None
        except (httpx2.InvalidURL, httpx2.HTTPError) as error:
            raise Fault("request not possible", self.shown(str(error)), fatal=True) from None
        if status != 200:
            self._refuse(status, headers, received, wall)
        return received

    def _refuse(self, status: int, headers: dict[str, str], body: bytes, wall: float) -> NoReturn:
        if 300 <= status < 400:
            to = urlsplit(headers.get("location", "")).hostname or "another path"
            detail = self.shown(f"to {to}; not followed, because the key would be sent along")
            raise Fault("redirect", detail, fatal=True, status=status)
        detail = self.shown(body.decode("utf-8", "replace"), 2000)
        if status == 429 and "insufficient_quota" in detail:
            raise Fault("the account has no quota left", detail, fatal=True, status=status)
        after = retry_after_s(headers.get("retry-after"), wall) if status in (429, 503) else None
        raise Fault(
            "rate limited (HTTP 429)" if status == 429 else f"HTTP {status}",
            detail,
            retry=status in RETRIED or status >= 500,
            fatal=status in FATAL,
            status=status,
            after_s=after,
        )

    def read(self, body: bytes) -> Any:
        """An answer's JSON.

        Raises:
            Fault: it is not JSON.
        """
        try:
            return json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
        except (ValueError, RecursionError):
            detail = self.shown(body.decode("utf-8", "replace"))
            raise Fault("the server's answer is not JSON", detail, retry=True, billed=True) from None

    def hidden(self, text: str) -> str:
        """A server's text without the key."""
        return text.replace(self.key, HIDDEN) if self.key else text

    def shown(self, text: str, most: int = 200) -> str:
        """A server's text on one line, without the key, which is removed before the cut so that no part of it stays."""
        clean = "".join(c if c.isprintable() else " " for c in self.hidden(text))
        return excerpt(" ".join(clean.split()), most)


async def _bounded(response: Response, most: int) -> bytes:
    """The body, which may not be compressed (a few kilobytes could become gigabytes) nor larger than `most`."""
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Fault("the server's answer is compressed", "expected none", retry=True, billed=True)
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > most:
            raise Fault("the server's answer is too large", f"over {most} bytes", retry=True, billed=True)
    return bytes(received)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")
