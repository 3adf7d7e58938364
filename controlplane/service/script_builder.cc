#include "controlplane/service/script_builder.h"

#include "controlplane/language/printer.h"

namespace sluice::service {
namespace {

using Operations = std::vector<Operation>;

Error not_yet(const std::string& what) {
    return {ExitStatus::unavailable, "not supported yet: " + what};
}

struct Builder {
    const language::Flags& flags;
    std::uint32_t line;

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
        if (flags.dynamic_only)
            return not_yet("dynamic rules, so there are none that `-D delete` could delete");
        return one(remove);
    }
    Result<Operations> operator()(const language::FlushCommand& flush) const { return one(flush); }
    Result<Operations> operator()(const language::ListCommand& list) const {
        // A single command lists the others all the same; a file takes effect as a whole.
        for (const auto& target : list.targets)
            if (line != 0 && !target.range)
                return Error{ExitStatus::usage, "invalid rule number: " + target.text};
        if (flags.dynamic_only)
            return Operations{};
        if (list.targets.empty())
            return one(ListOperation{.rules = {}, .in_set = list.in_set});
        // One operation for each, so that it can be told which ones are not there.
        Operations operations;
        for (const auto& target : list.targets)
            if (target.range)
                operations.push_back(Operation{
                    .line = line,
                    .forgive = false,  // -f forgives changes, not questions
                    .what = ListOperation{.rules = {*target.range}, .in_set = list.in_set}});
        return operations;
    }
    Result<Operations> operator()(const language::ZeroCommand& zero) const { return one(zero); }
    Result<Operations> operator()(const language::SetShowCommand&) const { return Operations{}; }
    Result<Operations> operator()(const language::SetEnableCommand&) const {
        return not_yet("enabling and disabling sets");
    }
    Result<Operations> operator()(const language::SetMoveCommand&) const {
        return not_yet("moving rules between sets");
    }
    Result<Operations> operator()(const language::SetSwapCommand&) const {
        return not_yet("swapping sets");
    }
    Result<Operations> operator()(const language::SwitchCommand& command) const {
        if (command.sysctl.empty())
            return Operations{};
        return one(WriteSysctlOperation{command.sysctl, command.on ? "1" : "0"});
    }
    Result<Operations> operator()(const language::TableCommand&) const { return not_yet("tables"); }
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

std::string rule_text(const language::Rule& rule) {
    std::string text;
    if (rule.number != 0)
        text += std::to_string(rule.number) + " ";
    if (rule.set != 0)
        text += "set " + std::to_string(rule.set) + " ";
    return text + language::print_rule(rule);
}

}  // namespace sluice::service
