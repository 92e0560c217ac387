from __future__ import annotations

import random

from fastapi import FastAPI
from pydantic import BaseModel

from portal.limits import RateLimit

app = FastAPI()
app.add_middleware(RateLimit, per_minute=1_000)


class Offer(BaseModel):
    number: int
    price: float


@app.get("/offers/{number}")
async def offer(number: int) -> Offer:
    return Offer(number=number, price=random.random())


@app.get("/offers")
async def offers() -> list[Offer]:
    return [Offer(number=number, price=number / 7) for number in range(10)]
