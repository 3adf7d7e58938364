#include "controlplane/service/script_builder.h"

#include <algorithm>
#include <iterator>

#include "common/read_file.h"
#include "controlplane/language/printer.h"
#include "controlplane/service/table_file.h"

namespace sluice::service {
namespace {

constexpr std::size_t kMaximumPatternFile = std::size_t{60} << 20;

using Operations = std::vector<Operation>;

struct Builder {
    const language::Flags& flags;
    std::uint32_t line;

    // `-D delete`: the rules stay, their states go.
    Result<Operations> states_of(const language::DeleteCommand& remove) const {
        if (remove.in_set || !remove.sets.empty())
            return Error{ExitStatus::usage,
                         "-D delete takes rule numbers: states are not killed by set"};
        Operations operations;
        for (const language::RuleRange& range : remove.rules) {
            StateOperation kill{.kind = StateOperation::Kind::kill, .filter = {}};
            kill.filter.rules = range;
            operations.push_back(std::move(one(std::move(kill)).front()));
        }
        return operations;
    }

    template <typename What>
    Operations one(What what) const {
        Operations operations;
        operations.push_back(Operation{
            .line = line, .forgive = flags.force || flags.quiet, .what = std::move(what)});
        return operations;
    }

    Result<Operations> operator()(const language::HelpCommand&) const { return Operations{}; }
    Result<Operations> operator()(const language::AddCommand& add) const {
        return one(AddOperation{rule_text(add.rule)});
    }
    Result<Operations> operator()(const language::DeleteCommand& remove) const {
        return flags.dynamic_only ? states_of(remove) : Result<Operations>(one(remove));
    }
    Result<Operations> operator()(const language::FlushCommand& flush) const { return one(flush); }
    Result<Operations> operator()(const language::ListCommand& list) const {
        // A single command lists the others all the same; a file takes effect as a whole.
        for (const auto& target : list.targets)
            if (line != 0 && !target.range)
                return Error{ExitStatus::usage, "invalid rule number: " + target.text};
        ListOperation wanted{.rules = {}, .in_set = list.in_set};
        if (flags.dynamic)
            wanted.states = flags.expired ? ListedStates::expired_too : ListedStates::current;
        wanted.without_rules = flags.dynamic_only;
        if (list.targets.empty())
            return one(wanted);
        // One operation for each, so that it can be told which ones are not there.
        Operations operations;
        for (const auto& target : list.targets)
            if (target.range) {
                wanted.rules = {*target.range};
                operations.push_back(
                    Operation{.line = line,
                              .forgive = false,  // -f forgives changes, not questions
                              .what = wanted});
            }
        return operations;
    }
    Result<Operations> operator()(const language::ZeroCommand& zero) const { return one(zero); }
    Result<Operations> operator()(const language::SetShowCommand&) const {
        return one(ShowSetsOperation{});
    }
    Result<Operations> operator()(const language::SetEnableCommand& sets) const {
        return one(sets);
    }
    Result<Operations> operator()(const language::SetMoveCommand& move) const { return one(move); }
    Result<Operations> operator()(const language::SetSwapCommand& swap) const { return one(swap); }
    Result<Operations> operator()(const language::SwitchCommand& command) const {
        if (command.sysctl.empty())
            return Operations{};
        return one(WriteSysctlOperation{command.sysctl, command.on ? "1" : "0"});
    }
    Result<Operations> operator()(const language::TableCommand& table) const {
        TableOperation operation{.command = table,
                                 .quiet = flags.quiet,
                                 .counters = flags.counters,
                                 .values_as_addresses = flags.values_as_addresses};
        if (table.verb == language::TableCommand::Verb::load) {
            Result<std::string> content = read_table_file(table.file);
            if (!content)
                return content.error();
            operation.command.content = std::move(*content);
        }
        // -f forgives what is not there, but not a record that could not be put in.
        Operations operations = one(std::move(operation));
        operations.front().forgive = flags.quiet;
        return operations;
    }
    Result<Operations> operator()(const language::PatternCommand& pattern) const {
        PatternOperation operation{.command = pattern, .quiet = flags.quiet};
        if (pattern.verb == language::PatternCommand::Verb::load) {
            Result<std::string> content = read_file(pattern.file, kMaximumPatternFile);
            if (!content)
                return content.error();
            operation.command.content = std::move(*content);
        }
        Operations operations = one(std::move(operation));
        operations.front().forgive = flags.quiet;
        return operations;
    }
    Result<Operations> operator()(const language::SysctlCommand& command) const {
        Operations operations;
        if (command.all)
            operations = one(ReadSysctlOperation{});
        for (const auto& item : command.items) {
            Operations next = item.value ? one(WriteSysctlOperation{item.name, *item.value})
                                         : one(ReadSysctlOperation{{item.name}});
            operations.push_back(std::move(next.front()));
        }
        return operations;
    }
    Result<Operations> operator()(const language::FileCommand&) const {
        return Error{ExitStatus::usage, "a rule file cannot name another one"};
    }
    Result<Operations> operator()(const language::NotSupportedCommand& command) const {
        return command.error();
    }
};

}  // namespace

Result<std::vector<Operation>> operations_for(const language::Command& command,
                                              const language::Flags& flags, std::uint32_t line) {
    return std::visit(Builder{flags, line}, command);
}

namespace {

bool join(PatternOperation& to, std::uint32_t to_line, PatternOperation& from,
          std::uint32_t from_line) {
    using Verb = language::PatternCommand::Verb;
    const language::PatternCommand &a = to.command, &b = from.command;
    if (a.verb != b.verb || (a.verb != Verb::add && a.verb != Verb::remove) ||
        a.object != b.object || to.quiet != from.quiet || !from.lines.empty())
        return false;
    if (to.lines.empty())
        to.lines.assign(a.entries.size(), to_line);
    to.lines.insert(to.lines.end(), b.entries.size(), from_line);
    std::move(from.command.entries.begin(), from.command.entries.end(),
              std::back_inserter(to.command.entries));
    return true;
}

}  // namespace

bool join(Operation& last, Operation& next) {
    if (auto* pattern = std::get_if<PatternOperation>(&last.what))
        if (auto* more = std::get_if<PatternOperation>(&next.what))
            return last.forgive == next.forgive && join(*pattern, last.line, *more, next.line);
    using Verb = language::TableCommand::Verb;
    auto* to = std::get_if<TableOperation>(&last.what);
    auto* from = std::get_if<TableOperation>(&next.what);
    if (to == nullptr || from == nullptr || last.forgive != next.forgive)
        return false;
    const language::TableCommand &a = to->command, &b = from->command;
    const bool alike = a.verb == b.verb && (a.verb == Verb::add || a.verb == Verb::remove) &&
                       a.table == b.table && a.set == b.set && a.ttl_s == b.ttl_s && !a.atomic &&
                       !b.atomic && to->quiet == from->quiet && to->counters == from->counters &&
                       to->values_as_addresses == from->values_as_addresses;
    // Every table may have another type.
    if (!alike || a.table == "all" || !from->lines.empty())
        return false;
    if (to->lines.empty())
        to->lines.assign(a.records.size(), last.line);
    to->lines.insert(to->lines.end(), b.records.size(), next.line);
    std::move(from->command.records.begin(), from->command.records.end(),
              std::back_inserter(to->command.records));
    return true;
}

std::string rule_text(const language::Rule& rule) {
    std::string text;
    append_rule_text(rule, text);
    return text;
}

void append_rule_text(const language::Rule& rule, std::string& text) {
    if (rule.number != 0)
        text += std::to_string(rule.number) + " ";
    if (rule.set != 0)
        text += "set " + std::to_string(rule.set) + " ";
    text += language::print_rule(rule);
}

}  // namespace sluice::service
