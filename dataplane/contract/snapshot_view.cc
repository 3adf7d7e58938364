#include "dataplane/contract/snapshot_view.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/table.h"

namespace sluice::contract {

namespace {

constexpr std::uint16_t kDefaultRuleNumber = 65535;

// One validation run. The first thing that is wrong ends it.
class Validator {
  public:
    explicit Validator(std::span<const std::byte> image) : image_(image) {}

    template <typename T>
    std::span<const T> section(const Section& section, const char* name) {
        if (failed())
            return {};
        if (section.offset % kSectionAlignment != 0 || section.offset < sizeof(SnapshotHeader) ||
            section.offset > image_.size() ||
            section.count > (image_.size() - section.offset) / sizeof(T)) {
            fail(std::string("section ") + name + " lies outside the image", section.offset);
            return {};
        }
        return {reinterpret_cast<const T*>(image_.data() + section.offset),
                static_cast<std::size_t>(section.count)};
    }

    void fail(std::string what, std::uint64_t offset) {
        if (message_.empty())
            message_ = std::move(what) + " (byte " + std::to_string(offset) + ")";
    }

    template <typename T>
    std::uint64_t offset_of(const T& record) const {
        return static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(&record) -
                                          image_.data());
    }

    bool failed() const { return !message_.empty(); }
    Error error() const { return {ExitStatus::data, "the snapshot is not valid: " + message_}; }

  private:
    std::span<const std::byte> image_;
    std::string message_;
};

// Size of the section that `data` and `count` of an instruction point into; 0 where they are
// unused.
std::size_t list_size(const SnapshotView& view, Opcode opcode) {
    switch (opcode) {
        case Opcode::source_v4:
        case Opcode::destination_v4:
            return view.v4_networks().size();
        case Opcode::source_v6:
        case Opcode::destination_v6:
            return view.v6_networks().size();
        case Opcode::source_ports:
        case Opcode::destination_ports:
            return view.ports().size();
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
            return view.ranges().size();
        case Opcode::icmp_types:
        case Opcode::icmp6_types:
        case Opcode::socket_user:
            return view.words().size();
        case Opcode::via:
        case Opcode::recv:
        case Opcode::xmit:
            return view.interface_tests().size();
        case Opcode::mac:
            return view.mac_tests().size();
        default:
            return 0;
    }
}

bool valid_table_test(const SnapshotView& view, const Instruction& instruction) {
    constexpr std::uint32_t kMaskWords = 4;
    if (instruction.argument >= kMaximumTables)
        return false;
    if (instruction.opcode != Opcode::table_lookup)
        return instruction.count == 0 && instruction.detail <= kTableFields &&
               ((instruction.data == 0 && instruction.detail == 0) ||
                (instruction.flags & kTableValue) != 0);
    return instruction.detail < static_cast<std::uint16_t>(LookupField::count_) &&
           (instruction.flags & kTableValue) == 0 &&
           (instruction.count == 0
                ? instruction.data == 0
                : instruction.count == kMaskWords &&
                      std::uint64_t{instruction.data} + kMaskWords <= view.words().size());
}

bool valid_payload_test(const SnapshotView& view, const Instruction& instruction) {
    if (instruction.argument >= view.pattern_objects().size() || instruction.count != 0 ||
        instruction.detail >= static_cast<std::uint16_t>(PayloadPart::count_) ||
        (instruction.data != 0 && (instruction.flags & kPatternValue) == 0))
        return false;
    return view.pattern_objects()[instruction.argument].type == PatternType::bytes ||
           is_name(static_cast<PayloadPart>(instruction.detail));
}

bool valid_instruction(const SnapshotView& view, const Instruction& instruction) {
    if (instruction.opcode >= Opcode::count_ ||
        (instruction.flags & ~(kNegated | kOrNext | kTableValue | kPatternValue)) != 0)
        return false;
    if (instruction.opcode == Opcode::payload)
        return (instruction.flags & kTableValue) == 0 && valid_payload_test(view, instruction);
    if ((instruction.flags & kPatternValue) != 0)
        return false;
    if (is_table_test(instruction.opcode))
        return valid_table_test(view, instruction);
    if ((instruction.flags & kTableValue) != 0 || instruction.detail != 0)
        return false;
    switch (instruction.opcode) {
        case Opcode::source_set:
        case Opcode::destination_set:
            return instruction.count <= 256 &&
                   std::uint64_t{instruction.data} + (instruction.count + 31) / 32 <=
                       view.words().size();
        case Opcode::icmp_types:
        case Opcode::icmp6_types:
            return instruction.count == 8 &&
                   std::uint64_t{instruction.data} + instruction.count <= view.words().size();
        case Opcode::via:
        case Opcode::recv:
        case Opcode::xmit:
        case Opcode::mac:
            return instruction.data < list_size(view, instruction.opcode);
        case Opcode::mark:  // data is the mask
        case Opcode::mark_argument:
            return instruction.count == 0;
        default:
            return std::uint64_t{instruction.data} + instruction.count <=
                       list_size(view, instruction.opcode) ||
                   (instruction.data == 0 && instruction.count == 0);
    }
}

void check_pattern_object(Validator& validator, const PatternObject& object, std::size_t patterns,
                          std::size_t databases) {
    const std::uint64_t at = validator.offset_of(object);
    if (object.type >= PatternType::count_ || object.mode >= PatternMode::count_ ||
        object.direction >= PatternDirection::count_ || object.ignore_case > 1 ||
        object.depth == 0 || object.depth > kMaximumDepth ||
        std::memchr(object.name, '\0', sizeof object.name) == nullptr)
        return validator.fail("a pattern object is not valid", at);
    if (std::uint64_t{object.first_pattern} + object.pattern_count > patterns)
        return validator.fail("a pattern object's patterns lie outside their section", at);
    if (object.database_offset % kSectionAlignment != 0 || object.database_offset > databases ||
        object.database_size > databases - object.database_offset)
        return validator.fail("a pattern object's database lies outside its section", at);
    if ((object.database_size != 0) !=
        (object.type == PatternType::bytes && object.pattern_count != 0))
        return validator.fail("a pattern object has no database, or one that it must not have", at);
}

void check_patterns(Validator& validator, const SnapshotView& view,
                    std::span<const PatternRecord> patterns, std::size_t text,
                    std::size_t databases) {
    if (view.pattern_objects().size() > kMaximumPatternObjects ||
        patterns.size() > kMaximumPatterns)
        return validator.fail("there are too many patterns", 0);
    for (const PatternRecord& pattern : patterns)
        if (std::uint64_t{pattern.text_offset} + pattern.text_length > text)
            return validator.fail("a pattern's text lies outside its section",
                                  validator.offset_of(pattern));
    for (const PatternObject& object : view.pattern_objects())
        check_pattern_object(validator, object, patterns.size(), databases);
}

void check_state(Validator& validator, const RuleRecord& rule, std::uint64_t at) {
    if (rule.id == 0)
        return validator.fail("a rule has no id", at);
    if (rule.state >= StateOption::count_)
        return validator.fail("a rule has an unknown kind of state", at);
    if (rule.state == StateOption::limit && rule.state_limit == 0)
        return validator.fail("a rule limits its states to none", at);
    if (rule.state != StateOption::none &&
        (rule.state_name == kAnyStateName || rule.action == RuleAction::check_state))
        return validator.fail("a rule's states have no name", at);
}

void check_rule(Validator& validator, const SnapshotView& view, std::size_t index,
                std::size_t text_size) {
    const RuleRecord& rule = view.all_rules()[index];
    const std::size_t live = view.rules().size();
    const bool detached = index >= live;
    const std::uint64_t at = validator.offset_of(rule);
    const std::uint64_t count = std::uint64_t{rule.header_count} + rule.residual_count;
    if (rule.action >= RuleAction::count_ || rule.set > 31 || rule.number == 0)
        return validator.fail("a rule has an unknown action, set or number", at);
    if (rule.slot == kBogusSlot)
        return validator.fail("a rule has slot 0, which belongs to packets dropped before any rule",
                              at);
    if (rule.number == kDefaultRuleNumber && index + 1 != live)
        return validator.fail("rule 65535 is not the last one", at);
    if (index > 0 && !detached && rule.number < view.all_rules()[index - 1].number)
        return validator.fail("the rules are not in order", at);
    if (detached != ((rule.flags & (rule_flag::disabled | rule_flag::orphan)) != 0))
        return validator.fail("a rule that takes no part stands among those that do, or not", at);
    check_state(validator, rule, at);
    if (rule.first_instruction + count > view.instructions().size())
        return validator.fail("a rule's tests lie outside their section", at);
    if (std::uint64_t{rule.text_offset} + rule.text_length > text_size)
        return validator.fail("a rule's text lies outside its section", at);
    if (rule.action == RuleAction::skipto && !detached && rule.target <= index)
        return validator.fail("a skipto does not go forward", at);
    if ((rule.action == RuleAction::skipto || rule.action == RuleAction::call || detached) &&
        rule.target >= live)
        return validator.fail("a rule goes on behind the last one", at);
    if (rule.next_hop_family != 0 && rule.next_hop_family != 4 && rule.next_hop_family != 6)
        return validator.fail("a next hop is of an unknown family", at);
    auto tests = view.instructions().subspan(rule.first_instruction, count);
    for (std::size_t i = 0; i < tests.size(); ++i) {
        const bool in_header = i < rule.header_count;
        if (!valid_instruction(view, tests[i]))
            return validator.fail("a test is not valid", validator.offset_of(tests[i]));
        if (in_header && is_residual(tests[i].opcode))
            return validator.fail("a residual test stands among the header tests",
                                  validator.offset_of(tests[i]));
        const bool ends_part = i + 1 == rule.header_count || i + 1 == tests.size();
        if (ends_part && (tests[i].flags & kOrNext) != 0)
            return validator.fail("an or-block is not closed", validator.offset_of(tests[i]));
    }
}

}  // namespace

std::uint64_t snapshot_checksum(std::span<const std::byte> image) {
    std::uint64_t hash = 14695981039346656037u;
    for (std::size_t at = 0; at + 8 <= image.size(); at += 8) {
        if (at == offsetof(SnapshotHeader, checksum))
            continue;
        std::uint64_t word;
        std::memcpy(&word, image.data() + at, sizeof word);
        hash = (hash ^ word) * 1099511628211u;
    }
    return hash;
}

Result<SnapshotView> SnapshotView::validate(std::span<const std::byte> image) {
    auto refuse = [](std::string why) {
        return Error{ExitStatus::data, "the snapshot is not valid: " + std::move(why)};
    };
    if (reinterpret_cast<std::uintptr_t>(image.data()) % kSectionAlignment != 0)
        return refuse("it is not aligned to 64 bytes");
    if (image.size() < sizeof(SnapshotHeader))
        return refuse("it is shorter than its header");
    const auto& header = *reinterpret_cast<const SnapshotHeader*>(image.data());
    if (header.magic != kSnapshotMagic)
        return refuse("this is no snapshot");
    if (header.version != kSnapshotVersion || header.layout != snapshot_layout())
        return refuse("it has format " + std::to_string(header.version) + ", layout " +
                      std::to_string(header.layout) + "; this data plane reads format " +
                      std::to_string(kSnapshotVersion) + ", layout " +
                      std::to_string(snapshot_layout()));
    if (header.size != image.size() || image.size() % kSectionAlignment != 0)
        return refuse("its header promises " + std::to_string(header.size) + " bytes, there are " +
                      std::to_string(image.size()));
    if (header.generation == 0)
        return refuse("it has no generation");
    if (header.checksum != snapshot_checksum(image))
        return refuse("the checksum does not fit");

    Validator validator(image);
    SnapshotView view;
    view.header_ = &header;
    view.all_rules_ = validator.section<RuleRecord>(header.rules, "rules");
    view.instructions_ = validator.section<Instruction>(header.instructions, "instructions");
    view.ports_ = validator.section<PortTest>(header.ports, "ports");
    view.ranges_ = validator.section<Range>(header.ranges, "ranges");
    view.v4_networks_ = validator.section<V4Network>(header.v4_networks, "v4_networks");
    view.v6_networks_ = validator.section<V6Network>(header.v6_networks, "v6_networks");
    view.words_ = validator.section<std::uint32_t>(header.words, "words");
    view.mac_tests_ = validator.section<MacTest>(header.mac_tests, "mac_tests");
    view.interface_tests_ =
        validator.section<InterfaceTest>(header.interface_tests, "interface_tests");
    view.text_ = validator.section<char>(header.text, "text");
    view.pattern_objects_ =
        validator.section<PatternObject>(header.pattern_objects, "pattern_objects");
    view.patterns_ = validator.section<PatternRecord>(header.patterns, "patterns");
    view.pattern_text_ = validator.section<char>(header.pattern_text, "pattern_text");
    view.pattern_databases_ =
        validator.section<char>(header.pattern_databases, "pattern_databases");
    if (validator.failed())
        return validator.error();

    if (view.all_rules_.size() > UINT32_MAX || header.live_rules == 0 ||
        header.live_rules > view.all_rules_.size())
        return refuse("it has no rules");
    const RuleRecord& last = view.rules().back();
    if (last.number != kDefaultRuleNumber || last.header_count != 0 || last.residual_count != 0 ||
        last.state != StateOption::none ||
        (last.action != RuleAction::allow && last.action != RuleAction::deny))
        return refuse("it does not end with the default rule 65535");
    check_patterns(validator, view, view.patterns_, view.pattern_text_.size(),
                   view.pattern_databases_.size());
    for (std::size_t i = 0; i < view.all_rules_.size() && !validator.failed(); ++i)
        check_rule(validator, view, i, view.text_.size());
    for (const InterfaceTest& test : view.interface_tests_) {
        if (test.kind > InterfaceTest::Kind::address_v6 ||
            std::memchr(test.pattern, '\0', sizeof test.pattern) == nullptr)
            validator.fail("an interface test is not valid", validator.offset_of(test));
    }
    if (validator.failed())
        return validator.error();
    return view;
}

}  // namespace sluice::contract
