from __future__ import annotations

from collections import Counter, deque

from mailer.compose import Mail

sent = Counter[str]()
last: deque[str] = deque(maxlen=200)


def send(mail: Mail) -> None:
    sent[mail.subject.partition("]")[0]] += 1
    last.append(mail.to)
