from __future__ import annotations

import logging
import threading

from werkzeug.serving import WSGIRequestHandler, make_server

from market.views import app
from market.visitors import visit_forever

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", 0, app, threaded=True)
    for index in range(20):
        threading.Thread(
            target=visit_forever, args=(server.server_port,), name=f"visitor-{index}", daemon=True
        ).start()
    server.serve_forever()
