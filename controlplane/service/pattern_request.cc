#include "controlplane/service/pattern_request.h"

#include "controlplane/service/pattern_work.h"

namespace sluice::service {
namespace {

using Verb = language::PatternCommand::Verb;

const PatternOperation* counting_operation(const Request& request) {
    if (request.operations.size() != 1)
        return nullptr;
    const auto* pattern = std::get_if<PatternOperation>(&request.operations.front().what);
    const bool counts = pattern != nullptr && (pattern->command.verb == Verb::show ||
                                               pattern->command.verb == Verb::info);
    return counts ? pattern : nullptr;
}

}  // namespace

const ruleset::PatternObject* counted_object(const Request& request,
                                             const ruleset::Ruleset& rules) {
    const PatternOperation* operation = counting_operation(request);
    return operation != nullptr ? rules.patterns().find(operation->command.object) : nullptr;
}

OperationResult counted_result(const Request& request, const ruleset::Ruleset& rules,
                               const PatternAnswer& answer) {
    const PatternOperation& operation = *counting_operation(request);
    OperationResult result = listed_patterns(operation.command, rules);
    if (result.pattern_objects.empty())
        return result;
    ListedPatternObject& object = result.pattern_objects.front();
    object.running = RunningPatterns{.database_bytes = answer.report.database_bytes,
                                     .scratch_bytes = answer.report.scratch_bytes,
                                     .stream_bytes = answer.report.stream_bytes,
                                     .streams = answer.report.streams};
    // Another number of patterns would be those of another object.
    if (object.patterns.size() == answer.hits.size())
        for (std::size_t i = 0; i < object.patterns.size(); ++i)
            object.patterns[i].hits = answer.hits[i];
    return result;
}

}  // namespace sluice::service
