// The Fib beside a list of routes that is searched in order: random routes of all lengths, densely
// nested, with neighbours, added, replaced and removed, while readers look up.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "dataplane/route/fib.h"

namespace sluice::route {
namespace {

using Random = std::mt19937;

template <typename T>
struct Version;
template <>
struct Version<Ipv4> {
    static constexpr unsigned kBits = 32;
    static Ipv4 mask(unsigned length) { return ipv4_mask(length); }
    // Few bits differ, so that prefixes nest.
    static Ipv4 random(Random& random) {
        return Ipv4::from_host(0x0a000000 | (random() & 0x00030303) | (random() % 4 << 6));
    }
    static std::array<std::uint8_t, 16> order(Ipv4 address) {
        std::array<std::uint8_t, 16> bytes{};
        std::copy_n(address.value.bytes, 4, bytes.begin());
        return bytes;
    }
};
template <>
struct Version<Ipv6> {
    static constexpr unsigned kBits = 128;
    static Ipv6 mask(unsigned length) { return ipv6_mask(length); }
    static Ipv6 random(Random& random) {
        Ipv6 address;
        address.bytes[0] = 0x20;
        for (std::size_t i = 1; i < 16; ++i)
            if (random() % 4 == 0)
                address.bytes[i] = static_cast<std::uint8_t>(random() % 2 == 0 ? 1 : 0x80);
        return address;
    }
    static std::array<std::uint8_t, 16> order(const Ipv6& address) { return address.bytes; }
};

// Lengths at the borders of levels, and all others. Very short ones are rare: each fills millions
// of slots.
unsigned random_length(Random& random, unsigned bits) {
    const unsigned border = 8 * (random() % (bits / 8 + 1));
    unsigned length = static_cast<unsigned>(random() % (bits + 1));
    if (random() % 2 == 0)
        length = std::min(border + static_cast<unsigned>(random() % 2), bits);
    return length > 0 && length < 9 && random() % 32 != 0 ? length + 9 : length;
}

template <typename T>
class Model {
  public:
    using Bytes = std::array<std::uint8_t, 16>;
    using Neighbours = std::map<std::pair<packet::InterfaceIndex, Bytes>, MacAddress>;

    void set(T address, unsigned length, const Route& route) {
        remove(address, length);
        routes_.push_back({address & Version<T>::mask(length), length, route});
    }
    void remove(T address, unsigned length) {
        std::erase_if(routes_, [&](const Entry& entry) {
            return entry.length == length && entry.first == (address & Version<T>::mask(length));
        });
    }
    Neighbours& neighbours() { return neighbours_; }
    std::size_t size() const { return routes_.size(); }

    void check(const Fib& fib, T address, std::uint32_t hash) const {
        const NextHop& hop = fib.find(address, hash);
        const Entry* best = nullptr;
        for (const Entry& entry : routes_)
            if ((address & Version<T>::mask(entry.length)) == entry.first &&
                (best == nullptr || entry.length > best->length))
                best = &entry;
        if (best == nullptr) {
            ASSERT_EQ(hop.kind, Kind::none) << to_string(address);
            return;
        }
        ASSERT_EQ(hop.kind, best->route.kind) << to_string(address);
        ASSERT_EQ(hop.is_default, best->length == 0);
        if (best->route.kind != Kind::forward)
            return;
        ASSERT_EQ(hop.mtu, best->route.mtu);
        const auto path =
            std::find_if(best->route.paths.begin(), best->route.paths.end(),
                         [&](const Path& one) { return one.interface == hop.interface; });
        ASSERT_NE(path, best->route.paths.end()) << to_string(address);
        ASSERT_EQ(hop.connected, !path->gateway.has_value());
        if (path->gateway) {
            const T gateway = std::get<T>(*path->gateway);
            ASSERT_NE(hop.neighbour, kNoNeighbour);
            ASSERT_EQ(fib.neighbour(hop.neighbour).mac(), mac_of(hop.interface, gateway));
        } else {
            const auto mac =
                hop.neighbour == kNoNeighbour ? std::nullopt : fib.neighbour(hop.neighbour).mac();
            ASSERT_EQ(mac, mac_of(hop.interface, address)) << to_string(address);
        }
    }

  private:
    struct Entry {
        T first;
        unsigned length;
        Route route;
    };
    std::optional<MacAddress> mac_of(packet::InterfaceIndex interface, const T& address) const {
        const auto found = neighbours_.find({interface, Version<T>::order(address)});
        if (found == neighbours_.end())
            return std::nullopt;
        return found->second;
    }

    std::vector<Entry> routes_;
    Neighbours neighbours_;
};

template <typename T>
Route random_route(Random& random) {
    Route route;
    route.kind = random() % 5 == 0 ? static_cast<Kind>(2 + random() % 4) : Kind::forward;
    route.mtu = random() % 4 == 0 ? 1400 : 0;
    if (route.kind != Kind::forward)
        return route.mtu = 0, route;
    // One path, as a connected network with several would leave open which neighbour is meant.
    const std::size_t paths = random() % 4 == 0 ? 2 + random() % 3 : 1;
    const bool connected = paths == 1 && random() % 2 == 0;
    for (std::size_t i = 0; i < paths; ++i) {
        Path path{.interface = static_cast<packet::InterfaceIndex>(3 * i + random() % 3)};
        if (!connected)
            path.gateway = Version<T>::random(random);
        path.weight = 1 + static_cast<unsigned>(random() % 3);
        route.paths.push_back(path);
    }
    return route;
}

template <typename T>
void change(Fib& fib, Model<T>& model, Random& random) {
    const T address = Version<T>::random(random);
    const unsigned length = random_length(random, Version<T>::kBits);
    const auto interface = static_cast<packet::InterfaceIndex>(random() % 3);
    const MacAddress mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(random())}};
    switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
            const Route route = random_route<T>(random);
            ASSERT_TRUE(fib.set_route({address, length}, route));
            model.set(address, length, route);
            break;
        }
        case 3:
        case 4:
        case 5:
            fib.remove_route({address, length});
            model.remove(address, length);
            break;
        case 6:
            ASSERT_TRUE(fib.set_neighbour(interface, address, mac));
            model.neighbours()[{interface, Version<T>::order(address)}] = mac;
            break;
        default:
            fib.remove_neighbour(interface, address);
            model.neighbours().erase({interface, Version<T>::order(address)});
            break;
    }
}

template <typename T>
void compare(unsigned seed, unsigned changes) {
    auto made = Fib::create({});
    ASSERT_TRUE(made);
    Fib& fib = **made;
    Model<T> model;
    Random random(seed);
    for (unsigned i = 0; i < changes; ++i) {
        change(fib, model, random);
        if (i % 16 == 0)
            fib.reclaim_all();
        for (unsigned look = 0; look < 8; ++look)
            model.check(fib, Version<T>::random(random), static_cast<std::uint32_t>(random()));
        if (testing::Test::HasFatalFailure())
            return;
    }
    ASSERT_GT(model.size(), 20U);
}

TEST(FibDifferential, Ipv4) {
    for (unsigned seed = 0; seed < 3; ++seed)
        compare<Ipv4>(seed, 4000);
}

TEST(FibDifferential, Ipv6) {
    for (unsigned seed = 0; seed < 3; ++seed)
        compare<Ipv6>(seed, 3000);
}

TEST(FibDifferential, NothingIsLeftWhenAllIsRemoved) {
    auto made = Fib::create({});
    ASSERT_TRUE(made);
    Fib& fib = **made;
    Random random(5);
    std::vector<Prefix> prefixes;
    for (unsigned i = 0; i < 3000; ++i) {
        if (i % 2 == 0)
            prefixes.push_back({Version<Ipv4>::random(random), random_length(random, 32)});
        else
            prefixes.push_back({Version<Ipv6>::random(random), random_length(random, 128)});
        const Route route = i % 2 == 0 ? random_route<Ipv4>(random) : random_route<Ipv6>(random);
        ASSERT_TRUE(fib.set_route(prefixes.back(), route));
        ASSERT_TRUE(fib.set_neighbour(1, prefixes.back().address, {}));
    }
    EXPECT_GT(fib.usage().groups, 100U);
    std::shuffle(prefixes.begin(), prefixes.end(), random);
    for (const Prefix& prefix : prefixes) {
        fib.remove_route(prefix);
        fib.remove_neighbour(1, prefix.address);
    }
    EXPECT_EQ(fib.usage().groups, 0U);
    EXPECT_EQ(fib.usage().next_hops, 0U);
    EXPECT_EQ(fib.usage().neighbours, 0U);
    EXPECT_EQ(fib.usage().routes4 + fib.usage().routes6, 0U);
}

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
// x
// + 1000 comes and goes, and neighbours with it. Whatever a reader sees must be of its network.
TEST(FibConcurrency, NoPacketGoesAstrayWhileRoutesChange) {
    constexpr unsigned kNetworks = 200;
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
    for (unsigned i = 0; i < 60000; ++i) {
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
