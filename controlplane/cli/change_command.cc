#include "controlplane/cli/change_command.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "controlplane/cli/command_words.h"
#include "controlplane/language/names.h"
#include "controlplane/language/words.h"

namespace sluice::cli {
namespace {

using language::ParseError;
using language::quote;
using Order = service::SafetyOperation::Order;

constexpr std::string_view kVerbs[] = {"apply", "confirm", "rollback", "lock", "panic"};

class Parser : CommandWords {
  public:
    explicit Parser(std::span<const std::string> arguments) : CommandWords(arguments) {}

    Result<ChangeCommand, ParseError> parse() {
        while (is_short_flag(word()))
            if (!read_flags())
                return error_;
        const std::string verb = word();
        ++at_;
        const bool good = verb == "apply"      ? read_apply()
                          : verb == "rollback" ? read_rollback()
                                               : read_order(verb);
        if (!good)
            return error_;
        command_.quiet = flags_.quiet;
        return command_;
    }

  private:
    bool read_flags() {
        const std::string flags = word();
        for (const char letter : flags.substr(1)) {
            switch (letter) {
                case 'q':
                    flags_.quiet = true;
                    [[fallthrough]];
                case 'f':
                    flags_.force = true;
                    break;
                case 'n':
                    flags_.test_only = true;
                    break;
                case 'v':
                    flags_.verbose = true;
                    break;
                default:
                    return fail("unknown flag \"-" + std::string(1, letter) +
                                "\" with this command; expected -f, -n, -q or -v");
            }
        }
        ++at_;
        return true;
    }

    // Goes on to the value of an option.
    bool next_value(const char* expected) {
        ++at_;
        return at_ < arguments_.size() || fail(std::string("missing ") + expected);
    }

    static std::optional<std::uint64_t> number(std::string_view text) {
        std::uint64_t result = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, result);
        return error == std::errc() && stop == end ? std::optional(result) : std::nullopt;
    }

    bool read_generation() {
        if (!next_value("generation after --if-gen"))
            return false;
        command_apply_.order.if_generation = number(word());
        return command_apply_.order.if_generation ||
               fail("bad generation " + quote(word()) + " of --if-gen; expected a number",
                    ExitStatus::data);
    }

    bool read_confirm() {
        if (!next_value("time after --confirm, for instance 60s or 5m"))
            return false;
        std::string text = word();
        std::uint64_t unit = 1;
        if (text.ends_with('s') || text.ends_with('m') || text.ends_with('h')) {
            unit = text.back() == 's' ? 1 : text.back() == 'm' ? 60 : 3600;
            text.pop_back();
        }
        const auto value = number(text);
        const auto longest = static_cast<std::uint64_t>(service::kLongestConfirm.count());
        if (!value || *value == 0 || *value > longest / unit)
            return fail("bad time " + quote(word()) +
                            " of --confirm; expected 1s to 24h, for instance 60s or 5m",
                        ExitStatus::data);
        command_apply_.order.confirm_s = static_cast<std::uint32_t>(*value * unit);
        return true;
    }

    bool read_states() {
        if (!next_value("word after --states: keep, recheck or flush"))
            return false;
        if (word() == "keep")
            command_apply_.order.states = service::KeptStates::all;
        else if (word() == "flush")
            command_apply_.order.states = service::KeptStates::none;
        else if (word() == "recheck")
            command_apply_.order.states = service::KeptStates::judged_anew;
        else
            return fail("bad word " + quote(word()) +
                        " after --states; expected keep, recheck or flush");
        return true;
    }

    bool read_option(const std::string& option, const std::string& verb) {
        if (option == "--if-gen")
            return read_generation();
        if (option == "--confirm")
            return read_confirm();
        if (option == "--states")
            return read_states();
        if (option.starts_with("--"))
            return fail("unknown option " + quote(option) + " of " + verb +
                        "; expected --if-gen, --confirm or --states");
        if (!read_flags())
            return false;
        --at_;
        return true;
    }

    bool read_rollback() {
        RollbackCommand rollback;
        for (; at_ < arguments_.size(); ++at_) {
            const std::string text = word();
            if (text.starts_with('-')) {
                if (!read_option(text, "rollback"))
                    return false;
                continue;
            }
            if (rollback.number != 0)
                return fail("found " + quote(text) + "; rollback takes one number");
            rollback.number = number(text).value_or(0);
            if (rollback.number == 0)
                return fail("bad number " + quote(text) +
                                "; expected one of those that `ipfw history` lists",
                            ExitStatus::data);
        }
        if (flags_.test_only)
            return fail("-n and rollback do not go together");
        if (rollback.number == 0 && command_apply_.order != service::ApplyOrder())
            return fail("missing number after rollback: its options are for `rollback N`");
        if (rollback.number == 0) {
            command_.what = service::SafetyOperation{Order::give_back};
            return true;
        }
        rollback.order = command_apply_.order;
        command_.what = rollback;
        return true;
    }

    bool read_apply() {
        for (; at_ < arguments_.size(); ++at_) {
            const std::string option = word();
            if (option.size() > 1 && option.starts_with('-')) {
                if (!read_option(option, "apply"))
                    return false;
            } else if (!command_apply_.path.empty()) {
                return fail("found " + quote(option) + "; apply takes one file");
            } else {
                command_apply_.path = option;
            }
        }
        if (command_apply_.path.empty())
            return fail("missing file after apply");
        if (flags_.test_only && command_apply_.order != service::ApplyOrder())
            return fail("-n applies nothing: leave out the options of apply");
        command_apply_.flags = flags_;
        command_.what = command_apply_;
        return true;
    }

    bool read_order(const std::string& verb) {
        if (flags_.test_only)
            return fail("-n and " + verb + " do not go together");
        service::SafetyOperation operation;
        if (verb == "lock") {
            operation.order = Order::lock;
        } else if (verb == "panic") {
            const std::string how = word();
            if (how == "deny")
                operation.order = Order::panic_deny;
            else if (how == "pass")
                operation.order = Order::panic_pass;
            else if (how == "off")
                operation.order = Order::panic_off;
            else
                return fail(how.empty() ? "missing word after panic: deny, pass or off"
                                        : "bad word " + quote(how) +
                                              " after panic; expected deny, pass or off");
            ++at_;
        }
        if (!at_end())
            return fail("found " + quote(word()) + "; expected the end of the command");
        command_.what = operation;
        return true;
    }

    language::Flags flags_;
    ApplyCommand command_apply_;
    ChangeCommand command_;
};

std::string seconds_text(std::uint32_t milliseconds) {
    return std::to_string((milliseconds + 999) / 1000) + " s";
}

}  // namespace

bool is_change_command(std::span<const std::string> arguments) {
    const auto verb = std::find_if_not(arguments.begin(), arguments.end(), is_short_flag);
    return verb != arguments.end() &&
           std::find(std::begin(kVerbs), std::end(kVerbs), *verb) != std::end(kVerbs);
}

Result<ChangeCommand, ParseError> parse_change_command(std::span<const std::string> arguments) {
    return Parser(arguments).parse();
}

std::string applied_text(const service::Response& response, unsigned milliseconds) {
    const service::ApplyReport report = response.applied.value_or(service::ApplyReport());
    std::string text = "generation " + std::to_string(report.generation_before) + " -> " +
                       std::to_string(response.generation) + " (" +
                       ruleset::to_string(report.difference) + ", " + std::to_string(milliseconds) +
                       " ms)\n";
    if (report.states)
        text += "States: " + std::to_string(report.states->kept) + " kept, " +
                std::to_string(report.states->moved) + " moved to other rules, " +
                std::to_string(report.states->killed) + " killed.\n";
    if (response.condition.confirm_ms != 0)
        text += "It goes back in " + seconds_text(response.condition.confirm_ms) +
                " unless you type `ipfw confirm`.\n";
    return text;
}

std::vector<std::string> warnings_of(const service::Condition& condition) {
    std::vector<std::string> result;
    if (condition.panic != contract::Panic::off)
        result.push_back(std::string("panic: all IP ") +
                         (condition.panic == contract::Panic::deny ? "is dropped" : "passes") +
                         ", these rules are not asked; `ipfw panic off` ends it");
    if (condition.confirm_ms != 0)
        result.push_back("these rules go back in " + seconds_text(condition.confirm_ms) +
                         " unless `ipfw confirm` comes before");
    return result;
}

}  // namespace sluice::cli
