#include "dataplane/app/pattern_report.h"

#include <cstring>
#include <string>

namespace sluice::dataplane {

Result<std::vector<std::byte>> report_pattern(const program::Runtime* runtime,
                                              std::string_view name) {
    if (runtime == nullptr)
        return Error{ExitStatus::unavailable, "no ruleset has been loaded yet"};
    const auto objects = runtime->view().pattern_objects();
    std::size_t at = 0;
    while (at < objects.size() && objects[at].name != name)
        ++at;
    if (at == objects.size())
        return Error{ExitStatus::unavailable,
                     "no pattern object of the running ruleset is called " + std::string(name)};
    const payload::Matcher& matcher = *runtime->payload_objects()[at].matcher;
    const contract::PatternReport report{.database_bytes = matcher.database_bytes(),
                                         .scratch_bytes = matcher.scratch_bytes(),
                                         .stream_bytes = matcher.stream_bytes(),
                                         .streams = matcher.streams(),
                                         .pattern_count = matcher.pattern_count()};
    std::vector<std::byte> bytes(sizeof report + matcher.pattern_count() * sizeof(std::uint64_t));
    std::memcpy(bytes.data(), &report, sizeof report);
    for (std::size_t i = 0; i < matcher.pattern_count(); ++i) {
        const std::uint64_t hits = matcher.hits(i);
        std::memcpy(bytes.data() + sizeof report + i * sizeof hits, &hits, sizeof hits);
    }
    return bytes;
}

}  // namespace sluice::dataplane
