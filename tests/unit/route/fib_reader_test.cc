// Threads look up while the writer adds, replaces and removes routes and neighbours: what they see
// is always of the network that they asked for. Also to be run with the thread sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/route/fib.h"

namespace sluice::route {
namespace {

using Random = std::mt19937;

constexpr unsigned kReaders = 2;

// A counter for each reader that rises when the reader holds nothing.
class Quiescence {
  public:
    std::uint64_t begin_period() { return period_.fetch_add(1) + 1; }
    bool period_over(std::uint64_t period) const {
        return std::all_of(std::begin(seen_), std::end(seen_), [&](const Seen& seen) {
            return seen.value.load(std::memory_order_acquire) >= period;
        });
    }
    void quiescent(unsigned reader) {
        seen_[reader].value.store(period_.load(std::memory_order_acquire),
                                  std::memory_order_release);
    }

  private:
    struct alignas(64) Seen {
        std::atomic<std::uint64_t> value = 0;
    };
    std::atomic<std::uint64_t> period_ = 0;
    Seen seen_[kReaders];
};

// The networks 10.0.x.0/24 stay, by interface x and a gateway; in each a longer route by interface
// x + 1000 comes and goes, and neighbours with it. Whatever a reader sees must be of its network.
TEST(FibReaders, NoPacketGoesAstrayWhileRoutesChange) {
    constexpr unsigned kNetworks = 200;
    constexpr unsigned kChanges = 30000;
    auto made = Fib::create({});
    ASSERT_TRUE(made);
    Fib& fib = **made;
    Quiescence quiescence;
    const auto network = [](unsigned i, unsigned host) {
        return Ipv4::from_host(0x0a000000 | i << 8 | host);
    };
    const auto gateway = [](unsigned i) { return Ipv4::from_host(0xc0000200 | i); };
    for (unsigned i = 0; i < kNetworks; ++i)
        ASSERT_TRUE(fib.set_route(
            {network(i, 0), 24},
            {.paths = {{.interface = static_cast<std::uint16_t>(i), .gateway = gateway(i)}}}));
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> wrong = 0, longer = 0, resolved = 0;
    std::vector<std::thread> readers;
    for (unsigned reader = 0; reader < kReaders; ++reader)
        readers.emplace_back([&, reader] {
            Random random(reader);
            std::uint64_t bad = 0, changed = 0, known = 0;
            std::vector<Ipv4> burst(32);
            std::vector<std::uint32_t> hashes(32);
            std::vector<const NextHop*> found(32);
            std::vector<unsigned> places(32);
            while (!stop.load(std::memory_order_relaxed)) {
                for (std::size_t i = 0; i < burst.size(); ++i) {
                    places[i] = static_cast<unsigned>(random() % kNetworks);
                    burst[i] = network(places[i], random() & 0xff);
                    hashes[i] = static_cast<std::uint32_t>(random());
                }
                fib.find(burst, hashes, found);
                for (std::size_t i = 0; i < burst.size(); ++i) {
                    const NextHop& hop = *found[i];
                    if (hop.kind != Kind::forward || hop.interface % 1000 != places[i]) {
                        ++bad;
                        continue;
                    }
                    changed += hop.interface >= 1000 ? 1 : 0;
                    if (hop.neighbour == kNoNeighbour)
                        continue;
                    const Neighbour& neighbour = fib.neighbour(hop.neighbour);
                    neighbour.mark_used();
                    const auto mac = neighbour.mac();
                    known += mac ? 1 : 0;
                    if (mac && mac->bytes[5] != places[i])
                        ++bad;
                }
                quiescence.quiescent(reader);
            }
            wrong += bad;
            longer += changed;
            resolved += known;
        });
    Random random(7);
    for (unsigned i = 0; i < kChanges; ++i) {
        const auto place = static_cast<unsigned>(random() % kNetworks);
        const auto inner = static_cast<packet::InterfaceIndex>(1000 + place);
        const MacAddress mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(place)}};
        const auto host = static_cast<unsigned>(random() % 128);
        const Prefix longer_prefix = {network(place, host),
                                      25 + static_cast<unsigned>(random() % 8)};
        switch (random() % 6) {
            case 0:
                ASSERT_TRUE(fib.set_route(longer_prefix, {.paths = {{.interface = inner}}}));
                break;
            case 1:
                ASSERT_TRUE(fib.set_route(
                    longer_prefix,
                    {.paths = {{.interface = inner, .gateway = gateway(place)},
                               {.interface = static_cast<packet::InterfaceIndex>(place),
                                .gateway = gateway(place)}}}));
                break;
            case 2:
                fib.remove_route(longer_prefix);
                break;
            case 3:
                ASSERT_TRUE(fib.set_neighbour(inner, network(place, host), mac));
                break;
            case 4:
                fib.remove_neighbour(inner, network(place, host));
                break;
            default:
                ASSERT_TRUE(fib.set_neighbour(static_cast<packet::InterfaceIndex>(place),
                                              gateway(place), mac));
                break;
        }
        fib.reclaim(quiescence);
    }
    stop = true;
    for (std::thread& reader : readers)
        reader.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_GT(longer, 0U);
    EXPECT_GT(resolved, 0U);
}

}  // namespace
}  // namespace sluice::route
