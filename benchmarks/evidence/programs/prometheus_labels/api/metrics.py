from __future__ import annotations

from prometheus_client import Counter, Histogram

requests = Counter("api_requests", "Requests by method and status.", ["method", "status"])
latency = Histogram("api_latency_seconds", "Latency by endpoint.", ["endpoint"])
by_customer = Counter("api_customer_requests", "Requests by customer.", ["customer", "plan"])


def count(method: str, path: str, seconds: float) -> None:
    requests.labels(method, "200").inc()
    latency.labels(path).observe(seconds)


def count_customer(customer: str, plan: str) -> None:
    by_customer.labels(customer, plan).inc()  # culprit
