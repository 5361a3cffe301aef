"""Servers over HTTP: one request and its faults, the pace of requests, and many requests at once."""

from __future__ import annotations

from bench.retrieval.remote.client import Client, Endpoint, Fault, api_key
from bench.retrieval.remote.pace import Pace, Stopped

__all__ = ["Client", "Endpoint", "Fault", "Pace", "Stopped", "api_key"]
