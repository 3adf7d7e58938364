#include "controlplane/cli/trace_json.h"

#include <charconv>
#include <optional>

#include "controlplane/cli/json_text.h"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHeading = "-- ", kVerdict = "verdict: ", kNote = "note: ",
                           kWarning = "warning: ", kIndent = "      ";

std::optional<std::string_view> behind(std::string_view start, std::string_view line) {
    if (!line.starts_with(start))
        return std::nullopt;
    return line.substr(start.size());
}

Json new_trace() {
    return {{"if", nullptr}, {"steps", Json::array()}, {"verdict", ""}, {"notes", Json::array()}};
}

// `00100 allow ip from any to any`
Json step(std::string_view line) {
    unsigned number = 0;
    const char* const end = line.data() + line.size();
    const char* const stop = std::from_chars(line.data(), end, number).ptr;
    return {{"number", number},
            {"rule", std::string_view(stop + (stop != end ? 1 : 0), end)},
            {"outcome", ""}};
}

void add(std::string_view line, Json& trace) {
    if (const auto verdict = behind(kVerdict, line))
        trace["verdict"] = *verdict;
    else if (const auto outcome = behind(kIndent, line); outcome && !trace["steps"].empty())
        trace["steps"].back()["outcome"] = *outcome;
    else if (line.starts_with(kNote) || line.starts_with(kWarning))
        trace["notes"].push_back(line);
    else
        trace["steps"].push_back(step(line));
}

}  // namespace

std::string trace_json(std::string_view text) {
    Json traces = Json::array();
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), end + 1));
        const bool heading = line.starts_with(kHeading);
        if (heading || traces.empty())
            traces.push_back(new_trace());
        if (heading)  // "-- if `prob` matches --"
            traces.back()["if"] = line.find("does not") == line.npos ? "match" : "skip";
        else
            add(line, traces.back());
    }
    return json_text("sluice/trace/1", {{"traces", std::move(traces)}});
}

}  // namespace sluice::cli
