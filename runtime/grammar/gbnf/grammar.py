"""A grammar: named rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.grammar.gbnf.printer import printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.grammar.gbnf.tree import Expr


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name, in order. Matching begins with `root`. As text, it is GBNF."""

    rules: Mapping[str, Expr] = field(default_factory=dict)

    def __str__(self) -> str:
        return printed(self.rules)
