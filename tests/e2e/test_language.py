"""Labels, rules that end, and sets: by the real command, through both daemons."""

import signal

from lab.network import eventually


def listing(appliance, *flags):
    return appliance.must(*flags, "list").splitlines()


# reference: the rule test of dummynet and ipfw
def test_automatic_numbers_sets_and_ranges(appliance):
    for _ in range(3):
        appliance.must("add", "allow", "ip", "from", "any", "to", "any")
    assert [line[:5] for line in listing(appliance)] == ["00100", "00200", "00300", "65535"]
    appliance.must("delete", "200")
    assert [line[:5] for line in listing(appliance)] == ["00100", "00300", "65535"]
    appliance.must("add", "400", "count", "tcp", "from", "any", "to", "any")
    appliance.must("add", "400", "count", "udp", "from", "any", "to", "any")
    appliance.must("set", "move", "rule", "400", "to", "5")
    assert appliance.must("set", "5", "show").count("00400 ") == 2
    assert appliance.must("set", "0", "show").count("00400 ") == 0
    appliance.must("set", "disable", "5")
    assert [line[:5] for line in listing(appliance)] == ["00100", "00300", "65535"]
    shown = listing(appliance, "-S")
    assert sum("# DISABLED" in line for line in shown) == 2
    assert "set 5" in shown[-2]
    assert appliance.must("set", "show").startswith("disable 5 enable 0 1 2 3 4 6")
    appliance.must("set", "swap", "5", "0")
    assert [line[:5] for line in listing(appliance)] == ["00400", "00400", "65535"]
    appliance.must("-f", "set", "5", "flush")
    assert [line[:5] for line in listing(appliance, "-S")] == ["00400", "00400", "65535"]
    appliance.must("set", "move", "0", "to", "31")
    appliance.must("-f", "flush")
    assert len(listing(appliance)) == 3
    appliance.must("set", "disable", "31")
    assert len(listing(appliance)) == 3
    appliance.must("delete", "set", "31")
    assert len(listing(appliance)) == 1


def test_moving_what_is_not_there(appliance):
    done = appliance.ipfw("set", "move", "rule", "77", "to", "5")
    assert done.status == 69 and "rule 77 not found" in done.err


def test_labels_are_printed_back_and_resolved(appliance, bed):
    appliance.load("add skipto :TCP tcp from any to any\n"
                   "add allow ip from any to any\n"
                   ":TCP\n"
                   "add 1000 deny tcp from any to any 80\n")
    before = listing(appliance)
    assert before[0] == "00100 skipto :TCP tcp from any to any"
    assert before[2] == "01000 :TCP deny tcp from any to any 80"
    assert bed.a.ping(bed.b.ipv4)
    # What is listed can be loaded.
    appliance.load("-f flush\n" + "".join("add " + line + "\n" for line in before[:-1]))
    assert listing(appliance) == before
    done = appliance.ipfw("delete", "1000")
    assert done.status == 65 and ":TCP" in done.err
    assert listing(appliance) == before
    done = appliance.ipfw("add", "50", "call", ":NO", "ip", "from", "any", "to", "any")
    assert done.status == 65 and ":NO" in done.err


def test_errors_of_labels_name_line_and_column(appliance):
    done = appliance.ipfw(appliance.rule_file("add skipto :X ip from any to any\n"))
    assert done.status == 65
    assert "Line 1: column 12" in done.err and ":X" in done.err


def test_a_rule_ends_and_says_so(appliance, bed):
    appliance.load("add 100 deny icmp from any to any expires 3s\n"
                   "add 200 allow ip from any to any\n")
    assert "expires 20" in listing(appliance)[0]
    assert not bed.a.ping(bed.b.ipv4)
    assert eventually(lambda: bed.a.ping(bed.b.ipv4), 10)
    assert eventually(lambda: listing(appliance)[0].startswith("00200"), 10)
    assert eventually(lambda: any("rule 100 has expired: deny icmp" in line
                                  for line in appliance.log_lines()), 10)


def test_a_rule_ends_without_a_control_plane(own_bed, own_appliance):
    appliance, bed = own_appliance, own_bed
    appliance.start()
    appliance.load("add 100 deny icmp from any to any expires 4s\n"
                   "add 200 allow ip from any to any\n")
    assert not bed.a.ping(bed.b.ipv4)
    appliance.stop_controlplane(signal.SIGKILL)
    assert eventually(lambda: bed.a.ping(bed.b.ipv4), 15)
    appliance.start_controlplane()
    appliance.await_connection()
    assert eventually(lambda: listing(appliance)[0].startswith("00200"), 10)
