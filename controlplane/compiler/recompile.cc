// Compiling again what has been compiled before but for a few rules.
#include <algorithm>
#include <cstring>

#include "controlplane/compiler/compile.h"
#include "controlplane/compiler/pattern_sections.h"
#include "controlplane/compiler/rule_compiler.h"

namespace sluice::compiler {

namespace {

using contract::Instruction;
using contract::Opcode;
using contract::RuleRecord;

// How far the sections are filled.
struct Sizes {
    std::uint32_t instructions, ports, ranges, v4_networks, v6_networks, words, mac_tests, text;
    std::uint32_t interface_tests;
};

Sizes sizes_of(const Sections& sections) {
    const auto size = [](const auto& section) {
        return static_cast<std::uint32_t>(section.size());
    };
    return {.instructions = size(sections.instructions),
            .ports = size(sections.ports),
            .ranges = size(sections.ranges),
            .v4_networks = size(sections.v4_networks),
            .v6_networks = size(sections.v6_networks),
            .words = size(sections.words),
            .mac_tests = size(sections.mac_tests),
            .text = size(sections.text),
            .interface_tests = size(sections.interface_tests)};
}

// Appends a part of a section of `from` to that of `to`.
template <typename Section>
void copy_part(const Section& from, std::uint32_t begin, std::uint32_t end, Section& to) {
    to.insert(to.end(), from.begin() + begin, from.begin() + end);
}

void copy_parts(const Sections& from, const Sizes& begin, const Sizes& end, Sections& to) {
    copy_part(from.instructions, begin.instructions, end.instructions, to.instructions);
    copy_part(from.ports, begin.ports, end.ports, to.ports);
    copy_part(from.ranges, begin.ranges, end.ranges, to.ranges);
    copy_part(from.v4_networks, begin.v4_networks, end.v4_networks, to.v4_networks);
    copy_part(from.v6_networks, begin.v6_networks, end.v6_networks, to.v6_networks);
    copy_part(from.words, begin.words, end.words, to.words);
    copy_part(from.mac_tests, begin.mac_tests, end.mac_tests, to.mac_tests);
    copy_part(from.text, begin.text, end.text, to.text);
}

void reserve_like(const Sections& last, Sections& sections) {
    constexpr std::size_t kMore = 64;
    sections.rules.reserve(last.rules.size() + kMore);
    sections.instructions.reserve(last.instructions.size() + kMore);
    sections.ports.reserve(last.ports.size() + kMore);
    sections.ranges.reserve(last.ranges.size() + kMore);
    sections.v4_networks.reserve(last.v4_networks.size() + kMore);
    sections.v6_networks.reserve(last.v6_networks.size() + kMore);
    sections.words.reserve(last.words.size() + kMore);
    sections.text.reserve(last.text.size() + kMore * kMore);
}

// Where its data are. Null: nowhere, or among the interfaces, whose entries rules share.
std::uint32_t Sizes::*section_of(const Instruction& test) {
    switch (test.opcode) {
        case Opcode::source_v4:
        case Opcode::destination_v4:
            return &Sizes::v4_networks;
        case Opcode::source_v6:
        case Opcode::destination_v6:
            return &Sizes::v6_networks;
        case Opcode::source_ports:
        case Opcode::destination_ports:
            return &Sizes::ports;
        case Opcode::source_set:
        case Opcode::destination_set:
        case Opcode::icmp_types:
        case Opcode::icmp6_types:
        case Opcode::socket_user:
            return &Sizes::words;
        case Opcode::ip_length:
        case Opcode::ip_id:
        case Opcode::ip_ttl:
        case Opcode::dscp:
        case Opcode::tcp_window:
        case Opcode::tcp_mss:
        case Opcode::tcp_data_length:
        case Opcode::mac_type:
        case Opcode::flow_id:
        case Opcode::tagged:
            return &Sizes::ranges;
        case Opcode::mac:
            return &Sizes::mac_tests;
        case Opcode::table_lookup:
            return test.count != 0 ? &Sizes::words : nullptr;
        default:
            return nullptr;
    }
}

bool uses_state_name(const RuleRecord& record) {
    return record.state != contract::StateOption::none ||
           record.action == contract::RuleAction::check_state;
}

bool are_same(const std::vector<contract::TableDescriptor>& a,
              const std::vector<contract::TableDescriptor>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& one, const auto& other) {
                          return std::memcmp(&one, &other, sizeof one) == 0;
                      });
}

}  // namespace

// What was compiled last.
struct Compiler::Last {
    ruleset::Ruleset ruleset;  // keeps the rules alive
    std::vector<const ruleset::StoredRule*> rules;
    std::vector<contract::TableDescriptor> tables;
    PatternObjects patterns;
    HeaderChanges changes;
    Sections sections;            // without the default rule
    std::vector<Sizes> sizes;     // before each rule, and behind the last one
    std::vector<bool> has_label;  // by rule
};

// Compiles one ruleset on the ground of what was compiled last.
class Compiler::Renewal {
  public:
    Renewal(const ruleset::Ruleset& ruleset, const Last* last)
        : next_(new Last{.ruleset = ruleset,
                         .rules = ruleset.borrowed_rules(),
                         .tables = ruleset.tables().all(),
                         .patterns = ruleset.patterns().all(),
                         .changes = {},
                         .sections = {},
                         .sizes = {},
                         .has_label = {}}),
          last_(last) {
        compare();
    }

    Result<std::vector<std::byte>> run(std::uint64_t generation) {
        const std::size_t count = next_->rules.size();
        next_->sizes.reserve(count + 1);
        next_->has_label.reserve(count);
        if (last_ != nullptr)
            reserve_like(last_->sections, sections());
        take_front();
        for (std::size_t i = front_; i < count - back_; ++i)
            if (Result<Done> compiled = compile_one(*next_->rules[i]); !compiled)
                return compiled.error();
        take_back();
        next_->sizes.push_back(sizes_of(sections()));
        return finish(generation);
    }

    std::unique_ptr<const Last> take() { return std::move(next_); }

  private:
    Sections& sections() { return next_->sections; }

    // How many rules at the front and at the back can be taken over.
    void compare() {
        const auto& rules = next_->rules;
        if (last_ != nullptr && are_same(last_->tables, next_->tables) &&
            have_same_places(last_->patterns, next_->patterns)) {
            const auto& before = last_->rules;
            const std::size_t most = std::min(rules.size(), before.size());
            while (front_ < most && rules[front_] == before[front_])
                ++front_;
            while (back_ < most - front_ &&
                   rules[rules.size() - 1 - back_] == before[before.size() - 1 - back_])
                ++back_;
        }
        const auto add_records = [&](std::size_t first, std::size_t end) {
            for (std::size_t i = first; i < end; ++i) {
                const contract::RuleAction action = last_->sections.rules[i].action;
                next_->changes.traffic_class |= action == contract::RuleAction::setdscp;
                next_->changes.segment_size |= action == contract::RuleAction::tcp_setmss;
            }
        };
        add_records(0, front_);
        if (last_ != nullptr)
            add_records(last_->rules.size() - back_, last_->rules.size());
        for (std::size_t i = front_; i < rules.size() - back_; ++i)
            next_->changes.add(rules[i]->rule);
        // Other tests are residual then.
        if (last_ != nullptr && next_->changes != last_->changes)
            front_ = back_ = 0;
    }

    void take_front() {
        if (front_ == 0)
            return;
        const Sizes &begin = last_->sizes.front(), &end = last_->sizes[front_];
        copy_parts(last_->sections, begin, end, sections());
        copy_part(last_->sections.interface_tests, 0, end.interface_tests,
                  sections().interface_tests);
        copy_part(last_->sections.rules, 0, static_cast<std::uint32_t>(front_), sections().rules);
        next_->sizes.assign(last_->sizes.begin(),
                            last_->sizes.begin() + static_cast<std::ptrdiff_t>(front_));
        next_->has_label.assign(last_->has_label.begin(),
                                last_->has_label.begin() + static_cast<std::ptrdiff_t>(front_));
    }

    Result<Done> compile_one(const ruleset::StoredRule& rule) {
        next_->sizes.push_back(sizes_of(sections()));
        Result<RuleRecord> record = compile_rule({.rule = &rule.rule,
                                                  .slot = rule.slot,
                                                  .log_limit = rule.log_limit,
                                                  .id = rule.id,
                                                  .text = &rule.text},
                                                 {.changes = next_->changes,
                                                  .tables = &next_->ruleset.tables(),
                                                  .patterns = &next_->ruleset.patterns()},
                                                 sections());
        if (!record)
            return record.error();
        sections().rules.push_back(*record);
        next_->has_label.push_back(!rule.rule.label.empty());
        return Done{};
    }

    // What stands in sections moves with them.
    void take_back() {
        if (back_ == 0)
            return;
        const std::size_t first = last_->rules.size() - back_;
        const Sizes begin = last_->sizes[first], now = sizes_of(sections());
        copy_parts(last_->sections, begin, last_->sizes.back(), sections());
        for (std::size_t i = first; i < last_->rules.size(); ++i) {
            Sizes sizes = last_->sizes[i];
            for (const auto section :
                 {&Sizes::instructions, &Sizes::ports, &Sizes::ranges, &Sizes::v4_networks,
                  &Sizes::v6_networks, &Sizes::words, &Sizes::mac_tests, &Sizes::text})
                sizes.*section += now.*section - begin.*section;
            sizes.interface_tests = static_cast<std::uint32_t>(sections().interface_tests.size());
            next_->sizes.push_back(sizes);
            next_->has_label.push_back(last_->has_label[i]);
            RuleRecord record = last_->sections.rules[i];
            record.first_instruction += now.instructions - begin.instructions;
            record.text_offset += now.text - begin.text;
            sections().rules.push_back(record);
            for (std::uint32_t k = 0; k < record.header_count + record.residual_count; ++k)
                move_data(sections().instructions[record.first_instruction + k], begin, now);
        }
    }

    void move_data(Instruction& test, const Sizes& from, const Sizes& to) {
        if (const auto section = section_of(test))
            test.data += to.*section - from.*section;
        if (!tests_interface(test))
            return;
        // Mostly it stands where it stood.
        const contract::InterfaceTest& wanted = last_->sections.interface_tests[test.data];
        const std::vector<contract::InterfaceTest>& entries = sections().interface_tests;
        if (test.data >= entries.size() ||
            std::memcmp(&entries[test.data], &wanted, sizeof wanted) != 0)
            test.data = intern(wanted, sections());
    }

    Result<std::vector<std::byte>> finish(std::uint64_t generation) {
        const ruleset::Ruleset& ruleset = next_->ruleset;
        if (Result<Done> set = set_patterns(next_->patterns, sections()); !set)
            return set.error();
        std::vector<RuleRecord>& records = sections().rules;
        std::uint32_t id = ruleset.next_id();
        StateNames names;
        Labels labels;
        for (std::size_t i = 0; i < records.size(); ++i) {
            const language::Rule& rule = next_->rules[i]->rule;
            id = std::max(id, records[i].id + 1);
            if (uses_state_name(records[i]))
                if (Result<Done> told_apart = names.add_all(rule); !told_apart)
                    return told_apart.error();
            if (next_->has_label[i])
                if (Result<Done> added = labels.add(rule, i, i); !added)
                    return added.error();
        }
        records.push_back(compile_default_rule(ruleset.default_accept(),
                                               ruleset.default_rule()->slot, id, sections()));
        for (std::size_t i = 0; i + 1 < records.size(); ++i) {
            if (!jumps(records[i]))
                continue;
            const language::Rule& rule = next_->rules[i]->rule;
            if (rule.action.label.empty())
                records[i].target = jump_target(records[i], records);
            else if (Result<Done> resolved = labels.resolve(rule, i, records[i]); !resolved)
                return resolved.error();
        }
        contract::SnapshotHeader header;
        header.generation = generation;
        header.sysctls = ruleset.sysctls();
        header.live_rules = static_cast<std::uint32_t>(records.size());
        Result<std::vector<std::byte>> image = checked_image(header, sections());
        records.pop_back();
        sections().text.resize(next_->sizes.back().text);
        return image;
    }

    std::unique_ptr<Last> next_;
    const Last* last_;
    std::size_t front_ = 0, back_ = 0;
};

Compiler::Compiler() = default;
Compiler::~Compiler() = default;

Result<std::vector<std::byte>> Compiler::compile(const ruleset::Ruleset& ruleset,
                                                 std::uint64_t generation) {
    // Detached rules stand elsewhere; those rulesets are compiled anew.
    if (ruleset.disabled_sets() != 0 || !ruleset.orphans().empty()) {
        last_.reset();
        return compiler::compile(ruleset, generation);
    }
    Renewal renewal(ruleset, last_.get());
    Result<std::vector<std::byte>> image = renewal.run(generation);
    if (image)
        last_ = renewal.take();
    return image;
}

}  // namespace sluice::compiler
