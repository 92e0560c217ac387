from __future__ import annotations


class Section:
    def __init__(self, title: str, parent: Section | None = None) -> None:
        self.title = title
        self.parent = parent
        self.children: list[Section] = []  # culprit
        if parent is not None:
            parent.children.append(self)  # culprit

    def detach(self) -> None:
        for child in self.children:
            child.detach()
        self.parent = None
        self.children.clear()

    def render(self, depth: int = 0) -> int:
        return depth + len(self.title) + sum(child.render(depth + 1) for child in self.children)


def parse(page: int) -> Section:
    root = Section(f"page {page}")  # culprit
    for chapter in range(4):
        section = Section(f"{page}.{chapter}", root)  # culprit
        for part in range(6):
            Section(f"{page}.{chapter}.{part}", section)  # culprit
    return root
