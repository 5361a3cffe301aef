"""Names as values: of systems (`minilm@128/int8`) and of models (`finetune:clinic/seed-1@200`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_SYSTEM = re.compile(r"([^@/]+)(?:@([1-9][0-9]*))?(?:/([^@/]+))?")
_MODEL = re.compile(r"(package|finetune|promoted):([^/@]+)(?:/([^@]+))?(?:@(.+))?")


@dataclass(frozen=True)
class SystemName:
    """A system: a table of the config, and the size of its vectors where that is not the full size in float32.

    A text of another shape, such as the name of somebody's run file, is a table as a whole.
    """

    table: str
    dim: int | None = None
    precision: str | None = None

    @classmethod
    def parse(cls, text: str) -> SystemName:
        """The value that prints as `text`."""
        match = _SYSTEM.fullmatch(text)
        return cls(match[1], int(match[2]) if match[2] else None, match[3]) if match else cls(text)

    def __str__(self) -> str:
        return self.table + self.variant

    @property
    def variant(self) -> str:
        """What follows the table: "@128", "/int8", "@128/int8", or "" at full size."""
        return (f"@{self.dim}" if self.dim else "") + (f"/{self.precision}" if self.precision else "")

    @property
    def larger(self) -> list[str]:
        """Names of which this one is a shorter or coarser copy: minilm and minilm@128 of minilm@128/int8."""
        names = [self.table, str(replace(self, precision=None))]
        return [name for name in dict.fromkeys(names) if name != str(self)]

    def of(self, table: str) -> SystemName:
        """The same size of another table."""
        return replace(self, table=table)


def table_of(system: str) -> str:
    """The table of the config that a system's name begins with."""
    return SystemName.parse(system).table


@dataclass(frozen=True)
class ModelName:
    """A model by the place where it is looked up.

    `scheme` is "package", "finetune", "promoted", or "" for a folder or a hub's name. Of a fine-tuned model, `name`
    is the recipe; `pointer` says which of its models (such as "seed-1"; "" is the current one), `step` which
    checkpoint.
    """

    scheme: str
    name: str
    pointer: str = ""
    step: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """The value that prints as `text`."""
        match = _MODEL.fullmatch(text)
        return cls(match[1], match[2], match[3] or "", match[4] or "") if match else cls("", text)

    def __str__(self) -> str:
        text = f"{self.scheme}:{self.name}" if self.scheme else self.name
        return text + (f"/{self.pointer}" if self.pointer else "") + (f"@{self.step}" if self.step else "")

    @property
    def recipe(self) -> str:
        """The recipe that a fine-tuned or promoted model was made by; "" where it is neither."""
        return self.name if self.scheme in ("finetune", "promoted") else ""
