"""`uid`, `gid` and `lookup uid`: packets that a socket of the gateway sends or receives belong to its
owner, all others to nobody."""

import os
import socket
import time

import pytest
from lab import ALLOW
from lab.network import eventually, stop

NOBODY, NOGROUP = 65534, 65534  # in /etc/passwd of any machine
USER, OTHER = 1234, 1235
PORT = 8090
# A listener is known a quarter of a second after its start; this machine may be busy.
KNOWN_S = 0.6


@pytest.fixture(scope="module")
def gateway_settings():
    return {"dataplane": {"workers": 1}}


@pytest.fixture(scope="module")
def web(routed):
    """A web server on host A."""
    child = routed.a.listen(PORT)
    yield child
    stop(child)


def far(routed, version):
    address = routed.a.ipv4 if version == 4 else f"[{routed.a.ipv6}]"
    return f"http://{address}:{PORT}/"


def as_user(user, *command):
    return ("setpriv", "--reuid", str(user), "--clear-groups", *command)


def fetch_as(routed, user, url, seconds=3):
    done = routed.middle.run(*as_user(user, "curl", "--silent", "--max-time", str(seconds), url))
    return done.stdout == "hello\n"


class Echo:
    """A server on the gateway itself."""

    def __init__(self, routed, kind, listener, owner=None):
        program = os.path.join(os.path.dirname(__file__), "lab", "echo_server.py")
        self.child = routed.middle.start(
            "/usr/bin/python3", program, kind, str(PORT), str(listener),
            str(listener if owner is None else owner), stdout=-1)
        assert self.child.stdout.readline() == b"listening\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.child)


def connect(routed, kind, address):
    """A socket of host A."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with routed.a.inside():
        made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    made.settimeout(3)
    made.connect((address, PORT))
    return made


def echoes(connection, text=b"hello"):
    connection.sendall(text)
    return connection.recv(100) == text


def packets(gateway, *rules):
    """Of these rules, when the last packets of a connection have come through."""
    def counts():
        lines = [line.split() for line in gateway.must("show").splitlines()]
        return [int(next(line[1] for line in lines if int(line[0]) == rule)) for rule in rules]

    before = counts()
    while True:
        time.sleep(0.2)
        now = counts()
        if now == before:
            return now
        before = now


@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_a_connection_that_the_user_opens(routed, gateway, web, version):
    gateway.load(f"add 100 count tcp from me to any uid nobody out\n"
                 f"add 110 count tcp from me to any {PORT} out\n"
                 f"add 120 count tcp from any to me uid nobody in\n"
                 f"add 130 count tcp from any {PORT} to me in\n"
                 f"add 140 count tcp from any to any uid {USER}\n" + ALLOW)
    assert fetch_as(routed, NOBODY, far(routed, version))
    sent, all_sent, received, all_received, of_another = packets(gateway, 100, 110, 120, 130, 140)
    assert sent == all_sent > 3
    assert received == all_received > 3
    assert of_another == 0
    assert fetch_as(routed, USER, far(routed, version))
    assert packets(gateway, 100, 120) == [sent, received]
    assert gateway.counters(140)[0] > 6


@pytest.mark.parametrize("version", [4, 6])
def test_a_user_is_cut_off(routed, gateway, web, version):
    gateway.load(f"add 100 deny ip from any to any uid {USER} out\n" + ALLOW)
    assert not fetch_as(routed, USER, far(routed, version), seconds=1)
    assert gateway.counters(100)[0] > 0
    assert fetch_as(routed, NOBODY, far(routed, version))
    assert fetch_as(routed, 0, far(routed, version))


def test_a_state_keeps_what_the_rule_has_decided(routed, gateway, web):
    gateway.load(f"add 100 allow tcp from me to any setup uid {USER} out keep-state\n"
                 f"add 200 deny tcp from any to any\n" + ALLOW)
    assert fetch_as(routed, USER, far(routed, 4))
    assert not fetch_as(routed, NOBODY, far(routed, 4), seconds=1)
    assert gateway.counters(200)[0] > 0


@pytest.mark.parametrize("address", ["router_a4", "router_a6"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_packets_for_a_server(routed, gateway, kind, address):
    gateway.load(f"add 100 count {kind} from any to me uid {USER} in\n"
                 f"add 110 count {kind} from any to me {PORT} in\n"
                 f"add 120 count {kind} from me to any uid {USER} out\n"
                 f"add 130 count {kind} from me {PORT} to any out\n" + ALLOW)
    with Echo(routed, kind, USER):
        time.sleep(KNOWN_S)
        with connect(routed, kind, getattr(routed, address)) as connection:
            assert echoes(connection)
            assert echoes(connection)
        received, all_received, sent, all_sent = packets(gateway, 100, 110, 120, 130)
        assert received == all_received >= 2
        assert sent == all_sent >= 2
    # The server has gone, and what comes for it now is for nobody.
    time.sleep(KNOWN_S)
    with pytest.raises(OSError), connect(routed, kind, getattr(routed, address)) as connection:
        echoes(connection)
    assert gateway.counters(100)[0] == received
    assert gateway.counters(110)[0] > all_received


def test_a_connection_belongs_to_whoever_took_it(routed, gateway):
    gateway.load(f"add 100 count tcp from any to me uid {USER} in setup\n"
                 f"add 110 count tcp from me to any uid {OTHER} out tcpdatalen 1-2000\n"
                 f"add 120 count tcp from me to any uid {USER} out tcpdatalen 1-2000\n" + ALLOW)
    with Echo(routed, "tcp", USER, OTHER):
        time.sleep(KNOWN_S)
        with connect(routed, "tcp", routed.router_a4) as connection:
            assert echoes(connection)
            assert echoes(connection)
        assert packets(gateway, 100, 110, 120) == [1, 2, 0]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_rules_that_come_later_know_what_there_is(routed, gateway, kind):
    gateway.load(ALLOW)
    with Echo(routed, kind, USER), connect(routed, kind, routed.router_a4) as connection:
        assert echoes(connection)
        gateway.load(f"add 100 count {kind} from any to me uid {USER} in\n"
                     f"add 110 count {kind} from me to any uid {USER} out\n" + ALLOW)
        assert echoes(connection)
        assert packets(gateway, 100, 110) == ([2, 1] if kind == "tcp" else [1, 1])


@pytest.mark.parametrize("version", [4, 6])
def test_the_first_datagram_of_a_new_socket(routed, gateway, version):
    gateway.load(f"add 100 count udp from me to any 9999 uid {USER} out\n"
                 f"add 110 count udp from me to any 9999 out\n" + ALLOW)
    family, address = (("AF_INET", routed.a.ipv4) if version == 4 else
                       ("AF_INET6", routed.a.ipv6))
    program = ("import socket, time\n"
               f"s = socket.socket(socket.{family}, socket.SOCK_DGRAM)\n"
               f"s.sendto(b'x', ('{address}', 9999))\n"
               "time.sleep(0.2)\n")  # a socket that has gone at once belongs to nobody
    assert routed.middle.run(*as_user(USER, "/usr/bin/python3", "-c", program)).returncode == 0
    assert eventually(lambda: packets(gateway, 100, 110) == [1, 1])


def test_groups(routed, gateway, web):
    gateway.load(f"add 100 count tcp from me to any gid {NOGROUP} out\n"
                 f"add 110 count tcp from me to any {PORT} out\n"
                 f"add 120 count tcp from me to any not gid nogroup out\n" + ALLOW)
    assert fetch_as(routed, NOBODY, far(routed, 4))
    of_group, sent, of_others = packets(gateway, 100, 110, 120)
    assert of_group == sent > 3 and of_others == 0
    assert fetch_as(routed, USER, far(routed, 4))
    again, sent_by_all, of_others = packets(gateway, 100, 110, 120)
    assert again == of_group and of_others == sent_by_all - sent > 3


def test_a_table_of_users(routed, gateway, web):
    gateway.ipfw("table", "users", "destroy")
    gateway.must("table", "users", "create", "type", "number")
    gateway.load(f"add 100 skipto tablearg tcp from me to any out lookup uid users\n"
                 f"add 200 count tcp from me to any {PORT} out\n"
                 f"add 300 count tcp from me to any {PORT} out\n" + ALLOW)
    gateway.must("table", "users", "add", str(USER), "300")
    assert fetch_as(routed, USER, far(routed, 4))
    jumped, passed_over, reached = packets(gateway, 100, 200, 300)
    assert passed_over == 0 and reached == jumped > 3
    assert fetch_as(routed, NOBODY, far(routed, 4))
    assert gateway.counters(200)[0] > 3


@pytest.mark.parametrize("version", [4, 6])
def test_forwarded_packets_belong_to_nobody(routed, gateway, version):
    with Echo(routed, "tcp", USER):  # on the gateway, on the same port
        server = routed.b.listen(PORT)
        try:
            users = " or ".join(f"uid {user}" for user in (0, USER, NOBODY))
            gateway.load(f"add 100 count tcp from any to any {{ {users} }}\n"
                         f"add 110 count ip from any to any not uid {USER} proto tcp\n"
                         f"add 120 count tcp from any to any\n" + ALLOW)
            time.sleep(KNOWN_S)
            address = routed.b.ipv4 if version == 4 else f"[{routed.b.ipv6}]"
            assert routed.a.curl(f"http://{address}:{PORT}/").stdout == "hello\n"
            belongs, belongs_not, all_packets = packets(gateway, 100, 110, 120)
            assert belongs == 0
            assert belongs_not == all_packets > 12
        finally:
            stop(server)


def test_other_protocols_belong_to_nobody(routed, gateway):
    gateway.load("add 100 count icmp from any to any uid root\n"
                 "add 110 count icmp from any to any not uid root\n" + ALLOW)
    assert routed.middle.ping(routed.a.ipv4, 2)
    assert packets(gateway, 100, 110) == [0, 4]


def test_listed_as_written(gateway):
    gateway.load("add 100 allow tcp from me to any uid root\n"
                 f"add 110 allow tcp from me to any gid {NOGROUP} uid {USER}\n" + ALLOW)
    assert gateway.must("list", "100").strip() == "00100 allow tcp from me to any uid root"
    assert f"uid {USER}" in gateway.must("list", "110")
