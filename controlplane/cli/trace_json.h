// The text of a trace (compiler/trace_text.h) as JSON (json_text.h).
#pragma once

#include <string>
#include <string_view>

namespace sluice::cli {

// `text`: one trace, or two, one for each answer of `prob`.
std::string trace_json(std::string_view text);

}  // namespace sluice::cli
