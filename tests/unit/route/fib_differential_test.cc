// The Fib beside a list of routes that is searched in order: random routes of all lengths, densely
// nested, with neighbours, added, replaced and removed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

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
    return length > 0 && length < 9 && random() % 64 != 0 ? length + 9 : length;
}

template <typename T>
class Model {
  public:
    using Bytes = std::array<std::uint8_t, 16>;
    using Neighbours = std::map<std::pair<packet::InterfaceIndex, Bytes>, MacAddress>;

    void set(T address, unsigned length, const Route& route) {
        remove(address, length);
        const T mask = Version<T>::mask(length);
        routes_.push_back({address & mask, mask, length, route});
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
            if ((address & entry.mask) == entry.first &&
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
        T mask;
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
    for (unsigned seed = 0; seed < 2; ++seed)
        compare<Ipv4>(seed, 2000);
}

TEST(FibDifferential, Ipv6) {
    for (unsigned seed = 0; seed < 2; ++seed)
        compare<Ipv6>(seed, 1200);
}

TEST(FibDifferential, NothingIsLeftWhenAllIsRemoved) {
    auto made = Fib::create({});
    ASSERT_TRUE(made);
    Fib& fib = **made;
    Random random(5);
    std::vector<Prefix> prefixes;
    for (unsigned i = 0; i < 1500; ++i) {
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

}  // namespace
}  // namespace sluice::route
