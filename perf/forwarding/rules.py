"""Rules of five fields for the forwarding benchmark, in the languages of the programs that are
compared."""

import gzip
import os
import random
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2]
PROTOCOLS = {"ip": None, "icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51}
NAMES = {number: name for name, number in PROTOCOLS.items()}
ANY = (0, 0)
ALL_PORTS = (0, 65535)


class Rule(NamedTuple):
    action: str = "deny"
    protocol: int = None        # any
    source: tuple = ANY         # address, prefix length
    destination: tuple = ANY
    source_ports: tuple = ALL_PORTS
    destination_ports: tuple = ALL_PORTS


ALLOW_ALL = Rule("allow")


def dotted(address):
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def network(address, length):
    return (address >> (32 - length) << (32 - length) if length else 0), length


# ---- Where rules come from -----------------------------------------------------------------------


def linear(count):
    """Rules that no packet of ours matches, all of one form: the worst for a list, the easiest for
    anything else. One for everything ends them."""
    return [Rule("deny", 17, network(0x0b000000 + 11 * i, 32), network(0x0a000000, 8),
                 destination_ports=(30000 + i % 30000,) * 2) for i in range(count)] + [ALLOW_ALL]


def mixed(count):
    """Networks of five sizes that overlap, services and port ranges, where the traffic is: some of
    it is denied."""
    chance = random.Random(4)
    services = (21, 22, 25, 53, 80, 123, 143, 161, 443, 514, 3306, 8080)
    found = {}
    while len(found) < count:
        source, destination = (network(base | chance.randrange(1 << 16),
                                       chance.choice((24, 26, 28, 30, 32)))
                               for base in (0x0a000000, 0x0a010000))
        kind = chance.randrange(10)
        if kind < 5:
            ports = (chance.choice(services),) * 2
        elif kind < 8:
            first = chance.randrange(1, 60000)
            ports = first, first + chance.randrange(1, 5000)
        else:
            ports = ALL_PORTS
        found[Rule("deny", chance.choice((6, 17)), source, destination,
                   destination_ports=ports)] = True
    return list(found) + [ALLOW_ALL]


def classbench(name):
    """The rules of a ClassBench set beside the checkout; None: it is not there."""
    shared = Path(os.environ.get("SLUICE_SHARED", SOURCE.parent / "shared"))
    for ending, read in ((".ipfw", Path.read_text),
                         (".ipfw.gz", lambda path: gzip.decompress(path.read_bytes()).decode())):
        path = shared / "classbench" / (name + ending)
        if path.exists():
            return [_parse(line) for line in read(path).splitlines() if line.strip()]
    return None


def _parse(line):
    """add NUMBER ACTION PROTOCOL from ADDRESS [PORTS] to ADDRESS [PORTS]"""
    words = line.split()
    to = words.index("to")

    def address(word):
        if word == "any":
            return ANY
        text, _, length = word.partition("/")
        value = 0
        for part in text.split("."):
            value = value << 8 | int(part)
        return network(value, int(length or 32))

    def ports(words_behind):
        if not words_behind:
            return ALL_PORTS
        first, _, last = words_behind[0].partition("-")
        return int(first), int(last or first)

    return Rule(words[2], PROTOCOLS[words[3]], address(words[5]), address(words[to + 1]),
                ports(words[6:to]), ports(words[to + 2:]))


# ---- What they are in each language --------------------------------------------------------------


def to_ipfw(rules):
    def place(address, ports):
        text = "any" if address[1] == 0 else f"{dotted(address[0])}/{address[1]}"
        if ports == ALL_PORTS:
            return text
        return f"{text} {ports[0]}" + (f"-{ports[1]}" if ports[1] != ports[0] else "")

    return "".join(f"add {100 + i // 4} {rule.action} {NAMES[rule.protocol]} from "
                   f"{place(rule.source, rule.source_ports)} to "
                   f"{place(rule.destination, rule.destination_ports)}\n"
                   for i, rule in enumerate(rules))


def to_l3fwd(rules, port):
    """Rule file of l3fwd: `@` drops, `R` sends out of `port`; the first that matches decides."""
    lines = []
    for rule in rules:
        allowed = rule.action == "allow"
        protocol = "0x00/0x00" if rule.protocol is None else f"0x{rule.protocol:02x}/0xff"
        lines.append(
            f"{'R' if allowed else '@'}{dotted(rule.source[0])}/{rule.source[1]} "
            f"{dotted(rule.destination[0])}/{rule.destination[1]} "
            f"{rule.source_ports[0]} : {rule.source_ports[1]} "
            f"{rule.destination_ports[0]} : {rule.destination_ports[1]} {protocol}"
            + (f" {port}" if allowed else "") + "\n")
    return "".join(lines)


# It insists on rules for IPv6.
L3FWD_IPV6 = f"R{':'.join(['0000'] * 8)}/0 {':'.join(['0000'] * 8)}/0 0 : 65535 0 : 65535 0x00/0x00 0\n"
