// Any text: reading it never crashes, and what is read and printed is read again as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "controlplane/language/construct.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/language/warnings.h"

namespace {

using namespace sluice::language;

void check(bool holds) {
    if (!holds)
        std::abort();
}

void check_rule(const Rule& rule) {
    auto again = parse_rule(print_rule(rule), refusing_resolver());
    check(static_cast<bool>(again));
    again->number = rule.number;
    again->set = rule.set;
    again->label = rule.label;
    check(*again == rule);
    check(print_rule(*again) == print_rule(rule));
    check(!constructs_of(rule).empty());
    (void)warnings(rule);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    if (auto rule = parse_rule(text, refusing_resolver()))
        check_rule(*rule);
    RuleFile file = parse_file(text, refusing_resolver());
    // Lines may contradict each other, which only the file as a whole shows.
    for (const FileLine& line : file.errors.empty() ? file.lines : std::vector<FileLine>())
        if (const auto* add = std::get_if<AddCommand>(&line.invocation.command))
            check_rule(add->rule);
    for (const FileError& error : file.errors)
        check(!error.text().empty() && error.error.column > 0);
    return 0;
}
