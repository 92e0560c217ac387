from __future__ import annotations

from flask import Flask, g, jsonify, request

from helpdesk.switches import switches_for

app = Flask("helpdesk")
app.config["MAX_ANSWERS"] = 20


@app.before_request
def load_switches():
    g.switches = switches_for(app, request.view_args["ticket"])


@app.post("/tickets/<int:ticket>/answers")
def answer(ticket: int):
    text = request.get_json()["text"]
    return jsonify(ticket=ticket, words=len(text.split()), is_public=g.switches["is_public"])
