#include "controlplane/cli/state_command.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "controlplane/cli/command_words.h"
#include "controlplane/cli/filter_words.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/language/names.h"

namespace sluice::cli {
namespace {

using language::ParseError;
using language::quote;
using ruleset::ListedState;
using service::StateOperation;

constexpr std::string_view kFilterWords = "host, port, proto, rule, name, age or --json";

bool read_rule(std::string_view text, service::StateFilter& filter) {
    std::uint16_t number = 0;
    if (!read_number(text, std::uint16_t{1}, number))
        return false;
    filter.rules = language::RuleRange{number, number};
    return true;
}

bool read_name(std::string_view text, service::StateFilter& filter) {
    constexpr std::size_t kLongest = 63;
    if (text.starts_with(':'))
        text.remove_prefix(1);
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    };
    filter.name = text;
    return !text.empty() && text.size() <= kLongest && text != "any" &&
           std::all_of(text.begin(), text.end(), allowed);
}

bool read_age(std::string_view text, service::StateFilter& filter) {
    return read_number(text, std::uint32_t{0}, filter.minimum_age_s);
}

struct FilterWord {
    std::string_view word;
    std::string_view expected;
    bool (*read)(std::string_view, service::StateFilter&);
};

constexpr FilterWord kFilters[] = {
    {"host", kExpectedNetwork,
     [](std::string_view text, service::StateFilter& filter) {
         const std::optional<Network> network = read_network(text);
         filter.address = network ? std::optional(network->address) : std::nullopt;
         filter.prefix_length = network ? network->prefix_length : std::uint8_t{0};
         return network.has_value();
     }},
    {"port", kExpectedPort,
     [](std::string_view text, service::StateFilter& filter) {
         filter.port = read_port(text).value_or(0);
         return filter.port != 0;
     }},
    {"proto", kExpectedProtocol,
     [](std::string_view text, service::StateFilter& filter) {
         filter.protocol = read_protocol(text);
         return filter.protocol.has_value();
     }},
    {"rule", kExpectedRule, read_rule},
    {"name", "the name of states, as in rules", read_name},
    {"age", "a number of seconds", read_age},
};

// Reads the words in turn; the first mistake ends it.
class Reader {
  public:
    explicit Reader(std::span<const std::string> words) : words_(words) {}

    bool read() { return read_flags() && read_verb() && read_filters(); }

    StateCommand command;
    ParseError error;

  private:
    bool fail(ExitStatus status, std::string message) {
        error.status = status;
        error.word = at_;
        error.message = std::move(message);
        for (std::size_t i = 0; i < at_ && i < words_.size(); ++i)
            error.column += words_[i].size() + 1;
        return false;
    }
    bool at_end() const { return at_ == words_.size(); }

    bool read_flags() {
        for (; words_[at_] != "state"; ++at_)
            for (const char letter : std::string_view(words_[at_]).substr(1)) {
                if (letter != 'f' && letter != 'q')
                    return fail(ExitStatus::usage, "unknown flag \"-" + std::string(1, letter) +
                                                       "\" of state; expected -f or -q");
                command.force = true;
                command.quiet |= letter == 'q';
            }
        ++at_;
        return true;
    }

    bool read_verb() {
        constexpr std::string_view kVerbs[] = {"list", "count", "kill"};
        if (at_end())
            return fail(ExitStatus::usage,
                        "missing word after state; expected list, kill or count");
        const auto verb = std::find(std::begin(kVerbs), std::end(kVerbs), words_[at_]);
        if (verb == std::end(kVerbs))
            return fail(ExitStatus::usage, "unknown state command " + quote(words_[at_]) +
                                               "; expected list, kill or count");
        command.operation.kind = static_cast<StateOperation::Kind>(verb - std::begin(kVerbs));
        ++at_;
        return true;
    }

    bool read_filters() {
        std::vector<std::string_view> seen;
        for (; !at_end(); ++at_) {
            const std::string& word = words_[at_];
            if (std::find(seen.begin(), seen.end(), word) != seen.end())
                return fail(ExitStatus::usage, quote(word) + " was already given");
            seen.push_back(word);
            if (word == "--json") {
                command.json = true;
                continue;
            }
            const auto* filter =
                std::find_if(std::begin(kFilters), std::end(kFilters),
                             [&](const FilterWord& known) { return known.word == word; });
            if (filter == std::end(kFilters))
                return fail(ExitStatus::usage, "unknown word " + quote(word) + "; expected " +
                                                   std::string(kFilterWords));
            ++at_;
            if (at_end())
                return fail(ExitStatus::usage, "missing argument of " + word + "; expected " +
                                                   std::string(filter->expected));
            if (!filter->read(words_[at_], command.operation.filter))
                return fail(ExitStatus::data, "bad argument " + quote(words_[at_]) + " of " + word +
                                                  "; expected " + std::string(filter->expected));
        }
        return true;
    }

    std::span<const std::string> words_;
    std::size_t at_ = 0;
};

const char* kind_word(contract::StateKind kind) {
    switch (kind) {
        case contract::StateKind::state:
            break;
        case contract::StateKind::limited:
            return "limit";
        case contract::StateKind::parent:
            return "parent";
    }
    return "state";
}

std::string states_json(std::span<const ListedState> states) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const ListedState& state : states)
        list.push_back(state_json(state));
    return json_text("sluice/states/1", {{"states", std::move(list)}});
}

std::string count_json(const char* key, std::uint64_t count) {
    return json_text("sluice/state-count/1", {{key, count}});
}

std::string lines(std::span<const ListedState> states) {
    const ruleset::ListingOptions options{.counters = true};
    const ruleset::CounterWidths widths = ruleset::counter_widths({}, states);
    std::string text;
    for (const ListedState& state : states)
        text += ruleset::format_state(state, options, widths) + "\n";
    return text;
}

}  // namespace

nlohmann::ordered_json state_json(const ListedState& state) {
    const auto text = [](const language::HostAddress& address) {
        return std::visit([](const auto& value) { return to_string(value); }, address);
    };
    const auto protocol = language::NameDatabase::instance().protocol_name(state.protocol);
    nlohmann::ordered_json object = {
        {"rule", state.number},
        {"kind", kind_word(state.kind)},
        {"protocol", protocol.value_or(std::to_string(state.protocol))},
        {"source", text(state.source)},
        {"source_port", state.source_port},
        {"destination", text(state.destination)},
        {"destination_port", state.destination_port},
        {"name", state.name},
        {"packets", state.packets},
        {"bytes", state.bytes},
        {"age_seconds", state.age_s},
        {"expires_seconds", state.expires_s},
        {"answered", state.answered},
    };
    if (state.kind == contract::StateKind::parent)
        object["states"] = state.children;
    return object;
}

bool is_state_command(std::span<const std::string> arguments) {
    const auto first =
        std::find_if_not(arguments.begin(), arguments.end(),
                         [](const std::string& word) { return is_short_flag(word); });
    return first != arguments.end() && *first == "state";
}

Result<StateCommand, ParseError> parse_state_command(std::span<const std::string> arguments) {
    Reader reader(arguments);
    if (!reader.read())
        return reader.error;
    return reader.command;
}

void show_states(const StateCommand& command, const service::OperationResult& result,
                 Output& output) {
    const std::uint64_t count = result.state_count.value_or(0);
    output.status = result.status;
    if (!command.quiet)
        for (const std::string& complaint : result.complaints)
            output.complain(complaint);
    switch (command.operation.kind) {
        case StateOperation::Kind::list:
            output.out += command.json ? states_json(result.states) : lines(result.states);
            return;
        case StateOperation::Kind::count:
            output.out += command.json ? count_json("states", count) : std::to_string(count) + "\n";
            return;
        case StateOperation::Kind::kill:
            break;
    }
    if (command.json)
        output.out += count_json("killed", count);
    else if (!command.quiet)
        output.out += std::to_string(count) + (count == 1 ? " state" : " states") + " killed.\n";
}

}  // namespace sluice::cli
