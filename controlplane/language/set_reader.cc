// `set …`, `enable` and `disable`.
#include "controlplane/language/command_reader.h"

namespace sluice::language {

namespace {

constexpr std::string_view kSysctlPrefix = "net.inet.ip.fw.";

}  // namespace

bool CommandReader::read_set() {
    std::string_view word = cursor_.word();
    if (in_set_)
        return cursor_.fail(ExitStatus::usage, "a set was already given before the command");
    if (cursor_.take("show")) {
        set_command(SetShowCommand{});
        return read_end();
    }
    if (cursor_.take("move"))
        return read_set_move();
    if (cursor_.take("swap"))
        return read_set_swap();
    if (word == "enable" || word == "disable")
        return read_set_switches();
    if (cursor_.at_end())
        return cursor_.fail_missing("set command (show, enable, disable, move, swap or a number)");
    constexpr std::string_view kCommands[] = {"show", "enable", "disable", "move", "swap"};
    return cursor_.fail(ExitStatus::usage,
                        "unknown set command " + quote(word) +
                            "; expected show, enable, disable, move, swap or a set number",
                        std::string(nearest(word, kCommands)));
}

bool CommandReader::read_set_switches() {
    SetEnableCommand command;
    std::size_t start = cursor_.position();
    while (!cursor_.at_end()) {
        std::string_view word = cursor_.word();
        if (word != "enable" && word != "disable")
            return cursor_.fail(
                ExitStatus::usage,
                "found " + quote(word) + "; expected enable, disable or a set number");
        std::uint32_t& mask = word == "enable" ? command.enable : command.disable;
        cursor_.advance();
        if (!is_number(cursor_.word()))
            return cursor_.fail_missing("set number");
        while (is_number(cursor_.word())) {
            std::uint8_t set = 0;
            if (!read_set_number(set))
                return false;
            mask |= 1u << set;
        }
    }
    if ((command.enable & command.disable) != 0)
        return cursor_.fail_at(start, ExitStatus::data,
                               "a set cannot be enabled and disabled at once");
    // Set 31 is always enabled.
    command.disable &= ~(1u << (kSetCount - 1));
    set_command(command);
    return true;
}

bool CommandReader::read_set_move() {
    SetMoveCommand command;
    command.by_rule = cursor_.take("rule");
    if (cursor_.at_end())
        return cursor_.fail_missing(command.by_rule ? "rule number" : "set number");
    if (command.by_rule) {
        if (!read_rule_number(command.what, kDefaultRuleNumber - 1))
            return false;
    } else {
        std::uint8_t set = 0;
        if (!read_set_number(set))
            return false;
        command.what = set;
    }
    if (!cursor_.take("to"))
        return cursor_.fail_missing("\"to\"");
    if (!read_set_number(command.to))
        return false;
    set_command(command);
    return read_end();
}

bool CommandReader::read_set_swap() {
    SetSwapCommand command;
    if (!read_set_number(command.first) || !read_set_number(command.second))
        return false;
    set_command(command);
    return read_end();
}

bool CommandReader::read_switch(bool on) {
    if (cursor_.at_end())
        return cursor_.fail_missing("word after " + std::string(on ? "enable" : "disable"));
    std::string_view word = cursor_.word();
    cursor_.advance();
    if (word == "altq")
        return read_not_supported("altq", "ALTQ is part of the BSD kernels");
    SwitchCommand command;
    command.on = on;
    if (const auto* keyword = find_keyword(kSwitchTable, word)) {
        command.sysctl = std::string(kSysctlPrefix) + std::string(keyword->value);
    } else {
        std::string warning = "unknown word " + quote(word) + " after " +
                              std::string(on ? "enable" : "disable") + ": nothing was changed";
        if (auto near = nearest_keyword(word, kSwitchTable); !near.empty())
            warning += "; did you mean \"" + std::string(near) + "\"?";
        invocation_.warnings.push_back(warning);
    }
    set_command(std::move(command));
    return read_end();
}

}  // namespace sluice::language
