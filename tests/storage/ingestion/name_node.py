"""A small server that speaks WebHDFS, as a name node and as its only data node."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, unquote, urlsplit

#: What the data node does with a part of a file, by the first word of the file's name.
HALF, SHORT, REFUSED, PAGE = "half", "short", "refused", "page"
FORBIDDEN = "forbidden"
#: The list of files in this folder is refused, but not its files.
LOCKED = "/locked"


class NameNode(http.server.ThreadingHTTPServer):
    """Files by their paths. `users` are the names of the users who asked."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.times = dict.fromkeys(files, 1)
        self.users = set()

    @property
    def url(self):
        return f"webhdfs://127.0.0.1:{self.server_port}"

    def status_of(self, path):
        """Return what the name node says of a file or folder; None if there is no such file."""
        if path in self.files:
            size, time = len(self.files[path]), self.times[path]
            return {"type": "FILE", "length": size, "modificationTime": time}
        inside = any(name.startswith(f"{path.rstrip('/')}/") for name in self.files)
        return {"type": "DIRECTORY", "length": 0, "modificationTime": 1} if inside else None

    def listing_of(self, path):
        folder = f"{path.rstrip('/')}/"
        names = {name[len(folder) :].partition("/")[0] for name in self.files if folder in name}
        return [{**self.status_of(folder + name), "pathSuffix": name} for name in sorted(names)]


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if path.startswith("/webhdfs/v1"):
            self.server.users.add(options.get("user.name"))
            self._name_node(path.removeprefix("/webhdfs/v1"), options)
        else:
            self._data_node(path.removeprefix("/data"), options)

    def _name_node(self, path, options):
        status = self.server.status_of(path)
        if FORBIDDEN in path or (path.startswith(LOCKED) and options["op"] == "LISTSTATUS"):
            denied = f"Permission denied: user=dr.who, access=READ, inode={path}"
            self._refuse(403, "AccessControlException", denied)
        elif status is None:
            self._refuse(404, "FileNotFoundException", f"File does not exist: {path}")
        elif options["op"] == "GETFILESTATUS":
            self._answer(json.dumps({"FileStatus": status}).encode())
        elif options["op"] == "LISTSTATUS":
            statuses = {"FileStatuses": {"FileStatus": self.server.listing_of(path)}}
            self._answer(json.dumps(statuses).encode())
        else:
            assert options["op"] == "OPEN"
            self.send_response(307)
            query = f"offset={options['offset']}&length={options['length']}"
            node = f"http://127.0.0.1:{self.server.server_port}/data"
            self.send_header("Location", f"{node}{quote(path)}?{query}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _data_node(self, path, options):
        start = int(options["offset"])
        part = self.server.files[path][start : start + int(options["length"])]
        kind = path.rpartition("/")[2].partition(".")[0]
        if kind == REFUSED:
            self._refuse(500, "IOException", "Block bp-1 is missing\n at java.lang.Thread.run")
        elif kind == SHORT:
            self._answer(part[: len(part) // 2])
        elif kind == HALF:
            self._answer(part[: len(part) // 2], length=len(part))
        elif kind == PAGE:
            self._answer(b"<html>Sign in</html>", status=503)
        else:
            self._answer(part)

    def _refuse(self, status, exception, message):
        error = {"RemoteException": {"exception": exception, "message": message}}
        self._answer(json.dumps(error).encode(), status)

    def _answer(self, content, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def name_node(files):
    """Run a name node in a thread of this process."""
    with NameNode(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
