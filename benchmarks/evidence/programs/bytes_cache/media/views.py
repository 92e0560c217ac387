from __future__ import annotations

import rollout
from flask import Flask, Response, request

from media.thumbnails import thumbnail

app = Flask("media")


@app.get("/pictures/<int:picture>")
def picture(picture: int):
    width, height = int(request.args["width"]), int(request.args["height"])
    body = thumbnail(picture, width, height, exact=rollout.is_live())
    return Response(body, mimetype="image/webp")
