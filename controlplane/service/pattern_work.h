// `pattern …` on the ruleset of a script: what it changes there, and what is told of it.
#pragma once

#include <cstdint>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// What is known of an object without asking anybody: `info`, and with its patterns `list` and
// `show`. REQUIRES: it is there.
OperationResult listed_patterns(const language::PatternCommand& command,
                                const ruleset::Ruleset& rules);

// Why the patterns of a script cannot be compiled, said of the line that has the pattern. `line` 0:
// it has been there before.
struct PatternProblem {
    std::uint32_t line = 0;
    Error error;
};
PatternProblem pattern_problem(const Request& request, const ruleset::Ruleset& rules,
                               const Error& error);

class PatternWork {
  public:
    explicit PatternWork(ruleset::Ruleset& rules) : rules_(rules) {}

    // An error ends the script; what only deserves a complaint and a status goes into the result.
    Result<Done> carry_out(const PatternOperation& operation, OperationResult& result);

    // Whether the ruleset is another one now.
    bool has_changed() const { return changed_; }
    // After an error: the line that is to blame; 0: that of the operation.
    std::uint32_t failed_line() const { return failed_line_; }

  private:
    Result<Done> for_all(const PatternOperation& operation, OperationResult& result);
    Result<Done> create(const language::PatternCommand& command, OperationResult& result);
    Result<Done> add(const PatternOperation& operation, OperationResult& result);
    Result<Done> remove(const PatternOperation& operation, OperationResult& result);
    Result<Done> load(const language::PatternCommand& command, OperationResult& result);
    void destroy(const language::PatternCommand& command, OperationResult& result);
    void swap(const language::PatternCommand& command, OperationResult& result);
    Result<std::string> read(const PatternOperation& operation, std::size_t entry);

    ruleset::Ruleset& rules_;
    bool changed_ = false;
    std::uint32_t failed_line_ = 0;
};

}  // namespace sluice::service
