"""The session, against servers in a thread: a proper one, and one that sends what a test tells it to."""

import datetime
import gc
import ipaddress
import os
import select
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.frames import Frame, Opcode
from websockets.sync.server import serve
from websockets.utils import accept_key

from mftpy.errors import ConfigError, VenueError
from mftpy.venue.session import ConnectionLostError, Session

PATIENCE_S = 20.0
"""How long a test waits for what must come; not a time that anything is expected to take."""


def wait(session):
    """Do what a process's loop does between two turns."""
    if not session.has_pending:
        poll = select.poll()
        poll.register(session.fileno(), select.POLLIN | (select.POLLOUT if session.wants_write else 0))
        assert poll.poll(PATIENCE_S * 1e3), "nothing came"
    session.flush()


def take(session, count):
    """Return the next `count` payloads."""
    payloads = []
    while len(payloads) < count:
        wait(session)
        payloads += [payload for payload, _receive_ns in session.receive()]
    return payloads


def end(session):
    """Receive until the connection is closed; return the payloads before, and the error."""
    payloads = []
    while True:
        wait(session)
        try:
            payloads += [payload for payload, _receive_ns in session.receive()]
        except ConnectionLostError as error:
            return payloads, error


@contextmanager
def proper_server(handler, **options):
    """Serve with the websockets library; yields the URL."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        scheme = "wss" if "ssl" in options else "ws"
        yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}/ws/api/v2"
        server.shutdown()
        thread.join()


def echo(connection):
    for message in connection:
        connection.send(message)


def frame(opcode, data=b"", *, fin=True):
    return Frame(opcode, data, fin).serialize(mask=False)


def close_frame(code, reason=b""):
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason)


def handshake_answer(request, **changes):
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = accept_key(key.partition(b":")[2].strip().decode())
    lines = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept} | changes
    return (
        "HTTP/1.1 101 Switching Protocols\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    ).encode()


@contextmanager
def scripted_server(script, answer=handshake_answer):
    """Serve one connection: read the request, send `answer(request)`, run `script(socket)`; yields the URL."""
    failures = []

    def run():
        try:
            sock, _address = listener.accept()
            with sock:
                sock.settimeout(PATIENCE_S)
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    part = sock.recv(4096)
                    if not part:
                        return
                    request += part
                sock.sendall(answer(request))
                script(sock)
        except OSError as error:  # the client may leave first
            failures.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        thread = threading.Thread(target=run)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/api/v2"
        thread.join()
    assert all(isinstance(error, ConnectionError) for error in failures), failures


def linger(sock):
    """Read until the client is gone."""
    while sock.recv(65536):
        pass


def sends(*data, then=linger):
    def script(sock):
        for part in data:
            sock.sendall(part)
        then(sock)

    return script


# messages


def test_messages_go_out_and_come_back_in_order():
    with proper_server(echo) as url, Session.connect(url) as session:
        sent = [b'{"id":%d}' % number for number in range(200)]
        for payload in sent:
            session.send(payload)
        assert take(session, 200) == sent


def test_times_are_of_the_monotonic_clock_and_in_order():
    before = time.monotonic_ns()
    with proper_server(echo) as url, Session.connect(url) as session:
        sent_ns = session.send(b"{}")
        while not (messages := session.receive()):
            wait(session)
        ((_payload, receive_ns),) = messages
        assert before < sent_ns
        assert before < receive_ns == session.last_receive_ns <= time.monotonic_ns()


def test_receiving_nothing_does_not_wait():
    with proper_server(echo) as url, Session.connect(url) as session:
        assert session.receive() == []
        assert not session.has_pending
        assert not session.wants_write


def test_neither_compression_nor_credentials_are_offered_and_packets_are_not_held_back():
    requests = []

    def answer(request):
        requests.append(request.lower())
        return handshake_answer(request)

    with scripted_server(linger, answer) as url, Session.connect(url) as session:
        with socket.socket(fileno=os.dup(session.fileno())) as ours:
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not os.get_inheritable(ours.fileno())
        (request,) = requests
        assert request.startswith(b"get /ws/api/v2 http/1.1\r\n")
        assert b"extensions" not in request
        assert b"authorization" not in request
        session.close(timeout_s=0)


def test_no_proxy_is_used_whatever_the_environment_says(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with proper_server(echo) as url, Session.connect(url) as session:
        session.send(b"{}")
        assert take(session, 1) == [b"{}"]


def test_what_comes_with_the_answer_to_the_handshake_is_not_lost():
    def answer(request):
        return handshake_answer(request) + frame(Opcode.TEXT, b"first") + frame(Opcode.PING, b"p")

    answers = []

    def script(sock):
        answers.append(sock.recv(64))
        linger(sock)

    with scripted_server(script, answer) as url, Session.connect(url) as session:
        assert session.has_pending
        assert [payload for payload, _receive_ns in session.receive()] == [b"first"]
        assert not session.has_pending
        session.close(timeout_s=0)
    assert len(answers[0]) >= 2 + 4 + 1
    assert answers[0][0] == 0x80 | Opcode.PONG


def test_fragments_are_joined_also_with_a_ping_between_them():
    data = [
        frame(Opcode.TEXT, b'{"a":', fin=False),
        frame(Opcode.PING, b"now"),
        frame(Opcode.CONT, b"", fin=False),
        frame(Opcode.CONT, b"1}"),
        frame(Opcode.TEXT, b"whole"),
    ]
    with scripted_server(sends(*data)) as url, Session.connect(url) as session:
        assert take(session, 2) == [b'{"a":1}', b"whole"]
        session.close(timeout_s=0)


def test_a_message_that_arrives_byte_by_byte_is_one_message():
    data = frame(Opcode.TEXT, b"x" * 200)
    parts = [data[place : place + 1] for place in range(len(data))]
    with scripted_server(sends(*parts)) as url, Session.connect(url) as session:
        assert take(session, 1) == [b"x" * 200]
        session.close(timeout_s=0)


def test_a_flood_is_taken_in_portions_and_nothing_of_it_is_lost():
    payloads = [b"%d:" % number + b"x" * 10_000 for number in range(2_000)]
    data = b"".join(frame(Opcode.TEXT, payload) for payload in payloads)
    with scripted_server(sends(data)) as url, Session.connect(url) as session:
        assert take(session, 2_000) == payloads
        session.close(timeout_s=0)


def test_a_ping_of_the_exchange_is_answered_with_its_content():
    answered = threading.Event()

    def handler(connection):
        assert connection.ping(b"are you there").wait(PATIENCE_S)
        answered.set()
        connection.send("done")
        linger_quietly(connection)

    def linger_quietly(connection):
        for _message in connection:
            pass

    with proper_server(handler) as url, Session.connect(url) as session:
        assert take(session, 1) == [b"done"]
        assert answered.is_set()


def test_the_answer_to_our_ping_is_no_message_but_shows_that_the_transport_lives():
    with proper_server(echo) as url, Session.connect(url) as session:
        before = session.last_receive_ns
        session.ping()
        while session.last_receive_ns == before:
            wait(session)
            assert session.receive() == []


def test_silence_leaves_the_time_of_the_last_sign_of_life_where_it_was():
    with scripted_server(linger) as url, Session.connect(url) as session:
        before = session.last_receive_ns
        session.ping()
        poll = select.poll()
        poll.register(session.fileno(), select.POLLIN)
        assert poll.poll(50) == []
        assert session.receive() == []
        assert session.last_receive_ns == before
        session.close(timeout_s=0)


# a peer that does not read


def send_until_refused(session, payload, said):
    """Return how often `payload` was taken before the refusal that must come."""
    for taken in range(10_000):
        try:
            session.send(payload)
        except VenueError as error:
            assert said in str(error)  # noqa: PT017 - how many were taken counts as well
            return taken
    raise AssertionError("everything was taken")


def small_buffers(session):
    with socket.socket(fileno=os.dup(session.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)


def test_what_the_kernel_does_not_take_waits_and_arrives_whole_and_in_order():
    may_read, messages = threading.Event(), []

    def handler(connection):
        assert may_read.wait(PATIENCE_S)
        for message in connection:
            messages.append(message)
            if len(messages) == 100:
                connection.send("all")

    with proper_server(handler, max_queue=1) as url, Session.connect(url, most_backlog_bytes=2**24) as session:
        small_buffers(session)
        sent = [b"%d:" % number + b"x" * 20_000 for number in range(100)]
        for payload in sent:
            session.send(payload)
        assert session.wants_write
        assert session.backlog_bytes > 0
        may_read.set()
        assert take(session, 1) == [b"all"]
        assert not session.wants_write
    assert [message.encode() for message in messages] == sent


def test_a_backlog_is_bounded_and_what_is_refused_is_not_sent_later():
    may_read, received = threading.Event(), []

    def script(sock):
        assert may_read.wait(PATIENCE_S)
        while part := sock.recv(65536):
            received.append(len(part))

    with scripted_server(script) as url, Session.connect(url, most_backlog_bytes=100_000) as session:
        small_buffers(session)
        accepted = send_until_refused(session, b"x" * 10_000, "the connection is stuck")
        assert session.backlog_bytes <= 100_000 + 14
        may_read.set()
        while session.wants_write:
            wait(session)
        session.close(timeout_s=0)
    header, goodbye = 8, 8
    assert sum(received) - accepted * (header + 10_000) in (0, goodbye)  # the kernel may not have taken that


def test_a_peer_that_only_sends_pings_and_never_reads_does_not_fill_our_memory():
    ping = frame(Opcode.PING, b"p" * 125) * 100

    def script(sock):
        while True:
            sock.sendall(ping)

    with scripted_server(script) as url, Session.connect(url, most_backlog_bytes=10_000) as session:
        small_buffers(session)
        _payloads, error = end(session)
        assert "does not read" in error.reason
        assert session.backlog_bytes < 10_000_000
        session.close()


# endings


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1011, "broken"), (4321, "ours")])
def test_a_goodbye_comes_after_the_messages_before_it_and_says_why(code, reason):
    data = frame(Opcode.TEXT, b"last words") + close_frame(code, reason.encode())
    goodbyes = []

    def script(sock):
        sock.sendall(data)
        goodbyes.append(sock.recv(64))

    with scripted_server(script) as url, Session.connect(url) as session:
        payloads, error = end(session)
        assert payloads == [b"last words"]
        assert (error.code, error.reason) == (code, reason)
        assert (session.closed, session.close_code, session.close_reason) == (True, code, reason)
        assert url in str(error)
        assert str(code) in str(error)
    assert goodbyes[0][0] == 0x80 | Opcode.CLOSE  # answered, as the protocol wants


def test_a_goodbye_together_with_the_answer_to_the_handshake_is_a_goodbye():
    def answer(request):
        return handshake_answer(request) + close_frame(1013, b"try later")

    with scripted_server(linger, answer) as url, Session.connect(url) as session:
        payloads, error = end(session)
        assert (payloads, error.code, error.reason) == ([], 1013, "try later")


def test_an_end_without_goodbye_is_1006():
    with (
        scripted_server(sends(frame(Opcode.TEXT, b"x"), then=lambda sock: None)) as url,
        Session.connect(url) as session,
    ):
        payloads, error = end(session)
        assert (payloads, error.code) == ([b"x"], 1006)


def test_a_reset_is_1006_and_names_the_reset():
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with scripted_server(reset) as url, Session.connect(url) as session:
        _payloads, error = end(session)
        assert error.code == 1006
        assert "reset" in error.reason.lower()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x83\x00", 1002),
        (b"\xc1\x01x", 1002),
        (b"\x81\x81\0\0\0\0x", 1002),
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002),
        (b"\x89\x7e\x00\x80" + b"x" * 128, 1002),
        (frame(Opcode.TEXT, b"x" * 1001), 1009),
        (frame(Opcode.TEXT, b"x" * 600, fin=False) + frame(Opcode.CONT, b"x" * 600), 1009),
        (b"\x81\x7f" + struct.pack("!Q", 2**62), 1009),
    ],
)
def test_broken_frames_end_the_connection_at_once_and_the_messages_before_them_count(data, code):
    with (
        scripted_server(sends(frame(Opcode.TEXT, b"fine") + data)) as url,
        Session.connect(url, most_message_bytes=1000) as session,
    ):
        payloads, error = end(session)
        assert (payloads, error.code) == ([b"fine"], code)
        assert "what came is wrong" in error.reason
        session.close(timeout_s=0)


def test_after_the_end_nothing_can_be_sent_and_pings_do_nothing():
    with scripted_server(sends(close_frame(1000))) as url, Session.connect(url) as session:
        end(session)
        session.ping()
        session.flush()
        with pytest.raises(ConnectionLostError):
            session.send(b"{}")
        with pytest.raises(ConnectionLostError):
            session.receive()


def test_sending_into_a_dead_connection_says_so_at_last():
    gone = threading.Event()

    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        gone.set()

    with scripted_server(reset) as url, Session.connect(url) as session:
        assert gone.wait(PATIENCE_S)
        send_until_refused(session, b"{}", "1006")
        assert session.closed


def test_closing_is_agreed_with_the_exchange_and_what_comes_meanwhile_is_counted():
    def script(sock):
        sock.sendall(frame(Opcode.TEXT, b"unread") * 3)
        assert sock.recv(64)[0] == 0x80 | Opcode.CLOSE
        sock.sendall(frame(Opcode.TEXT, b"late") * 2 + close_frame(1000))

    with scripted_server(script) as url:
        session = Session.connect(url)
        wait(session)
        session.close(timeout_s=PATIENCE_S)
        assert (session.close_code, session.discarded, session.fileno()) == (1000, 5, -1)
        session.close()


def test_closing_does_not_wait_for_an_exchange_that_says_nothing():
    with scripted_server(linger) as url:
        session = Session.connect(url)
        session.close(timeout_s=0.01)
        assert session.closed
        assert session.fileno() == -1


def test_a_session_leaves_no_descriptor_behind():
    def open_descriptors():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the entry of the listing itself must not matter

    with proper_server(echo) as url:
        Session.connect(url).close(timeout_s=PATIENCE_S)
        before = open_descriptors()
        for _ in range(5):
            Session.connect(url).close(timeout_s=PATIENCE_S)
        with pytest.raises(VenueError):
            Session.connect(url.replace("ws:", "wss:"))
        for _ in range(100):
            if open_descriptors() <= before:
                break
            threading.Event().wait(0.05)  # the server's threads close their ends when they get to it
        assert open_descriptors() <= before


# connecting


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_refused_connection_is_one_sentence_with_the_url():
    url = f"ws://127.0.0.1:{free_port()}/x"
    with pytest.raises(VenueError, match="Connection refused") as caught:
        Session.connect(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_one_sentence(monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(VenueError, match=r"the name nowhere\.invalid of ws://.* cannot be looked up: Name or service"):
        Session.connect("ws://nowhere.invalid/x")


def test_a_resolver_that_hangs_does_not_hang_us(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: released.wait(PATIENCE_S) and [])
    with pytest.raises(VenueError, match=r"look-up of the name slow\.invalid within"):
        Session.connect("ws://slow.invalid/x", timeout_s=0.05)
    released.set()


def test_the_next_address_of_a_name_is_tried_when_the_first_refuses(monkeypatch):
    with proper_server(echo) as url:
        port = int(url.split(":")[2].partition("/")[0])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (free_port(), port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
        with Session.connect("ws://two.invalid/x") as session:
            session.send(b"{}")
            assert take(session, 1) == [b"{}"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "http://127.0.0.1/",
        "ws://",
        "ws://127.0.0.1:port/",
        "ws://127.0.0.1:70000/",
        "ws://[::1/x",
        "ws://a/#b",
    ],
)
def test_what_is_no_address_of_an_exchange_is_a_usage_error(url):
    with pytest.raises(ConfigError, match="it should look like"):
        Session.connect(url)


@pytest.mark.parametrize(
    "url", ["ws://user:SECRET@127.0.0.1/", "ws://user:SECRET@127.0.0.1:70000/", "ws://SECRET@127.0.0.1/"]
)
def test_a_password_in_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError) as caught:
        Session.connect(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda request: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404; is the path right"),
        (lambda request: b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait", "HTTP status 503"),
        (lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP status 200"),
        (lambda request: b"SSH-2.0-OpenSSH_9.9\r\n", "does not speak WebSocket"),
        (lambda request: b"\0" * 100_000, "does not speak WebSocket"),
        (lambda request: handshake_answer(request, **{"Sec-WebSocket-Accept": "x"}), "does not speak WebSocket"),
        (lambda request: handshake_answer(request, Upgrade="h2c"), "does not speak WebSocket"),
        (
            lambda request: handshake_answer(request, **{"Sec-WebSocket-Extensions": "permessage-deflate"}),
            "does not speak WebSocket",
        ),
        (lambda request: b"", "does not speak WebSocket"),
    ],
)
def test_a_wrong_answer_to_the_handshake_is_one_sentence(answer, said):
    def leave(sock):
        pass

    with scripted_server(leave, answer) as url, pytest.raises(VenueError, match=said) as caught:
        Session.connect(url)
    assert url in str(caught.value)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_says_nothing_is_given_up_by_the_deadline(scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(VenueError, match=r"handshake within 0\.05 s"):
            Session.connect(url, timeout_s=0.05)


def test_a_server_whose_queue_is_full_is_given_up_by_the_deadline():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        with pytest.raises(VenueError, match=r"within 0\.05 s"):
            Session.connect(f"ws://127.0.0.1:{address[1]}/x", timeout_s=0.05)
        for filler in fillers:
            filler.close()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the path of a certificate for 127.0.0.1, with its key in the same file."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exchange")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(built.public_bytes(Encoding.PEM) + private)
    return path


@pytest.fixture
def server_side(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate))


def test_messages_go_through_tls_both_ways_also_large_ones(certificate, server_side):
    payloads = [b"%d:" % number + b"x" * size for number, size in enumerate((1, 200, 16_384, 16_385, 300_000, 3))]
    with (
        proper_server(echo, ssl=server_side) as url,
        Session.connect(url, ssl_context=trusting(certificate)) as session,
    ):
        for payload in payloads:
            session.send(payload)
        assert take(session, len(payloads)) == payloads


def test_what_tls_holds_decrypted_is_not_forgotten_when_the_descriptor_is_silent(certificate, server_side, monkeypatch):
    monkeypatch.setattr("mftpy.venue.session.RECEIVE_BYTES", 100)
    monkeypatch.setattr("mftpy.venue.session.RECEIVES_AT_ONCE", 1)
    payloads = [b"%d" % number for number in range(1_000)]

    def handler(connection):
        connection.recv()
        connection.socket.sendall(b"".join(frame(Opcode.TEXT, payload) for payload in payloads))  # one TLS record
        for _message in connection:
            pass

    with (
        proper_server(handler, ssl=server_side) as url,
        Session.connect(url, ssl_context=trusting(certificate)) as session,
    ):
        session.send(b"go")
        assert take(session, len(payloads)) == payloads


def test_a_backlog_goes_through_tls_whole_and_in_order(certificate, server_side):
    may_read, messages = threading.Event(), []

    def handler(connection):
        assert may_read.wait(PATIENCE_S)
        for message in connection:
            messages.append(message)
            if len(messages) == 100:
                connection.send("all")

    with (
        proper_server(handler, ssl=server_side, max_queue=1) as url,
        Session.connect(url, ssl_context=trusting(certificate), most_backlog_bytes=2**24) as session,
    ):
        small_buffers(session)
        sent = [b"%d:" % number + b"x" * 20_000 for number in range(100)]
        for payload in sent:
            session.send(payload)
        assert session.wants_write
        may_read.set()
        assert take(session, 1) == [b"all"]
    assert [message.encode() for message in messages] == sent


def test_an_unknown_certificate_is_refused_by_default(server_side):
    with (
        proper_server(echo, ssl=server_side) as url,
        pytest.raises(VenueError, match=r"cannot be trusted: self.signed"),
    ):
        Session.connect(url)


def test_a_certificate_of_another_host_is_refused(certificate, server_side):
    with (
        proper_server(echo, ssl=server_side) as url,
        pytest.raises(VenueError, match="cannot be trusted: Hostname mismatch"),
    ):
        Session.connect(url.replace("127.0.0.1", "localhost"), ssl_context=trusting(certificate))


def test_wss_to_a_server_of_plain_ws_says_so():
    with proper_server(echo) as url, pytest.raises(VenueError, match="does it speak wss, or plain ws"):
        Session.connect(url.replace("ws:", "wss:"))
