"""The streams that all readers are given: messages put together from tables of right and wrong parts, then bytes
changed at random. The same seed and number make the same stream.
"""

import random

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
MARKER = b"GET /marker HTTP/1.1\r\nHost: h\r\n\r\n"

# Each table: what is usual, then what is odd. `None` is a line that is not there.
METHODS = [b"GET", b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH"]
ODD_METHODS = [
    b"CONNECT", b"get", b"Get", b"GE", b"GETT", b"M-SEARCH", b"PROPFIND", b"X_Y", b"!", b"G@T", b"", b"G\xc9T",
    b"PRI", b"QUERY", b"SOURCE", b"A" * 32, b"A" * 33, b"GET\t", b" GET", b"HTTP/1.1",
]
TARGETS = [b"/", b"/a", b"/a/b?c=d&e", b"/%41%2f?x=%0d%0a", b"/?", b"/a;b=c,d(e)!$'*+", b"//h/x", b"/a[1]?b[]=2"]
ODD_TARGETS = [
    b"*", b"http://h/x", b"http://h", b"HTTP://h/", b"https://h/x?y", b"http://u@h/", b"http:///x", b"ftp://h/",
    b"h:80",
    b"h", b"", b"/a b", b"/a\tb", b"/a#b", b"/\xc3\xa9", b"/a\\b", b"/a|b", b"/a\"b", b"/<a>", b"/%", b"/%zz", b"/%00",
    b"/a%0d%0ab", b"/\x7f", b"/\x01", b"a", b"?x", b"/a^b`{c}", b"[::1]:80", b"http://[::1]:80/", b"http://h:x/",
    b"/\x00",
]
VERSIONS = [b"HTTP/1.1"] * 8 + [b"HTTP/1.0"]
ODD_VERSIONS = [
    b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/01.1", b"http/1.1",
    b"HTTP/ 1.1", b"HTTP/1.1 ", b" HTTP/1.1", b"HTTP/1,1", b"HTTP/3.1", b"HTTPS/1.1", b"", b"ICE/1.0", b"RTSP/1.0",
    b"HTTP/1.\xb9",
]
SPACES = [b"  ", b"\t", b"", b" \t", b"\x0b", b"\x0c", b"\xa0", b"\r"]
LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\r\n ", b"\r\n\t", b"\x00\r\n", b"\r\n\r\n", b"\x85", b"\t\r\n"]
HOSTS = [b"Host: h", b"Host: h", b"host: example.com:8080", b"HOST:127.0.0.1", b"Host: [::1]:80", b"Host: h\t "]
ODD_HOSTS = [
    None, b"Host:", b"Host: h\r\nHost: h", b"Host: h\r\nHost: i", b"Host: h, i", b"Host: u@h", b"Host: h/x", b"Host : h",
    b"Host: h:x", b"Host: h:99999", b"Host: h i", b"Host: \xe9", b"Host:\x0bh", b"Host: h#", b"Host: [::1",
    b"Host: :80",
    b"Hos\xf4: h", b" Host: h", b"Host: h\r\n x", b"Host\x00: h", b"Host: h?x", b"Host: %zz", b"Ho st: h",
]
LENGTH_NAMES = [b"Content-Length", b"content-length", b"CONTENT-LENGTH"]
ODD_LENGTH_NAMES = [
    b"Content_Length", b"Content-Length ", b"Content-Length\t", b"Content Length", b" Content-Length", b"Content-Lengt",
    b"Content-Lengthx", b"\x0bContent-Length", b"Content\x2fLength", b"Content.Length", b"Content-Length\x00",
    b"X: y\nContent-Length", b"X: y\rContent-Length", b"X: y\r\n Content-Length", b"Contentxlength",
]
# `N` stands for the length of the content.
ODD_LENGTHS = [
    b"+N", b"-N", b"-0", b"0N", b"000000000000000000000000000000N", b"N ", b"\tN\t", b"N,N", b"N, N", b"N, 0", b"N,",
    b",N", b"", b" ", b"0xN", b"N.0", b"Ne0", b"N;", b"N N", b"N\x0b", b"\x0cN", b"\xa0N", b"N_0", b"\"N\"", b"N\x00",
    b"18446744073709551615", b"18446744073709551616", b"18446744073709551621", b"36893488147419103237",
    b"9223372036854775808", b"99999999999999999999999", b"1e1", b"N\r\n 0", b"0", b"1", b"\xb2", b"N\r0", b"N\n0",
]
CODING_NAMES = [b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING"]
ODD_CODING_NAMES = [
    b"Transfer_Encoding", b"Transfer-Encoding ", b"Transfer-Encoding\t", b"Transfer Encoding", b" Transfer-Encoding",
    b"Transfer-Encodin", b"Transfer-Encodingx", b"\x0bTransfer-Encoding", b"Transfer.Encoding", b"TE",
    b"Transfer\xadEncoding",
    b"X: y\nTransfer-Encoding", b"X: y\rTransfer-Encoding", b"X: y\r\n Transfer-Encoding", b"Transfer-Encoding\x00",
    b"Transfer-Coding",
]
ODD_CODINGS = [
    b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity", b"identity", b"identity, chunked",
    b"gzip",
    b"chunked;q=1", b"chunked ;a", b"x;a=b, chunked", b"", b",", b"chunked,", b",chunked", b", chunked ,", b"xchunked",
    b"chunkedx", b"chunke", b"chunked chunked", b"\"chunked\"", b"'chunked'", b"chunked\x0b", b"\x0bchunked",
    b"\x0cchunked",
    b"chunked\x00", b"\xa0chunked", b"chunk\xe9d", b"chunked\r\n x", b"gzip\r\n chunked", b"chunked\r\n",
    b"gzip\tchunked",
    b"c\xe4unked", b"\nchunked", b"chunked/1", b"trailers", b"gzip,chunked", b"gzip;a=\"b,chunked\"", b"chunked, a/b",
]
CONNECTIONS = [b"close", b"keep-alive", b"Close", b"upgrade", b"foo", b"keep-alive, foo", b"foo, close"]
ODD_CONNECTIONS = [
    b"close, keep-alive", b"keep-alive\r\nConnection: close", b"clos", b"closed", b"close;", b"", b",close,",
    b" close ",
    b"close\t", b"content-length", b"\"close\"", b"close close", b"keep-alive, close\r\nConnection: foo", b"x\x0bclose",
    b"transfer-encoding", b"host, close", b"upgrade, close", b"keep alive", b"close,\t,keep-alive", b"foo,close",
    b"Upgrade,Keep-Alive",
]
FIELDS = [
    b"Accept: */*", b"User-Agent: x/1 (y; z)", b"X-A:b", b"X-B:", b"X-C: \xe9\x80\xff", b"Cookie: a=b; c=d",
    b"X-D:\t\tv \t",
    b"Set-Cookie: a\r\nSet-Cookie: b", b"X_E: f", b"!#$%&'*+-.^_`|~0: t", b"Trailer: X-T", b"TE: trailers",
    b"Upgrade: h2c",
    b"Expect: 100-continue", b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Date: now",
]
ODD_FIELDS = [
    b"X-A : b", b"X-A\t: b", b": b", b"X-A", b"X A: b", b"X-\xe9: b", b"X-A: b\r\n c", b"X-A: b\r\n\tc", b"X-A: b\r\n ",
    b"X-A: b\x00c", b"X-A: b\x01c", b"X-A: b\x7fc", b"X-A: b\rc", b"X-A: b\nc: d", b"X-A: \x0bb", b"X-A: b\x0c",
    b" X-A: b",
    b"\tX-A: b", b"X-A\x00: b", b"X(A): b", b"X-A: b\x1fc", b"X-A: \r b", b"X-A: b\r\n\r", b"\x00", b"X-A: \x85b",
    b"X/A: b",
    b"Upgrade: x\r\nConnection: upgrade", b"Expect: 200-ok", b"X-A;b: c", b"[X]: b", b"X-A: b\x08", b"X-\"A\": b",
    b"X-A\r: b",
    b"X-A\n: b", b"X-A:\r\n b", b"X: " + b"y" * 3000, b"Expect: 100-continue, x", b"Upgrade: x", b"X-A=b: c",
    b"X-A@b: c", b"{X}: y",
]
CHUNK_SIZES = [b"N"] * 6 + [b"0N", b"000N", b"N;a", b"N;a=b", b"N;a=\"b\"", b"N; a", b"N ;a", b"N;a=b;c=\"d;\\\"e\""]
ODD_CHUNK_SIZES = [
    b"0xN", b"+N", b"-N", b"N ", b" N", b"\tN", b"N\t", b"N;", b"N;;", b"N;=b", b"N;a=", b"N;a=\"b", b"N;a=b c",
    b"N;a\x00",
    b"N;a\n", b"N;a\x0b", b"N;a=\"\r\n\"", b"N,a", b"N_", b"", b"G", b"N\x00", b"00000000000000000000N",
    b"1000000000000000N",
    b"ffffffffffffffff", b"FFFFFFFFFFFFFFFFF", b"N.0", b"NN", b"N;\xe9", b"N;a=\xe9", b"N;a=\"\xe9\"", b"N;a=\"b\"c",
    b"N\x0b", b"N;a b",
    b"N;a =b", b"N;a= b", b"N ; a = b", b"N;a\t", b"8000000000000000", b"80000000N", b"0000000000000000N", b"N;\r",
    b"N\r", b"N a", b"NH",
    b"N;a=b;", b"N;a=\"b\\\x01\"", b"N;\"a\"", b"N;a=b=c", b"0" * 18 + b"N", b"N" + b" " * 30, b"N  ;a",
]
CHUNK_LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b" \r\n", b"", b"\r\n\r\n", b"\n\r\n", b"\rX", b"\t\r\n"]
CHUNK_DATA_ENDS = [b"\n", b"\r", b"", b"X\r\n", b"\rX", b"\n\r\n", b"\r\n\r\n", b"XX", b" \r\n", b"\r\r\n"]
LAST_CHUNKS = [b"0"] * 6 + [b"00", b"0;a=b", b"000000", b"0 ;a"]
ODD_LAST_CHUNKS = [b"0 ", b"", b"0x0", b"-0", b"+0", b"0;", b"0" * 20, b"0G", b"0\t", b" 0", b"0\x00", b"0;a\n", b"0\r\n0", b"0" * 40]
TRAILERS = [b"", b"", b"X-T: 1\r\n", b"X-T: 1\r\nX-U:\r\n"]
ODD_TRAILERS = [
    b"X-T : 1\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: i\r\n", b"X-T\r\n",
    b" X-T: 1\r\n",
    b"X-T: 1\r\n 2\r\n", b"X-T: 1\n", b"X-T: \x00\r\n", b": 1\r\n", b"\n", b"X-T: 1\r", b"Authorization: x\r\n",
    b"X-T: a\rb\r\n",
    b"Content_Length: 5\r\n", b"Connection: close\r\n", b"X T: 1\r\n", b"Trailer: x\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: h\r\n", b"X-T: \x7f\r\n",
    b"Content-Length: x\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n", b"Transfer-Encoding: x\r\n",
]
STATUSES = [b"200"] * 6 + [b"204", b"304", b"404", b"500", b"206", b"301", b"205"]
ODD_STATUSES = [
    b"100", b"101", b"102", b"103", b"199", b"299", b"600", b"999", b"000", b"099", b"20", b"2000", b"+20", b"2x0",
    b" 200",
    b"", b"-20", b"2 0", b"0200", b"\xb2\xb0\xb0", b"200\t", b"426",
]
REASONS = [b" OK", b" OK", b" ", b" Not \xe9 \x80 found", b" a\tb"]
ODD_REASONS = [b"", b" \x00", b" a\x01", b" a\rb", b" \x7f", b"  OK", b"\tOK", b"OK", b" OK ", b" \x0b"]
CONTENTS = [b"hello", b"", b"0123456789abcdef", b"\r\n", b"0\r\n\r\n", SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"a" * 300, b"5\r\nhello\r\n0\r\n\r\n"]
BYTES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xff", b":", b",", b";", b"0", b"1", b"5", b"a",
         b"-", b"_", b"+", b"=", b"\"", b"\\", b"/", b"%", b"#", b"\r\n\r\n", b"\n\n", b"chunked", b"HTTP/1.1", b"\x16\x03\x01", b"\x01", b"~", b"{"]

SMUGGLED_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"


class Maker:
    """Makes one stream; `odds` is the chance that a part of it is an odd one."""

    def __init__(self, seed, number):
        self.random = random.Random(f"{seed}/{number}")
        self.odds = self.random.choice((0.0, 0.015, 0.03, 0.06, 0.15))

    def is_odd(self):
        return self.random.random() < self.odds

    def pick(self, usual, odd):
        return self.random.choice(odd if self.is_odd() else usual)

    def line_end(self):
        # There are many lines in a stream.
        return self.random.choice(LINE_ENDS) if self.random.random() < self.odds / 4 else b"\r\n"

    def space(self):
        return self.random.choice(SPACES) if self.random.random() < self.odds / 4 else b" "

    def length_line(self, length):
        name = self.pick(LENGTH_NAMES, ODD_LENGTH_NAMES)
        value = self.pick([b"N"], ODD_LENGTHS)
        colon = self.random.choice([b": ", b": ", b":", b":  \t"])
        return name + colon + value.replace(b"N", str(length).encode())

    def coding_line(self):
        value = self.pick([b"chunked", b"chunked", b"Chunked", b"CHUNKED"], ODD_CODINGS)
        return self.pick(CODING_NAMES, ODD_CODING_NAMES) + self.random.choice([b": ", b": ", b":", b":\t "]) + value

    def framing(self, content):
        """Framing fields in every combination, and the content as they are meant."""
        usual = ["none", "length", "chunked"]
        odd = ["both", "both", "lengths", "codings", "three", "lengths", "none-with-content", "false-length", "coding"]
        kind = self.random.choice(odd) if self.random.random() < self.odds * 2 else self.random.choice(usual)
        length = len(content)
        if kind == "none":
            return [], b""
        if kind == "none-with-content":
            return [], content
        if kind == "length":
            return [self.length_line(length)], content
        if kind == "false-length":
            return [self.length_line(max(0, length + self.random.choice((-1, 1, 2, -5))))], content
        if kind == "lengths":
            other = self.random.choice((length, length, 0, length + 1))
            return [self.length_line(length), self.length_line(other)], content
        chunks = self.chunks(content)
        if kind == "chunked":
            return [self.coding_line()], chunks
        if kind == "coding":
            return [b"Transfer-Encoding: " + self.random.choice(ODD_CODINGS)], self.random.choice((chunks, content))
        if kind == "both":
            length = self.random.choice((length, len(chunks), 0))
            lines = [self.length_line(length), self.coding_line()]
        elif kind == "codings":
            lines = [self.coding_line(), b"Transfer-Encoding: " + self.random.choice(ODD_CODINGS + [b"chunked"])]
        else:
            lines = [self.length_line(length), self.coding_line(), self.random.choice((self.coding_line(), self.length_line(0)))]
        self.random.shuffle(lines)
        return lines, self.random.choice((chunks, chunks, content))

    def chunks(self, content):
        parts = []
        at = 0
        while at < len(content):
            size = self.random.choice((1, 5, len(content), len(content)))
            piece = content[at : at + size]
            at += size
            digits = self.random.choice(("%x", "%X")) % len(piece)
            line = self.pick(CHUNK_SIZES, ODD_CHUNK_SIZES).replace(b"N", digits.encode())
            parts += [line, self.pick([b"\r\n"], CHUNK_LINE_ENDS), piece, self.pick([b"\r\n"], CHUNK_DATA_ENDS)]
        parts += [self.pick(LAST_CHUNKS, ODD_LAST_CHUNKS), self.pick([b"\r\n"], CHUNK_LINE_ENDS)]
        parts += [self.pick(TRAILERS, ODD_TRAILERS), self.pick([b"\r\n"], CHUNK_LINE_ENDS)]
        return b"".join(parts)

    def section(self, lines):
        """Field lines in any order, and the empty line."""
        lines += [self.pick(FIELDS, ODD_FIELDS) for _ in range(self.random.choice((0, 0, 1, 2)))]
        if self.random.random() < 0.2:
            lines.append(b"Connection: " + self.pick(CONNECTIONS, ODD_CONNECTIONS))
        self.random.shuffle(lines)
        return b"".join(line + self.line_end() for line in lines) + self.line_end()

    def request(self):
        method = self.pick(METHODS, ODD_METHODS)
        target = self.pick(TARGETS, ODD_TARGETS)
        if method == b"CONNECT" and self.random.random() < 0.8:
            target = b"h:80"
        lines, content = self.framing(self.random.choice(CONTENTS))
        host = self.pick(HOSTS, ODD_HOSTS)
        if host is not None:
            lines.append(host)
        line = method + self.space() + target + self.space() + self.pick(VERSIONS, ODD_VERSIONS) + self.line_end()
        blank = self.random.choice([b"\r\n", b"\n", b"\r", b" ", b"\r\n\r\n", b"\r\n" * 6, b"\x00"]) if self.is_odd() else b""
        return blank + line + self.section(lines) + content

    def response(self, information=False):
        status = self.random.choice([b"100", b"103", b"102", b"199"]) if information else self.pick(STATUSES, ODD_STATUSES)
        lines, content = self.framing(self.random.choice(CONTENTS))
        if information and not self.is_odd():
            lines, content = [], b""
        line = self.pick(VERSIONS, ODD_VERSIONS) + self.space() + status + self.pick(REASONS, ODD_REASONS) + self.line_end()
        blank = self.random.choice([b"\r\n", b"\n", b"\r", b" ", b"\x00"]) if self.is_odd() else b""
        return blank + line + self.section(lines) + content

    def changed(self, stream):
        """One or two changes anywhere."""
        for _ in range(self.random.choice((1, 1, 2))):
            at = self.random.randrange(len(stream) + 1)
            to = min(len(stream), at + self.random.choice((1, 1, 1, 2, 4, 20)))
            how = self.random.randrange(7)
            if how == 0:
                stream = stream[:at] + stream[to:]
            elif how == 1:
                stream = stream[:at] + self.random.choice(BYTES) + stream[at:]
            elif how == 2:
                stream = stream[:at] + self.random.choice(BYTES) + stream[at + 1 :]
            elif how == 3:
                stream = stream[:to] + stream[at:]
            elif how == 4:
                stream = stream[:at]
            elif how == 5:
                stream = stream[:at] + bytes([self.random.randrange(256)]) + stream[at + 1 :]
            else:
                ends = [i for i in range(len(stream)) if stream[i : i + 2] == b"\r\n"]
                at = self.random.choice(ends) if ends else 0
                stream = stream[:at] + self.random.choice(LINE_ENDS) + stream[at + 2 :]
        return stream


def stream(side, seed, number):
    """Who reads it, and the bytes."""
    maker = Maker(f"{side}/{seed}", number)
    if side == "server":
        role = b"S"
        made = b"".join(maker.request() for _ in range(maker.random.choice((1, 1, 2, 3))))
        made += MARKER
    else:
        role = maker.random.choice((b"G", b"G", b"G", b"G", b"H", b"C"))
        made = b"".join(maker.response(information=True) for _ in range(maker.random.choice((0, 0, 0, 1, 2))))
        made += maker.response()
        made += maker.random.choice((b"", b"", b"", SMUGGLED_RESPONSE, b"\r\n"))
    if maker.odds and maker.random.random() < 0.3:
        made = maker.changed(made)
    return role, made
