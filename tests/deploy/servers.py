"""Start real servers on loopback for the length of a test, and small ones of our own."""

import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text_of(address):
    with urllib.request.urlopen(address, timeout=5) as answer:
        return answer.read().decode()


def wait_for(what, seconds=60, why="it did not happen"):
    """Return what a function gives once it is true; errors of a server not yet up count as not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if value := what():
                return value
        time.sleep(0.2)
    raise AssertionError(why)


@contextlib.contextmanager
def program(path, *words, log, ready, folder=None):
    """Run a program, in a folder, until the block ends. ready: what answers once it is up."""
    assert shutil.which(str(path)), f"{path} is missing: make test-monitor"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(path), *words], stdout=out, stderr=subprocess.STDOUT, cwd=folder
        )
        try:
            wait_for(lambda: text_of(ready) or True, why=f"{path} did not start: see {log}")
            yield
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def receiver(status=200, delay=0.0):
    """Serve an address that keeps the JSON or text it is sent; yield the address and what came."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def take(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with contextlib.suppress(ValueError):
                received.append(json.loads(body))
            time.sleep(delay)
            with contextlib.suppress(OSError):  # the client has gone
                self.send_response(status)
                self.end_headers()

        do_POST = do_PUT = take  # as http.server names them

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
