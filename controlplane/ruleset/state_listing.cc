#include "controlplane/ruleset/state_listing.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

namespace sluice::ruleset {
namespace {

using contract::StateKind;
using contract::StateRecord;

std::variant<Ipv4, Ipv6> address_of(const Ipv6& bytes, std::uint8_t version) {
    if (version == 6)
        return bytes;
    Ipv4 v4;
    std::memcpy(&v4, bytes.bytes.data(), sizeof v4);
    return v4;
}

ListedState listed(const StateRecord& record, std::string name) {
    return {.number = record.rule_number,
            .kind = record.kind,
            .protocol = record.protocol,
            .packets = record.packets,
            .bytes = record.bytes,
            .expires_s = record.expires_s,
            .age_s = record.age_s,
            .children = record.children,
            .source = address_of(record.source, record.ip_version),
            .destination = address_of(record.destination, record.ip_version),
            .source_port = record.source_port,
            .destination_port = record.destination_port,
            .name = std::move(name),
            .answered = record.answered != 0};
}

// What makes two counting entries the same one: the rule and what its mask leaves of the flow.
using ParentKey =
    std::tuple<std::uint32_t, std::uint8_t, std::uint8_t, std::array<std::uint8_t, 16>,
               std::array<std::uint8_t, 16>, std::uint16_t, std::uint16_t>;

ParentKey parent_key(const StateRecord& record) {
    namespace mask = contract::limit_mask;
    const auto has = [&](std::uint8_t part) { return (record.limit_mask & part) != 0; };
    const auto bytes = [&](const Ipv6& address, std::uint8_t part) {
        std::array<std::uint8_t, 16> kept{};
        if (has(part))
            std::memcpy(kept.data(), address.bytes.data(), record.ip_version == 6 ? 16 : 4);
        return kept;
    };
    return {record.rule_id,
            record.ip_version,
            record.protocol,
            bytes(record.source, mask::source_address),
            bytes(record.destination, mask::destination_address),
            has(mask::source_port) ? record.source_port : std::uint16_t{0},
            has(mask::destination_port) ? record.destination_port : std::uint16_t{0}};
}

// Rules by id, and, for states whose rule has gone meanwhile, names by number.
class Rules {
  public:
    explicit Rules(const Ruleset& ruleset) {
        for (const auto& list : {ruleset.rules(), ruleset.orphans()})
            for (const RulePointer& rule : list)
                if (rule->rule.state) {
                    by_id_[rule->id] = rule;
                    const std::string& name = rule->rule.state->name;
                    names_[contract::state_name_id(name)] = name;
                }
    }
    const StoredRule* find(std::uint32_t id) const {
        const auto at = by_id_.find(id);
        return at == by_id_.end() ? nullptr : at->second.get();
    }
    std::string name(std::uint32_t number) const {
        const auto at = names_.find(number);
        return at == names_.end() ? "?" : at->second;
    }

  private:
    std::unordered_map<std::uint32_t, RulePointer> by_id_;
    std::unordered_map<std::uint32_t, std::string> names_;
};

auto order(const ListedState& state) {
    // The oldest first; what is as old in an order that is always the same.
    return std::tuple(state.number, UINT32_MAX - state.age_s, state.kind, state.protocol,
                      state.source.index(), state.source_port, state.destination_port);
}

bool before(const ListedState& a, const ListedState& b) {
    const auto left = order(a), right = order(b);
    if (left != right)
        return left < right;
    const auto text = [](const auto& address) {
        return std::visit([](const auto& value) { return to_string(value); }, address);
    };
    return std::pair(text(a.source), text(a.destination)) <
           std::pair(text(b.source), text(b.destination));
}

}  // namespace

Result<std::vector<ListedState>> list_states(std::span<const StateRecord> records,
                                             const Ruleset& ruleset, ExpiredStates expired,
                                             std::optional<std::uint8_t> in_set) {
    const Rules rules(ruleset);
    std::vector<ListedState> result;
    std::map<ParentKey, std::size_t> parents;  // where they are in `result`
    for (const StateRecord& shared : records) {
        const StateRecord record = shared;
        if (record.kind > StateKind::parent || (record.ip_version != 4 && record.ip_version != 6))
            return Error{ExitStatus::software, "sluice-dataplane sends states that make no sense"};
        const StoredRule* rule = rules.find(record.rule_id);
        if (in_set && (rule == nullptr || rule->rule.set != *in_set))
            continue;
        const bool parent = record.kind == StateKind::parent;
        if (!parent && record.expires_s == 0 && expired == ExpiredStates::hide)
            continue;
        ListedState state = listed(record, rules.name(record.name));
        if (!parent) {
            result.push_back(std::move(state));
            continue;
        }
        const auto [at, first] = parents.try_emplace(parent_key(record), result.size());
        if (first) {
            result.push_back(std::move(state));
            continue;
        }
        ListedState& sum = result[at->second];
        sum.children += state.children;
        sum.packets += state.packets;
        sum.bytes += state.bytes;
        sum.expires_s = std::max(sum.expires_s, state.expires_s);
        sum.age_s = std::max(sum.age_s, state.age_s);
    }
    std::sort(result.begin(), result.end(), before);
    return result;
}

}  // namespace sluice::ruleset
