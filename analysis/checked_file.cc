#include "analysis/checked_file.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "analysis/snapshot_copy.h"
#include "controlplane/compiler/compile.h"
#include "controlplane/compiler/support.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/service/script_builder.h"
#include "replay/rules_file.h"

namespace sluice::analysis {
namespace {

void refuse(CheckedFile& result, ExitStatus status, Remark remark) {
    if (result.errors.empty())
        result.status = status;
    if (result.errors.size() < language::kMaximumFileErrors)
        result.errors.push_back(std::move(remark));
}

// What can be said of each line by itself. Returns the lines with -q, of which nobody complains.
std::set<std::size_t> look_at_lines(const language::RuleFile& file, CheckedFile& result) {
    std::set<std::size_t> quiet;
    for (const language::FileLine& line : file.lines) {
        const language::Flags& flags = line.invocation.flags;
        if (flags.quiet)
            quiet.insert(line.line);
        else
            for (const std::string& warning : line.invocation.warnings)
                result.warnings.push_back({line.line, 0, warning});
        if (flags.test_only)
            continue;
        if (const auto* add = std::get_if<language::AddCommand>(&line.invocation.command)) {
            if (const auto reason = compiler::unsupported(add->rule))
                refuse(result, ExitStatus::unavailable, {line.line, 0, *reason});
            continue;
        }
        const auto operations = service::operations_for(line.invocation.command, flags,
                                                        static_cast<std::uint32_t>(line.line));
        if (!operations)
            refuse(result, operations.error().status, {line.line, 0, operations.error().message});
    }
    return quiet;
}

// Where the rules that are left were added. Of rules that are the same the last ones are left.
std::vector<std::size_t> lines_of(const replay::CarriedOut& done) {
    std::map<std::pair<std::uint16_t, std::string>, std::vector<std::size_t>> added;
    for (std::size_t i = 0; i < done.operations.size(); ++i)
        if (std::holds_alternative<service::AddOperation>(done.operations[i].what))
            for (const ruleset::ListedRule& rule : done.results[i].rules)
                added[{rule.number, rule.text}].push_back(done.operations[i].line);
    const auto rules = done.ruleset.rules();
    std::vector<std::size_t> lines(rules.size());
    for (std::size_t i = rules.size(); i-- > 0;) {
        auto& of_rule = added[{rules[i]->rule.number, rules[i]->text}];
        if (of_rule.empty())
            continue;
        lines[i] = of_rule.back();
        of_rule.pop_back();
    }
    return lines;
}

}  // namespace

std::string Remark::place(const std::string& file) const {
    std::string text = file + ":";
    if (line != 0)
        text += std::to_string(line) + ":";
    if (column != 0)
        text += std::to_string(column) + ":";
    return text + " ";
}

CheckedFile check_file(std::string_view text, const language::NameResolver& resolver) {
    CheckedFile result;
    const language::RuleFile file = language::parse_file(text, resolver);
    for (const language::FileError& error : file.errors)
        refuse(result, error.error.status,
               {error.line, error.error.column, error.error.sentence()});
    const std::set<std::size_t> quiet = look_at_lines(file, result);
    if (!file.errors.empty())
        result.status = file.errors.front().error.status;
    std::stable_sort(result.errors.begin(), result.errors.end(),
                     [](const Remark& a, const Remark& b) { return a.line < b.line; });
    if (!result.errors.empty())
        return result;

    auto done = replay::carry_out(file, ruleset::Ruleset(false), {});
    if (!done) {
        refuse(result, done.error().error.status,
               {done.error().line, 0, done.error().error.message});
        return result;
    }
    for (std::size_t i = 0; i < done->results.size(); ++i)
        for (const std::string& complaint : done->results[i].complaints)
            if (!quiet.contains(done->operations[i].line))
                result.warnings.push_back({done->operations[i].line, 0, complaint});
    std::stable_sort(result.warnings.begin(), result.warnings.end(),
                     [](const Remark& a, const Remark& b) { return a.line < b.line; });
    const auto image = compiler::compile(done->ruleset, 1);
    if (!image) {
        refuse(result, image.error().status, {0, 0, image.error().message});
        return result;
    }
    if (const auto snapshot = SnapshotCopy::validate(*image); !snapshot) {
        refuse(result, snapshot.error().status, {0, 0, snapshot.error().message});
        return result;
    }
    result.lines = lines_of(*done);
    result.ruleset = std::move(done->ruleset);
    return result;
}

}  // namespace sluice::analysis
