#include "tests/reference/large_rules.h"

#include "tests/reference/random_rules.h"

namespace sluice::reference {

namespace {

using Texts = std::vector<std::string>;

std::string network(Random& random, bool v6) {
    if (v6)
        return "2001:db8:" + std::to_string(random.below(64)) + ":" +
               std::to_string(random.below(16)) + "::/" + random.pick(Texts{"48", "56", "64"});
    return "10." + std::to_string(random.below(16)) + "." + std::to_string(random.below(256)) +
           "." + std::to_string(random.below(256)) + "/" +
           random.pick(Texts{"16", "22", "24", "28", "32", "32"});
}

std::string port(Random& random) {
    const unsigned first = random.below(60000);
    if (random.one_in(3))
        return std::to_string(first) + "-" + std::to_string(first + random.below(400));
    return std::to_string(first);
}

std::string narrow_rule(Random& random, unsigned number) {
    std::string action = random.pick(Texts{"allow", "deny", "count", "count", "skipto"});
    if (action == "skipto")
        action += " " + std::to_string(number + random.between(1, 200));
    const bool v6 = random.one_in(4), by_source = random.one_in(2);
    const std::string address = network(random, v6);
    std::string other = random.one_in(3) ? network(random, v6) : "any";
    const std::string protocol = random.pick(Texts{"tcp", "tcp", "udp", "ip", "icmp"});
    if (protocol == "tcp" || protocol == "udp")
        other += " " + port(random);
    std::string text = action + " " + protocol;
    text += by_source ? " from " + address + " to " + other : " from " + other + " to " + address;
    if (random.one_in(8))
        text += random.pick(Texts{" in", " out", " setup", " frag", " via em0", " iplen 40-90"});
    if (random.one_in(40))
        text += " keep-state";
    return text;
}

}  // namespace

std::vector<std::string> large_ruleset(Random& random, unsigned rule_count) {
    constexpr unsigned kLastNumber = 60000;
    std::vector<std::string> lines;
    unsigned number = 0;
    for (unsigned i = 0; i < rule_count; ++i) {
        if (number == 0 || !random.one_in(5))
            number += random.between(1, kLastNumber / rule_count);
        lines.push_back(
            std::to_string(number) + " " +
            (random.one_in(100) ? random_rule_text(random) : narrow_rule(random, number)));
    }
    return lines;
}

}  // namespace sluice::reference
