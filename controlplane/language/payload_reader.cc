// The options of a rule that look at what a packet carries.
#include <algorithm>

#include "controlplane/language/quoted_text.h"
#include "controlplane/language/rule_reader.h"

namespace sluice::language {

namespace {

// What is longer belongs into an object: lines have an end.
constexpr std::size_t kLongestLiteral = 512;

std::string lowered(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return text;
}

// Whether a word that stood in quotes, for all that is known, can be a reference.
bool may_be_reference(std::string_view word) {
    return is_valid_name(word.substr(0, word.find(',')));
}

}  // namespace

bool RuleReader::read_payload_literal(PayloadPart part, std::string_view word,
                                      PayloadMatch& payload) {
    const Value<std::string> bytes = parse_quoted(word);
    if (!bytes)
        return cursor_.fail(bytes.error());
    if (bytes->empty())
        return cursor_.fail(ExitStatus::data, "an empty pattern would match every packet");
    if (bytes->size() > kLongestLiteral)
        return cursor_.fail(ExitStatus::data,
                            "the pattern has " + std::to_string(bytes->size()) +
                                " bytes; at most " + std::to_string(kLongestLiteral) +
                                " fit into a rule, longer ones into `pattern NAME add`");
    payload.what = PayloadLiteral{is_name(part) ? lowered(*bytes) : *bytes};
    return true;
}

bool RuleReader::read_payload(PayloadPart part, std::optional<Match>& match) {
    PayloadMatch payload;
    payload.part = part;
    const std::string_view word = cursor_.word();
    const std::size_t comma = word.find(',');
    if (begins_quoted(word)) {
        if (!read_payload_literal(part, word, payload))
            return false;
    } else if (cursor_.is_argument() && !may_be_reference(word)) {
        if (!read_payload_literal(part, in_quotes(word), payload))
            return false;
    } else {
        PatternReference reference;
        reference.name = word.substr(0, comma);
        if (!is_valid_name(reference.name) || reference.name == "all")
            return cursor_.fail(ExitStatus::data,
                                "bad name " + quote(reference.name) +
                                    " of a pattern object; expected letters, digits, \"_\", \"-\" "
                                    "or \".\", at most 63 of them, and not \"all\", or a pattern "
                                    "in double quotes");
        if (comma != word.npos) {
            const auto value = parse_number(word.substr(comma + 1), 0, UINT32_MAX, "value");
            if (!value) {
                ValueError error = value.error();
                error.offset += comma + 1;
                return cursor_.fail(error);
            }
            reference.value = *value;
        }
        payload.what = std::move(reference);
    }
    match = std::move(payload);
    cursor_.advance();
    return true;
}

}  // namespace sluice::language
