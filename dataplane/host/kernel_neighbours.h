// The neighbours that the kernel knows on our links, and what is asked of it about them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/host/interfaces.h"
#include "dataplane/host/messages.h"
#include "dataplane/route/fib.h"

namespace sluice::host {

class KernelNeighbours {
  public:
    KernelNeighbours(const Interfaces& interfaces, route::Fib& fib)
        : interfaces_(interfaces), fib_(fib) {}

    void apply(const NeighbourMessage& message);
    // The links are other interfaces than before, or none any more.
    void touch(const Interfaces::Touched& links);
    void begin_dump() { ++epoch_; }
    void end_dump();

    struct Wanted {
        LinkIndex link = 0;
        route::Address address;
    };
    // Looks at up to `most` neighbours of the Fib: those that workers have used since the last
    // round, and that the kernel is about to forget. True: the round is not over.
    bool refresh(std::size_t most, std::vector<Wanted>& wanted);
    // Whether the kernel may be asked for a neighbour now; a bounded number in a second, and the
    // same one once in a second.
    bool may_ask(LinkIndex link, const route::Address& address, std::uint64_t now_ms);

    std::uint64_t refused() const { return refused_; }
    std::string take_refusal() { return std::exchange(refusal_, {}); }
    std::size_t size() const { return known_.size(); }

  private:
    struct Key {
        LinkIndex link = 0;
        std::array<std::uint8_t, 16> address{};
        std::uint8_t version = 4;

        auto operator<=>(const Key&) const = default;
    };
    struct Known {
        route::Address address;
        MacAddress mac{};
        packet::InterfaceIndex interface = packet::kNoInterface;  // under which the Fib has it
        bool stale = false;
        std::uint8_t epoch = 0;
    };
    static constexpr std::size_t kAskedInASecond = 1000;
    static constexpr std::uint64_t kSecond = 1000;

    static Key key(LinkIndex link, const route::Address& address) {
        return {link, address_bytes(address),
                static_cast<std::uint8_t>(std::holds_alternative<Ipv4>(address) ? 4 : 6)};
    }
    void install(const Key& key, Known& known);
    void withdraw(const Known& known);

    const Interfaces& interfaces_;
    route::Fib& fib_;
    std::map<Key, Known> known_;
    std::map<Key, std::uint64_t> asked_;  // when, in ms
    std::uint64_t asked_since_ms_ = 0;
    std::size_t asked_count_ = 0;
    route::NeighbourIndex cursor_ = 1;
    std::uint8_t epoch_ = 0;
    std::uint64_t refused_ = 0;
    std::string refusal_;
};

}  // namespace sluice::host
