// A rule file, checked as loading it would: read, carried out on an empty ruleset by the script of
// the control plane, its tables filled, compiled, and the snapshot validated as the data plane
// does. What is refused here is refused there, with the same sentence and status; no daemon is
// asked. Unlike a load, which ends at the first, this tells of all rules that are not carried out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/exit_status.h"
#include "controlplane/language/names.h"
#include "controlplane/ruleset/ruleset.h"

namespace sluice::analysis {

struct Remark {
    std::size_t line = 0;    // 0: about the file as a whole
    std::size_t column = 0;  // 0: about the line as a whole
    std::string text;
    bool operator==(const Remark&) const = default;

    // `rules:3:15: `, or as much of it as is known.
    std::string place(const std::string& file) const;
};

struct CheckedFile {
    ExitStatus status = ExitStatus::ok;  // that a load ends with
    std::vector<Remark> errors;          // at most language::kMaximumFileErrors
    std::vector<Remark> warnings;
    std::optional<ruleset::Ruleset> ruleset;  // none: there are errors
    std::vector<std::size_t> lines;           // where each of its rules was added, in their order
};

CheckedFile check_file(std::string_view text, const language::NameResolver& resolver);

}  // namespace sluice::analysis
