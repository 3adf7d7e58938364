// What log lines say together: who talked to whom, in which direction, and what became of it.
//
// For each action the flows between an inside and an outside end, with packets in and out, and the
// addresses and ports that occur most. Which end is inside is said by the networks that are, or,
// where they do not tell the ends apart, by the line: what goes out comes from inside.
// Memory is bounded: flows beyond a limit are counted together.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "controlplane/log/log_line_reader.h"

namespace sluice::analysis {

struct InsideNetwork {
    std::variant<Ipv4, Ipv6> address;
    unsigned length = 0;
};
// `10.0.0.0/8,2001:db8::/32`
Result<std::vector<InsideNetwork>> parse_inside(std::string_view text);

enum class Fate : std::uint8_t { accepted, denied, other };  // other: the rules went on
Fate fate_of(std::string_view action);

class LogSummary {
  public:
    static constexpr std::size_t kMaximumFlows = 1'000'000;

    explicit LogSummary(std::vector<InsideNetwork> inside, std::size_t most = kMaximumFlows)
        : inside_(std::move(inside)), most_(most) {}

    void add(std::string_view line);

    struct Counts {
        std::uint64_t in = 0, out = 0, unknown = 0;  // unknown: the line does not say
        std::uint64_t all() const { return in + out + unknown; }
    };
    struct Flow {
        std::string inside, outside;  // `10.0.0.1:80`
        std::string protocol;         // `TCP`
        auto operator<=>(const Flow&) const = default;
    };
    struct Action {
        std::uint64_t packets = 0;
        std::map<Flow, Counts> flows;
        Counts others;  // of flows for which there was no room, and of frames
        std::unordered_map<std::string, std::uint64_t> sources;
        std::unordered_map<std::string, std::uint64_t> ports;  // `80/TCP`, of destinations
    };
    // By the word: all `SkipTo N` are one.
    const std::map<std::string, Action>& actions() const { return actions_; }

    std::uint64_t lines() const { return lines_; }
    std::uint64_t packets(Fate fate) const { return packets_[static_cast<std::size_t>(fate)]; }
    std::uint64_t notices() const { return notices_; }
    std::uint64_t not_ipfw() const { return not_ipfw_; }
    std::uint64_t unreadable() const { return unreadable_; }
    std::uint64_t first_unreadable_line() const { return first_unreadable_line_; }
    const std::string& first_unreadable() const { return first_unreadable_; }
    bool is_full() const { return full_; }  // some flows are counted together

    struct Ranked {
        std::string name;
        std::uint64_t packets = 0;
    };
    // Those with the most packets first.
    static std::vector<Ranked> top(const std::unordered_map<std::string, std::uint64_t>& counts,
                                   std::size_t most);

  private:
    void count(const log::LoggedPacket& packet, std::uint64_t times);
    bool is_inside(const std::variant<Ipv4, Ipv6>& address) const;
    template <typename Map>
    void add_to(Map& map, const std::string& key, std::uint64_t times);

    std::vector<InsideNetwork> inside_;
    std::size_t most_;
    std::size_t kept_ = 0;  // entries of all maps
    bool full_ = false;
    std::map<std::string, Action> actions_;
    std::uint64_t lines_ = 0, notices_ = 0, not_ipfw_ = 0, unreadable_ = 0;
    std::uint64_t packets_[3] = {};
    std::uint64_t first_unreadable_line_ = 0;
    std::string first_unreadable_;
    bool last_was_packet_ = false;
    log::LoggedPacket last_;
};

}  // namespace sluice::analysis
