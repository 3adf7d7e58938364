"""`reass`: real fragments of real hosts, and some that no host would send."""

import random

from lab import Appliance, Bed, Wire
from scapy.all import IP, UDP, Ether, fragment

RULES = ("add 100 reass ip from any to any in\n"
         "add 200 deny ip from any to any frag\n"
         "add 300 allow ip from any to any\n")


# Scenario 9 of the upstream tests: small, in few pieces, in many.
def test_long_pings_pass_whole(bed, appliance):
    appliance.load(RULES)
    assert bed.a.ping(bed.b.ipv4, 1)
    before = appliance.dataplane_counters()
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "4000")
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "20000")
    after = appliance.dataplane_counters()
    assert after["datagrams_reassembled"] - before["datagrams_reassembled"] == 4
    assert after["fragments_kept"] - before["fragments_kept"] == 2 * 3 + 2 * 14
    assert appliance.counters(200) == (0, 0)


def test_several_workers_put_together(build):
    """The kernel spreads the fragments over both workers: whoever owns a datagram gets all of it."""
    with Bed() as bed, Appliance(bed.middle, build, dataplane={"workers": 2}) as appliance:
        bed.static_neighbours()
        appliance.start()
        appliance.load(RULES)
        before = appliance.dataplane_counters()
        for here, there in ((bed.a, bed.b), (bed.b, bed.a)):
            assert here.ping(there.ipv4, 4, "-i", "0.05", "-s", "8000", seconds=8)
        # In the wrong order, of many datagrams at once, from either side.
        with Wire(bed.a) as sender, Wire(bed.b) as receiver:
            # Of twenty hosts: who owns what they send is a matter of chance.
            frames = [piece for number in range(100, 120)
                      for piece in pieces(bed, number=number, source=f"192.0.2.{number}")]
            random.Random(1).shuffle(frames)
            for frame in frames:
                sender.send(bytes(frame))
            got = receiver.receive(lambda bytes_: UDP in Ether(bytes_), 5.0, 20)
        assert {Ether(frame)[IP].id for frame in got} == set(range(100, 120))
        assert all(bytes(Ether(frame)[UDP].payload) == b"z" * 800 for frame in got)
        after = appliance.dataplane_counters()
        assert after["datagrams_reassembled"] - before["datagrams_reassembled"] == 16 + 20
        assert after["handed_over"] > before["handed_over"]
        assert appliance.counters(200) == (0, 0)
        assert sum(after["drops"].values()) == sum(before["drops"].values())


def pieces(bed, size=800, step=200, number=77, source=None):
    whole = IP(src=source or bed.a.ipv4, dst=bed.b.ipv4, id=number) / UDP(sport=5, dport=4000) / (b"z" * size)
    return [Ether(src=bed.a.mac, dst=bed.b.mac) / piece for piece in fragment(whole, step)]


def sent(bed, frames, seconds=2.0):
    """The UDP packets and fragments of the frames' host that B gets."""
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        for frame in frames:
            sender.send(bytes(frame))
        got = receiver.receive(lambda bytes_: IP in Ether(bytes_) and Ether(bytes_)[IP].proto == 17,
                               seconds)
    return [Ether(frame) for frame in got]


def test_what_fits_leaves_in_one_piece(bed, appliance):
    appliance.load(RULES)
    got = sent(bed, reversed(pieces(bed)))
    assert len(got) == 1
    assert got[0][IP].len == 828 and got[0][IP].flags == 0 and got[0][IP].frag == 0
    assert bytes(got[0][UDP].payload) == b"z" * 800
    checksum = got[0][IP].chksum
    del got[0][IP].chksum
    assert Ether(bytes(got[0]))[IP].chksum == checksum


def test_overlaps_are_refused(bed, appliance):
    appliance.load(RULES)
    before = appliance.drops()
    frames = pieces(bed, number=78)
    twisted = frames[1].copy()
    twisted[IP].frag -= 1
    del twisted[IP].chksum
    assert sent(bed, [frames[0], twisted, *frames[1:]], 1.0) == []
    assert appliance.drops()["fragment_overlap"] > before["fragment_overlap"]
