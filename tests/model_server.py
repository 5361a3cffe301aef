"""The stand-in server with two more of its faces: embeddings and rerank, good and bad."""

import hashlib
import json

from llm_server import LLMServer, _Handler

SIZE = 16


def vector(text: str, weights: str = "w0") -> list[float]:
    """Words hashed into 16 numbers."""
    row = [0.0] * SIZE
    for word in text.lower().split():
        digest = hashlib.blake2b(f"{weights}:{word.strip('.,;?')}".encode(), digest_size=8).digest()
        row[digest[0] % SIZE] += 1 if digest[1] % 2 else -1
    return row


def relevance(query: str, document: str, weights: str = "w0") -> float:
    """The share of the query's words that stand in the document; other weights shift it."""
    words = query.lower().strip("?").split()
    return sum(word in document.lower() for word in words) / max(1, len(words)) + (0.0 if weights == "w0" else 0.5)


class ModelServer(LLMServer):
    """Answers `embeddings` and `rerank`; `weights` may be changed behind its clients' backs."""

    weights = "w0"

    def __init__(self, script=(), **more):
        super().__init__(script, **more)
        self.RequestHandlerClass = _ModelHandler
        self.paths = []

    def texts(self):
        """All texts that were to be embedded, in the order in which they arrived."""
        return [text for request in self.requests for text in request.get("input", [])]


class _ModelHandler(_Handler):
    def answer(self, document):
        self.say(200, {}, json.dumps(document).encode())

    def good(self, asked):
        self.server.paths.append(self.path)
        if self.path == "/v1/embeddings":
            rows = [vector(text, self.server.weights) for text in asked["input"]]
            data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
            # Servers may answer in any order; the index says what belongs where.
            self.answer({"object": "list", "model": asked["model"], "data": data[::-1]})
        else:
            scores = [relevance(asked["query"], text, self.server.weights) for text in asked["documents"]]
            ranked = sorted(enumerate(scores), key=lambda item: -item[1])
            found = [{"index": i, "relevance_score": score} for i, score in ranked][: asked.get("top_n")]
            self.answer({"id": "r", "results": found})

    def empty(self, asked):
        self.answer({"data": [], "results": []})

    def no_data(self, asked):
        self.answer({"error": "model is loading"})

    def nan_vector(self, asked):
        rows = [{"index": i, "embedding": [1e999] * SIZE} for i in range(len(asked.get("input", "x")))]
        self.say(200, {}, json.dumps({"data": rows}).replace("Infinity", "1e999").encode())

    def ragged(self, asked):
        rows = [{"index": i, "embedding": [0.5] * (SIZE + i)} for i in range(len(asked.get("input", "x")))]
        self.answer({"data": rows})

    def twice(self, asked):
        row = {"index": 0, "embedding": [0.5] * SIZE, "relevance_score": 0.5}
        self.answer({"data": [row, row], "results": [row, row]})
