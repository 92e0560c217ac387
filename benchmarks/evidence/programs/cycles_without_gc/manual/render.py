from __future__ import annotations

from collections import OrderedDict

from manual.tree import parse

_rendered: OrderedDict[int, int] = OrderedDict()


def render(page: int, *, tidies_up: bool) -> int:
    root = parse(page)
    length = root.render()
    if tidies_up:
        root.detach()
    _rendered[page] = length
    while len(_rendered) > 300:
        _rendered.popitem(last=False)
    return length
