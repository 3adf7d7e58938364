#include "controlplane/service/restoring_request.h"

#include <iterator>
#include <string>
#include <utility>

#include "controlplane/language/command.h"
#include "controlplane/ruleset/ruleset_text.h"
#include "controlplane/service/script_builder.h"

namespace sluice::service {
namespace {

using Verb = language::TableCommand::Verb;

class Builder {
  public:
    Builder(std::uint64_t age_s, const ruleset::TableCatalogue& tables, Request& request)
        : age_s_(age_s), tables_(tables), request_(request) {}

    Result<Done> take(std::string_view line) {
        constexpr std::string_view kAdd = "add ";
        ++line_;
        if (line.empty() || line.front() == '#')
            return Done{};
        if (line.starts_with(kAdd)) {
            add(line.substr(kAdd.size()));
            return Done{};
        }
        const std::string text(line);
        const auto invocation =
            language::parse_command_line(std::span(&text, 1), language::refusing_resolver());
        if (!invocation)
            return wrong(invocation.error().text());
        Result<std::vector<Operation>> operations =
            operations_for(invocation->command, invocation->flags, line_);
        if (!operations)
            return wrong(operations.error().message);
        for (Operation& operation : *operations)
            if (wanted(operation))
                append(std::move(operation));
        return Done{};
    }

  private:
    Error wrong(const std::string& why) const {
        return {ExitStatus::data, "line " + std::to_string(line_) + ": " + why};
    }

    // Rules that stand together are one operation.
    void add(std::string_view rule) {
        auto* last = request_.operations.empty()
                         ? nullptr
                         : std::get_if<AddOperation>(&request_.operations.back().what);
        if (last == nullptr) {
            request_.operations.push_back({.line = line_, .what = AddOperation{std::string(rule)}});
            rule_line_ = line_;
            return;
        }
        last->rules.append(line_ - rule_line_, '\n');
        last->rules.append(rule);
        rule_line_ = line_;
    }

    void append(Operation operation) {
        if (request_.operations.empty() || !join(request_.operations.back(), operation))
            request_.operations.push_back(std::move(operation));
    }

    bool wanted(Operation& operation) const {
        // An apply begins without rules.
        if (std::holds_alternative<language::FlushCommand>(operation.what) ||
            std::holds_alternative<language::DeleteCommand>(operation.what))
            return false;
        auto* table = std::get_if<TableOperation>(&operation.what);
        if (table == nullptr)
            return true;
        if (tables_.find(table->command.table) != nullptr)
            return false;
        if (!table->command.ttl_s)
            return true;
        const bool over = *table->command.ttl_s <= age_s_;
        if (!over)
            *table->command.ttl_s -= static_cast<std::uint32_t>(age_s_);
        return !over;
    }

    std::uint64_t age_s_;
    const ruleset::TableCatalogue& tables_;
    Request& request_;
    std::uint32_t line_ = 0;
    std::uint32_t rule_line_ = 0;
};

}  // namespace

Result<Request> restoring_request(std::string_view text, std::uint64_t age_s,
                                  const ruleset::TableCatalogue& tables, const ApplyOrder& order) {
    Request request{.whole = true, .brief = true, .operations = {}, .apply = order};
    Builder builder(age_s, tables, request);
    Result<Done> done = Done{};
    ruleset::each_line(text, [&](std::string_view line) {
        if (done)
            done = builder.take(line);
    });
    if (!done)
        return done.error();
    return request;
}

}  // namespace sluice::service
