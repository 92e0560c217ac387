from __future__ import annotations

from flask import Flask, jsonify, request

from shop.prices import price_cents
from shop.sessions import close_session, open_session

app = Flask("shop")


@app.post("/basket/<int:number>")
def put(number: int):
    session = open_session(request.headers["X-Visitor"])
    session.basket.append(number)
    return jsonify(total=sum(price_cents(each) for each in session.basket))


@app.post("/logout")
def logout():
    close_session(request.headers["X-Visitor"])
    return jsonify(bye=True)
