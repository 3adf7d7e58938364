"""The tour of deploy/demo. Every sentence that it prints as a fact has been checked before; the first
one that does not hold ends the tour with exit status 1."""

import argparse
import os
import re
import signal
import socket
import sys
import textwrap
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from lab import Appliance, Bed, RoutedBed, echo_server, namespaces_work  # noqa: E402
from lab.appliance import bridge_of  # noqa: E402
from lab.network import eventually  # noqa: E402


class Broken(Exception):
    """Something that the tour was about to show is not so."""


def say(text):
    print(textwrap.fill(" ".join(text.split()), 100), flush=True)


def heading(number, text):
    print(f"\n{number}. {text}", flush=True)


def show(text):
    for line in text.rstrip("\n").splitlines():
        print("    " + line, flush=True)


def fact(holds, text):
    if not holds:
        raise Broken(text)
    say(text)


def answered(host, address, port, text=b"a question"):
    """Whether a datagram from the host comes back from an echo server."""
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.sendto(text, (address, port))
        try:
            return client.recv(100) == text
        except TimeoutError:
            return False


class Tour:
    """What both tours need; their steps are below."""

    def __init__(self, build):
        self.bed = self.make_bed()
        self.appliance = None
        try:
            self.appliance = Appliance(self.bed.middle, build, ports=self.ports(),
                                       dataplane={"memory_mb": 128, "slot_capacity": 4096})
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.appliance is not None:
            self.appliance.close()
        self.bed.close()

    def ipfw(self, *arguments):
        """Shows a command as a user types it, and what it prints."""
        show("# ipfw " + " ".join(map(str, arguments)))
        done = self.appliance.ipfw(*arguments)
        show(done.text)
        if done.status != 0:
            raise Broken(f"`ipfw {' '.join(map(str, arguments))}` ends with status 0; here it was "
                         f"{done.status}")
        return done.out

    def counters(self):
        """Packets by rule number, of the listing that is shown."""
        return {int(words[0]): int(words[1])
                for words in map(str.split, self.ipfw("-at", "list").splitlines()) if words}

    def http(self, port, seconds=3):
        return self.bed.a.curl(f"http://{self.bed.b.ipv4}:{port}/", seconds=seconds)

    def clean_up(self, number):
        heading(number, "The end")
        status = self.appliance.stop_controlplane(), self.appliance.stop_dataplane()
        fact(status == (0, 0), "Both daemons ended cleanly when they were asked to.")

    def leave(self, number):
        """Hands everything over to the user."""
        build, where = self.appliance.build, self.appliance.directory
        a, b, x = self.bed.a.name, self.bed.b.name, self.bed.middle.name
        processes = [child.pid for part in self.bed.parts for child in part.children
                     if child.poll() is None]
        undo = where / "clean-up"
        undo.write_text("#!/bin/sh\n"
                        f"kill {' '.join(map(str, processes))}\nsleep 2\n"
                        f"for name in {a} {b} {x}; do ip netns del $name; done\n"
                        f"rm -r {where}\n")
        undo.chmod(0o755)
        heading(number, "Yours now")
        say("Everything is left running. In this shell:")
        show(f"export SLUICE_CONTROL_SOCKET={self.appliance.control_socket}\n"
             f"alias ipfw={build}/controlplane/cli/ipfw\n"
             "ipfw -at list\n"
             f"ip netns exec {a} curl http://{self.bed.b.ipv4}/\n"
             f"tail -f {self.appliance.log_file}")
        say("To take it all down:")
        show(str(undo))


class BridgeTour(Tour):
    make_bed = staticmethod(Bed)

    @staticmethod
    def ports():
        return bridge_of()

    def steps(self):
        return (self.build_up, self.start, self.load, self.filter, self.log, self.states,
                self.crash)

    def build_up(self):
        heading(2, "Two hosts with the appliance between them")
        bed = self.bed
        say(f"Host A ({bed.a.ipv4}, {bed.a.ipv6}) and host B ({bed.b.ipv4}, {bed.b.ipv6}) are "
            "network namespaces. Each is connected by a veth pair to a third one, whose "
            "interfaces are called em0 and em1. Nothing connects those two but Sluice.")
        bed.b.listen(80, "This is the web server of host B.\n")
        bed.b.listen(81, "Nobody should see this.\n")
        bed.b.listen(8080, "Nobody should see this either.\n")
        fact(not bed.a.ping(bed.b.ipv4, seconds=1),
             "Without it, a ping from A to B gets no answer.")

    def start(self):
        heading(3, "Starting the two daemons")
        self.appliance.start_dataplane()
        fact(not self.bed.a.ping(self.bed.b.ipv4, seconds=1),
             "sluice-dataplane runs: DPDK drivers on both interfaces, without huge pages. It has "
             "no ruleset yet, so a ping still gets no answer.")
        self.appliance.start_controlplane()
        self.appliance.await_connection()
        say("sluice-controlplane runs and has handed over its first ruleset:")
        fact("65535 deny ip from any to any" in self.ipfw("list"),
             "The one rule that is always there denies everything.")

    def load(self):
        heading(4, "A ruleset")
        rules = SOURCE / "deploy/demo.rules"
        self.ipfw("-q", rules)
        self.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=1")
        fact(sum(1 for _ in self.appliance.must("list").splitlines()) == 10,
             "The file was checked as a whole and put in force at once. Rules with `log` write "
             "their lines as long as net.inet.ip.fw.verbose is 1.")

    def filter(self):
        heading(5, "Traffic")
        bed = self.bed
        # The hosts have asked for each other in vain so far; they may start afresh.
        bed.forget_neighbours()
        say("The counters before:")
        before = self.counters()
        fact(bed.a.ping(bed.b.ipv4, 3), f"Ping from A to B ({bed.b.ipv4}) is answered.")
        fact(bed.a.ping(bed.b.ipv6, 3),
             f"Ping over IPv6 ({bed.b.ipv6}) is answered: neighbour discovery passes too.")
        page = self.http(80)
        show(f"A# curl http://{bed.b.ipv4}/")
        show(page.stdout)
        fact(page.returncode == 0 and "web server of host B" in page.stdout,
             "The web server on port 80 is reached.")
        start = time.monotonic()
        refused = self.http(81, seconds=8)
        took = time.monotonic() - start
        show(f"A# curl http://{bed.b.ipv4}:81/")
        show(refused.stderr)
        fact(refused.returncode == 7 and took < 4,
             "Port 81 is refused at once: rule 2080 answers with a TCP reset, though a server "
             "listens there.")
        lost = self.http(8080, seconds=2)
        show(f"A# curl --max-time 2 http://{bed.b.ipv4}:8080/")
        show(lost.stderr)
        fact(lost.returncode == 28, "Port 8080 is silent: rule 12190 drops what is sent to it.")
        say("The counters after:")
        after = self.counters()
        for rule in (1100, 1110, 2060, 2070, 2080, 12190):
            if not after[rule] > before[rule]:
                raise Broken(f"the counter of rule {rule} has grown")
        say("Each rule that judged a packet has counted it, and says when it was last met.")

    def log(self):
        heading(6, "The log")
        appliance = self.appliance
        wanted = (" 2070 Accept TCP ", " 2080 Reset TCP ", " 12190 Deny TCP ")
        eventually(lambda: all(any(w in line for line in appliance.log_lines()) for w in wanted), 5)
        lines = appliance.log_lines()
        for text in wanted:
            show(next((line for line in lines if text in line), ""))
        fact(all(any(text in line for line in lines) for text in wanted)
             and all(re.match(r"ipfw: \d+ \w+ TCP [\d.]+:\d+ [\d.]+:\d+ in via em[01]$", line)
                     for line in lines),
             f"{appliance.log_file} has one line for each packet that a rule with `log` judged.")
        self.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=0")
        count = len(appliance.log_lines())
        page = self.http(80)
        time.sleep(0.5)
        fact(page.returncode == 0 and len(appliance.log_lines()) == count,
             "Switched off: another page was fetched, and nothing was logged.")
        self.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=1")
        page = self.http(80)
        fact(page.returncode == 0 and eventually(lambda: len(appliance.log_lines()) > count, 5),
             "Switched on again, without loading any rule: the log goes on.")

    def states(self):
        heading(7, "States")
        a, b = self.bed.a, self.bed.b
        with echo_server(a, 53, a.ipv4, socket.SOCK_DGRAM), echo_server(
                b, 53, b.ipv4, socket.SOCK_DGRAM):
            fact(not answered(b, a.ipv4, 53),
                 "A and B both have a server on UDP port 53. No rule allows UDP, so B's question to "
                 "A gets no answer.")
            self.ipfw("add", "2050", "allow", "udp", "from", b.ipv4, "to", "any", "53", "keep-state")
            fact(answered(b, a.ipv4, 53) and not answered(a, b.ipv4, 53),
                 "Now B's question is answered, though no rule allows the answer: the question has "
                 "opened the way back. A's own question to B is still dropped.")
            fact(re.search(rf" STATE udp {b.ipv4} \d+ <-> {a.ipv4} 53 :default",
                           self.ipfw("-D", "list")),
                 "This is the state that it has made, with the seconds that are left to it.")

    def crash(self):
        heading(8, "A dead control plane")
        appliance = self.appliance
        rules = appliance.must("list")
        appliance.stop_controlplane(signal.SIGKILL)
        missing = appliance.ipfw("list")
        show("# kill -9 $(pidof sluice-controlplane); ipfw list")
        show(missing.text)
        fact(missing.status != 0 and self.bed.a.ping(self.bed.b.ipv4, 3)
             and self.http(8080, seconds=1).returncode == 28,
             "The control plane was killed. The ping is still answered and port 8080 still "
             "silent: the data plane goes on by the rules it has.")
        appliance.start_controlplane()
        appliance.await_connection()
        fact(appliance.must("list") == rules and appliance.counters(1100)[0] >= 12,
             "Started again, it has read rules and counters back from the data plane.")


class GatewayTour(Tour):
    make_bed = staticmethod(RoutedBed)

    def ports(self):
        return self.bed.ports()

    def steps(self):
        return (self.build_up, self.start, self.route, self.twins, self.errors, self.routes)

    def shown(self, host, name, *command):
        show(f"{name}# " + " ".join(command))
        done = host.run(*command)
        show(done.stdout + done.stderr)
        return done

    def build_up(self):
        heading(2, "Two networks with the appliance between them")
        bed = self.bed
        say(f"Host A ({bed.a.ipv4}) is outside, host B ({bed.b.ipv4}) inside. Their default routes "
            f"lead to {bed.router_a4} and {bed.router_b4}, which nobody has so far. Between them "
            "is a namespace whose kernel does not forward.")
        bed.b.listen(80, "This is the web server of host B.\n")
        bed.b.listen(8080, "Nobody should see this.\n")
        fact(not bed.a.ping(bed.b.ipv4, seconds=1), "A ping from A to B gets no answer.")

    def start(self):
        heading(3, "Starting the appliance as a gateway")
        self.appliance.start()
        links = self.bed.middle.ip("-brief", "address", "show")
        show("# ip -brief address show")
        show("\n".join(line for line in links.splitlines() if line.startswith("em")))
        fact("em0" in links and self.bed.router_a4 in links,
             "Each port has a twin in the kernel, a TAP interface of its name with the addresses "
             "of the settings.")
        self.ipfw("-q", SOURCE / "deploy/demo_gateway.rules")
        self.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=1")

    def route(self):
        heading(4, "Routing and filtering")
        bed = self.bed
        fact(bed.a.ping(bed.b.ipv4, 3), "Ping from A to B is answered.")
        fact(eventually(lambda: bed.a.ping(bed.b.ipv6, seconds=1), 15),
             "Over IPv6 too, as soon as the kernel is sure that nobody else has its addresses.")
        page = self.http(80)
        show(f"A# curl http://{bed.b.ipv4}/")
        show(page.stdout)
        fact("web server of host B" in page.stdout, "The web server inside is reached.")
        refused = self.http(8080)
        show(f"A# curl http://{bed.b.ipv4}:8080/")
        show(refused.stderr)
        fact(refused.returncode in (7, 28) and "web" not in refused.stdout,
             "Port 8080 is prohibited: rule 2040 says so to the sender.")
        counters = self.counters()
        fact(counters[2020] == 0 and counters[2030] >= 1 and counters[2040] >= 1,
             "The counters show which rule let the connection in, and which one did not. The "
             "packets behind the first went by the state that rule 2030 made.")

    def twins(self):
        heading(5, "The machine itself")
        bed = self.bed
        server = bed.middle.start("/usr/bin/python3", "-m", "http.server", "80", "--bind",
                                  bed.router_b4)
        try:
            inside = eventually(lambda: bed.b.curl(f"http://{bed.router_b4}/").returncode == 0, 5)
            fact(inside, f"A web server of the appliance's own machine on {bed.router_b4} is "
                         "reached from inside, through the twin.")
            outside = bed.a.curl(f"http://{bed.router_b4}/")
            show(outside.stderr)
            fact(outside.returncode == 7, "From outside rule 3010 resets the connection.")
        finally:
            server.terminate()

    def errors(self):
        heading(6, "What a router says")
        bed = self.bed
        done = self.shown(bed.a, "A", "ping", "-n", "-c", "1", "-t", "1", bed.b.ipv4)
        fact(f"From {bed.router_a4}" in done.stdout and "exceeded" in done.stdout,
             "A packet whose time to live is used up is reported by the gateway's own address.")
        done = self.shown(bed.a, "A", "ping", "-n", "-c", "1", "-W", "2", "203.0.113.9")
        fact("Destination Net Unreachable" in done.stdout, "So is a network without a route.")

    def routes(self):
        heading(7, "The kernel is the control plane of routing")
        bed = self.bed
        bed.b.ip("address", "add", "203.0.113.9/32", "dev", "lo")
        show(f"# ip route add 203.0.113.0/24 via {bed.b.ipv4}")
        bed.middle.ip("route", "add", "203.0.113.0/24", "via", bed.b.ipv4)
        fact(eventually(lambda: bed.a.ping("203.0.113.9", seconds=1), 10),
             "A route that is added in the kernel is followed at once.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--gateway", action="store_true")
    options = parser.parse_args()
    if reason := namespaces_work():
        sys.exit(f"demo: {reason}")
    # An interrupted tour cleans up like a finished one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tour = (GatewayTour if options.gateway else BridgeTour)(options.build)
    kept = False
    try:
        steps = tour.steps()
        for step in steps:
            step()
        # The first heading is the script's.
        if options.keep:
            tour.leave(len(steps) + 2)
            kept = True
        else:
            tour.clean_up(len(steps) + 2)
    except Broken as broken:
        print(f"\nThe demo failed. This is not so: {broken}", file=sys.stderr)
        for daemon in ("dataplane", "controlplane"):
            print(f"--- sluice-{daemon} says:\n{tour.appliance.output(daemon)}", file=sys.stderr)
        return 1
    finally:
        if not kept:
            tour.close()
    if not kept:
        say("The namespaces and the temporary directory are gone; the programs are in "
            f"{os.path.relpath(options.build)}/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
