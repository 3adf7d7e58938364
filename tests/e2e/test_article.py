"""The ruleset of a Mac of 2004, loaded by its own unmodified shell script, and an nmap scan."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from lab import Wire
from lab.network import eventually
from scapy.all import IP, TCP, Ether

SCRIPT = Path(__file__).parent / "data/article.sh"
LISTING = """\
02000 allow ip from any to any via lo*
02010 deny log ip from 127.0.0.0/8 to any in
02020 deny log ip from any to 127.0.0.0/8 in
02030 deny log ip from 224.0.0.0/3 to any in
02040 deny log tcp from any to 224.0.0.0/3 in
02050 allow log tcp from any to any out
02060 allow log tcp from any to any established
02070 allow log tcp from any to any 22 in
02080 allow log tcp from any to any 80 in
02090 allow log tcp from any to any 427 in
12190 deny log tcp from any to any
65535 deny ip from any to any
"""

# Runs `sh SCRIPT` where /sbin/ipfw is ours: in a mount namespace of its own, with a directory of
# links put over /usr/sbin.
WITH_OUR_IPFW = """
set -e
mount --bind /usr/sbin "$2/original"
ln -sf "$2"/original/* "$2/links/"
ln -sf "$1" "$2/links/ipfw"
mount --bind "$2/links" /usr/sbin
exec sh "$3"
"""


def run_script(appliance, script, tmp_path):
    for name in ("original", "links"):
        (tmp_path / name).mkdir(exist_ok=True)
    return subprocess.run(["unshare", "--mount", "sh", "-c", WITH_OUR_IPFW, "sh",
                           str(appliance.ipfw_program), str(tmp_path), str(script)],
                          env=appliance.environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


@pytest.fixture
def article(appliance, tmp_path):
    done = run_script(appliance, SCRIPT, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return appliance


def test_script_runs_unchanged(article):
    assert article.must("list") == LISTING


def test_script_may_be_run_again(article, tmp_path):
    assert run_script(article, SCRIPT, tmp_path).returncode == 0
    assert article.must("list") == LISTING


def test_nmap_shows_exactly_the_open_ports(bed, article):
    """22 and 80 are served, 427 is allowed but nobody listens; 23 and 8080 listen in vain."""
    servers = [bed.b.listen(port) for port in (22, 80, 23, 8080)]
    try:
        assert bed.a.run("ping", "-c1", "-W1", bed.b.ipv4).returncode == 1  # no rule for ICMP
        done = bed.a.run("nmap", "-n", "-Pn", "-sS", "-T4", "--max-retries", "2", "-p", "1-1024,8080",
                         "-oG", "-", bed.b.ipv4, timeout=240)
        assert done.returncode == 0, done.stderr
        found = re.findall(r"(\d+)/(\w+)/tcp", done.stdout)
        assert sorted(found) == sorted([("22", "open"), ("80", "open"), ("427", "closed")])
        assert "Ignored State: filtered (1022)" in done.stdout
    finally:
        for server in servers:
            server.kill()


@pytest.mark.parametrize("flags,passes,rule", [("S", False, 12190), ("", True, 2060),
                                               ("F", True, 2060), ("A", True, 2060),
                                               ("FPU", True, 2060), ("SA", True, 2060)])
def test_probes(bed, article, flags, passes, rule):
    """`established` is every TCP packet but a pure SYN, so odd probes to port 23 pass."""
    bed.static_neighbours()
    probe = bytes(Ether(src=bed.a.mac, dst=bed.b.mac) / IP(src="192.0.2.99", dst=bed.b.ipv4, id=4711)
                  / TCP(sport=40000, dport=23, flags=flags))
    before = article.counters(rule)[0]
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        sender.send(probe)
        seen = receiver.receive(lambda got: got[18:20] == probe[18:20], seconds=5 if passes else 1)
    assert bool(seen) == passes
    assert article.counters(rule)[0] > before


def test_log_is_read_by_the_old_summary(bed, article):
    """What the article's script does to the log: cut to what follows `ipfw: `, then split."""
    server = bed.b.listen(80, "page")
    try:
        assert bed.a.curl(f"http://{bed.b.ipv4}/").stdout == "page"
        assert bed.a.curl(f"http://{bed.b.ipv4}:23/", seconds=1).returncode == 28
        assert eventually(lambda: any("12190 Deny" in line for line in article.log_lines()))
        summary = subprocess.run(
            ["perl", "-ne", 'next unless / ipfw: /; s/.* ipfw: //; my @f = split " ", $_; '
             '$n{"$f[1] $f[2] $f[5]"}++; END { print "$_\\n" for sort keys %n }',
             str(article.log_file)], capture_output=True, text=True)
        assert summary.stdout.split("\n")[:-1] == ["Accept TCP in", "Deny TCP in"]
    finally:
        server.kill()


def test_log_is_switched_without_a_reload(bed, article):
    """`sysctl -w net.inet.ip.fw.verbose=0`, with `ipfw` in front."""
    server = bed.b.listen(80, "page")
    try:
        assert article.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=0").status == 0
        assert bed.a.curl(f"http://{bed.b.ipv4}/").stdout == "page"
        time.sleep(1)
        assert article.log_lines() == []
        assert article.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=1").status == 0
        assert bed.a.curl(f"http://{bed.b.ipv4}/").stdout == "page"
        assert eventually(article.log_lines)
        assert article.must("list") == LISTING
    finally:
        server.kill()
