#include "controlplane/service/pattern_work.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/patterns/lint.h"
#include "controlplane/ruleset/pattern_catalogue.h"

namespace sluice::service {
namespace {

using ruleset::PatternCatalogue;
using ruleset::PatternObject;
using ruleset::PatternSettings;
using Verb = language::PatternCommand::Verb;

// More make too long an answer on the control socket.
constexpr std::size_t kMaximumListedPatterns = 500'000;

std::string failure_of(Verb verb, const std::string& object) {
    switch (verb) {
        case Verb::create:
            return "Pattern object creation failed";
        case Verb::add:
            return "Adding pattern failed";
        case Verb::remove:
            return "Deleting pattern failed";
        case Verb::destroy:
            return "failed to destroy pattern object " + object;
        case Verb::load:
            return "failed to load pattern object " + object;
        case Verb::flush:
            return "failed to flush pattern object " + object;
        case Verb::swap:
            return "failed to swap pattern object " + object;
        case Verb::list:
        case Verb::info:
        case Verb::show:
        case Verb::lint:
            break;
    }
    return "failed to request pattern object " + object;
}

void refuse(OperationResult& result, Verb verb, const std::string& object, const std::string& why) {
    result.status = ExitStatus::os;
    result.complaints.push_back(failure_of(verb, object) + ": " + why);
}

void merge(OperationResult more, OperationResult& result) {
    if (more.status != ExitStatus::ok)
        result.status = more.status;
    std::move(more.complaints.begin(), more.complaints.end(),
              std::back_inserter(result.complaints));
    std::move(more.pattern_objects.begin(), more.pattern_objects.end(),
              std::back_inserter(result.pattern_objects));
}

std::string value_text(std::uint32_t value) {
    return value == 0 ? std::string() : " " + std::to_string(value);
}

std::vector<std::string> lint_lines(const PatternObject& object) {
    patterns::LintOrder order{.name = object.name, .type = object.settings.type};
    order.database.mode = object.settings.mode;
    order.database.ignore_case = object.settings.ignore_case;
    for (const patterns::Pattern& pattern : object.patterns)
        order.database.patterns.push_back(pattern.text);
    return patterns::lint_lines(order);
}

std::string users_text(std::size_t users) {
    return std::to_string(users) + (users == 1 ? " rule names it" : " rules name it");
}

}  // namespace

Result<Done> PatternWork::for_all(const PatternOperation& operation, OperationResult& result) {
    for (const PatternCatalogue::Pointer& object : rules_.patterns().named()) {
        PatternOperation each = operation;
        each.command.object = object->name;
        if (Result<Done> done = carry_out(each, result); !done)
            return done;
    }
    return Done{};
}

Result<Done> PatternWork::carry_out(const PatternOperation& operation, OperationResult& result) {
    const language::PatternCommand& command = operation.command;
    if (command.object == "all")
        return for_all(operation, result);
    if (command.verb == Verb::create)
        return create(command, result);
    if (rules_.patterns().find(command.object) == nullptr) {
        refuse(result, command.verb, command.object, "pattern object not found");
        return Done{};
    }
    switch (command.verb) {
        case Verb::add:
            return add(operation, result);
        case Verb::remove:
            return remove(operation, result);
        case Verb::load:
            return load(command, result);
        case Verb::destroy:
            destroy(command, result);
            break;
        case Verb::flush:
            rules_.patterns().reset(command.object,
                                    rules_.patterns().find(command.object)->settings);
            changed_ = true;
            break;
        case Verb::swap:
            swap(command, result);
            break;
        case Verb::list:
        case Verb::info:
            merge(listed_patterns(command, rules_), result);
            break;
        case Verb::show:
            return Error{ExitStatus::unavailable,
                         "how often patterns were found is known to a running daemon only"};
        case Verb::lint:
            result.lines = lint_lines(*rules_.patterns().find(command.object));
            break;
        case Verb::create:
            break;
    }
    return Done{};
}

Result<Done> PatternWork::create(const language::PatternCommand& command, OperationResult& result) {
    PatternCatalogue& patterns = rules_.patterns();
    const PatternSettings wanted = PatternCatalogue::settings_of(command);
    const PatternObject* there = patterns.find(command.object);
    if (there == nullptr) {
        changed_ = true;
        return patterns.create(command.object, wanted);
    }
    if (!command.missing) {
        refuse(result, command.verb, command.object, "the object exists already");
    } else if (command.or_flush) {
        const std::size_t users =
            there->settings.type == wanted.type ? 0 : rules_.pattern_references(command.object);
        if (users != 0) {
            refuse(result, command.verb, command.object,
                   "the object exists already, of the other type, and " + users_text(users));
            return Done{};
        }
        patterns.reset(command.object, wanted);
        changed_ = true;
    } else if (!(there->settings == wanted)) {
        refuse(result, command.verb, command.object,
               "the object exists already, with " + ruleset::settings_text(there->settings));
    }
    return Done{};
}

Result<std::string> PatternWork::read(const PatternOperation& operation, std::size_t entry) {
    const language::PatternCommand& command = operation.command;
    const std::string& typed = command.entries[entry].pattern;
    auto text = rules_.patterns().read(command.object, typed);
    if (text)
        return std::move(*text);
    failed_line_ = operation.lines.empty() ? 0 : operation.lines[entry];
    return Error{ExitStatus::data, "bad pattern " + typed + ": character " +
                                       std::to_string(text.error().column + 1) + ": " +
                                       text.error().message};
}

Result<Done> PatternWork::add(const PatternOperation& operation, OperationResult& result) {
    using Change = PatternCatalogue::Change;
    const language::PatternCommand& command = operation.command;
    for (std::size_t i = 0; i < command.entries.size(); ++i) {
        const Result<std::string> text = read(operation, i);
        if (!text)
            return text.error();
        const std::uint32_t value = command.entries[i].value.value_or(0);
        const Change change = rules_.patterns().add(command.object, *text, value, operation.quiet);
        changed_ |= change != Change::exists;
        if (!operation.quiet)
            result.lines.push_back((change == Change::done ? "added: " : "exists: ") + *text +
                                   value_text(value));
        if (change == Change::exists) {
            failed_line_ = operation.lines.empty() ? 0 : operation.lines[i];
            refuse(result, command.verb, command.object, "pattern already exists");
            break;
        }
    }
    return Done{};
}

Result<Done> PatternWork::remove(const PatternOperation& operation, OperationResult& result) {
    using Change = PatternCatalogue::Change;
    const language::PatternCommand& command = operation.command;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < command.entries.size(); ++i) {
        Result<std::string> text = read(operation, i);
        if (!text)
            return text.error();
        texts.push_back(std::move(*text));
    }
    const std::vector<Change> changes = rules_.patterns().remove(command.object, texts);
    bool missing = false;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const bool there = changes[i] == Change::done;
        changed_ |= there;
        if (!operation.quiet)
            result.lines.push_back((there ? "deleted: " : "notfound: ") + texts[i]);
        if (!there && !missing && !operation.lines.empty())
            failed_line_ = operation.lines[i];
        missing |= !there;
    }
    if (missing)
        refuse(result, command.verb, command.object, "pattern not found");
    return Done{};
}

Result<Done> PatternWork::load(const language::PatternCommand& command, OperationResult& result) {
    const auto counts = rules_.patterns().load(command.object, command.file, command.content);
    if (!counts)
        return counts.error();
    changed_ |= counts->added + counts->changed + counts->removed != 0;
    result.lines.push_back("loaded: " + std::to_string(counts->patterns) + " patterns, " +
                           std::to_string(counts->added) + " added, " +
                           std::to_string(counts->changed) + " changed, " +
                           std::to_string(counts->removed) + " removed");
    return Done{};
}

void PatternWork::destroy(const language::PatternCommand& command, OperationResult& result) {
    if (const std::size_t users = rules_.pattern_references(command.object); users != 0)
        return refuse(result, command.verb, command.object, users_text(users));
    rules_.patterns().destroy(command.object);
    changed_ = true;
}

void PatternWork::swap(const language::PatternCommand& command, OperationResult& result) {
    PatternCatalogue& patterns = rules_.patterns();
    const PatternObject* other = patterns.find(command.other);
    if (other == nullptr)
        return refuse(result, command.verb, command.object,
                      "pattern object " + command.other + " not found");
    if (other->settings.type != patterns.find(command.object)->settings.type)
        return refuse(result, command.verb, command.object, "the objects differ in type");
    if (command.other == command.object)
        return;
    patterns.swap(command.object, command.other);
    changed_ = true;
}

OperationResult listed_patterns(const language::PatternCommand& command,
                                const ruleset::Ruleset& rules) {
    const PatternObject& object = *rules.patterns().find(command.object);
    OperationResult result;
    ListedPatternObject listed{
        .name = object.name,
        .settings = ruleset::settings_text(object.settings),
        .references = rules.pattern_references(object.name),
        .items = object.patterns.size(),
        .database_bytes = object.database ? object.database->bytes.size() : 0,
        .patterns = {},
        .running = {}};
    if (command.verb != Verb::info) {
        if (object.patterns.size() > kMaximumListedPatterns) {
            result.status = ExitStatus::unavailable;
            result.complaints.push_back(
                std::to_string(object.patterns.size()) +
                " patterns are too many for one answer; `info` tells how many there are");
            return result;
        }
        for (const patterns::Pattern& pattern : object.patterns)
            listed.patterns.push_back({pattern.text, pattern.value, std::nullopt});
    }
    result.pattern_objects.push_back(std::move(listed));
    return result;
}

PatternProblem pattern_problem(const Request& request, const ruleset::Ruleset& rules,
                               const Error& error) {
    const auto& blame = rules.patterns().blame();
    const PatternObject* object = blame ? rules.patterns().find(blame->object) : nullptr;
    if (object == nullptr)
        return {0, error};
    // The last one that says so made it what it is.
    for (auto operation = request.operations.rbegin(); operation != request.operations.rend();
         ++operation) {
        const auto* pattern = std::get_if<PatternOperation>(&operation->what);
        if (pattern == nullptr || pattern->command.object != blame->object)
            continue;
        const language::PatternCommand& command = pattern->command;
        if (command.verb == Verb::load) {
            const auto place = PatternCatalogue::place_in_file(object->settings.type,
                                                               command.content, blame->pattern);
            if (place)
                return {operation->line,
                        {error.status, command.file + ":" + std::to_string(place->line) + ":" +
                                           std::to_string(place->column + blame->column + 1) +
                                           ": " + blame->why}};
        }
        if (command.verb != Verb::add)
            continue;
        for (std::size_t i = 0; i < command.entries.size(); ++i) {
            const auto text = rules.patterns().read(blame->object, command.entries[i].pattern);
            if (text && *text == blame->pattern)
                return {pattern->lines.empty() ? operation->line : pattern->lines[i], error};
        }
    }
    return {0, error};
}

}  // namespace sluice::service
