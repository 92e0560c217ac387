from __future__ import annotations

from opentelemetry import metrics

_meter = metrics.get_meter("checkout")
_payments = _meter.create_counter("checkout.payments")
_amounts = _meter.create_histogram("checkout.amount", unit="EUR")


def count(method: str, amount: float, payment: str | None) -> None:
    _payments.add(1, {"method": method})
    labels = {"method": method}
    if payment is not None:
        labels["payment.id"] = payment
    _amounts.record(amount, labels)  # culprit
