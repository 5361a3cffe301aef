"""One request to a server over HTTP: POST a JSON object, and what may come back instead of an answer.

Whatever a server sends is data: its size is bounded, its key never appears in what is handed on, a redirect is not
followed, and the whole exchange, headers included, has one deadline.
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
"""An answer larger than this is not read to its end."""
RETRIED = frozenset({408, 409, 425, 429})
FATAL = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
HIDDEN = "[key]"


@dataclass(frozen=True)
class Endpoint:
    """Where the server is and what it is asked for.

    `api_key_env` names the environment variable with the key; empty for a server that wants none. `timeout_s` is the
    deadline of a whole exchange. `plain_http` allows a key to travel unencrypted to another machine.
    """

    base_url: str
    model: str
    api_key_env: str = ""
    timeout_s: float = 60.0
    plain_http: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        # The address itself is not shown where it may hold a secret.
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ConfigError(
                "base_url holds a user name, a password, a query or a fragment; expected scheme, host and path alone, "
                "such as https://host/v1. A key belongs in an environment variable that api_key_env names."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url is {excerpt(self.base_url)!r}; expected an address such as https://host/v1.")
        if self.api_key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", self.api_key_env):
            raise ConfigError(
                "api_key_env is not the name of an environment variable; expected letters, digits and underscores, "
                "such as OPENAI_API_KEY. What stands there is not shown, because it may be the key itself."
            )
        if self.api_key_env and parts.scheme == "http" and not self.loopback and not self.plain_http:
            raise ConfigError(
                f"base_url is http://{parts.hostname}, and a key is to be sent there: anyone on the way could read it. "
                f"Use https, or say plain_http = true for a network that you trust."
            )

    @property
    def host(self) -> str:
        """The server's host, as it may be shown."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the server runs on this machine, so that nothing leaves it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, path: str) -> str:
        """Where requests of a kind go; `path` such as "chat/completions"."""
        return f"{self.base_url.rstrip('/')}/{path}"


def api_key(endpoint: Endpoint) -> str:
    """The key from the environment; empty where the endpoint names no variable.

    Raises:
        ConfigError: the variable is not set, or holds what cannot stand in a header.
    """
    if not endpoint.api_key_env:
        return ""
    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"The environment variable {endpoint.api_key_env} is not set; expected the server's key there."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"The environment variable {endpoint.api_key_env} holds characters that no key has.")
    return key


class Fault(Exception):
    """Why a request brought no answer.

    `reason` is a short text to count by; `detail` the server's words, cut. `retry` where the same request may
    succeed later, after `after_s` where the server says so; `fatal` where every other request would fail alike;
    `billed` where the server may have worked for it; `status` of HTTP, 0 where there is none.
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
    """Seconds from a Retry-After header, which holds seconds or a date; None where it holds neither.

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
    """Sends requests of one batch; an asynchronous context manager. `key` is shown nowhere."""

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
        # A proxy is for other machines: on this one it would only be handed the key.
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
        """The body of the server's answer to one request, which had status 200.

        Args:
            path: where it goes, behind the base address.
            body: the request's JSON.
            wall: the time by the calendar, in seconds since 1970, which a Retry-After date is held against.

        Raises:
            Fault: there is none.
        """
        import httpx2

        # Half a surrogate pair is no Unicode; json.dumps escapes it, and some servers then break.
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                status, headers, received = await self._sent(path, content)
        except (TimeoutError, httpx2.TimeoutException):
            raise Fault(
                "timeout", f"nothing whole within {self.endpoint.timeout_s:g} s", retry=True, billed=True
            ) from None
        except httpx2.ConnectError as error:
            raise Fault("no connection", self.shown(str(error)), retry=True) from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Fault("connection cut", self.shown(str(error)), retry=True, billed=True) from None
        except (httpx2.InvalidURL, httpx2.HTTPError) as error:
            raise Fault("request not possible", self.shown(str(error)), fatal=True) from None
        if status != 200:
            self._refuse(status, headers, received, wall)
        return received

    async def _sent(self, path: str, content: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._http is None:
            raise RuntimeError("the client has not been entered")
        async with self._http.stream("POST", self.endpoint.url(path), content=content) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, headers, await _bounded(response, self.most_bytes)

    def _refuse(self, status: int, headers: dict[str, str], body: bytes, wall: float) -> NoReturn:
        if 300 <= status < 400:
            to = urlsplit(headers.get("location", "")).hostname or "another path"
            detail = self.shown(f"to {to}; not followed, since the key would go along")
            raise Fault("redirect", detail, fatal=True, status=status)
        detail = self.shown(body.decode("utf-8", "replace"), 2000)
        if status == 429 and "insufficient_quota" in detail:
            raise Fault("the account's quota is used up", detail, fatal=True, status=status)
        after = retry_after_s(headers.get("retry-after"), wall) if status in (429, 503) else None
        raise Fault(
            "rate limited (HTTP 429)" if status == 429 else f"HTTP {status}",
            detail,
            retry=status in RETRIED or status >= 500,
            fatal=status in FATAL,
            status=status,
            after_s=after,
        )

    async def post(self, path: str, body: dict[str, Any], *, wall: float) -> Any:
        """As `exchange`, read as JSON."""
        return self.read(await self.exchange(path, body, wall=wall))

    def read(self, body: bytes) -> Any:
        """An answer's JSON.

        Raises:
            Fault: it is none.
        """
        try:
            return json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
        except (ValueError, RecursionError):
            detail = self.shown(body.decode("utf-8", "replace"))
            raise Fault("the server's answer is not JSON", detail, retry=True, billed=True) from None

    def hidden(self, text: str) -> str:
        """The server's words without the key."""
        return text.replace(self.key, HIDDEN) if self.key else text

    def shown(self, text: str, most: int = 200) -> str:
        """The server's words on one line, without the key: hidden before it is cut, so that no half of it stays."""
        clean = "".join(c if c.isprintable() else " " for c in self.hidden(text))
        return excerpt(" ".join(clean.split()), most)


async def _bounded(response: Response, most: int) -> bytes:
    """The body, which may not be compressed (a few kilobytes could become gigabytes) nor larger than `most`."""
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Fault("the server's answer is compressed", "although it was not to be", retry=True, billed=True)
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > most:
            raise Fault("the server's answer is too large", f"over {most} bytes", retry=True, billed=True)
    return bytes(received)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
