#include "controlplane/compiler/pattern_sections.h"

#include <algorithm>
#include <utility>

namespace sluice::compiler {
namespace {

using contract::Instruction;
using ruleset::PatternCatalogue;
using ruleset::PatternObject;

Error incomplete(const std::string& what) {
    return {ExitStatus::software,
            "the compiler was given " + what + ", which it does not know; this is a bug"};
}

contract::PayloadPart part_of(language::PayloadPart part) {
    static_assert(static_cast<int>(language::PayloadPart::dns_qname) ==
                      static_cast<int>(contract::PayloadPart::dns_qname) &&
                  static_cast<int>(language::PayloadPart::http_host) ==
                      static_cast<int>(contract::PayloadPart::http_host));
    return static_cast<contract::PayloadPart>(part);
}

contract::PatternObject record_of(const PatternObject& object, const Sections& sections) {
    contract::PatternObject record;
    record.content = object.content;
    record.first_pattern = static_cast<std::uint32_t>(sections.patterns.size());
    record.pattern_count = static_cast<std::uint32_t>(object.patterns.size());
    record.depth = object.settings.depth;
    record.type = object.settings.type;
    record.mode = object.settings.mode;
    record.direction = object.settings.direction;
    record.ignore_case = object.settings.ignore_case ? 1 : 0;
    object.name.copy(record.name, sizeof record.name - 1);
    return record;
}

}  // namespace

bool have_same_places(const PatternObjects& a, const PatternObjects& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& one, const auto& other) {
                          return one->name == other->name && (!one->name.empty() || one == other);
                      });
}

Result<Done> set_patterns(const PatternObjects& objects, Sections& sections) {
    sections.pattern_objects.clear();
    sections.patterns.clear();
    sections.pattern_text.clear();
    sections.pattern_databases.clear();
    std::uint64_t size = 0;  // of the databases so far
    for (const PatternCatalogue::Pointer& object : objects) {
        contract::PatternObject record = record_of(*object, sections);
        const bool needs_database =
            object->settings.type == contract::PatternType::bytes && !object->patterns.empty();
        if (needs_database != (object->database != nullptr))
            return incomplete("a pattern object without its database");
        if (object->database) {
            record.database_offset = size;
            record.database_size = object->database->bytes.size();
            size = aligned(size + record.database_size);
            sections.pattern_databases.push_back(object->database);
        }
        for (const patterns::Pattern& pattern : object->patterns) {
            sections.patterns.push_back(
                {.value = pattern.value,
                 .text_offset = static_cast<std::uint32_t>(sections.pattern_text.size()),
                 .text_length = static_cast<std::uint32_t>(pattern.text.size())});
            sections.pattern_text += pattern.text;
        }
        sections.pattern_objects.push_back(record);
    }
    return Done{};
}

Result<Instruction> payload_test(const language::PayloadMatch& match,
                                 const PatternCatalogue* patterns) {
    Instruction test{.opcode = contract::Opcode::payload,
                     .detail = static_cast<std::uint16_t>(part_of(match.part))};
    if (patterns == nullptr)
        return incomplete("a test of patterns");
    if (const auto* literal = std::get_if<language::PayloadLiteral>(&match.what)) {
        const contract::PatternType type = ruleset::literal_type(match.part);
        const Result<std::string> text = ruleset::literal_pattern(match.part, *literal);
        if (!text)
            return text.error();
        const auto value = patterns->literal_value(type, *text);
        const auto place = patterns->literal_place(type);
        if (!value || !place)
            return incomplete("the pattern " + *text);
        test.argument = *place;
        test.flags = contract::kPatternValue;
        test.data = *value;
        return test;
    }
    const auto& reference = std::get<language::PatternReference>(match.what);
    const auto place = patterns->place(reference.name);
    if (!place)
        return incomplete("the pattern object " + reference.name);
    test.argument = *place;
    if (reference.value) {
        test.flags = contract::kPatternValue;
        test.data = *reference.value;
    }
    return test;
}

}  // namespace sluice::compiler
