#include "dataplane/program/residual_tests.h"

#include "dataplane/program/actions.h"

namespace sluice::program {

using contract::Instruction;
using contract::Opcode;
using contract::RuleRecord;
using packet::Packet;

namespace {

std::span<const Instruction> tests_of(const Runtime& runtime, const RuleRecord& rule) {
    return runtime.view().instructions().subspan(rule.first_instruction + rule.header_count,
                                                 rule.residual_count);
}

std::span<const contract::Range> ranges(const Walk& walk, const Instruction& test) {
    return walk.runtime.view().ranges().subspan(test.data, test.count);
}

bool is_before(std::uint64_t now_ms, const Instruction& test) {
    return now_ms / 1000 < test.argument;
}

}  // namespace

bool ResidualTests::match(Walk& walk, const RuleRecord& rule, std::uint32_t index) {
    walk.argument = {};
    const auto tests = tests_of(walk.runtime, rule);
    for (std::size_t i = 0; i < tests.size(); ++i) {
        bool matched = test_matches(walk, tests[i], index);
        while ((tests[i].flags & contract::kOrNext) != 0) {
            ++i;
            matched = matched || test_matches(walk, tests[i], index);
        }
        if (!matched)
            return false;
    }
    return true;
}

std::optional<std::uint32_t> ResidualTests::first_failure(Walk& walk, const RuleRecord& rule,
                                                          std::uint32_t index) {
    walk.argument = {};
    const auto tests = tests_of(walk.runtime, rule);
    std::uint32_t block = 0;
    for (std::size_t i = 0; i < tests.size(); ++i, ++block) {
        bool matched = test_matches(walk, tests[i], index);
        while ((tests[i].flags & contract::kOrNext) != 0) {
            ++i;
            matched = matched || test_matches(walk, tests[i], index);
        }
        if (!matched)
            return block;
    }
    return std::nullopt;
}

bool ResidualTests::test_matches(Walk& walk, const Instruction& test, std::uint32_t index) {
    const Packet& packet = *walk.seen;
    const Routes& routes = walk.runtime.routes();
    bool matched = false;
    switch (test.opcode) {
        case Opcode::probability:
            matched = chance(walk, test, index);
            break;
        case Opcode::verrevpath:
            matched = routes.reverse_path_ok(packet);
            break;
        case Opcode::versrcreach:
            matched = routes.source_reachable(packet);
            break;
        case Opcode::antispoof:
            matched = routes.not_spoofed(packet);
            break;
        case Opcode::diverted:
            matched = (packet.passage.came_back & test.argument) != 0;
            break;
        case Opcode::tagged:
            matched = walk.marks.has_tag_in(ranges(walk, test));
            break;
        case Opcode::mark:
            matched = (walk.marks.mark & test.data) == (test.argument & test.data);
            break;
        case Opcode::tagged_argument:
            matched = walk.argument.tag() != 0 && walk.marks.has_tag(walk.argument.tag());
            break;
        case Opcode::mark_argument:
            matched =
                ((walk.marks.mark ^ walk.argument.of(contract::TableField::mark)) & test.data) == 0;
            break;
        case Opcode::fib:
            matched = walk.marks.fib == test.argument;
            break;
        case Opcode::not_expired:
            matched = is_before(packet.now_ms, test);
            break;
        case Opcode::tcp_mss:
            if (walk.marks.maximum_segment_size == 0)
                return walk.runtime.classifier().tests().matches(test, packet);
            matched = lowered_mss_in(walk.marks, ranges(walk, test));
            break;
        case Opcode::socket_user:
            matched = sockets_.matches(walk.runtime, test, packet);
            break;
        case Opcode::payload:
            matched = payload_.matches(walk, test);
            break;
        default:
            if (!contract::is_table_test(test.opcode))
                return walk.runtime.classifier().tests().matches(test, packet);
            matched = tables_.matches(
                test,
                {.view = walk.runtime.view(),
                 .packet = packet,
                 .rule = walk.runtime.view().all_rules()[index],
                 .marks = walk.marks,
                 .owner = contract::looks_for_user(test) ? sockets_.owner(walk.runtime, packet)
                                                         : std::nullopt},
                walk.argument);
            break;
    }
    return matched != ((test.flags & contract::kNegated) != 0);
}

bool ResidualTests::has_expired(const Runtime& runtime, std::uint32_t index, std::uint64_t now_ms) {
    const RuleRecord& rule = runtime.view().all_rules()[index];
    if ((rule.flags & contract::rule_flag::expires) == 0)
        return false;
    for (const Instruction& test : tests_of(runtime, rule))
        if (test.opcode == Opcode::not_expired && !is_before(now_ms, test))
            return true;
    return false;
}

bool ResidualTests::may_look_for_state(Walk& walk, const RuleRecord& rule, std::uint32_t index) {
    for (const Instruction& test : tests_of(walk.runtime, rule)) {
        if (test.opcode == Opcode::not_expired && !is_before(walk.packet.now_ms, test))
            return false;
        if (test.opcode == Opcode::probability && !chance(walk, test, index))
            return false;
    }
    return true;
}

bool ResidualTests::chance(Walk& walk, const Instruction& test, std::uint32_t index) {
    if (walk.drawn_rule != index) {
        walk.drawn_rule = index;
        walk.drawn = draw(walk.packet, index) < test.argument;
    }
    return walk.drawn;
}

std::uint32_t ResidualTests::draw(const Packet& packet, std::uint32_t rule_index) {
    return random_ != nullptr ? random_->draw(packet, rule_index) : generator_.draw();
}

}  // namespace sluice::program
