// What a command says: the lines for standard output, the complaints for standard error, and the
// exit status, as ipfw(8) has them.
#pragma once

#include <span>
#include <string>

#include "common/exit_status.h"
#include "controlplane/language/command.h"
#include "controlplane/service/protocol.h"

namespace sluice::cli {

struct Output {
    std::string out;  // standard output
    std::string err;  // standard error
    ExitStatus status = ExitStatus::ok;

    // Adds a line for standard error. `line`: of the rule file; 0: `ipfw: ` stands in front.
    void complain(const std::string& text, std::uint32_t line = 0);
};

// A rule as `list` shows it with these flags; the text is printed anew where flags ask for it.
ruleset::ListedRule as_shown(ruleset::ListedRule rule, const language::Flags& flags);

// How a rule that was just added, or would be (`-n`), is echoed.
std::string echo(const ruleset::ListedRule& rule, const language::Flags& flags);

// The results of the operations of one command, in order.
void show_results(const language::Command& command, const language::Flags& flags,
                  std::span<const service::OperationResult> results, std::uint32_t line,
                  Output& output);

}  // namespace sluice::cli
