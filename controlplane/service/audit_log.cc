#include "controlplane/service/audit_log.h"

#include <pwd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <utility>

#include "controlplane/log/log_line.h"
#include "controlplane/service/request_kind.h"

namespace sluice::service {
namespace {

std::string range_text(const language::RuleRange& range) {
    std::string text = std::to_string(range.first);
    return range.first == range.last ? text : text + "-" + std::to_string(range.last);
}

std::string set_prefix(const std::optional<std::uint8_t>& set) {
    return set ? "set " + std::to_string(*set) + " " : "";
}

std::string_view word_of(language::PatternCommand::Verb verb) {
    using Verb = language::PatternCommand::Verb;
    switch (verb) {
        case Verb::create:
            return "create";
        case Verb::destroy:
            return "destroy";
        case Verb::add:
            return "add";
        case Verb::remove:
            return "delete";
        case Verb::load:
            return "load";
        case Verb::list:
            return "list";
        case Verb::info:
            return "info";
        case Verb::show:
            return "show";
        case Verb::swap:
            return "swap";
        case Verb::flush:
            return "flush";
        case Verb::lint:
            return "lint";
    }
    return "?";
}

std::string_view word_of(language::TableCommand::Verb verb) {
    using Verb = language::TableCommand::Verb;
    switch (verb) {
        case Verb::create:
            return "create";
        case Verb::destroy:
            return "destroy";
        case Verb::add:
            return "add";
        case Verb::remove:
            return "delete";
        case Verb::flush:
            return "flush";
        case Verb::lookup:
            return "lookup";
        case Verb::list:
            return "list";
        case Verb::info:
            return "info";
        case Verb::detail:
            return "detail";
        case Verb::modify:
            return "modify";
        case Verb::lock:
            return "lock";
        case Verb::unlock:
            return "unlock";
        case Verb::swap:
            return "swap";
        case Verb::load:
            return "load";
    }
    return "?";
}

// Of long lists only as much as anybody will read.
constexpr std::size_t kShownItems = 8;

template <typename Items, typename Text>
std::string listed(const Items& items, Text text) {
    std::string result;
    for (std::size_t i = 0; i < std::min(items.size(), kShownItems); ++i)
        result += " " + text(items[i]);
    if (items.size() > kShownItems)
        result += " and " + std::to_string(items.size() - kShownItems) + " more";
    return result;
}

struct Describe {
    std::string operator()(const AddOperation& add) const {
        const auto rules = 1 + std::count(add.rules.begin(), add.rules.end(), '\n');
        return "add " + add.rules.substr(0, add.rules.find('\n')) +
               (rules > 1 ? " and up to " + std::to_string(rules - 1) + " more" : "");
    }
    std::string operator()(const language::DeleteCommand& command) const {
        return set_prefix(command.in_set) + "delete" + listed(command.rules, range_text) +
               listed(command.sets, [](std::uint8_t set) { return "set " + std::to_string(set); });
    }
    std::string operator()(const language::FlushCommand& command) const {
        return set_prefix(command.in_set) + "flush";
    }
    std::string operator()(const language::ZeroCommand& command) const {
        return set_prefix(command.in_set) + (command.log_only ? "resetlog" : "zero") +
               listed(command.rules, [](std::uint16_t rule) { return std::to_string(rule); });
    }
    std::string operator()(const language::SetEnableCommand& command) const {
        std::string text = "set";
        for (const auto& [word, mask] :
             {std::pair{" enable", command.enable}, std::pair{" disable", command.disable}}) {
            text += mask == 0 ? "" : word;
            for (unsigned set = 0; set < 32; ++set)
                if ((mask >> set & 1) != 0)
                    text += " " + std::to_string(set);
        }
        return text;
    }
    std::string operator()(const language::SetMoveCommand& command) const {
        return std::string("set move ") + (command.by_rule ? "rule " : "") +
               std::to_string(command.what) + " to " + std::to_string(command.to);
    }
    std::string operator()(const language::SetSwapCommand& command) const {
        return "set swap " + std::to_string(command.first) + " " + std::to_string(command.second);
    }
    std::string operator()(const WriteSysctlOperation& operation) const {
        return "sysctl " + operation.name + "=" + operation.value;
    }
    std::string operator()(const StateOperation&) const { return "state kill"; }
    std::string operator()(const TableOperation& operation) const {
        const language::TableCommand& command = operation.command;
        return "table " + command.table + " " + std::string(word_of(command.verb)) +
               (command.other.empty() ? "" : " " + command.other) +
               (command.file.empty() ? "" : " " + command.file) +
               listed(command.records, [](const language::TableRecord& record) {
                   return record.key + (record.value.empty() ? "" : " " + record.value);
               });
    }
    std::string operator()(const PatternOperation& operation) const {
        const language::PatternCommand& command = operation.command;
        return "pattern " + command.object + " " + std::string(word_of(command.verb)) +
               (command.other.empty() ? "" : " " + command.other) +
               (command.file.empty() ? "" : " " + command.file) +
               listed(command.entries, [](const language::PatternEntry& entry) {
                   return entry.pattern +
                          (entry.value ? " " + std::to_string(*entry.value) : std::string());
               });
    }
    std::string operator()(const SafetyOperation& operation) const {
        using Order = SafetyOperation::Order;
        switch (operation.order) {
            case Order::confirm:
                return "confirm";
            case Order::give_back:
                return "rollback";
            case Order::lock:
                return "lock";
            case Order::panic_deny:
                return "panic deny";
            case Order::panic_pass:
                return "panic pass";
            case Order::panic_off:
                return "panic off";
        }
        return "?";
    }
    std::string operator()(const HistoryOperation&) const { return "save"; }
    std::string operator()(const RollbackOperation& operation) const {
        return "rollback" +
               (operation.number != 0 ? " " + std::to_string(operation.number) : std::string());
    }
    std::string operator()(const FollowOperation& follow) const {
        return follow.kind == FollowOperation::Kind::packets  ? "capture"
               : follow.kind == FollowOperation::Kind::traces ? "trace --live"
                                                              : "tail";
    }
    // Whatever else there is: its kind.
    template <typename Other>
    std::string operator()(const Other& other) const {
        Request alone;
        alone.operations.push_back({.what = other});
        return std::string(metrics::kRequestNames[static_cast<std::size_t>(kind_of(alone))]);
    }
};

std::string quoted(std::string_view text) {
    std::string escaped;
    for (const char c : log::printable(text))
        escaped += c == '"' ? std::string("\\x22") : std::string(1, c);
    return "\"" + escaped + "\"";
}

}  // namespace

std::string user_name(uid_t user) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/etc/passwd", "re"), std::fclose);
    while (file != nullptr) {
        const passwd* entry = fgetpwent(file.get());
        if (entry == nullptr)
            break;
        if (entry->pw_uid == user)
            return log::printable(entry->pw_name);
    }
    return "?";
}

std::string described(const Request& request) {
    const bool rolls_back =
        !request.operations.empty() &&
        std::holds_alternative<RollbackOperation>(request.operations.front().what);
    std::string text = request.apply && !rolls_back ? "apply" : "";
    if (request.apply && request.apply->confirm_s != 0)
        text += " --confirm " + std::to_string(request.apply->confirm_s) + "s";
    if (!request.source.empty())
        text += (text.empty() ? "" : " ") + request.source + ":";
    std::size_t left = request.operations.size();
    for (const Operation& operation : request.operations) {
        if (needed_for(operation) == Role::read) {
            --left;
            continue;
        }
        if (text.size() >= kLongestText)
            break;
        text += (text.empty()          ? ""
                 : text.ends_with(':') ? " "
                                       : "; ") +
                std::visit(Describe(), operation.what);
        --left;
    }
    if (text.ends_with(':'))
        text.pop_back();
    if (text.size() > kLongestText)
        text = text.substr(0, kLongestText) + "...";
    return left == 0 ? text : text + "; and " + std::to_string(left) + " more";
}

ControlServer::Reply AuditLog::recorded(const Request& request, const Peer& peer,
                                        std::uint64_t generation, ControlServer::Reply reply) {
    if (needed_for(request) == Role::read)
        return reply;
    return [this, peer, generation, did = described(request),
            reply = std::move(reply)](const Response& response) {
        write(peer, std::max(generation, last_generation_), response.generation,
              status_of(response), did, response.message);
        last_generation_ = response.generation;
        reply(response);
    };
}

void AuditLog::refused(const Request& request, const Peer& peer, const Error& error) {
    const std::string did = described(request);
    write(peer, last_generation_, last_generation_, error.status, did.empty() ? "read" : did,
          error.message);
}

void AuditLog::reopen() {
    if (file_ != nullptr)
        file_->reopen();
}

void AuditLog::write(const Peer& peer, std::uint64_t before, std::uint64_t after, ExitStatus status,
                     const std::string& did, const std::string& message) {
    std::string line =
        "audit: uid=" + std::to_string(peer.user) + " user=" + user_name(peer.user) +
        " pid=" + std::to_string(peer.process) + " role=" + std::string(name_of(peer.role)) +
        " generation=" + std::to_string(before) + "->" + std::to_string(after) +
        " status=" + std::to_string(static_cast<int>(status)) + " did=" + quoted(did);
    if (!message.empty())
        line += " because=" + quoted(std::string_view(message).substr(0, kLongestText));
    report_(line);
    if (file_ == nullptr)
        return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    file_->write("sluice: " + line,
                 static_cast<std::uint64_t>(
                     std::chrono::duration_cast<std::chrono::milliseconds>(now).count()),
                 log::Priority::notice);
    file_->flush();
}

}  // namespace sluice::service
