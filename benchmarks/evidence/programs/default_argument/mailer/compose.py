from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Mail:
    to: str
    subject: str
    headers: list[tuple[str, str]]


def compose(
    to: str, subject: str, tags: tuple[str, ...] = (), outgoing: list[Mail] = []
) -> list[Mail]:
    """Return the mails to send: one to a reader, and more when it is tagged."""
    for tag in tags or ("plain",):
        mail = Mail(
            to, f"[{tag}] {subject}", [("X-Tag", tag), ("Reply-To", f"no-reply+{to}")]
        )  # culprit
        outgoing.append(mail)  # culprit
    return outgoing
