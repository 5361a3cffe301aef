"""Print the completion script of a shell."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("shell", "SHELL", "bash, zsh or fish", choices=("bash", "zsh", "fish"))
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.editor import completion

    return completion(options.shell)
