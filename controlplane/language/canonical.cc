#include "controlplane/language/canonical.h"

#include <algorithm>

namespace sluice::language {

namespace {

bool is_address_of(const Group& group, Side side) {
    return std::all_of(group.any_of.begin(), group.any_of.end(), [side](const Term& term) {
        const auto* address = std::get_if<AddressMatch>(&term.match);
        return address != nullptr && address->side == side;
    });
}

bool is_ports_of(const Group& group, Side side) {
    if (group.any_of.size() != 1)
        return false;
    const auto* ports = std::get_if<PortMatch>(&group.any_of.front().match);
    return ports != nullptr && ports->side == side;
}

// Moves the option into the body if the body has room for it.
bool hoist(Body& body, const Group& option) {
    bool no_ports = !body.source_ports && !body.destination_ports;
    bool any_source = body.source.any_of.empty();
    bool any_destination = body.destination.any_of.empty();
    if (is_ports_of(option, Side::source) && no_ports && any_destination) {
        body.source_ports = option.any_of.front();
        return true;
    }
    if (is_ports_of(option, Side::destination) && !body.destination_ports) {
        body.destination_ports = option.any_of.front();
        return true;
    }
    if (is_address_of(option, Side::source) && any_source && any_destination && no_ports) {
        body.source = option;
        return true;
    }
    if (is_address_of(option, Side::destination) && any_destination && !body.destination_ports) {
        body.destination = option;
        return true;
    }
    return false;
}

}  // namespace

void canonicalise(Rule& rule) {
    constexpr std::uint32_t kUnreachableHost = 1;
    if (rule.action.kind == ActionKind::unreach &&
        rule.action.argument == Argument{false, kUnreachableHost}) {
        rule.action = Action{};
        rule.action.kind = ActionKind::reject;
    }
    if (rule.action.kind == ActionKind::check_state)
        return;
    if (!rule.body) {
        if (rule.options.empty() && !rule.state)
            rule.body = Body{};
        return;
    }
    if (*rule.body == Body{})
        return;
    auto option = rule.options.begin();
    while (option != rule.options.end() && hoist(*rule.body, *option))
        ++option;
    rule.options.erase(rule.options.begin(), option);
}

}  // namespace sluice::language
