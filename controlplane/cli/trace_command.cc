#include "controlplane/cli/trace_command.h"

#include <algorithm>

namespace sluice::cli {

bool is_trace_command(std::span<const std::string> arguments) {
    return !arguments.empty() && arguments.front() == "trace";
}

bool traces_a_file(std::span<const std::string> arguments) {
    return std::find_if(arguments.begin(), arguments.end(), [](const std::string& word) {
               return word == "--rules" || word == "--env";
           }) != arguments.end();
}

Result<TraceCommand> parse_trace_command(std::span<const std::string> arguments) {
    constexpr char kUsage[] =
        "; usage: ipfw trace [--rules FILE [--env ENV]] [--prob-as match|skip] PACKET, as in ipfw "
        "trace 'in em0 tcp 1.2.3.4:5 > 6.7.8.9:80 S'";
    TraceCommand command;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (!word.starts_with("--")) {
            command.packet += (command.packet.empty() ? "" : " ") + word;
            continue;
        }
        const std::string value = i + 1 < arguments.size() ? arguments[i + 1] : "";
        if (word != "--prob-as" || (value != "match" && value != "skip"))
            return Error{ExitStatus::usage, "trace: found " + word + " " + value + kUsage};
        command.chances = {value == "match" ? contract::ChanceIs::match : contract::ChanceIs::skip};
        ++i;
    }
    if (command.packet.empty())
        return Error{ExitStatus::usage, std::string("trace: a packet is missing") + kUsage};
    return command;
}

bool told_by_chance(const service::OperationResult& trace) {
    return std::any_of(trace.lines.begin(), trace.lines.end(), [](const std::string& line) {
        return line.starts_with(' ') && line.find("; by chance (--prob-as)") != line.npos;
    });
}

}  // namespace sluice::cli
