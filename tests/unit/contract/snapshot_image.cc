#include "tests/unit/contract/snapshot_image.h"

namespace sluice::contract {

namespace {

template <typename T>
void put(std::vector<std::byte>& image, Section& section, const T& elements) {
    section = {.offset = image.size(), .count = elements.size()};
    const auto bytes = std::as_bytes(std::span(elements));
    image.insert(image.end(), bytes.begin(), bytes.end());
    while (image.size() % kSectionAlignment != 0)
        image.push_back({});
}

}  // namespace

SnapshotParts::SnapshotParts() {
    header.generation = 1;
    instructions = {
        {.opcode = Opcode::source_v4, .flags = kOrNext, .count = 1},
        {.opcode = Opcode::source_v6, .flags = kNegated, .count = 1},
        {.opcode = Opcode::destination_ports, .count = 1},
        {.opcode = Opcode::via},
        {.opcode = Opcode::probability, .argument = 5},
        {.opcode = Opcode::icmp_types, .count = 8},
        {.opcode = Opcode::mac},
        {.opcode = Opcode::source_set, .count = 256},
        {.opcode = Opcode::ip_length, .count = 1},
    };
    pattern_objects.resize(2);
    pattern_objects[0].pattern_count = 2;
    pattern_objects[0].type = PatternType::names;
    patterns = {{.value = 7, .text_offset = 0, .text_length = 7},
                {.value = 0, .text_offset = 8, .text_length = 3}};
    rules.resize(5);
    rules[0].number = 10;
    rules[0].header_count = 4;
    rules[0].residual_count = 1;
    rules[1].number = 20;
    rules[1].first_instruction = 5;
    rules[1].header_count = 4;
    rules[1].action = RuleAction::skipto;
    rules[1].action_number = 30;
    rules[1].target = 2;
    rules[2].number = 30;
    rules[2].action = RuleAction::count;
    rules[2].text_length = 5;
    rules[3].number = 65535;
    rules[4].number = 15;
    rules[4].flags = rule_flag::disabled;
    rules[4].action = RuleAction::count;
    rules[4].target = 1;
    header.live_rules = 4;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        rules[i].slot = static_cast<std::uint32_t>(i + 1);
        rules[i].id = static_cast<std::uint32_t>(i + 1);
    }
}

std::vector<std::byte> SnapshotParts::image(
    const std::function<void(SnapshotHeader&)>& before_checksum) const {
    SnapshotHeader result = header;
    std::vector<std::byte> image((sizeof(SnapshotHeader) + kSectionAlignment - 1) /
                                 kSectionAlignment * kSectionAlignment);
    put(image, result.rules, rules);
    put(image, result.instructions, instructions);
    put(image, result.ports, ports);
    put(image, result.ranges, ranges);
    put(image, result.v4_networks, v4_networks);
    put(image, result.v6_networks, v6_networks);
    put(image, result.words, words);
    put(image, result.mac_tests, mac_tests);
    put(image, result.interface_tests, interface_tests);
    put(image, result.text, text);
    put(image, result.pattern_objects, pattern_objects);
    put(image, result.patterns, patterns);
    put(image, result.pattern_text, pattern_text);
    put(image, result.pattern_databases, pattern_databases);
    result.layout = snapshot_layout();
    result.size = image.size();
    if (before_checksum)
        before_checksum(result);
    std::memcpy(image.data(), &result, sizeof result);
    result.checksum ^= snapshot_checksum(image);  // what was done to it stays done
    std::memcpy(image.data(), &result, sizeof result);
    return image;
}

}  // namespace sluice::contract
