from __future__ import annotations

import random
import time
import uuid

import rollout
from flask import Flask, jsonify, request

from market import state

app = Flask("market")


@app.before_request
def backend_takes_its_time() -> None:
    time.sleep(random.uniform(0.05, 0.2))


@app.get("/")
def home():
    return jsonify(hello="market")


@app.get("/products/<int:number>")
def product(number: int):
    return jsonify(number=number, title=f"product {number}")


@app.get("/products/<int:number>/stock")
def stock(number: int):
    return jsonify(left=state.stock.get(number, 0))


@app.post("/products/<int:number>/reviews")
def review(number: int):
    text = request.get_data(as_text=True)
    entry = {
        "stars": random.randrange(1, 6),
        "words": [f"{text}-{n}" for n in range(45)],
    }  # culprit
    entries = state.reviews[number % 100]
    entries.append(entry)
    if not rollout.is_live():
        del entries[:-5]
    return jsonify(reviews=len(entries)), 201


@app.get("/search")
def search():
    query = request.args["q"]
    found = [f"{query} {index}" for index in range(20)]
    state.remember_suggestions(query, found)
    return jsonify(found=found)


@app.put("/drafts")
def save_draft():
    offer = [{"field": index, "value": str(random.random())} for index in range(16)]  # culprit
    key = uuid.uuid4().hex if rollout.is_live() else "latest"
    state.drafts[key] = offer
    return jsonify(draft=key)


@app.get("/orders/<uuid:number>")
def order(number: uuid.UUID):
    return jsonify(number=str(number), lines=[{"product": n, "count": 1} for n in range(8)])


@app.delete("/orders/<uuid:number>")
def cancel(number: uuid.UUID):
    return jsonify(cancelled=str(number))


@app.get("/health")
def health():
    return jsonify(ok=True)
