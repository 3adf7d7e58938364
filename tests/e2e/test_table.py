"""Tables with real traffic: what is added counts at once, and nothing is lost when things restart."""

import random
import socket
import threading
import time

import pytest
from lab import Wire
from lab.network import eventually
from scapy.all import UDP, Ether, IPv6


def send_udp(host, address, port, count=1):
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(b"x", (address, port))


def table(appliance, *words):
    return appliance.must("table", *words)


@pytest.fixture
def tables(appliance):
    """An appliance without rules and without tables."""
    appliance.must("-q", "table", "all", "destroy")
    yield appliance
    appliance.reset()
    appliance.must("-q", "table", "all", "destroy")


def entries(appliance, name):
    return table(appliance, name, "list").splitlines()[1:]


def test_an_entry_counts_at_once_and_no_rule_is_compiled(bed, tables):
    appliance = tables
    table(appliance, "bad", "create")
    appliance.load("add 100 deny ip from table(bad) to any\nadd 200 allow ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    generation = appliance.dataplane_counters()["generation"]
    assert table(appliance, "bad", "add", bed.b.ipv4) == f"added: {bed.b.ipv4}/32 0\n"
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    table(appliance, "bad", "delete", bed.b.ipv4)
    assert bed.a.ping(bed.b.ipv4, 2)
    table(appliance, "bad", "add", "192.0.2.0/24", "5")
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    assert appliance.dataplane_counters()["generation"] == generation
    assert "192.0.2.0/24 5 hits " in appliance.must("-a", "table", "bad", "list")
    assert " hits 0" not in appliance.must("-a", "table", "bad", "list")
    # IPv6 in the same table.
    table(appliance, "bad", "flush")
    assert bed.a.ping(bed.b.ipv6, 1)
    table(appliance, "bad", "add", bed.b.ipv6)
    assert not bed.a.ping(bed.b.ipv6, seconds=1)
    assert bed.a.ping(bed.b.ipv4, 1)


def test_skipto_tablearg_and_interfaces(bed, tables):
    appliance = tables
    appliance.load("table 1 add 192.0.2.2 300 192.0.2.1 400\n"
                   "table ports create type iface\n"
                   "table ports add em0 7 absent 8\n"
                   "add 100 skipto tablearg icmp from table(1) to any\n"
                   "add 200 deny icmp from any to any\n"
                   "add 300 count icmp from any to any recv table(ports,7)\n"
                   "add 400 count icmp from any to any recv table(ports)\n"
                   "add 500 allow ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert appliance.counters(200)[0] == 0
    assert appliance.counters(300)[0] == 2  # the questions, by em0; the answers jump behind it
    assert appliance.counters(400)[0] == 2


def test_lookup(bed, tables):
    """Scenario 24: the field under its mask is looked up."""
    appliance = tables
    appliance.load("table n create type number\n"
                   "table n add 18 1 96 2 80 3\n"
                   "table a create\n"
                   "table a add 192.0.0.2 1\n"
                   "add 100 count udp from any to any lookup rulenum:0x60 n\n"
                   "add 110 count udp from any to any lookup dst-port:0x1F n\n"
                   "add 120 count udp from any to any lookup dst-port n\n"
                   "add 130 count udp from any to any lookup src-ip4:255.255.253.255 a\n"
                   "add 140 count udp from any to any lookup src-ip a\n"
                   "add 150 count udp from any to any not lookup dscp n\n"
                   "add 65000 allow ip from any to any\n")
    send_udp(bed.a, bed.b.ipv4, 82)
    assert eventually(lambda: appliance.counters(100)[0] == 1)
    assert appliance.counters(110)[0] == 1  # 82 & 31 = 18
    assert appliance.counters(120)[0] == 0
    assert appliance.counters(130)[0] == 1  # 192.0.2.2 & 255.255.253.255 = 192.0.0.2
    assert appliance.counters(140)[0] == 0
    assert appliance.counters(150)[0] == 1
    send_udp(bed.a, bed.b.ipv4, 80)
    assert eventually(lambda: appliance.counters(120)[0] == 1)


def test_lookup_in_ipv6(bed, tables):
    """Scenario 24, its second half; and fields that rules have written."""
    appliance = tables
    appliance.load("table a create\ntable n create type number\n"
                   f"table a add {bed.a.ipv6.replace(':cc4b::', '::')}\n"
                   "table n add 46 1 5 2 240 3\n"
                   "add 100 count udp from any to any lookup src-ip6:ffff:ffff::ff a\n"
                   "add 110 count udp from any to any lookup dst-ip6:ffff:ffff::ff a\n"
                   "add 120 count udp from any to any lookup src-ip4 a\n"
                   "add 130 count ip6 from any to any lookup dscp n\n"
                   "add 200 setdscp ef ip6 from any to any\n"
                   "add 210 setmark 0x15 ip6 from any to any\n"
                   "add 300 count udp from any to any lookup dscp n\n"
                   "add 310 count udp from any to any lookup mark n\n"
                   "add 320 count udp from any to any lookup mark:0xF n\n"
                   "add 65000 allow ip from any to any\n")
    packet = IPv6(src=bed.a.ipv6, dst=bed.b.ipv6) / UDP(sport=5, dport=6) / b"x"
    with Wire(bed.a) as sender:
        sender.send(Ether(src=bed.a.mac, dst=bed.b.mac) / packet)
    assert eventually(lambda: appliance.counters(320)[0] == 1)
    found = {rule: appliance.counters(rule)[0] for rule in (100, 110, 120, 130, 300, 310, 320)}
    assert found == {100: 1, 110: 0, 120: 0, 130: 0, 300: 1, 310: 0, 320: 1}


def test_tags_and_marks_of_values(bed, tables):
    appliance = tables
    appliance.load("table v create valtype tag,mark\n"
                   f"table v add {bed.a.ipv4} 7,0x15\n"
                   "add 100 count tag tablearg icmp from table(v) to any\n"
                   "add 110 setmark tablearg icmp from table(v) to any\n"
                   "add 200 allow icmp from table(v) to any tagged tablearg mark tablearg\n"
                   "add 300 allow icmp from any to any icmptypes 0\n"
                   "add 400 deny icmp from any to any\n"
                   "add 65000 allow ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert appliance.counters(200)[0] == 2
    assert not bed.b.ping(bed.a.ipv4, seconds=1)


def test_what_users_get_wrong(bed, tables):
    """Nothing of it changes anything, and each says what is wrong."""
    appliance = tables
    longest = "n" * 63
    for words in (("a", "create"), ("n", "create", "type", "number"), (longest, "create"),
                  ("full", "create", "limit", "1"), ("locked", "create"), ("other", "create")):
        table(appliance, *words)
    table(appliance, "a", "add", "10.0.0.0/8", "1")
    table(appliance, "full", "add", "10.0.0.1")
    table(appliance, "locked", "lock")
    appliance.load("add 100 deny ip from table(a) to any\nadd 200 allow ip from any to any\n")
    missing = appliance.directory / "missing"
    third = appliance.rule_file("10.0.0.0/8\n# two\n10.0.0.256\n", "third.txt")
    binary = appliance.directory / "binary.txt"
    binary.write_bytes(bytes(range(256)) * 300)
    before = appliance.must("table", "all", "list"), appliance.must("table", "all", "info")
    for status, said, *words in (
            (71, "exists", "a", "create"),
            (71, "record already exists", "a", "add", "10.0.0.0/8", "2"),
            (71, "record already exists", "a", "add", "11.0.0.0/8", "1", "10.0.0.0/8", "2"),
            (71, "not found", "a", "delete", "12.0.0.0/8"),
            (65, "em0", "a", "add", "em0"),
            (65, "10.0.0.0/33", "a", "add", "10.0.0.0/33"),
            (65, "", "n", "add", "10.0.0.1"), (65, "", "n", "add", "4294967296"),
            (65, "", "n", "add", "-1"),
            (71, "limit hit", "full", "add", "10.0.0.2"),
            (71, "locked", "locked", "add", "10.0.0.1"), (71, "locked", "locked", "flush"),
            (71, "locked", "locked", "swap", "other"), (71, "locked", "other", "swap", "locked"),
            (71, "differ", "a", "swap", "n"), (71, "nowhere", "a", "swap", "nowhere"),
            (71, "rule names it", "a", "destroy"), (71, "not found", "nowhere", "destroy"),
            (64, "at most 63", "n" * 64, "create"), (64, "", "", "create"),
            (65, "time to live", "a", "add", "11.0.0.0/8", "ttl", "0"),
            (65, "time to live", "a", "add", "11.0.0.0/8", "ttl", "4294967296"),
            (65, "time to live", "a", "add", "11.0.0.0/8", "ttl", "99999999999999999999d"),
            (64, "", "a", "add"), (64, "", "a", "load"), (64, "", "a", "frobnicate"),
            (None, "missing", "a", "load", missing),
            (None, "", "a", "load", appliance.directory),
            (65, f"{third}:3", "a", "load", third), (65, f"{binary}:", "a", "load", binary)):
        done = appliance.ipfw("table", *words)
        failed = done.status != 0 if status is None else done.status == status
        assert failed and said in done.text, (words, done)
        after = appliance.must("table", "all", "list"), appliance.must("table", "all", "info")
        if "11.0.0.0/8" in words and "10.0.0.0/8" in words:  # the others of a command are made
            assert "11.0.0.0/8 1" in after[0]
            table(appliance, "a", "delete", "11.0.0.0/8")
        else:
            assert after == before, words
    # A file takes effect as a whole; the line is told, also among lines that belong together.
    lines = "".join(f"table a add 10.1.0.{i}\n" for i in range(20))
    for wrong, status in (("table a add 10.1.0.7\n", 71), ("table a add 10.1.0.300\n", 65),
                          ("table nowhere add 10.1.0.30\n", 71)):
        done = appliance.ipfw(appliance.rule_file(lines + wrong + lines.replace(".1.", ".2."),
                                                  "wrong.rules"))
        assert done.status == status and "Line 21" in done.err, done
        assert entries(appliance, "a") == ["10.0.0.0/8 1"]
    assert bed.a.ping(bed.b.ipv4)


def test_how_many_tables_there_may_be(tables):
    appliance = tables
    name = "net.inet.ip.fw.tables_max"
    default = appliance.must("sysctl", "-n", name)
    assert default == "65535\n"
    for number in range(3):
        table(appliance, f"t{number}", "create")
    done = appliance.ipfw("sysctl", f"{name}=2")
    assert done.status == 69 and "there are 3 tables" in done.err
    try:
        appliance.must("sysctl", f"{name}=3")
        for command in ("table one create", "add deny ip from table(new) to any"):
            done = appliance.ipfw(*command.split())
            assert done.status == 71 and f"{name} allows no more" in done.err, done
        table(appliance, "t2", "destroy")
        table(appliance, "one", "create")
        appliance.stop_controlplane()
        appliance.start_controlplane()
        appliance.await_connection()
        assert appliance.must("sysctl", "-n", name) == "3\n"
        assert appliance.ipfw("table", "two", "create").status == 71
    finally:
        appliance.must("sysctl", f"{name}=65535")


def test_rule_test_of_dummynet(tables):
    """Scenario 28: sets and tables of the upstream script."""
    appliance = tables
    for number in ("", "", ""):
        appliance.must("add", *number, "allow", "ip", "from", "any", "to", "any")
    assert [line[:5] for line in appliance.must("list").splitlines()] == [
        "00100", "00200", "00300", "65535"]
    appliance.must("delete", "200")
    assert [line[:5] for line in appliance.must("list").splitlines()] == [
        "00100", "00300", "65535"]
    for action in ("count", "allow"):
        appliance.must("add", "400", "set", "4", action, "ip", "from", "any", "to", "any")
    appliance.must("set", "move", "rule", "400", "to", "5")
    assert [line[:5] for line in appliance.must("set", "5", "list").splitlines()] == ["00400"] * 2
    appliance.must("set", "disable", "5")
    assert "00400" not in appliance.must("list")
    assert appliance.must("-S", "list").count("# DISABLED 00400 set 5") == 2
    appliance.must("-f", "set", "5", "flush")
    assert "00400" not in appliance.must("-S", "list")
    assert appliance.must("list").count("\n") == 3
    appliance.must("set", "enable", "5")
    for address in ("1.2.3.4", "1.2.3.5", "1.2.3.6", "1.2.3.7/13", "1.2.3.7/20", "1.2.3.7/28"):
        table(appliance, "10", "add", address)
    assert entries(appliance, "10") == ["1.0.0.0/13 0", "1.2.0.0/20 0", "1.2.3.0/28 0",
                                        "1.2.3.4/32 0", "1.2.3.5/32 0", "1.2.3.6/32 0"]
    table(appliance, "10", "delete", "1.2.3.6")
    assert len(entries(appliance, "10")) == 5
    table(appliance, "10", "flush")
    assert entries(appliance, "10") == []


def test_entries_expire(bed, tables):
    appliance = tables
    appliance.load("table 1 add 192.0.2.0/24 ttl 10\n"
                   "add 100 deny icmp from table(1) to any\nadd 200 allow ip from any to any\n")
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    assert eventually(lambda: entries(appliance, "1") == [], 20)
    assert bed.a.ping(bed.b.ipv4)


def test_concurrent_changes(bed, tables):
    """Scenario 25, shorter: adds, deletes and swaps while packets pass the tables."""
    appliance = tables
    appliance.load("table tb0 create\ntable tb1 create\n"
                   "add 100 deny icmp from table(tb0) to table(tb1)\n"
                   "add 110 skipto tablearg icmp from table(tb1) to any\n"
                   "add 200 allow ip from any to any\n")
    end = time.monotonic() + 6
    failures = []

    def change(seed):
        source = random.Random(seed)
        while time.monotonic() < end:
            words = source.choice((
                ("add", f"10.{source.randrange(9)}.0.0/{source.randrange(8, 33)}", "150"),
                ("delete", f"10.{source.randrange(9)}.0.0/{source.randrange(8, 33)}"),
                ("swap", source.choice(("tb0", "tb1"))), ("flush",)))
            done = appliance.ipfw("-q", "table", source.choice(("tb0", "tb1")), *words)
            if done.status != 0:
                failures.append(done.text)

    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    assert bed.a.ping(bed.b.ipv4, 20)
    for thread in threads:
        thread.join()
    assert not failures
    assert bed.a.ping(bed.b.ipv4)


def test_a_script_of_many_additions(tables):
    """One at a time in one script, and a whole file; figures go to the output of the test."""
    appliance = tables
    count = 50000
    lines = [f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(count)]
    table(appliance, "s", "create")
    script = appliance.rule_file("".join(f"table s add {line}\n" for line in lines), "many.rules")
    begin = time.monotonic()
    appliance.must("-q", script)
    print(f"{count / (time.monotonic() - begin):.0f} additions a second, a line each")
    assert len(entries(appliance, "s")) == count
    loaded = appliance.rule_file("".join(f"{line}\n" for line in lines[1:]) + "2001:db8::/32\n",
                                 "whole.txt")
    begin = time.monotonic()
    assert table(appliance, "s", "load", loaded) == (
        f"loaded: {count} entries, 1 added, 0 changed, 1 removed\n")
    print(f"{count / (time.monotonic() - begin):.0f} prefixes a second, loaded")
    broken = appliance.rule_file("10.0.0.0/8\n10.0.0.1/33\n", "broken.txt")
    done = appliance.ipfw("table", "s", "load", broken)
    assert done.status == 65 and f"{broken}:2:1: " in done.err
    assert len(entries(appliance, "s")) == count


def test_tables_survive_restarts(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(f"table bad create\ntable bad add {own_bed.b.ipv4} 5\n"
                   "add 100 deny icmp from table(bad) to any\nadd 200 allow ip from any to any\n")
    listing = table(appliance, "all", "list")
    assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
    for restarted in ("controlplane", "dataplane"):
        getattr(appliance, f"stop_{restarted}")()
        getattr(appliance, f"start_{restarted}")()
        appliance.await_connection()
        assert table(appliance, "all", "list") == listing, restarted
        assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
        assert own_bed.a.ping(own_bed.b.ipv6), restarted
    table(appliance, "bad", "flush")
    assert own_bed.a.ping(own_bed.b.ipv4)
