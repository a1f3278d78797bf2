"""What each class of classes.toml is, as a look at the bytes: a function of the same name for each.

A class whose name begins with `we_` is one where ours refuses, `they_` one where the other refuses, `both_` one where
both go on. A refusal is not believed: the byte that is named, or the field lines of the head, must be wrong.
"""

import ast
import ipaddress
import re

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
TARGET = rb"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]"


def wrong(d):
    """The byte that ours refuses."""
    at = d.ours.get("at", len(d.stream))
    return d.stream[at : at + 1]


def before(d, count=1):
    at = d.ours.get("at", len(d.stream))
    return d.stream[max(0, at - count) : at]


def line_before(d):
    """What ours has understood of the line that it refuses, without content of a known length that stands before it."""
    line = before(d, 1 << 20).rpartition(b"\n")[2]
    last = d.ours["messages"][-1] if d.ours["messages"] else None
    if last and last["done"] and any(name.lower() == "content-length" for name, _ in last["fields"]):
        return line.removeprefix(last["content"].encode("latin-1").rpartition(b"\n")[2])
    return line


def is_ours(d, text):
    return d.kind == "we-refuse" and text in d.ours["why"]


# Node does not say what is wrong in a request that asks for another protocol.
UNSAID = "for another protocol"


def is_theirs(d, *texts):
    return d.kind == "they-refuse" and any(text in d.theirs["code"] + " " + d.theirs["why"] for text in texts)


def head_before(d):
    """The lines of the whole head that ours refuses for what they say. What comes before its first line may be
    content of another message."""
    end = d.ours.get("at", len(d.stream))
    start = d.stream.rfind(b"\r\n\r\n", 0, end - 4)
    return d.stream[start + 4 if start >= 0 else 0 : end - 4].split(b"\r\n")


def values(d, name):
    """The values of the lines of this name in the refused head."""
    found = []
    for line in head_before(d):
        key, colon, value = line.partition(b":")
        if colon and key.lower() == name:
            found.append(value.strip(b" \t"))
    return found


def start_line(d):
    """The start line of the refused head, without content before it."""
    for line in head_before(d):
        match = re.search(TOKEN + rb" (\S+) HTTP/1\.\d$", line) or re.search(rb"HTTP/1\.\d \d{3}.*$", line)
        if match:
            return match[0]
    return b""


def codings(d):
    return [coding.strip(b" \t").lower() for value in values(d, b"transfer-encoding") for coding in value.split(b",")]


# ---- lines


def we_refuse_bare_lf(d):
    if not is_ours(d, "line feed alone") or wrong(d) != b"\n":
        return False
    # The CR before it may be the last byte of content.
    return before(d) != b"\r" or d.ours["messages"][-1:][0]["content"].endswith("\r")


def we_refuse_bare_cr(d):
    return is_ours(d, "carriage return is not followed") and before(d) == b"\r" and wrong(d) not in (b"\n", b"")


def we_refuse_unasked_upgrade(d):
    return is_ours(d, "switched protocols") and d.theirs["messages"][-1]["start"] == "101"


def we_refuse_many_empty_lines(d):
    return is_ours(d, "more empty lines before the request line") and (before(d, 9) + wrong(d)).endswith(b"\r\n" * 5)


def we_refuse_space_before_fields(d):
    return is_ours(d, "white space before the first") and wrong(d) in (b" ", b"\t") and before(d, 2) == b"\r\n"


def we_refuse_fold(d):
    return is_ours(d, "folded") and wrong(d) in (b" ", b"\t") and before(d, 2) == b"\r\n"


# ---- start lines


def we_refuse_method(d):
    if not (is_ours(d, "does not begin with a method") or is_ours(d, "method is longer than")):
        return False
    long = re.search(TOKEN + rb"$", before(d, 32))
    return (
        re.fullmatch(TOKEN + rb"|[ ]", wrong(d)) is None
        or len(long[0] if long else b"") == 32
        or (wrong(d) == b" " and not long)
    )


def we_refuse_target_byte(d):
    if not is_ours(d, "byte that a url may not have"):
        return False
    target = line_before(d).partition(b" ")[2]
    if wrong(d) in (b"\n", b"") and target.endswith(b"\r"):
        # The whole line is there: what is wrong is the percent-encoding.
        path = target.partition(b" ")[0]
        encoded = re.findall(rb"%(?![0-9A-Fa-f]{2})", path) + re.findall(rb"(?i)%0[0ad]", path.partition(b"?")[0])
        return bool(encoded)
    return re.fullmatch(TARGET, wrong(d)) is None


def we_refuse_target_form(d):
    if not is_ours(d, "form of the request target"):
        return False
    words = (line_before(d) + wrong(d)).strip(b"\r\n").split(b" ")
    method, target = words[-3].rpartition(b"\n")[2], words[-2]
    if method.endswith(b"CONNECT"):
        return not is_host(target) or re.search(rb":\d+$", target) is None
    if target == b"*":
        return not method.endswith(b"OPTIONS")
    absolute = re.fullmatch(rb"(?i:https?)://([^/?]*)([/?].*)?", target)
    return not target.startswith(b"/") and (absolute is None or not is_host(absolute[1]))


def we_refuse_version(d):
    if not is_ours(d, "version is missing or malformed"):
        return False
    version = line_before(d).rpartition(b" ")[2] + wrong(d)
    return (
        line_before(d).count(b" ") < 2
        or not any(re.fullmatch(rb"HTTP/\d\.\d\r?", version + end) for end in (b"", b"\r"))
        and not b"HTTP/".startswith(version)
    )


def we_refuse_major_version(d):
    return is_ours(d, "another major version") and re.search(rb"HTTP/[02-9]\.\d$", before(d, 8)) is not None


def we_refuse_status_line(d):
    return is_ours(d, "http/1 status line") and re.match(rb"HTTP/\d\.\d ", line_before(d) + wrong(d)) is None


def we_refuse_status(d):
    if not is_ours(d, "three digits"):
        return False
    return re.match(rb"HTTP/\d\.\d [1-9]\d\d[ \r]", line_before(d) + wrong(d)) is None


def we_refuse_control_in_reason(d):
    return is_ours(d, "reason phrase") and re.fullmatch(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", wrong(d)) is not None


# ---- fields


def we_refuse_field_name(d):
    return is_ours(d, "header name is empty or") and re.fullmatch(TOKEN, wrong(d)) is None


def we_refuse_space_before_colon(d):
    return (
        is_ours(d, "between a header name and its colon") and wrong(d) in (b" ", b"\t") and b":" not in line_before(d)
    )


def we_refuse_missing_colon(d):
    return is_ours(d, "no colon") and wrong(d) in (b"\r", b"\n") and b":" not in line_before(d)


def we_refuse_control_in_value(d):
    return (
        is_ours(d, "header value has a control")
        and re.fullmatch(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", wrong(d)) is not None
    )


def we_refuse_missing_host(d):
    return is_ours(d, "needs a host") and not values(d, b"host")


def we_refuse_repeated_host(d):
    return is_ours(d, "more than one host") and len(values(d, b"host")) > 1


def is_host(value):
    """`uri-host [":" port]`, with an address in the brackets."""
    match = re.fullmatch(
        rb"(?:(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]+)\])(?::(\d{0,5}))?", value
    )
    if match is None or int(match[2] or 0) > 65535:
        return False
    try:
        return match[1] is None or bool(ipaddress.IPv6Address(match[1].decode()))
    except ValueError:
        return False


def we_refuse_host(d):
    if not is_ours(d, "not a host with an optional port"):
        return False
    return not all(is_host(host) for host in values(d, b"host"))


# ---- framing


def we_refuse_content_length(d):
    if not is_ours(d, "not a decimal number below"):
        return False
    return any(
        re.fullmatch(rb"[0-9]+", value) is None or int(value) >= 2**64 or len(value) > 20
        for value in values(d, b"content-length")
    )


def we_refuse_repeated_length(d):
    lengths = values(d, b"content-length")
    return is_ours(d, "content-length is given more than once") and (
        len(lengths) > 1 or any(b"," in value for value in lengths)
    )


def we_refuse_length_and_encoding(d):
    return is_ours(d, "given together") and bool(values(d, b"content-length")) and bool(values(d, b"transfer-encoding"))


def we_refuse_codings(d):
    found = codings(d)
    bad = [coding for coding in found if re.fullmatch(TOKEN, coding) is None]
    return is_ours(d, "with chunked once and last") and (
        bool(bad) or found[-1:] != [b"chunked"] or found.count(b"chunked") > 1
    )


def we_refuse_unknown_coding(d):
    return is_ours(d, "only the transfer coding chunked") and any(coding != b"chunked" for coding in codings(d))


def we_refuse_encoding_in_1_0(d):
    return (
        is_ours(d, "not allowed in an http/1.0")
        and b"HTTP/1.0" in start_line(d)
        and bool(values(d, b"transfer-encoding"))
    )


def we_refuse_look_alike(d):
    names = [line.partition(b":")[0].lower() for line in head_before(d)]
    alike = [name for name in names if re.fullmatch(rb"content[^-]length|transfer[^-]encoding", name)]
    return is_ours(d, "resembles") and bool(alike)


def we_refuse_content_of_connect(d):
    return is_ours(d, "connect request") and b"CONNECT " in start_line(d)


# ---- chunks


def we_refuse_chunk_size(d):
    if not is_ours(d, "chunk size"):
        return False
    digits = line_before(d) + wrong(d)
    long = re.search(rb"[0-9A-Fa-f]{16,}$", digits)
    return re.fullmatch(rb"[0-9A-Fa-f]", wrong(d)) is None or long is not None


# RFC 9112 §7.1 and §7.1.1, with its bad white space, but without the bytes from 0x80 on in quoted strings.
CHUNK_LINE = rb"[0-9A-Fa-f]+([ \t]*;[ \t]*T([ \t]*=[ \t]*(T|\"([\t !#-\[\]-~]|\\[\t -~])*\"))?)*\r".replace(b"T", TOKEN)

# What makes a line of what may be the beginning of one.
CHUNK_LINE_ENDS = (b"", b"\r", b";a\r", b"a\r", b'"\r', b'a"\r')


def we_refuse_high_byte_in_extension(d):
    quoted = re.search(rb"=[ \t]*\"[^\"]*$", line_before(d)) is not None
    return is_ours(d, "chunk extension") and quoted and wrong(d) >= b"\x80"


def we_refuse_chunk_extension(d):
    line = line_before(d) + wrong(d)
    return is_ours(d, "chunk extension") and not any(re.fullmatch(CHUNK_LINE, line + end) for end in CHUNK_LINE_ENDS)


def we_refuse_chunk_end(d):
    return is_ours(d, "not followed by crlf") and (before(d) + wrong(d)) != b"\r\n" and wrong(d) not in (b"\r", b"")


def we_refuse_trailer_field(d):
    names = {b"host", b"authorization", b"proxy-authorization"}
    pattern = rb"content.length|transfer.encoding"
    lines = [line.partition(b":")[0].lower().rpartition(b"\n")[2] for line in head_before(d)]
    return is_ours(d, "trailer has a name") and any(name in names or re.fullmatch(pattern, name) for name in lines)


# ---- what others refuse


def their_line(d):
    """The line that llhttp refuses a byte of, up to its CR."""
    at = d.theirs.get("at", 0)
    start = d.stream.rfind(b"\n", 0, at) + 1
    return d.stream[start:].partition(b"\n")[0]


def quoted(d):
    """The bytes that h11 shows in its error."""
    match = re.search(r"bytearray\((b(?:'.*'|\".*\"))\)", d.theirs["why"])
    return ast.literal_eval(match[1]) if match else b""


def they_refuse_space_in_chunk_line(d):
    if is_theirs(d, "illegal chunk header"):
        line = quoted(d)[:-1]
    elif is_theirs(d, "HPE_INVALID_CHUNK_SIZE", "in chunk extensions", UNSAID):
        line = their_line(d)
    else:
        return False
    right = any(re.fullmatch(CHUNK_LINE, line + end) for end in CHUNK_LINE_ENDS)
    return right and re.search(rb"[ \t][;=]|[;=][ \t]|[ \t]$", line) is not None


LLHTTP_METHODS = set(b"""
    ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS
    PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE
""".split())


def they_refuse_unknown_method(d):
    if not is_theirs(d, "HPE_INVALID_METHOD", "Connection Preface", UNSAID):
        return False
    if d.at < len(d.ours["messages"]):
        method = d.ours["messages"][d.at]["start"].split(" ")[0].encode("latin-1")
    else:
        # It did not come as far as that.
        at = d.theirs["at"]
        start = at - len(re.search(rb"(?:" + TOKEN + rb")?$", d.stream[:at])[0])
        if d.ours["messages"]:
            # Content may stand right before it.
            content = d.ours["messages"][-1]["content"].encode("latin-1")
            start = next((end for end in range(start, at + 1) if content and d.stream[:end].endswith(content)), start)
        method = re.match(rb"(?:" + TOKEN + rb")?", d.stream[start:])[0]
    return re.fullmatch(TOKEN, method) is not None and len(method) <= 32 and method not in LLHTTP_METHODS


def they_refuse_empty_line(d):
    if d.at < len(d.ours["messages"]):
        start = d.ours["messages"][d.at]["start"].encode("latin-1")
        return is_theirs(d, "no request line received") and b"\r\n" + start in d.stream
    # Nothing that ours takes for the beginning of a request came behind it, or it is refused or waited for.
    return is_theirs(d, "no request line received") or (
        d.theirs["why"] == "illegal request line" and d.stream.endswith(b"\r")
    )


def they_refuse_minor_version(d):
    return is_theirs(d, "Invalid HTTP version", UNSAID) and re.search(rb"HTTP/1\.[2-9]", their_line(d)) is not None


def they_refuse_tab_behind_value(d):
    if not is_theirs(d, "HPE_INVALID_CONTENT_LENGTH", "HPE_INVALID_TRANSFER_ENCODING"):
        return False
    fields = d.message["fields"] if d.at < len(d.ours["messages"]) else []
    steering = [(name, value) for name, value in fields if name.lower() in ("content-length", "transfer-encoding")]
    if len(steering) != 1 or not re.fullmatch(r"\d+|(?i:chunked)", steering[0][1]):
        return False
    name, value = (part.encode("latin-1") for part in steering[0])
    return re.search(re.escape(name) + rb":[ \t]*" + re.escape(value) + rb"[ \t]*\t[ \t]*\r\n", d.stream) is not None


def they_refuse_sooner(d):
    """Ours has accepted nothing: it waits for the end of the head to judge what is in it."""
    named = (
        "HPE_INVALID_CONTENT_LENGTH",
        "HPE_INVALID_TRANSFER_ENCODING",
        "HPE_UNEXPECTED_CONTENT_LENGTH",
        "HPE_INVALID_URL",
        "HPE_INVALID_VERSION",
    )
    same = len(d.ours["messages"]) == len(d.theirs["messages"]) and len(d.ours["information"]) == len(
        d.theirs["information"]
    )
    return d.ours["end"] == "cut" and same and is_theirs(d, *named)


def answer_of(d):
    """Of a response that the other refuses: status and fields as ours has them, informational ones by their lines."""
    head = d.stream
    for _ in range(len(d.theirs["information"])):
        head = head.partition(b"\r\n\r\n")[2]
    head = head.partition(b"\r\n\r\n")[0]
    status = re.match(rb"HTTP/1\.\d (\d{3})", head)
    fields = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return int(status[1]) if status else 0, [(name.lower(), value.strip(b" \t")) for name, _, value in fields]


def has_no_content(d, status):
    """By what was asked, or by its status, whatever its fields say: RFC 9112 §6.3, rules 1 and 2."""
    return d.role == "H" or 100 <= status < 200 or status in (204, 304) or (d.role == "C" and 200 <= status < 300)


def they_refuse_framing_of_no_content(d):
    if d.kind != "they-refuse" or d.role == "S":
        return False
    status, fields = answer_of(d)
    named = is_theirs(d, "CONTENT_LENGTH", "TRANSFER_ENCODING", "Content-Length", "Transfer-Encoding")
    return (
        named
        and has_no_content(d, status)
        and any(name in (b"content-length", b"transfer-encoding") for name, _ in fields)
    )


def they_refuse_other_codings(d):
    if d.role == "S" or not is_theirs(d, "Only Transfer-Encoding", "multiple Transfer-Encoding"):
        return False
    status, fields = answer_of(d)
    found = b",".join(value for name, value in fields if name == b"transfer-encoding").lower().split(b",")
    found = [coding.strip(b" \t") for coding in found]
    return (
        all(re.fullmatch(TOKEN, coding) for coding in found)
        and any(coding != b"chunked" for coding in found)
        and found.count(b"chunked") <= 1
    )


# ---- what nobody refuses


def same_message(d):
    """The message that both have."""
    return d.ours["messages"][d.at], d.theirs["messages"][d.at]


def both_take_minor_version(d):
    if d.kind != "start":
        return False
    ours, theirs = same_message(d)
    return (
        ours["start"] == theirs["start"] and ours["minor"] == 1 and 2 <= theirs["minor"] <= 9 and "major" not in theirs
    )


def last_of_theirs(d):
    """The message behind which they read nothing more, where ours does."""
    count = len(d.theirs["messages"])
    if d.kind == "persistence" and d.theirs["end"] == "closed" and 0 < count <= len(d.ours["messages"]):
        return d.ours["messages"][count - 1]
    return {"minor": None, "fields": []}


def both_see_proxy_connection(d):
    fields = last_of_theirs(d)["fields"]
    return any(name.lower() == "proxy-connection" and "close" in value.lower() for name, value in fields)


def both_see_keep_alive_in_1_0(d):
    message = last_of_theirs(d)
    options = [value.lower() for name, value in message["fields"] if name.lower() == "connection"]
    return message["minor"] == 0 and any("keep-alive" in value for value in options)


def both_see_tab_behind_close(d):
    """llhttp does not know `close` with a tab behind it."""
    ended = d.kind == "persistence" and d.ours["end"] == "closed"
    return ended and re.search(rb"(?im)^connection:.*close[ \t]*\t[ \t]*\r?$", d.stream) is not None


def both_see_close_beside_keep_alive(d):
    """llhttp keeps a connection of HTTP/1.0 where both options are given."""
    if d.kind != "persistence" or d.ours["end"] != "closed":
        return False
    message = d.ours["messages"][-1]
    options = ",".join(value for name, value in message["fields"] if name.lower() == "connection").lower()
    return message["minor"] == 0 and "close" in options and "keep-alive" in options


def both_see_connection_in_trailers(d):
    return any(
        name.lower() == "connection" and "close" in value.lower()
        for name, value in last_of_theirs(d).get("trailers", ())
    )


def both_see_unknown_expectation(d):
    """Ours reads nothing behind it, where content was announced: the client may not send that."""
    if d.kind != "persistence" or d.ours["end"] != "closed" or d.role != "S":
        return False
    fields = d.ours["messages"][-1]["fields"]
    expected = [value for name, value in fields if name.lower() == "expect"]
    announced = any(name.lower() in ("content-length", "transfer-encoding") for name, value in fields)
    return announced and any(value.lower() != "100-continue" for value in expected)


def both_see_informational_close(d):
    """An informational response that closes: ours reads the final one and keeps the connection for no other, h11 keeps
    it, llhttp does not read the final one."""
    interim = d.stream.split(b"\r\n\r\n")[: max(len(d.theirs["information"]), len(d.ours["information"]))]
    pattern = (
        rb"(?im)^connection:.*close"
        if "closed" == d.ours["end"] and d.kind == "persistence"
        else rb"(?im)^(proxy-)?connection:.*close"
    )
    last = any(head.startswith(b"HTTP/1.0") or re.search(pattern, head) for head in interim)
    if d.role == "S" or not last:
        return False
    return d.kind == "persistence" and d.ours["end"] == "closed" or "HPE_CLOSED_CONNECTION" in d.theirs["code"]


def both_read_tab_behind_coding(d):
    """llhttp does not know `chunked` with a tab behind it: a response then ends with the connection; a request is
    refused, but one for another protocol has no content."""
    if d.kind not in ("content", "trailers", "persistence", "we-refuse", "boundary") or d.message is None:
        return False
    if d.role == "S" and UNSAID not in d.theirs["why"]:
        return False
    coding = [value for name, value in d.message["fields"] if name.lower() == "transfer-encoding"]
    return len(coding) == 1 and re.search(rb"(?i)chunked[ \t]*\t[ \t]*\r\n", d.stream) is not None


def both_see_no_framing(d):
    """llhttp asks for the end of the connection although the response has no content."""
    message = d.ours["messages"][d.at] if d.at < len(d.ours["messages"]) else None
    if d.kind != "persistence" or d.role == "S" or d.ours["end"] != "kept" or message is None:
        return False
    lengths = [value for name, value in message["fields"] if name.lower() == "content-length"]
    codings = [value.lower() for name, value in message["fields"] if name.lower() == "transfer-encoding"]
    framed = bool(lengths) or codings == ["chunked"]
    return has_no_content(d, int(message["start"])) and not framed


def both_read_repeated_length(d):
    """h11 makes one of several equal lengths, where they have no meaning."""
    if d.kind != "fields" or d.role == "S":
        return False
    ours, theirs = same_message(d)
    lengths = [value for name, value in ours["fields"] if name.lower() == "content-length"]
    equal = {length.strip(" \t") for value in lengths for length in value.split(",")}
    return (
        has_no_content(d, int(ours["start"]))
        and len(equal) == 1
        and [*equal] == [value for name, value in theirs["fields"] if name.lower() == "content-length"]
    )
