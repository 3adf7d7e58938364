// Text of rules, a NUL, then a frame: what parses is compiled and run, and both engines must agree.
// Rules that are wrong or not carried out are left out. The first byte chooses world and passage.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

#include "controlplane/compiler/support.h"
#include "controlplane/language/names.h"
#include "controlplane/language/rule_parser.h"
#include "tests/reference/scenario.h"

using namespace sluice;

namespace {

constexpr std::size_t kMaximumRules = 30;

packet::Passage passage(std::uint8_t choice) {
    packet::Passage passage;
    passage.entry = static_cast<packet::Entry>(choice / 4 % 3);
    if ((choice & 1) != 0) {
        passage.direction = packet::Direction::out;
        passage.transmit_interface = 1;
        if ((choice & 2) != 0)
            passage.receive_interface = 0;
    } else {
        passage.receive_interface = (choice & 2) != 0 ? 0 : 2;
    }
    return passage;
}

// Numbered by us, so that they ascend. Labels that lead nowhere are refused by the compiler, so
// only a call to the rule itself may name one.
std::vector<std::string> runnable_rules(const std::string& text) {
    std::vector<std::string> rules;
    std::set<std::string> labels;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && rules.size() < kMaximumRules;) {
        const std::string numbered = std::to_string(rules.size() * 10 + 10) + " " + line;
        const auto rule = language::parse_rule(numbered, language::refusing_resolver());
        if (!rule || compiler::unsupported(*rule))
            continue;
        const std::string& target = rule->action.label;
        if (!target.empty() &&
            (target != rule->label || rule->action.kind != language::ActionKind::call))
            continue;
        if (rule->label.empty() || labels.insert(rule->label).second)
            rules.push_back(numbered);
    }
    return rules;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t end_of_rules = bytes.find('\0');
    if (end_of_rules == std::string_view::npos)
        return 0;
    reference::Scenario scenario;
    scenario.rules = runnable_rules(std::string(bytes.substr(0, end_of_rules)));
    scenario.world = data[0] / 16;
    scenario.sysctls.verbose = 1;
    reference::RandomPacket packet{.frame = {}, .passage = passage(data[0])};
    for (const char byte : bytes.substr(end_of_rules + 1))
        packet.frame.push_back(static_cast<std::byte>(byte));
    scenario.packets.assign(2, packet);
    if (const auto why = reference::difference(scenario)) {
        std::fprintf(stderr, "%s\n%s", why->c_str(), reference::describe(scenario).c_str());
        std::abort();
    }
    return 0;
}
