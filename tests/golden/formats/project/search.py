"""A search function as users have one: documents whose number is the query's length, modulo."""


def search(text, k=5):
    """Document ids, best first."""
    start = len(text) % 20
    return [f"d{(start + i) % 20 + 1:02}" for i in range(k)]
