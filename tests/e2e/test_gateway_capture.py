"""`ipfw capture` and `ipfw trace --live` on a gateway: a packet that is forwarded is seen twice."""

import json
import time

from lab import ALLOW
from lab.following import Following
from test_capture import Capture, packets_of, texts_of


def test_a_forwarded_packet_is_there_twice(routed, gateway):
    gateway.load("add 100 count icmp from any to any\nadd 200 allow icmp from any to any out\n" +
                 ALLOW)
    with Capture(gateway, "proto", "icmp", "-c", 4) as capture:
        assert routed.a.ping(routed.b.ipv4)
        assert capture.end(None) == 0
    packets = packets_of(capture.path)
    ways = [(comment.split(", ")[0] == "rule 200", comment.split(", ")[-1])
            for comment, _, _ in packets]
    assert sorted(ways) == [(False, "in")] * 2 + [(True, "out")] * 2
    assert sorted(texts_of(capture.path)[0]) == ["em0", "em1"]
    assert {frame["IP"].src for _, frame, _ in packets} == {str(routed.a.ipv4), str(routed.b.ipv4)}


def test_live_traces_of_both_passes(routed, gateway):
    gateway.load("add 200 allow icmp from any to any out recv em0 xmit em1\n" + ALLOW)
    with Following(gateway, "trace", "--live", "--json", "proto", "icmp", "host", routed.b.ipv4,
                   "-c", 2) as live:
        time.sleep(0.5)
        assert routed.a.ping(routed.b.ipv4)
        assert live.end(None) == 0, live.complaints
    traces = sorted(map(json.loads, live.lines), key=lambda trace: trace["direction"])
    assert [(trace["direction"], trace["interface"]) for trace in traces] == [
        ("in", "em0"), ("out", "em1")]
    assert all(trace["trace_has_same_rule"] for trace in traces), traces
    assert traces[1]["rule"] == 200 and "by rule 200" in traces[1]["trace"][-1]
