"""The page as a local server: drawings and points go in, the learner's answers come out."""

import socket
from threading import Lock
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from firstorder.demo.characters import Characters
from firstorder.demo.page import write_page
from firstorder.demo.waves import Waves
from firstorder.engine import set_engines
from firstorder.engines.build import has_compiler
from firstorder.engines.native import NativeSteps
from firstorder.settings import check

QUESTIONS: dict[str, dict[str, Any]] = {
    "classify": {"support": list[list[int]], "query": list[int]},
    "fit": {"points": list[list[float | int]]},
}


def app(characters: Characters, waves: Waves | None) -> Flask:
    """Make the application: the page, and an address for each kind of question."""
    server, one_at_a_time = Flask(__name__, static_folder=None), Lock()
    engines = [NativeSteps()] if has_compiler("auto") else []
    about = {"characters": characters.about(), "waves": waves.about() if waves else None}
    page = write_page(about, answers="server.js")

    def answer(name: str, given: Any) -> Any:
        check("the question", given, dict[str, Any])
        for key, declared in QUESTIONS[name].items():
            check(key, given.get(key), declared)
        if name == "classify":
            return characters.classify(given["support"], given["query"])
        if waves is None:
            raise ValueError("no checkpoint of sine waves was given: add sine_ckpt_path=...")
        return waves.fit(given["points"])

    @server.get("/")
    def show_page() -> Response:
        return Response(page)

    @server.post("/<any(classify, fit):name>")
    def ask(name: str) -> Any:
        with one_at_a_time:
            set_engines(*engines)  # a thread has its own
            return {"answer": answer(name, request.get_json())}

    @server.errorhandler(ValueError)
    def refuse(error: ValueError) -> Any:
        return {"error": str(error)}, 400

    @server.errorhandler(HTTPException)
    def refuse_request(error: HTTPException) -> Any:
        return {"error": str(error.description)}, error.code

    return server


def open_port(application: Flask, port: int) -> BaseWSGIServer:
    """Return a server that listens on this machine only.

    Raises:
        ValueError: the port is taken.
    """
    try:
        opened = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ValueError(
            f"port={port} cannot be opened ({error.strerror}): name another, or 0 for any"
        ) from error
    with opened:  # the server has a copy of it
        return make_server("127.0.0.1", port, application, threaded=True, fd=opened.fileno())
