"""What servers on loopback have in common that tests and benchmarks start."""

from http.server import ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """Answers many clients at once, and ends without waiting for those that hang."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not a fault."""
