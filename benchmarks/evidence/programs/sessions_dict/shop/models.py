from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Product:
    number: int
    title: str
    price_cents: int


@dataclass
class Session:
    visitor: str
    basket: list[int] = field(default_factory=list)
    preferences: dict[str, str] = field(default_factory=dict)
