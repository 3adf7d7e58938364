#include "controlplane/language/command.h"

#include <algorithm>

#include "controlplane/language/command_reader.h"
#include "controlplane/language/warnings.h"

namespace sluice::language {

namespace {

// The field of `-s`: 1…4, or negative.
std::optional<int> sort_field(std::string_view text) {
    bool negative = text.starts_with('-');
    if (negative)
        text.remove_prefix(1);
    if (text.size() != 1 || text[0] < '0' || text[0] > '4')
        return std::nullopt;
    return negative ? -(text[0] - '0') : text[0] - '0';
}

}  // namespace

bool CommandReader::set_flag(Flags& flags, char letter) {
    switch (letter) {
        case 'a':
            return flags.counters = true;
        case 'b':
            return flags.action_and_comment_only = flags.compact = true;
        case 'c':
            return flags.compact = true;
        case 'd':
            return flags.dynamic = true;
        case 'D':
            return flags.dynamic = flags.dynamic_only = true;
        case 'e':
            return flags.expired = true;
        case 'f':
            return flags.force = true;
        case 'h':
            return flags.help = true;
        case 'i':
            return flags.values_as_addresses = true;
        case 'n':
            return flags.test_only = true;
        case 'N':
            return flags.resolve_names = true;
        case 'q':
            return flags.quiet = flags.force = true;
        case 'S':
            return flags.sets = true;
        case 't':
            return flags.timestamps = true;
        case 'T':
            return flags.raw_timestamps = true;
        case 'v':
            return flags.verbose = true;
        default:
            return false;
    }
}

bool CommandReader::read_flags() {
    while (is_flag_word(cursor_.word())) {
        std::string_view word = cursor_.word();
        if (word == "--") {
            cursor_.advance();
            break;
        }
        for (std::size_t i = 1; i < word.size(); ++i) {
            if (word[i] == 's') {
                // The field may be glued or be the next word; without one, the first.
                invocation_.flags.sort_field = 1;
                std::string_view glued = word.substr(i + 1);
                if (!glued.empty()) {
                    auto field = sort_field(glued);
                    if (!field)
                        return cursor_.fail(
                            ExitStatus::usage,
                            "bad field " + quote(glued) + " of -s; expected -4 to 4", {}, i + 1);
                    invocation_.flags.sort_field = field;
                } else if (auto field = sort_field(cursor_.peek(1))) {
                    invocation_.flags.sort_field = field;
                    cursor_.advance();
                }
                break;
            }
            if (!set_flag(invocation_.flags, word[i]))
                return cursor_.fail(
                    ExitStatus::usage,
                    "unknown flag \"-" + std::string(1, word[i]) + "\"; see ipfw -h", {}, i);
        }
        cursor_.advance();
    }
    return true;
}

bool CommandReader::read() {
    if (!read_flags())
        return false;
    if (invocation_.flags.help) {
        set_command(HelpCommand{});
        return true;
    }
    // `set 5 add …`: the set for what follows.
    if (cursor_.word() == "set" && is_number(cursor_.peek(1))) {
        cursor_.advance();
        std::uint8_t set = 0;
        if (!read_set_number(set))
            return false;
        in_set_ = set;
    }
    if (cursor_.at_end())
        return cursor_.fail_missing("command");
    return read_verb();
}

bool CommandReader::read_verb() {
    // `100 add …` is `add 100 …`.
    std::string_view name = cursor_.word();
    if (is_number(name) && find_keyword(kVerbTable, cursor_.peek(1)) != nullptr) {
        std::vector<Word> words(words_.begin(), words_.end());
        std::swap(words[cursor_.position()], words[cursor_.position() + 1]);
        CommandReader inner(words, resolver_);
        inner.invocation_.flags = invocation_.flags;
        inner.in_set_ = in_set_;
        while (inner.cursor_.position() < cursor_.position())
            inner.cursor_.advance();
        if (!inner.read_verb())
            return cursor_.set_error(inner.error());
        invocation_ = std::move(inner.invocation_);
        return true;
    }
    const auto* keyword = find_keyword(kVerbTable, name);
    if (keyword == nullptr && !name.empty()) {
        auto found = std::find_if(kVerbTable.begin(), kVerbTable.end(),
                                  [name](const auto& verb) { return verb.name.starts_with(name); });
        if (found != kVerbTable.end()) {
            keyword = &*found;
            invocation_.warnings.push_back("DEPRECATED: '" + std::string(name) + "' matched '" +
                                           std::string(keyword->name) + "' as a sub-string");
        }
    }
    if (keyword == nullptr) {
        std::string message = "bad command " + quote(name) + "; expected a command";
        if (name.starts_with(':'))
            message = "label " + quote(name) +
                      " is no command: in a rule file it stands alone on its line, in front of "
                      "a rule; here write add :NAME …";
        else if (name == "ipfw" || name.ends_with("/ipfw"))
            message += ", without the word ipfw before it";
        else if (name.find_first_of("./") != name.npos && cursor_.remaining() == 1)
            message += "; an absolute pathname must be used for a rule file";
        return cursor_.fail(ExitStatus::usage, message,
                            std::string(nearest_keyword(name, kVerbTable)));
    }
    bool ignores_set = keyword->value == Verb::enable || keyword->value == Verb::disable ||
                       keyword->value == Verb::sysctl || keyword->value == Verb::help;
    if (in_set_ && ignores_set)
        return cursor_.fail(ExitStatus::usage, quote(keyword->name) +
                                                   " does not work on a set; leave out \"set " +
                                                   std::to_string(*in_set_) + "\"");
    cursor_.advance();
    switch (keyword->value) {
        case Verb::add:
            return read_add();
        case Verb::remove:
            return read_delete();
        case Verb::flush:
            return read_flush();
        case Verb::list:
        case Verb::print:
            return read_list(false);
        case Verb::show:
            return read_list(true);
        case Verb::zero:
            return read_zero(false);
        case Verb::resetlog:
            return read_zero(true);
        case Verb::set:
            return read_set();
        case Verb::enable:
            return read_switch(true);
        case Verb::disable:
            return read_switch(false);
        case Verb::table:
            return read_table();
        case Verb::pattern:
            return read_pattern();
        case Verb::sysctl:
            return read_sysctl();
        case Verb::help:
            set_command(HelpCommand{});
            return read_end();
        case Verb::not_supported:
            return read_not_supported(keyword->name);
        case Verb::senseless:
            return read_not_supported(
                keyword->name,
                "it shows structures of the FreeBSD kernel; `table all info` shows tables, "
                "`sysctl -a` numbers, `show --cost` what the rules were made into");
    }
    return true;
}

bool CommandReader::read_end() {
    if (cursor_.at_end())
        return true;
    return cursor_.fail(ExitStatus::usage,
                        "found " + quote(cursor_.word()) + "; expected the end of the command");
}

bool CommandReader::read_add() {
    std::size_t start = cursor_.position();
    std::size_t end_column = words_[start - 1].column_of(words_[start - 1].text.size()) + 1;
    auto rule = parse_rule(words_.subspan(start), resolver_, start, end_column);
    if (!rule)
        return cursor_.set_error(rule.error());
    if (in_set_) {
        const std::size_t at = is_number(cursor_.word()) ? start + 1 : start;
        if (at < words_.size() && words_[at].text == "set" && rule->set != *in_set_)
            return cursor_.fail_at(at, ExitStatus::data,
                                   "a set was already given before the command");
        rule->set = *in_set_;
    }
    for (std::string& warning : warnings(*rule))
        invocation_.warnings.push_back(std::move(warning));
    invocation_.command.emplace<AddCommand>().rule = std::move(*rule);  // rules are large
    return true;
}

bool CommandReader::read_set_number(std::uint8_t& set) {
    if (cursor_.at_end())
        return cursor_.fail_missing("set number");
    auto value = parse_number(cursor_.word(), 0, kSetCount - 1, "set");
    if (!value)
        return cursor_.fail(value.error());
    set = static_cast<std::uint8_t>(*value);
    cursor_.advance();
    return true;
}

bool CommandReader::read_rule_number(std::uint16_t& number, std::uint32_t maximum) {
    std::string_view word = cursor_.word();
    if (!is_number(word))
        return cursor_.fail(ExitStatus::usage, "invalid rule number " + quote(word));
    auto value = parse_integer(word, true);
    if (!value || *value > maximum)
        return cursor_.fail(ExitStatus::data, "rule number " + quote(word) +
                                                  " is out of range; expected 1 to " +
                                                  std::to_string(maximum));
    number = static_cast<std::uint16_t>(*value);
    cursor_.advance();
    return true;
}

namespace {

// `100` or `200-300`; both ends are numbers up to 65535.
std::optional<RuleRange> rule_range(std::string_view text) {
    std::size_t dash = text.find('-');
    std::string_view first = text.substr(0, dash);
    std::string_view last = dash == text.npos ? first : text.substr(dash + 1);
    if (!is_number(first) || !is_number(last))
        return std::nullopt;
    auto low = parse_integer(first, true), high = parse_integer(last, true);
    if (!low || !high || *low > *high || *high > kDefaultRuleNumber)
        return std::nullopt;
    return RuleRange{static_cast<std::uint16_t>(*low), static_cast<std::uint16_t>(*high)};
}

}  // namespace

bool CommandReader::read_rule_range(RuleRange& range) {
    std::string_view word = cursor_.word();
    if (word.find_first_not_of("0123456789-") != word.npos || word.find('-') == 0)
        return cursor_.fail(ExitStatus::usage,
                            "invalid rule number " + quote(word) + "; expected N or A-B");
    auto found = rule_range(word);
    if (!found || found->first == 0)
        return cursor_.fail(ExitStatus::data,
                            "rule number " + quote(word) + " is out of range; expected 1 to 65535");
    range = *found;
    // The default rule is never part of a range.
    if (range.first != range.last && range.last == kDefaultRuleNumber)
        --range.last;
    cursor_.advance();
    return true;
}

bool CommandReader::read_delete() {
    DeleteCommand command;
    command.in_set = in_set_;
    if (cursor_.at_end())
        return cursor_.fail_missing("rule specification");
    while (!cursor_.at_end()) {
        if (cursor_.word() == "set") {
            if (in_set_)
                return cursor_.fail(ExitStatus::data, "a set was already given before the command");
            cursor_.advance();
            std::uint8_t set = 0;
            do {
                if (!read_set_number(set))
                    return false;
                command.sets.push_back(set);
            } while (is_number(cursor_.word()));
        } else {
            RuleRange range;
            if (!read_rule_range(range))
                return false;
            command.rules.push_back(range);
        }
    }
    set_command(std::move(command));
    return true;
}

bool CommandReader::read_flush() {
    set_command(FlushCommand{in_set_});
    return read_end();
}

bool CommandReader::read_list(bool counters) {
    if (counters)
        invocation_.flags.counters = true;
    ListCommand command;
    command.in_set = in_set_;
    for (; !cursor_.at_end(); cursor_.advance())
        command.targets.push_back({rule_range(cursor_.word()), std::string(cursor_.word())});
    set_command(std::move(command));
    return true;
}

bool CommandReader::read_zero(bool log_only) {
    ZeroCommand command;
    command.in_set = in_set_;
    command.log_only = log_only;
    while (!cursor_.at_end()) {
        std::uint16_t number = 0;
        if (!read_rule_number(number, kDefaultRuleNumber))
            return false;
        command.rules.push_back(number);
    }
    set_command(std::move(command));
    return true;
}

bool CommandReader::read_sysctl() {
    SysctlCommand command;
    for (; is_flag_word(cursor_.word()); cursor_.advance())
        for (char letter : cursor_.word().substr(1))
            switch (letter) {
                case 'a':
                    command.all = true;
                    break;
                case 'n':
                    command.values_only = true;
                    break;
                case 'w':  // of old, needed to write; the `=` says it already
                    break;
                default:
                    return cursor_.fail(ExitStatus::usage,
                                        "unknown flag \"-" + std::string(1, letter) +
                                            "\" of sysctl; expected -a, -n or -w");
            }
    for (; !cursor_.at_end(); cursor_.advance()) {
        std::string_view word = cursor_.word();
        std::size_t equals = word.find('=');
        SysctlCommand::Item item;
        item.name = word.substr(0, equals);
        if (item.name.empty() ||
            item.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789_.-") != std::string::npos)
            return cursor_.fail(ExitStatus::usage,
                                "bad sysctl " + quote(word) + "; expected NAME or NAME=VALUE");
        if (equals != word.npos)
            item.value = std::string(word.substr(equals + 1));
        command.items.push_back(std::move(item));
    }
    if (!command.all && command.items.empty())
        return cursor_.fail_missing("name of a sysctl, or -a");
    set_command(std::move(command));
    return true;
}

bool CommandReader::read_not_supported(std::string_view what, std::string_view reason) {
    set_command(NotSupportedCommand{"command " + quote(what), std::string(reason)});
    return true;
}

Result<Invocation, ParseError> parse_command(std::span<const Word> words,
                                             const NameResolver& resolver) {
    CommandReader reader(words, resolver);
    if (!reader.read())
        return reader.error();
    return std::move(reader.invocation());
}

}  // namespace sluice::language
