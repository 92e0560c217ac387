"""What the views share."""

from __future__ import annotations

from collections import OrderedDict, defaultdict

suggestions: OrderedDict[str, list[str]] = OrderedDict()
page_cache: dict[tuple[int, int], bytes] = {}
drafts: dict[str, list[dict[str, object]]] = {}
reviews: defaultdict[int, list[dict[str, object]]] = defaultdict(list)
stock = {number: number * 7 % 100 for number in range(500)}


def remember_suggestions(query: str, found: list[str]) -> None:
    suggestions[query] = found
    while len(suggestions) > 200:
        suggestions.popitem(last=False)
