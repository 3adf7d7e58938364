#include "controlplane/cli/follow_command.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "controlplane/cli/client.h"
#include "controlplane/cli/filter_words.h"
#include "controlplane/cli/output.h"
#include "controlplane/language/words.h"

namespace sluice::cli {
namespace {

using contract::Fate;
using contract::PacketFilter;
using contract::WantedWay;
using language::quote;

constexpr char kUsage[] =
    "; usage: ipfw tail [host ADDR[/LEN]] [port N] [proto P] [rule N] [in|out] [accept|deny] [-c "
    "N] "
    "[--json]";

bool read_host(std::string_view text, PacketFilter& filter) {
    const std::optional<Network> network = read_network(text);
    if (!network)
        return false;
    filter.prefix_length = network->prefix_length;
    std::visit(
        [&](const auto& address) {
            filter.ip_version = sizeof address == sizeof(Ipv4) ? 4 : 6;
            std::memcpy(filter.address.bytes.data(), &address, sizeof address);
        },
        network->address);
    return true;
}

struct FilterWord {
    std::string_view word;
    std::string_view expected;
    bool (*read)(std::string_view, PacketFilter&);
};

constexpr FilterWord kFilters[] = {
    {"host", kExpectedNetwork, read_host},
    {"port", kExpectedPort,
     [](std::string_view text, PacketFilter& filter) {
         filter.port = read_port(text).value_or(0);
         return filter.port != 0;
     }},
    {"proto", kExpectedProtocol,
     [](std::string_view text, PacketFilter& filter) {
         const std::optional<std::uint8_t> protocol = read_protocol(text);
         filter.has_protocol = protocol ? 1 : 0;
         filter.protocol = protocol.value_or(0);
         return protocol.has_value();
     }},
    {"rule", kExpectedRule,
     [](std::string_view text, PacketFilter& filter) {
         return read_number(text, std::uint16_t{1}, filter.rule_number);
     }},
};

// Words that stand alone. False: it is none of them, or the other one was given.
bool read_single_word(std::string_view word, PacketFilter& filter) {
    const auto choose = [](auto& field, auto value) {
        const bool is_free = field == decltype(value){};
        field = value;
        return is_free;
    };
    if (word == "in" || word == "out")
        return choose(filter.way, word == "in" ? WantedWay::in : WantedWay::out);
    if (word == "accept" || word == "deny")
        return choose(filter.fate, word == "accept" ? Fate::accept : Fate::deny);
    return false;
}

Error usage_error(const std::string& what) {
    return {ExitStatus::usage, what + kUsage};
}

void complain(const std::string& sentence) {
    Output output;
    output.complain(sentence);
    std::fwrite(output.err.data(), 1, output.err.size(), stderr);
}

ExitStatus fail(const Error& error) {
    complain(error.message);
    return error.status;
}

// False: nobody reads any more.
bool print(const std::string& line) {
    return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
           std::fputc('\n', stdout) != EOF;
}

ExitStatus follow(const FollowCommand& command, Following& following) {
    for (std::uint64_t printed = 0;;) {
        const Result<std::optional<service::StreamPiece>> piece = following.next();
        if (!piece)
            return fail(piece.error());
        if (!*piece)  // interrupted
            return ExitStatus::ok;
        if ((*piece)->lost != 0)
            complain(std::to_string((*piece)->lost) +
                     " lines were lost: they came faster than they were taken");
        bool is_done = false;
        for (const std::string& line : (*piece)->lines) {
            if (!print(line)) {
                std::perror("ipfw: standard output");
                return ExitStatus::os;
            }
            is_done = ++printed == command.most;
            if (is_done)
                break;
        }
        if (std::fflush(stdout) != 0) {
            std::perror("ipfw: standard output");
            return ExitStatus::os;
        }
        if (is_done)
            return ExitStatus::ok;
    }
}

}  // namespace

bool is_follow_command(std::span<const std::string> arguments) {
    return !arguments.empty() && arguments.front() == "tail";
}

Result<FollowCommand> parse_follow_command(std::span<const std::string> arguments) {
    FollowCommand command;
    PacketFilter& filter = command.operation.filter;
    std::vector<std::string_view> seen;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (std::find(seen.begin(), seen.end(), word) != seen.end())
            return usage_error(quote(word) + " was already given");
        seen.push_back(word);
        if (word == "--json") {
            command.operation.form = service::FollowOperation::Form::json;
            continue;
        }
        const auto* known =
            std::find_if(std::begin(kFilters), std::end(kFilters),
                         [&](const FilterWord& candidate) { return candidate.word == word; });
        if (known == std::end(kFilters) && word != "-c") {
            if (!read_single_word(word, filter))
                return usage_error("unexpected word " + quote(word));
            continue;
        }
        const std::string_view expected =
            word == "-c" ? "a number of lines from 1 on" : known->expected;
        if (++i == arguments.size())
            return usage_error("missing argument of " + word + "; expected " +
                               std::string(expected));
        if (word == "-c" ? !read_number(arguments[i], std::uint64_t{1}, command.most)
                         : !known->read(arguments[i], filter))
            return Error{ExitStatus::data, "bad argument " + quote(arguments[i]) + " of " + word +
                                               "; expected " + std::string(expected)};
    }
    return command;
}

ExitStatus run_follow_command(std::span<const std::string> arguments) {
    const Result<FollowCommand> command = parse_follow_command(arguments);
    if (!command)
        return fail(command.error());
    service::Request request;
    request.operations.push_back({.line = 0, .forgive = false, .what = command->operation});
    Result<std::unique_ptr<Following>> following = Following::begin(control_socket_path(), request);
    if (!following)
        return fail(following.error());
    const service::Response& answer = (*following)->answer();
    if (answer.status != ExitStatus::ok)
        return fail({answer.status, answer.message});
    for (const service::OperationResult& result : answer.results)
        for (const std::string& complaint : result.complaints)
            complain(complaint);
    return follow(*command, **following);
}

}  // namespace sluice::cli
