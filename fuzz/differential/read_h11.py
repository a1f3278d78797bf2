"""What h11 makes of byte streams.

In: streams, each a length (four bytes, little-endian), who reads it (one byte: S for a server, G, H and C for a
client that asked with GET, HEAD and CONNECT), its bytes. Out: one line of JSON for each, as src/view.rs.
"""

import json
import struct
import sys

import h11

METHODS = {"G": "GET", "H": "HEAD", "C": "CONNECT"}


def text(value):
    return bytes(value).decode("latin-1")


def fields(headers):
    return [[text(name), text(value)] for name, value in headers]


class View:
    def __init__(self):
        self.messages = []
        self.information = []
        self.end = ""
        self.code = ""
        self.why = ""

    def head(self, start, event):
        self.messages.append({
            "start": start,
            "minor": int(event.http_version[-1:]),
            "fields": fields(event.headers.raw_items()),
            "content": "",
            "trailers": [],
            "done": False,
        })

    def data(self, data):
        self.messages[-1]["content"] += text(data)

    def done(self, trailers=()):
        self.messages[-1]["trailers"] = fields(trailers)
        self.messages[-1]["done"] = True

    def refuse(self, error):
        # The second is what it says of an answer that never began.
        cut = "closed connection" in str(error) or "event type ConnectionClosed" in str(error)
        self.end, self.why = ("cut" if cut else "refused"), str(error)

    def is_within(self):
        return bool(self.messages) and not self.messages[-1]["done"]


def trailers_of(event):
    return event.headers.raw_items() if event.headers else []


def as_server(stream):
    view, connection = View(), h11.Connection(h11.SERVER)
    connection.receive_data(stream)
    ended = False
    try:
        while not view.end:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                view.head(f"{text(event.method)} {text(event.target)}", event)
            elif isinstance(event, h11.Data):
                view.data(event.data)
            elif isinstance(event, h11.EndOfMessage):
                view.done(trailers_of(event))
                answer(connection, view)
            elif isinstance(event, h11.ConnectionClosed):
                view.end = "kept"
            elif event is h11.PAUSED:
                # The request was CONNECT; else the next one may come.
                view.end = "closed"
            elif ended:
                # h11 waits for the rest of a head.
                view.end = "cut" if view.is_within() or connection.trailing_data[0].strip(b"\r\n") else "kept"
            else:
                ended = True
                connection.receive_data(b"")
    except h11.RemoteProtocolError as error:
        view.refuse(error)
    return view


def answer(connection, view):
    connection.send(h11.Response(status_code=200, headers=[]))
    if connection.our_state is h11.SWITCHED_PROTOCOL:
        view.data(connection.trailing_data[0])
        view.end = "tunnel"
        return
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
        connection.start_next_cycle()
    else:
        view.end = "closed"


def as_client(method, stream):
    view, connection = View(), h11.Connection(h11.CLIENT)
    target = "h:80" if method == "CONNECT" else "/"
    connection.send(h11.Request(method=method, target=target, headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(stream)
    ended = False
    try:
        while not view.end:
            event = connection.next_event()
            if isinstance(event, h11.InformationalResponse):
                view.information.append(event.status_code)
            elif isinstance(event, h11.Response):
                view.head(str(event.status_code), event)
            elif isinstance(event, h11.Data):
                view.data(event.data)
            elif isinstance(event, h11.EndOfMessage):
                view.done(trailers_of(event))
                surplus = connection.trailing_data[0]
                kept = connection.their_state is h11.DONE and connection.our_state is h11.DONE
                view.end = "kept" if kept and not surplus and not ended else "closed"
            elif event is h11.PAUSED:
                view.done()
                view.data(connection.trailing_data[0])
                view.end = "tunnel"
            elif isinstance(event, h11.ConnectionClosed):
                view.end = "cut"
            elif ended:
                view.end = "cut"
            else:
                ended = True
                connection.receive_data(b"")
    except h11.RemoteProtocolError as error:
        view.refuse(error)
    return view


def main():
    if sys.argv[1:] == ["--version"]:
        print("h11", h11.__version__, "of Python", sys.version.split()[0])
        return
    data = sys.stdin.buffer.read()
    at, lines = 0, []
    while at < len(data):
        length, role = struct.unpack_from("<Ic", data, at)
        at += 5
        stream = data[at : at + length]
        at += length
        view = as_server(stream) if role == b"S" else as_client(METHODS[role.decode()], stream)
        lines.append(json.dumps(vars(view)))
    print("\n".join(lines))


main()
