#include "replay/rules_file.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "controlplane/service/script_builder.h"

namespace sluice::replay {

namespace {

Error at_line(const std::string& origin, std::size_t line, const Error& error) {
    return {error.status, origin + ": Line " + std::to_string(line) + ": " + error.message};
}

Result<service::Request, service::ScriptError> script_of(const language::RuleFile& file) {
    service::Request script{.whole = true, .operations = {}};
    for (const language::FileLine& line : file.lines) {
        const language::Flags& flags = line.invocation.flags;
        if (flags.test_only)
            continue;
        const auto number = static_cast<std::uint32_t>(line.line);
        auto operations = service::operations_for(line.invocation.command, flags, number);
        if (!operations)
            return service::ScriptError{number, operations.error()};
        std::move(operations->begin(), operations->end(), std::back_inserter(script.operations));
    }
    return script;
}

// Names are those of the system; time is that of the packets, which begins at 0.
class ReplayResolver final : public language::NameResolver {
  public:
    std::optional<language::HostAddress> host(const std::string& name,
                                              language::AddressFamily family) const override {
        return system_.host(name, family);
    }
    std::optional<std::uint32_t> user(const std::string& name) const override {
        return system_.user(name);
    }
    std::optional<std::uint32_t> group(const std::string& name) const override {
        return system_.group(name);
    }
    std::uint64_t now_s() const override { return 0; }
    std::optional<std::string> host_name(const language::HostAddress& address) const override {
        return system_.host_name(address);
    }
    std::optional<std::string> user_name(std::uint32_t id) const override {
        return system_.user_name(id);
    }
    std::optional<std::string> group_name(std::uint32_t id) const override {
        return system_.group_name(id);
    }

  private:
    const language::NameResolver& system_ = language::system_resolver();
};

}  // namespace

Result<RulesFile> parse_rules(std::string_view text, const std::string& origin,
                              const EnvironmentFile& environment, unsigned workers) {
    ruleset::Ruleset rules(environment.default_accept);
    rules.sysctls().verbose = 1;
    // A replay answers as ipfw does unless it is told otherwise: these two are not ipfw's.
    rules.sysctls().dyn_established_share = 0;
    rules.sysctls().dyn_adaptive_start = 0;
    for (const SysctlSetting& setting : environment.sysctls)
        if (auto done = ruleset::write_sysctl(rules.sysctls(), setting.name, setting.value); !done)
            return done.error();
    const language::RuleFile file = language::parse_file(text, ReplayResolver());
    if (!file.errors.empty()) {
        std::string message;
        for (const language::FileError& error : file.errors)
            message += (message.empty() ? "" : "\n") + origin + ": " + error.text();
        return Error{file.errors.front().error.status, message};
    }
    table::Store::Spec spec{.workers = workers};
    for (const packet::Interface& interface : environment.environment.interfaces)
        spec.interfaces.push_back(interface.name);
    auto done = carry_out(file, rules, spec);
    if (!done)
        return at_line(origin, done.error().line, done.error().error);
    return RulesFile{.ruleset = std::move(done->ruleset), .tables = std::move(done->tables)};
}

Result<CarriedOut, service::ScriptError> carry_out(const language::RuleFile& file,
                                                   const ruleset::Ruleset& start,
                                                   const table::Store::Spec& spec) {
    auto script = script_of(file);
    if (!script)
        return script.error();
    auto outcome =
        service::run_script(*script, start, [](std::uint32_t) { return service::RuleTotals{}; });
    if (!outcome)
        return outcome.error();
    CarriedOut result{.ruleset = std::move(outcome->ruleset),
                      .tables = std::make_shared<table::Store>(spec),
                      .operations = std::move(script->operations),
                      .results = std::move(outcome->results)};
    const service::TableWork& work = outcome->tables;
    const table::Answer answer = result.tables->apply(
        {.changes = work.changes(), .values = work.values(), .descriptors = work.descriptors()},
        table::Failures::stop, 0);
    if (const auto failure = work.conclude({.results = answer.results,
                                            .entries = answer.entries,
                                            .values = answer.values,
                                            .failed = answer.failed},
                                           result.results))
        return service::ScriptError{failure->line, failure->error};
    return result;
}

}  // namespace sluice::replay
