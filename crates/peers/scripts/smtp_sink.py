"""A mail server that keeps what it gets: one JSON object a line, in the order of arrival.

Usage: smtp_sink.py OPTIONS, a JSON object:
  file         where the messages go
  login        [user, password], or null; with a login, mail is refused until it was given
  certificate  [certificate file, key file], or null; with one, STARTTLS is offered
  tls          "none", "offered", "required" (nothing but STARTTLS is answered before it) or "implicit" (from the first byte)
  answers      [[what, answer], ...]: `what` is "MAIL", "RCPT", "DATA" or an address to which RCPT is answered; each is used
               up in order when its turn comes, an address never. "close" as an answer drops the connection instead; "late" stores
               the message and drops the connection, so that the client does not know.
Prints `port N` once it listens on 127.0.0.1.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

OPTIONS = json.loads(sys.argv[1])
WAITING = [list(pair) for pair in OPTIONS["answers"]]


def next_answer(what):
    """The answer that is next in turn for a command."""
    for index, (command, answer) in enumerate(WAITING):
        if command == what:
            del WAITING[index]
            return answer
    return None


class Sink:
    def answer_or_drop(self, server, answer):
        if answer == "close":
            server.transport.abort()
        return answer

    async def handle_MAIL(self, server, session, envelope, address, options):
        if answer := next_answer("MAIL"):
            return self.answer_or_drop(server, answer)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        always = next((answer for what, answer in OPTIONS["answers"] if what == address), None)
        if answer := always or next_answer("RCPT"):
            return self.answer_or_drop(server, answer)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = next_answer("DATA")
        if answer and answer != "late":
            return self.answer_or_drop(server, answer)
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "login": session.auth_data.decode() if session.authenticated else None,
            "tls": session.ssl is not None or OPTIONS["tls"] == "implicit",
            "data": (envelope.original_content or b"").decode("latin-1"),
        }
        with open(OPTIONS["file"], "a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
        if answer == "late":
            server.transport.abort()
        return "250 2.0.0 kept"


def authenticate(server, session, envelope, mechanism, data):
    user, password = OPTIONS["login"]
    right = (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=right, handled=False, auth_data=data.login)


def make_smtp(context):
    by_command = OPTIONS["tls"] in ("offered", "required")
    return SMTP(
        Sink(),
        hostname="peer.test",
        enable_SMTPUTF8=True,
        data_size_limit=8 << 20,
        decode_data=False,
        tls_context=context if by_command else None,
        require_starttls=OPTIONS["tls"] == "required",
        authenticator=authenticate if OPTIONS["login"] else None,
        auth_required=bool(OPTIONS["login"]),
        # A login may be sent in the clear only where the test chose to have no encryption at all.
        auth_require_tls=by_command,
    )


async def main():
    context = None
    if OPTIONS["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*OPTIONS["certificate"])
    loop = asyncio.get_running_loop()
    implicit = context if OPTIONS["tls"] == "implicit" else None
    server = await loop.create_server(lambda: make_smtp(context), "127.0.0.1", 0, ssl=implicit)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
