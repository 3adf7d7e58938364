#include "controlplane/cli/cli.h"

#include <chrono>
#include <optional>

#include "controlplane/cli/change_command.h"
#include "controlplane/cli/check_command.h"
#include "controlplane/cli/client.h"
#include "controlplane/cli/completion.h"
#include "controlplane/cli/confirm.h"
#include "controlplane/cli/cost_command.h"
#include "controlplane/cli/diff_command.h"
#include "controlplane/cli/history_command.h"
#include "controlplane/cli/json_results.h"
#include "controlplane/cli/lint_command.h"
#include "controlplane/cli/logsum_command.h"
#include "controlplane/cli/rule_source.h"
#include "controlplane/cli/state_command.h"
#include "controlplane/cli/trace_command.h"
#include "controlplane/cli/trace_json.h"
#include "controlplane/cli/unused_command.h"
#include "controlplane/compiler/support.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/language/usage.h"
#include "controlplane/service/script_builder.h"
#include "replay/trace_command.h"

namespace sluice::cli {
namespace {

using language::Command;
using language::Flags;
using language::Invocation;
using service::operations_for;
using service::Request;
using service::Response;

constexpr std::string_view kJson = "--json";  // the last word

// Flags of the command line hold for every line of a file.
Flags merged(const Flags& outer, const Flags& inner) {
    Flags flags = inner;
    flags.counters |= outer.counters;
    flags.action_and_comment_only |= outer.action_and_comment_only;
    flags.compact |= outer.compact;
    flags.dynamic |= outer.dynamic;
    flags.dynamic_only |= outer.dynamic_only;
    flags.expired |= outer.expired;
    flags.force |= outer.force;
    flags.values_as_addresses |= outer.values_as_addresses;
    flags.test_only |= outer.test_only;
    flags.resolve_names |= outer.resolve_names;
    flags.quiet |= outer.quiet;
    flags.sets |= outer.sets;
    flags.timestamps |= outer.timestamps;
    flags.raw_timestamps |= outer.raw_timestamps;
    flags.verbose |= outer.verbose;
    return flags;
}

void warn(const Invocation& invocation, const Flags& flags, std::uint32_t line, Output& output) {
    if (!flags.quiet)
        for (const std::string& warning : invocation.warnings)
            output.complain("warning: " + warning, line);
}

// `-n`: what the command means, without a daemon. Whatever parses is fine, but for the rule that no
// ruleset takes.
void dry_run(const Command& command, const Flags& flags, std::uint32_t line, Output& output) {
    if (const auto* add = std::get_if<language::AddCommand>(&command)) {
        if (add->rule.number == language::kDefaultRuleNumber) {
            output.complain("rule 65535 is the default rule: it cannot be added or replaced", line);
            if (output.status == ExitStatus::ok)
                output.status = ExitStatus::unavailable;
            return;
        }
        ruleset::ListedRule rule;
        rule.number = add->rule.number;
        rule.set = add->rule.set;
        rule.text = language::print_rule(add->rule);
        if (!flags.quiet)
            output.out += echo(rule, flags);
        if (const auto reason = compiler::unsupported(add->rule))
            output.complain("warning: " + *reason + "; the appliance refuses this rule", line);
        return;
    }
    const auto operations = operations_for(command, flags, line);
    if (!operations)
        output.complain("warning: " + operations.error().message, line);
    else if (std::holds_alternative<language::ListCommand>(command) ||
             std::holds_alternative<language::SetShowCommand>(command))
        output.complain("nothing is listed with -n, which asks no daemon", line);
}

// A flush that is not forced is asked about, where there is somebody to ask.
bool goes_ahead(const Command& command, const Flags& flags) {
    return !std::holds_alternative<language::FlushCommand>(command) || flags.force || flags.quiet ||
           !can_ask() || confirmed();
}

// Sends the operations; none is no reason to talk to anybody.
bool carry_out(const Request& request, Response& response, Output& output) {
    if (request.operations.empty() && !request.apply)
        return true;
    Result<Response> answer = exchange(control_socket_path(), request);
    if (!answer) {
        output.complain(answer.error().message);
        output.status = answer.error().status;
        return false;
    }
    response = std::move(*answer);
    if (response.status == ExitStatus::ok && response.results.size() != request.operations.size()) {
        response.status = ExitStatus::software;
        response.message = "sluice-controlplane answers something else than it was asked";
    }
    if (response.status == ExitStatus::ok)
        return true;
    output.complain(response.message, response.line);
    output.status = response.status;
    return false;
}

// Rules that nobody carries out deserve a word.
void explain_absence(const Command& command, const Flags& flags, const Response& response,
                     std::uint32_t line, Output& output) {
    if (!std::holds_alternative<language::ListCommand>(command) || response.results.empty() ||
        response.data_plane)
        return;
    const bool counters = flags.counters || flags.timestamps || flags.raw_timestamps;
    output.complain(std::string("sluice-dataplane is not connected: these rules are not in force") +
                        (counters ? ", and counters are shown as 0" : ""),
                    line);
}

struct Step {
    const Command* command;
    Flags flags;
    std::uint32_t line;
    std::size_t first;  // of its results
    std::size_t count;
};

void finish(const Step& step, const Response& response, Output& output) {
    if (std::holds_alternative<language::ListCommand>(*step.command))
        for (const std::string& warning : warnings_of(response.condition))
            output.complain(warning, step.line);
    explain_absence(*step.command, step.flags, response, step.line, output);
    show_results(*step.command, step.flags,
                 std::span(response.results).subspan(step.first, step.count), step.line, output);
}

// A command of a rule file; of rules that are added one behind the other only their text.
struct Piece {
    std::uint32_t line = 0;
    Flags flags = {};
    Invocation invocation = {};   // of rules: an empty one
    std::string rules = {};       // see AddOperation
    std::uint32_t last_line = 0;  // of the rules; 0: it is another command
    Output complaints = {};       // about rules
};

class Pieces {
  public:
    explicit Pieces(const Flags& flags) : flags_(flags) {}

    void take(language::FileLine&& entry) {
        const auto line = static_cast<std::uint32_t>(entry.line);
        const Flags flags = merged(flags_, entry.invocation.flags);
        const auto* add = std::get_if<language::AddCommand>(&entry.invocation.command);
        if (add == nullptr || flags.test_only) {
            pieces_.push_back(
                {.line = line, .flags = flags, .invocation = std::move(entry.invocation)});
            return;
        }
        if (pieces_.empty() || pieces_.back().last_line == 0 || pieces_.back().flags != flags)
            pieces_.push_back({.line = line,
                               .flags = flags,
                               .invocation = {{}, language::AddCommand(), {}},
                               .last_line = line});
        Piece& piece = pieces_.back();
        piece.rules.append(line - piece.last_line, '\n');
        piece.last_line = line;
        service::append_rule_text(add->rule, piece.rules);
        warn(entry.invocation, flags, line, piece.complaints);
    }

    std::vector<Piece>& all() { return pieces_; }

  private:
    const Flags& flags_;
    std::vector<Piece> pieces_;
};

// None: nothing has to be asked of anybody, or it was complained about.
std::vector<service::Operation> operations_of(Piece& piece, Output& output) {
    if (piece.last_line != 0) {
        output.err += piece.complaints.err;
        std::vector<service::Operation> operations(1);
        operations.front() = {.line = piece.line,
                              .forgive = piece.flags.force || piece.flags.quiet,
                              .what = service::AddOperation{std::move(piece.rules)}};
        return operations;
    }
    const Command& command = piece.invocation.command;
    warn(piece.invocation, piece.flags, piece.line, output);
    if (piece.flags.test_only) {
        dry_run(command, piece.flags, piece.line, output);
        return {};
    }
    if (!goes_ahead(command, piece.flags))
        return {};
    Result<std::vector<service::Operation>> operations =
        operations_for(command, piece.flags, piece.line);
    if (operations)
        return std::move(*operations);
    output.complain(operations.error().message, piece.line);
    if (output.status == ExitStatus::ok)
        output.status = operations.error().status;
    return {};
}

unsigned milliseconds_since(std::chrono::steady_clock::time_point begin) {
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - begin;
    return static_cast<unsigned>(taken.count());
}

// Reads, checks and sends a rule file; it takes effect as a whole or not at all.
void run_file(const language::FileCommand& file, const Flags& flags,
              const std::optional<service::ApplyOrder>& apply, Output& output) {
    const auto begin = std::chrono::steady_clock::now();
    const Result<std::string> text = read_rules(file);
    if (!text) {
        output.complain(text.error().message);
        output.status = text.error().status;
        return;
    }
    Pieces pieces(flags);
    const std::vector<language::FileError> errors =
        language::read_file_lines(*text, language::system_resolver(),
                                  [&](language::FileLine&& line) { pieces.take(std::move(line)); });
    for (const language::FileError& error : errors) {
        output.err += error.text() + "\n";
        if (output.status == ExitStatus::ok)
            output.status = error.error.status;
    }
    if (output.status != ExitStatus::ok)
        return;

    Request request{.whole = true, .brief = flags.quiet || apply, .operations = {}, .apply = apply};
    request.source = file.path.substr(0, service::kLongestSource);
    std::vector<Step> steps;
    for (Piece& piece : pieces.all()) {
        std::vector<service::Operation> operations = operations_of(piece, output);
        if (operations.empty())
            continue;
        if (operations.size() == 1 && !request.operations.empty() &&
            join(request.operations.back(), operations.front()))
            continue;
        steps.push_back({&piece.invocation.command, piece.flags, piece.line,
                         request.operations.size(), operations.size()});
        std::move(operations.begin(), operations.end(), std::back_inserter(request.operations));
    }
    Response response;
    if (output.status != ExitStatus::ok || !carry_out(request, response, output))
        return;
    if (!apply) {
        for (const Step& step : steps)
            finish(step, response, output);
        return;
    }
    // The rules are in the file; what is there to say is what has changed.
    for (const Step& step : steps)
        if (!step.flags.quiet)
            for (const service::OperationResult& result :
                 std::span(response.results).subspan(step.first, step.count))
                for (const std::string& complaint : result.complaints)
                    output.complain(complaint, step.line);
    if (!flags.quiet)
        output.out += applied_text(response, milliseconds_since(begin));
}

enum class Form { text, json };

void run_command(const Invocation& invocation, Form form, Output& output) {
    const Flags& flags = invocation.flags;
    if (flags.help || std::holds_alternative<language::HelpCommand>(invocation.command)) {
        output.out += language::usage();
        return;
    }
    warn(invocation, flags, 0, output);
    if (const auto* file = std::get_if<language::FileCommand>(&invocation.command))
        return run_file(*file, flags, {}, output);
    if (flags.test_only)
        return dry_run(invocation.command, flags, 0, output);
    Result<std::vector<service::Operation>> operations =
        operations_for(invocation.command, flags, 0);
    if (!operations) {
        output.complain(operations.error().message);
        output.status = operations.error().status;
        return;
    }
    if (!goes_ahead(invocation.command, flags))
        return;
    const std::size_t count = operations->size();
    Response response;
    if (!carry_out({.whole = false, .brief = flags.quiet, .operations = std::move(*operations)},
                   response, output))
        return;
    if (form == Form::json)
        show_json_results(invocation.command, flags, response, output);
    else
        finish({&invocation.command, flags, 0, 0, count}, response, output);
}

void run_state_command(const std::vector<std::string>& arguments, Output& output) {
    const auto command = parse_state_command(arguments);
    if (!command) {
        output.complain(command.error().text());
        output.status = command.error().status;
        return;
    }
    const service::StateOperation& operation = command->operation;
    const bool kills_all = operation.kind == service::StateOperation::Kind::kill &&
                           operation.filter == service::StateFilter();
    if (kills_all && !command->force && can_ask() && !confirmed())
        return;
    Request request;
    request.operations.push_back({.line = 0, .forgive = command->force, .what = operation});
    Response response;
    if (carry_out(request, response, output))
        show_states(*command, response.results.front(), output);
}

void run_change_command(const std::vector<std::string>& arguments, Output& output) {
    const auto command = parse_change_command(arguments);
    if (!command) {
        output.complain(command.error().text());
        output.status = command.error().status;
        return;
    }
    if (const auto* apply = std::get_if<ApplyCommand>(&command->what)) {
        const language::FileCommand file{
            .path = apply->path, .preprocessor = {}, .preprocessor_arguments = {}};
        return run_file(file, apply->flags,
                        apply->flags.test_only ? std::nullopt : std::optional(apply->order),
                        output);
    }
    const auto begin = std::chrono::steady_clock::now();
    Request request;
    if (const auto* rollback = std::get_if<RollbackCommand>(&command->what)) {
        request.whole = true;
        request.apply = rollback->order;
        request.operations.push_back(
            {.line = 0,
             .forgive = false,
             .what = service::RollbackOperation{.number = rollback->number}});
    } else {
        request.operations.push_back({.line = 0,
                                      .forgive = false,
                                      .what = std::get<service::SafetyOperation>(command->what)});
    }
    Response response;
    if (!carry_out(request, response, output) || command->quiet)
        return;
    for (const std::string& complaint : response.results.front().complaints)
        output.complain(complaint);
    if (response.applied)
        output.out += applied_text(response, milliseconds_since(begin));
    for (const std::string& line : response.results.front().lines)
        output.out += line + "\n";
}

// Asks the data plane, once or for both answers of `prob`. None: it was complained about.
std::optional<std::string> trace_of_running(const std::vector<std::string>& arguments,
                                            Output& output) {
    using contract::ChanceIs;
    const Result<TraceCommand> command = parse_trace_command(arguments);
    if (!command) {
        output.complain(command.error().message);
        output.status = command.error().status;
        return std::nullopt;
    }
    bool by_chance = false;
    const auto ask = [&](ChanceIs chance) -> std::optional<std::string> {
        Request request;
        request.operations.push_back(
            {.line = 0,
             .forgive = false,
             .what = service::TraceOperation{.packet = command->packet, .chance = chance}});
        Response response;
        if (!carry_out(request, response, output))
            return std::nullopt;
        std::string text;
        for (const std::string& line : response.results.front().lines)
            text += line + "\n";
        by_chance = told_by_chance(response.results.front());
        return text;
    };
    if (!command->chances.empty())
        return ask(command->chances.front());
    const std::optional<std::string> matching = ask(ChanceIs::match);
    if (!matching || !by_chance)
        return matching;
    const std::optional<std::string> skipping = ask(ChanceIs::skip);
    if (!skipping)
        return std::nullopt;
    return "-- if `prob` matches --\n" + *matching + "-- if it does not --\n" + *skipping;
}

std::optional<std::string> trace_of_file(const std::vector<std::string>& arguments,
                                         Output& output) {
    Result<std::string> text = replay::trace_through_file(std::span(arguments).subspan(1));
    if (text)
        return std::move(*text);
    output.complain(text.error().message);
    output.status = text.error().status;
    return std::nullopt;
}

void run_trace_command(std::vector<std::string> arguments, Output& output) {
    const bool json = arguments.back() == kJson;
    if (json)
        arguments.pop_back();
    const auto text = traces_a_file(arguments) ? trace_of_file(arguments, output)
                                               : trace_of_running(arguments, output);
    if (text)
        output.out += json ? trace_json(*text) : *text;
}

void run_history_command(const std::vector<std::string>& arguments, Output& output) {
    const auto command = parse_history_command(arguments);
    if (!command) {
        output.complain(command.error().text());
        output.status = command.error().status;
        return;
    }
    Request request;
    request.operations.push_back({.line = 0, .forgive = false, .what = command->operation});
    Response response;
    if (carry_out(request, response, output))
        show_history(*command, response, output);
}

void run_cost_command(const std::vector<std::string>& arguments, Output& output) {
    const auto command = parse_cost_command(arguments);
    if (!command) {
        output.complain(command.error().text());
        output.status = command.error().status;
        return;
    }
    Request request;
    request.operations.push_back(
        {.line = 0, .forgive = false, .what = service::ShowCostOperation{}});
    Response response;
    if (carry_out(request, response, output))
        show_cost(*command, response.results.front().cost.value_or(contract::RulesetCost()),
                  output);
}

// Commands that help to understand rules, most of them without a daemon.
struct AnalysisCommand {
    std::string_view name;
    void (*run)(std::span<const std::string> arguments, Output& output);
};
constexpr AnalysisCommand kAnalysisCommands[] = {{"check", run_check},
                                                 {"diff", run_diff},
                                                 {"lint", run_lint},
                                                 {"logsum", run_logsum},
                                                 {"unused", run_unused}};

}  // namespace

Output execute(const std::vector<std::string>& arguments) {
    Output output;
    if (arguments.empty()) {
        output.err = language::usage();
        output.status = ExitStatus::usage;
        return output;
    }
    if (arguments.size() == 1 && arguments.front() == "--version") {
        output.out = "ipfw (Sluice) " SLUICE_VERSION "\n";
        return output;
    }
    if (arguments.front() == kCompleteFlag) {
        for (const std::string& word : completions(std::span(arguments).subspan(1)))
            output.out += word + "\n";
        return output;
    }
    for (const AnalysisCommand& command : kAnalysisCommands) {
        if (arguments.front() != command.name)
            continue;
        command.run(std::span(arguments).subspan(1), output);
        return output;
    }
    if (is_state_command(arguments)) {
        run_state_command(arguments, output);
        return output;
    }
    if (is_change_command(arguments)) {
        run_change_command(arguments, output);
        return output;
    }
    if (is_history_command(arguments)) {
        run_history_command(arguments, output);
        return output;
    }
    if (is_trace_command(arguments)) {
        run_trace_command(arguments, output);
        return output;
    }
    if (is_cost_command(arguments)) {
        run_cost_command(arguments, output);
        return output;
    }
    std::vector<std::string> words = arguments;
    const Form form = words.back() == kJson ? Form::json : Form::text;
    if (form == Form::json)
        words.pop_back();
    const auto invocation = language::parse_command_line(words, language::system_resolver());
    if (!invocation) {
        output.complain(invocation.error().text());
        output.status = invocation.error().status;
    } else if (form == Form::json && !has_json_form(invocation->command)) {
        output.complain(
            "--json is for commands that tell something: list, show, set show, sysctl, "
            "table NAME list|info|detail|lookup, pattern NAME list|info|show");
        output.status = ExitStatus::usage;
    } else {
        run_command(*invocation, form, output);
    }
    return output;
}

}  // namespace sluice::cli
