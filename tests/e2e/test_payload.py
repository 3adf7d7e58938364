"""Payload rules with real programs: what they cut, and what passes beside it."""

import json
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from lab import Wire, connect, echo_server
from lab.network import eventually
from scapy.all import IP, TCP, Ether, raw

pytestmark = pytest.mark.waits

PORT = 8080


@pytest.fixture
def web(stateful):
    bed, appliance = stateful
    server = bed.b.listen(PORT, "page\n")
    yield bed, appliance
    server.terminate()
    server.wait()
    appliance.must("-q", "flush")
    appliance.must("-q", "pattern", "all", "destroy")


def following(bed, rule, port=PORT):
    """Rules that look at all packets of connections of A's, before their states are asked."""
    return (f"add 100 deny tcp from any to any {port} {rule}\n"
            f"add 110 deny tcp from any {port} to any {rule}\n"
            "add 200 check-state\n"
            f"add 300 allow tcp from {bed.a.ipv4} to any {port} setup keep-state\n"
            "add 400 deny tcp from any to any\n")


def fetches(bed, path="/", *options, seconds=2):
    done = bed.a.curl(f"http://{bed.b.ipv4}:{PORT}{path}", *options, seconds=seconds)
    return done.returncode == 0 and done.stdout == "page\n"


def hits(appliance, name):
    """What `pattern NAME show` says of each pattern."""
    told = json.loads(appliance.must("pattern", name, "show", "--json"))
    return {entry["pattern"]: entry["hits"]
            for entry in told["objects"][0]["patterns"]}


# ---- What is cut ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["packet", "stream"])
def test_a_url_is_cut_and_its_neighbour_passes(web, mode):
    bed, appliance = web
    appliance.load(f"pattern web create mode {mode}\n"
                   'pattern web add "/secret" 7 re:/union\\s+select/i 9\n' +
                   following(bed, "payload web"))
    assert fetches(bed, "/public")
    assert not fetches(bed, "/secret")
    assert not fetches(bed, "/?q=UNION%20", "-H", "X: union  SELECT")
    assert fetches(bed, "/?q=union")
    assert hits(appliance, "web")['"/secret"'] > 0
    before = appliance.dataplane_counters()["payload_scans"]
    assert fetches(bed)
    assert appliance.dataplane_counters()["payload_scans"] > before


def test_inline_patterns_need_no_object(web):
    bed, appliance = web
    appliance.load(following(bed, 'payload "GET /secret"'))
    assert fetches(bed)
    assert not fetches(bed, "/secret")


def test_what_is_denied_stays_denied(web):
    """A stream that has matched: nothing of the connection passes any more, in either direction."""
    bed, appliance = web
    appliance.load("pattern web create mode stream\npattern web add attack\n" +
                   following(bed, "payload web", 7000))
    with echo_server(bed.b, 7000, bed.b.ipv4):
        with bed.a.inside(), connect(bed.a, bed.b.ipv4, 7000) as connection:
            connection.settimeout(1)
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"
            connection.sendall(b"an att")
            assert connection.recv(100) == b"an att"
            connection.sendall(b"ack and more")
            with pytest.raises(TimeoutError):
                connection.recv(100)
            connection.sendall(b"harmless")
            with pytest.raises(TimeoutError):
                connection.recv(100)
    assert appliance.dataplane_counters()["payload_flows"] == 1


def test_a_pattern_in_pieces(web):
    """One byte a segment: packets by themselves show nothing, a stream does."""
    bed, appliance = web
    for mode, passes in (("packet", True), ("stream", False)):
        appliance.load(f"-f flush\npattern {mode} create mode {mode}\npattern {mode} add attack\n" +
                       following(bed, f"payload {mode}", 7000))
        with echo_server(bed.b, 7000, bed.b.ipv4):
            with bed.a.inside(), connect(bed.a, bed.b.ipv4, 7000) as connection:
                connection.settimeout(1)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                said = b""
                try:
                    for byte in b"attack":
                        connection.sendall(bytes([byte]))
                        said += connection.recv(100)
                except TimeoutError:
                    pass
                assert (said == b"attack") == passes, (mode, said)


# ---- Order ---------------------------------------------------------------------------------------


class Sender:
    """One end of a TCP connection, made of frames of its own."""

    def __init__(self, bed, near, far, port):
        self.bed, self.near, self.far, self.port = bed, near, far, port
        self.near.drain()
        self.far.drain()
        assert self.passes(self.segment(0, b"", "S", acknowledged=0, sequence=1000))
        assert self.passes(self.segment(0, b"", "SA", True, 1001, 5000), True)
        assert self.passes(self.segment(0, b"", "A"))

    def segment(self, offset, data, flags="PA", back=False, acknowledged=5001, sequence=None):
        bed = self.bed
        source, destination = (bed.b.ipv4, bed.a.ipv4) if back else (bed.a.ipv4, bed.b.ipv4)
        ports = (80, self.port) if back else (self.port, 80)
        return raw(Ether(src="02:00:00:00:00:c1", dst="02:00:00:00:00:c2") /
                   IP(src=source, dst=destination, id=random.randrange(65536)) /
                   TCP(sport=ports[0], dport=ports[1], flags=flags,
                       seq=1001 + offset if sequence is None else sequence, ack=acknowledged) /
                   data)

    def passes(self, frame, back=False):
        sender, receiver = (self.far, self.near) if back else (self.near, self.far)
        sender.send(frame)
        return bool(receiver.receive(lambda found: found == frame, 0.3))


@pytest.fixture
def connection(stateful):
    """Calling it begins a connection that a stream object follows."""
    bed, appliance = stateful
    appliance.load("pattern web create mode stream\npattern web add attack\n" +
                   following(bed, "payload web", 80))
    ports = iter(range(41000, 42000))
    with Wire(bed.a) as near, Wire(bed.b) as far:
        yield lambda: Sender(bed, near, far, next(ports))
    appliance.must("-q", "flush")
    appliance.must("-q", "pattern", "all", "destroy")


def test_segments_in_any_order(stateful, connection):
    _, appliance = stateful
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        sender = connection()
        pieces = [(0, b"at"), (2, b"ta"), (4, b"ck")]
        passed = [sender.passes(sender.segment(*pieces[place])) for place in order]
        assert passed == [True, True, False], order
    assert appliance.dataplane_counters()["payload_kept"] >= 4


def test_a_copy_with_other_bytes(stateful, connection):
    _, appliance = stateful
    sender = connection()
    assert sender.passes(sender.segment(3, b"XXX"))
    assert not sender.passes(sender.segment(3, b"ack")), "another copy of what waits"
    assert appliance.drops()["payload_conflict"] >= 1
    assert sender.passes(sender.segment(0, b"att"))
    assert sender.passes(sender.segment(6, b"harmless"))
    assert not sender.passes(sender.segment(0, b"XXX")), "in place of one that may be lost"
    assert sender.passes(sender.segment(0, b"att"))


def test_segments_that_the_receiver_drops(stateful, connection):
    sender = connection()
    frame = bytearray(sender.segment(0, b"harmless"))
    frame[14 + 20 + 16] ^= 1  # the checksum
    sender.passes(bytes(frame))
    assert sender.passes(sender.segment(0, b"att"))
    assert not sender.passes(sender.segment(3, b"ack"))


def test_fin_and_reset_in_the_middle(stateful, connection):
    for flags in ("FA", "R"):
        sender = connection()
        assert sender.passes(sender.segment(0, b"att"))
        sender.passes(sender.segment(3, b"", flags))
        assert not sender.passes(sender.segment(3, b"ack")), flags


# ---- Names ---------------------------------------------------------------------------------------


def tls_server(host, folder):
    """On port 8443; returns when it listens."""
    certificate, key = folder / "certificate", folder / "key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=test"],
                   check=True, capture_output=True)
    child = host.start("/usr/bin/python3", Path(__file__).parent / "lab" / "tls_server.py", "8443",
                       certificate, key, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"listening\n"
    return child


@pytest.mark.parametrize("mode", ["packet", "stream"])
def test_a_hundred_thousand_server_names(stateful, tmp_path, mode):
    """TLS handshakes with names of a large list, and with others."""
    bed, appliance = stateful
    names = [f"{word}-{i}.{top}" for i in range(20000)
             for word, top in (("ads", "example"), ("track", "test"), ("evil", "invalid"),
                               ("mal", "example"), ("ware", "test"))]
    listed = tmp_path / "names"
    listed.write_text("# what nobody may ask for\n" + "\n".join(names) + "\n")
    server = tls_server(bed.b, tmp_path)
    try:
        appliance.load(f"pattern blocked create type names mode {mode}\n"
                       f"pattern blocked load {listed}\n" +
                       following(bed, "tls-sni blocked", 8443))

        def shakes_hands(name, *options):
            done = bed.a.run("timeout", "2", "openssl", "s_client", "-connect",
                             f"{bed.b.ipv4}:8443", "-servername", name, *options)
            return "Server certificate" in done.stdout

        assert shakes_hands("allowed.example")
        for name in (names[0], names[-1], names[4711], "www." + names[12345], names[77].upper()):
            assert not shakes_hands(name), name
        for name in ("x" + names[0], "example", "ads-20001.example"):
            assert shakes_hands(name), name
        # Longer than a segment, with the name at its end or not: what follows the flow sees it.
        long = ("-alpn", ",".join(f"protocol{i:04}" for i in range(130)))
        assert shakes_hands("allowed.example", *long)
        if mode == "stream":
            assert not shakes_hands(names[5], *long)
    finally:
        server.terminate()
        server.wait()
        appliance.must("-q", "flush")
        appliance.must("-q", "pattern", "all", "destroy")


def test_hosts_and_targets_of_http(web):
    bed, appliance = web
    appliance.load("pattern hosts create type names\npattern hosts add blocked.example\n"
                   "pattern targets create\npattern targets add re:/^\\/admin/\n"
                   "add 90 deny tcp from any to any http-uri targets\n" +
                   following(bed, "http-host hosts"))
    assert fetches(bed, "/page")
    assert not fetches(bed, "/admin/users")
    assert fetches(bed, "/page?from=/admin")
    assert not fetches(bed, "/", "-H", "Host: www.BLOCKED.example:8080")
    assert fetches(bed, "/", "-H", "Host: unblocked.example")


def test_questions_of_dns(stateful):
    bed, appliance = stateful
    appliance.load('add 100 deny udp from any to any 53 dns-qname "blocked.example"\n'
                   "add 200 allow udp from any to any\n")

    def question(name):
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"

    with echo_server(bed.b, 53, bed.b.ipv4, socket.SOCK_DGRAM), bed.a.inside(), socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)

        def answers(name):
            client.sendto(question(name), (bed.b.ipv4, 53))
            try:
                return client.recv(500) == question(name)
            except TimeoutError:
                return False

        assert answers("allowed.example")
        assert not answers("blocked.example")
        assert not answers("www.Blocked.EXAMPLE")
        assert answers("blocked.example.org")
    appliance.must("-q", "flush")


# ---- Changes -------------------------------------------------------------------------------------


def test_streams_go_on_over_a_reload(web):
    bed, appliance = web
    rules = ("pattern web create mode stream or-flush\npattern web add attack\n" +
             following(bed, "payload web", 7000))
    appliance.load("-f flush\n" + rules)
    with echo_server(bed.b, 7000, bed.b.ipv4):
        with bed.a.inside(), connect(bed.a, bed.b.ipv4, 7000) as connection:
            connection.settimeout(1)
            connection.sendall(b"att")
            assert connection.recv(100) == b"att"
            appliance.load("-f flush\nadd 50 count ip from any to any\n" + rules)
            connection.sendall(b"ack")
            with pytest.raises(TimeoutError):
                connection.recv(100)
    assert appliance.dataplane_counters()["payload_restarted"] == 0


def test_what_a_restart_brings_back(web):
    """Either daemon may be started again; nothing is compiled, and the rules look as before."""
    bed, appliance = web
    appliance.load("pattern web create\npattern web add /secret 7\n" + following(bed, "payload web"))
    listed = appliance.must("pattern", "web", "list")
    appliance.stop_controlplane()
    assert not fetches(bed, "/secret")
    appliance.start_controlplane()
    appliance.await_connection()
    assert appliance.must("pattern", "web", "list") == listed
    appliance.stop_dataplane()
    appliance.start_dataplane()
    appliance.await_connection()
    assert eventually(lambda: fetches(bed, "/public"))
    assert not fetches(bed, "/secret")


def test_the_history_has_patterns(own_bed, own_appliance):
    """After both daemons were killed, and after a rollback, the patterns are those of the ruleset."""
    appliance = own_appliance
    appliance.start()
    server = own_bed.b.listen(PORT, "page\n")
    try:
        appliance.load("pattern web create mode stream\npattern web add /first 7\n" +
                       following(own_bed, "payload web"))
        first = appliance.must("pattern", "web", "list")
        appliance.must("-q", appliance.rule_file("pattern web add /second\npattern web delete /first\n",
                                                 "second"))
        second = appliance.must("pattern", "web", "list")
        assert "/second" in second and "/first" not in second
        appliance.must("save")
        for daemon in (appliance.stop_controlplane, appliance.stop_dataplane):
            daemon(signal.SIGKILL)
        appliance.start_dataplane()
        appliance.start_controlplane()
        appliance.await_connection()
        assert eventually(lambda: appliance.ipfw("pattern", "web", "list").out == second, 10)
        assert eventually(lambda: fetches(own_bed, "/first"))
        assert not fetches(own_bed, "/second")
        number = json.loads(appliance.must("history", "--json"))["rulesets"][-1]["number"]
        appliance.must("-q", "rollback", number - 1)
        assert appliance.must("pattern", "web", "list") == first
        assert not fetches(own_bed, "/first")
        assert fetches(own_bed, "/second")
    finally:
        server.terminate()
        server.wait()


def test_lint_says_what_patterns_cost(stateful):
    _, appliance = stateful
    appliance.load("pattern web create\npattern web add GET re:/union.*select/ \"a long enough text\"\n")
    try:
        told = appliance.must("pattern", "web", "lint")
        assert "Gbit/s" in told and "GET" in told, told
    finally:
        appliance.must("-q", "pattern", "web", "destroy")


def test_expressions_that_cannot_be(stateful):
    """The error says where; nothing changes."""
    _, appliance = stateful
    file = appliance.rule_file("pattern web create\npattern web add fine\n"
                               "pattern web add re:/a(?=b)/\n")
    done = appliance.ipfw(file)
    assert done.status == 65
    assert "Line 3: pattern object web: re:/a(?=b)/: " in done.err and "assertions" in done.err, done.err
    assert "web" not in appliance.must("pattern", "all", "info")
    done = appliance.ipfw("add", "100", "deny", "tcp", "from", "any", "to", "any", "payload", "nobody")
    assert done.status != 0 and "nobody" in done.err


# ---- Exceptions ----------------------------------------------------------------------------------


def test_a_flow_that_began_before(stateful):
    """net.inet.ip.fw.payload_fail: what becomes of a connection that is picked up in its middle."""
    bed, appliance = stateful
    plain = ("add 200 check-state\n"
             f"add 300 allow tcp from {bed.a.ipv4} to any 7000 setup keep-state\n")
    looking = "pattern web create mode stream\npattern web add attack\nadd 100 deny tcp from any to any 7000 payload web\n"
    try:
        with echo_server(bed.b, 7000, bed.b.ipv4):
            for fail, goes_on in ((0, True), (1, False), (2, False)):
                appliance.must("-q", "flush")
                appliance.must("-q", "pattern", "all", "destroy")
                appliance.must("-q", "sysctl", f"net.inet.ip.fw.payload_fail={fail}")
                appliance.load(plain)
                with bed.a.inside(), connect(bed.a, bed.b.ipv4, 7000) as connection:
                    connection.settimeout(1)
                    for _ in range(5):
                        connection.sendall(b"x" * 1000)
                        assert connection.recv(2000)
                    appliance.must("-q", appliance.rule_file(looking, "looking"))
                    connection.sendall(b"more")
                    try:
                        answered = bool(connection.recv(100))
                    except TimeoutError:
                        answered = False
                    assert answered == goes_on, fail
        assert appliance.dataplane_counters()["payload_skips_mid_flow"] >= 3
        assert appliance.metrics().value("sluice_payload_skipped_total", reason="mid_flow") >= 3
    finally:
        appliance.must("-q", "sysctl", "net.inet.ip.fw.payload_fail=0")
        appliance.must("-q", "flush")
        appliance.must("-q", "pattern", "all", "destroy")


def test_one_packet_one_ruleset(web):
    """Patterns and rules change together: the rules of one ruleset with the patterns of the other
    would deny what is sent."""
    bed, appliance = web
    files = [appliance.rule_file(
        "-f flush\n"
        f"pattern colour create or-flush\npattern colour add red {value}\n"
        f"add 100 deny tcp from any to any payload colour,{3 - value}\n"
        "add 200 allow ip from any to any\n", f"colour-{value}") for value in (1, 2)]
    end = time.monotonic() + 4
    reloads = 0
    with echo_server(bed.b, 7000, bed.b.ipv4):
        appliance.must("-q", files[0])
        with bed.a.inside(), connect(bed.a, bed.b.ipv4, 7000) as connection:
            connection.settimeout(3)
            while time.monotonic() < end:
                appliance.must("-q", files[reloads % 2])
                reloads += 1
                connection.sendall(b"red")
                assert connection.recv(100) == b"red"
    assert reloads > 10
    assert appliance.counters(100)[0] == 0
