#include "controlplane/service/history_json.h"

namespace sluice::service {

json history_json(const std::vector<history::Entry>& entries) {
    json list = json::array();
    for (const history::Entry& entry : entries)
        list.push_back({{"number", entry.number},
                        {"generation", entry.generation},
                        {"time", entry.time_s},
                        {"written", entry.written_s},
                        {"uid", entry.uid},
                        {"user", entry.user},
                        {"command", entry.did},
                        {"added", entry.difference.added},
                        {"removed", entry.difference.removed},
                        {"changed", entry.difference.changed},
                        {"restores", entry.restores}});
    return list;
}

history::Entry read_history_entry(const json& value, std::string& problem) {
    Reader in(value, problem);
    history::Entry entry;
    entry.number = in.number("number", kMaximum64);
    entry.generation = in.number("generation", kMaximum64);
    entry.time_s = in.number("time", kMaximum64);
    entry.written_s = in.number("written", kMaximum64);
    entry.uid = static_cast<std::uint32_t>(in.number("uid", kMaximum32));
    entry.user = in.string("user");
    entry.did = in.string("command");
    entry.difference = {.added = in.number("added", kMaximum32),
                        .removed = in.number("removed", kMaximum32),
                        .changed = in.number("changed", kMaximum32)};
    entry.restores = in.number("restores", kMaximum64);
    return entry;
}

}  // namespace sluice::service
