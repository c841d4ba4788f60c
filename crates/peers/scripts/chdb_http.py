"""ClickHouse's HTTP interface, as far as inserting and asking need it, over the engine of today that `chdb` runs in this process.

Usage: chdb_http.py DIRECTORY USER PASSWORD; prints `port N` once it listens on 127.0.0.1.

The SQL, the formats, the settings and the error codes are the engine's own. What is made up here, after the server's documents:
the login, settings in the query string, `database`, gzip bodies, HTTP statuses. Bodies must be UTF-8; one statement at a time.
"""

import base64
import gzip
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

DIRECTORY, USER, PASSWORD = sys.argv[1:4]

# Query parameters that belong to the interface; any other is a setting of the engine.
NOT_SETTINGS = {
    "query", "database", "user", "password", "default_format", "query_id", "quota_key", "wait_end_of_query", "buffer_size",
    "session_id", "session_timeout", "session_check", "compress", "decompress",
}  # fmt: skip

STATUS_OF_CODE = {
    194: 401,
    **dict.fromkeys([192, 193, 497, 516], 403),
    **dict.fromkeys([6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 321, 376, 427, 441, 467, 675, 676], 400),
    **dict.fromkeys([46, 47, 50, 56, 60, 63, 73, 81, 115, 511], 404),
    48: 501,
    159: 408,
    209: 503,
}

READS = ("SELECT", "SHOW", "DESCRIBE", "DESC", "EXISTS", "WITH", "EXPLAIN")


class Refused(Exception):
    """What the server itself would refuse: the text begins with `Code: N.` as the engine's do."""


class Engine:
    def __init__(self):
        self.session = session.Session(DIRECTORY)
        self.one_at_a_time = threading.Lock()

    def run(self, sql, database, settings, output_format):
        """Settings and database hold for this statement only, as they do over HTTP."""
        with self.one_at_a_time:
            known = []
            try:
                self.session.query(f"USE `{database}`")
                for name, value in settings:
                    self.session.query(f"SET {name} = '{escaped(value)}'")
                    known.append(name)
                result = self.session.query(sql, output_format)
                return result.bytes() if result is not None else b""
            finally:
                for name in known:
                    if not name.startswith("param_"):
                        self.session.query(f"SET {name} = DEFAULT")


def escaped(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if urlsplit(self.path).path == "/ping":
            return self.answer(200, b"Ok.\n")
        return self.statement(b"")

    def do_POST(self):
        return self.statement(self.body())

    def statement(self, body):
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            self.check_login(parameters)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            text = body.decode()
            sql = "\n".join(part for part in (parameters.get("query", ""), text) if part)
            if self.command == "GET" and not sql.lstrip().upper().startswith(READS):
                raise Refused("Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)")
            settings = [(name, value) for name, value in parameters.items() if name not in NOT_SETTINGS]
            for name, _ in settings:
                if not re.fullmatch(r"\w+", name):
                    raise Refused(f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)")
            database = parameters.get("database") or self.headers.get("X-ClickHouse-Database") or "default"
            output_format = parameters.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
            result = ENGINE.run(sql, database, settings, output_format)
        except Exception as error:
            return self.refuse(str(error))
        return self.answer(200, result)

    def check_login(self, parameters):
        user = self.headers.get("X-ClickHouse-User") or parameters.get("user")
        password = self.headers.get("X-ClickHouse-Key") or parameters.get("password")
        basic = self.headers.get("Authorization", "").removeprefix("Basic ")
        if user is None and basic:
            user, _, password = base64.b64decode(basic).decode().partition(":")
        if (user, password) != (USER, PASSWORD):
            raise Refused(
                f"Code: 516. DB::Exception: {user or 'default'}: Authentication failed: password is incorrect, or there is no "
                "user with such name. (AUTHENTICATION_FAILED)"
            )

    def refuse(self, text):
        found = re.match(r"Code: (\d+)", text)
        code = int(found[1]) if found else 1002
        text = text if found else f"Code: 1002. DB::Exception: {text}. (UNKNOWN_EXCEPTION)"
        self.answer(STATUS_OF_CODE.get(code, 500), f"{text.rstrip()}\n".encode(), [("X-ClickHouse-Exception-Code", str(code))])

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in [("Content-Type", "text/plain; charset=UTF-8"), ("Content-Length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ENGINE = Engine()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"port {server.server_port}", flush=True)
server.serve_forever()
