#include "controlplane/service/apply_json.h"

namespace sluice::service {

json apply_json(const ApplyOrder& order) {
    json object = {{"confirm", order.confirm_s}, {"states", static_cast<unsigned>(order.states)}};
    if (order.if_generation)
        object["if_generation"] = *order.if_generation;
    return object;
}

json applied_json(const ApplyReport& report) {
    json object = {{"before", report.generation_before},
                   {"added", report.difference.added},
                   {"removed", report.difference.removed},
                   {"changed", report.difference.changed}};
    if (report.states)
        object["states"] = {{"kept", report.states->kept},
                            {"moved", report.states->moved},
                            {"killed", report.states->killed}};
    return object;
}

ApplyOrder read_apply(const json& value, std::string& problem) {
    Reader in(value, problem);
    ApplyOrder order;
    if (in.field("if_generation") != nullptr)
        order.if_generation = in.number("if_generation", kMaximum64);
    order.confirm_s = static_cast<std::uint32_t>(in.number("confirm", kLongestConfirm.count()));
    order.states = static_cast<KeptStates>(
        in.number("states", static_cast<std::uint64_t>(KeptStates::judged_anew)));
    return order;
}

ApplyReport read_applied(const json& value, std::string& problem) {
    Reader in(value, problem);
    ApplyReport report{.generation_before = in.number("before", kMaximum64),
                       .difference = {.added = in.number("added", kMaximum32),
                                      .removed = in.number("removed", kMaximum32),
                                      .changed = in.number("changed", kMaximum32)}};
    if (const json* states = in.field("states"); states != nullptr) {
        Reader of_states(*states, problem);
        report.states = {.kept = of_states.number("kept", kMaximum64),
                         .moved = of_states.number("moved", kMaximum64),
                         .killed = of_states.number("killed", kMaximum64)};
    }
    return report;
}

}  // namespace sluice::service
