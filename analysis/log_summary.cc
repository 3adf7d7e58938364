#include "analysis/log_summary.h"

#include <algorithm>
#include <charconv>

#include "controlplane/log/log_line.h"

namespace sluice::analysis {
namespace {

using log::LoggedEnd;
using log::LoggedPacket;
using log::ReadLine;
using Address = std::variant<Ipv4, Ipv6>;

std::string text_of(const Address& address) {
    return std::visit([](const auto& value) { return to_string(value); }, address);
}

std::string text_of(const LoggedEnd& end) {
    if (!end.has_port)
        return text_of(end.address);
    const std::string address = text_of(end.address);
    return (end.address.index() == 0 ? address : "[" + address + "]") + ":" +
           std::to_string(end.port);
}

// Without the numbers behind: `ICMP:8.0` is ICMP, but `P:47` stays what it is.
std::string name_of_protocol(const std::string& protocol) {
    return protocol.starts_with("ICMP") ? protocol.substr(0, protocol.find(':')) : protocol;
}

Error bad_network(std::string_view text) {
    return {ExitStatus::data, "bad network \"" + log::printable(text) +
                                  "\" after --inside; expected ADDRESS/LENGTH, several of them "
                                  "separated by commas"};
}

Result<InsideNetwork> parse_network(std::string_view text) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    InsideNetwork network;
    const std::string_view address = text.substr(0, slash);
    if (const auto v4 = parse_ipv4(address))
        network.address = *v4;
    else if (const auto v6 = parse_ipv6(address))
        network.address = *v6;
    else
        return bad_network(text);
    const unsigned longest = network.address.index() == 0 ? 32 : 128;
    network.length = longest;
    if (slash == text.size())
        return network;
    const std::string_view length = text.substr(slash + 1);
    const auto [end, error] =
        std::from_chars(length.data(), length.data() + length.size(), network.length);
    if (error != std::errc() || end != length.data() + length.size() || network.length > longest)
        return bad_network(text);
    return network;
}

}  // namespace

Result<std::vector<InsideNetwork>> parse_inside(std::string_view text) {
    std::vector<InsideNetwork> networks;
    for (;;) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const Result<InsideNetwork> network = parse_network(text.substr(0, comma));
        if (!network)
            return network.error();
        networks.push_back(*network);
        if (comma == text.size())
            return networks;
        text.remove_prefix(comma + 1);
    }
}

Fate fate_of(std::string_view action) {
    for (const char* word : {"Accept", "Allow", "Forward", "Divert"})
        if (action.starts_with(word))
            return Fate::accepted;
    for (const char* word : {"Deny", "Reject", "Unreach", "Reset", "Abort", "Refuse"})
        if (action.starts_with(word))
            return Fate::denied;
    return Fate::other;
}

bool LogSummary::is_inside(const Address& address) const {
    return std::any_of(inside_.begin(), inside_.end(), [&](const InsideNetwork& network) {
        if (network.address.index() != address.index())
            return false;
        if (const auto* v4 = std::get_if<Ipv4>(&address)) {
            const Ipv4 mask = ipv4_mask(network.length);
            return (*v4 & mask) == (std::get<Ipv4>(network.address) & mask);
        }
        const Ipv6 mask = ipv6_mask(network.length);
        return (std::get<Ipv6>(address) & mask) == (std::get<Ipv6>(network.address) & mask);
    });
}

void LogSummary::add(std::string_view line) {
    ++lines_;
    const ReadLine read = log::read_line(line);
    switch (read.kind) {
        case ReadLine::Kind::packet:
            last_ = read.packet;
            last_was_packet_ = true;
            return count(read.packet, 1);
        case ReadLine::Kind::repeated:
            if (last_was_packet_)
                return count(last_, read.times);
            ++not_ipfw_;
            return;
        case ReadLine::Kind::notice:
            ++notices_;
            break;
        case ReadLine::Kind::other:
            ++not_ipfw_;
            break;
        case ReadLine::Kind::unreadable: {
            constexpr std::size_t kShown = 200;
            if (++unreadable_ == 1) {
                first_unreadable_line_ = lines_;
                first_unreadable_ = log::printable(line.substr(0, kShown));
            }
            break;
        }
    }
    last_was_packet_ = false;
}

template <typename Map>
void LogSummary::add_to(Map& map, const std::string& key, std::uint64_t times) {
    const auto found = map.find(key);
    if (found != map.end()) {
        found->second += times;
    } else if (kept_ < most_) {
        map.emplace(key, times);
        ++kept_;
    } else {
        full_ = true;
    }
}

void LogSummary::count(const LoggedPacket& packet, std::uint64_t times) {
    packets_[static_cast<std::size_t>(fate_of(packet.action))] += times;
    Action& action = actions_[packet.action.substr(0, packet.action.find(' '))];
    action.packets += times;
    using Way = LoggedPacket::Way;
    Way way = packet.way;
    Counts* counts = &action.others;
    if (packet.has_addresses) {
        const bool from_inside = is_inside(packet.source.address),
                   to_inside = is_inside(packet.destination.address);
        if (from_inside != to_inside)
            way = from_inside ? Way::out : Way::in;
        Flow flow{text_of(packet.destination), text_of(packet.source),
                  name_of_protocol(packet.protocol)};
        if (way == Way::out)
            std::swap(flow.inside, flow.outside);
        auto place = action.flows.find(flow);
        if (place == action.flows.end() && kept_ < most_) {
            place = action.flows.emplace(std::move(flow), Counts()).first;
            ++kept_;
        }
        if (place != action.flows.end())
            counts = &place->second;
        else
            full_ = true;
        add_to(action.sources, text_of(packet.source.address), times);
        if (packet.destination.has_port)
            add_to(
                action.ports,
                std::to_string(packet.destination.port) + "/" + name_of_protocol(packet.protocol),
                times);
    }
    (way == Way::in ? counts->in : way == Way::out ? counts->out : counts->unknown) += times;
}

std::vector<LogSummary::Ranked> LogSummary::top(
    const std::unordered_map<std::string, std::uint64_t>& counts, std::size_t most) {
    std::vector<Ranked> ranked;
    for (const auto& [name, packets] : counts)
        ranked.push_back({name, packets});
    const std::size_t kept = std::min(most, ranked.size());
    std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(kept),
                      ranked.end(), [](const Ranked& a, const Ranked& b) {
                          return a.packets != b.packets ? a.packets > b.packets : a.name < b.name;
                      });
    ranked.resize(kept);
    return ranked;
}

}  // namespace sluice::analysis
