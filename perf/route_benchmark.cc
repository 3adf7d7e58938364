// route_benchmark: the forwarding table beside those of DPDK (rte_lpm, rte_fib6), with the
// same made-up prefixes and the same destinations in one run.
//
//     route_benchmark [EAL arguments]
//
// Lines of CSV. Destinations are drawn from the prefixes. Each look-up figure is the median of
// several rounds in which the structures take turns.
#include <rte_eal.h>
#include <rte_fib6.h>
#include <rte_lpm.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/route/fib.h"

namespace {

using namespace sluice;

constexpr std::size_t kBurst = 32;
constexpr std::size_t kDestinations = std::size_t{1} << 18;
constexpr unsigned kRounds = 9;
constexpr unsigned kNextHops = 64;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "route_benchmark: %s\n", why.c_str());
    std::exit(1);
}

double seconds(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct Prefix4 {
    std::uint32_t address;
    std::uint8_t length;
};

// Lengths as in a table of the Internet: three in five are /24, few are shorter than /16.
std::vector<Prefix4> prefixes4(std::size_t count) {
    std::mt19937 random(1);
    std::set<std::pair<std::uint32_t, unsigned>> seen;
    std::vector<Prefix4> prefixes;
    while (prefixes.size() < count) {
        const unsigned draw = random() % 100;
        unsigned length = 24;
        if (draw >= 60)
            length = 16 + random() % 8;
        if (draw >= 97)
            length = draw == 99 ? 8 + random() % 8 : 25 + random() % 8;
        const std::uint32_t address =
            (0x01000000 + random() % 0xde000000) & (0xffffffffU << (32 - length));
        if (seen.emplace(address, length).second)
            prefixes.push_back({address, static_cast<std::uint8_t>(length)});
    }
    return prefixes;
}

struct Prefix6 {
    Ipv6 address;
    std::uint8_t length;
};

// Allocations of /32 with up to eight networks in each.
std::vector<Prefix6> prefixes6(std::size_t count) {
    std::mt19937 random(2);
    std::set<std::pair<std::array<std::uint8_t, 16>, unsigned>> seen;
    std::vector<Prefix6> prefixes;
    Ipv6 allocation;
    for (std::size_t i = 0; prefixes.size() < count; ++i) {
        if (i % 8 == 0) {
            allocation = {};
            const std::uint32_t head = 0x20010000 + random() % 0x00ffffff;
            for (unsigned byte = 0; byte < 4; ++byte)
                allocation.bytes[byte] = static_cast<std::uint8_t>(head >> (24 - 8 * byte));
        }
        Ipv6 address = allocation;
        const unsigned length = i % 8 == 0 ? 32 : random() % 4 == 0 ? 40 : 48;
        for (unsigned byte = 4; byte < length / 8; ++byte)
            address.bytes[byte] = static_cast<std::uint8_t>(random());
        if (seen.emplace(address.bytes, length).second)
            prefixes.push_back({address, static_cast<std::uint8_t>(length)});
    }
    return prefixes;
}

route::Route route_by(unsigned next_hop) {
    return {.paths = {{.interface = static_cast<packet::InterfaceIndex>(next_hop % 4),
                       .gateway = Ipv4::from_host(0xc0000200 + next_hop % kNextHops)}}};
}

std::unique_ptr<route::Fib> make_fib() {
    auto fib = route::Fib::create({});
    if (!fib)
        fail(fib.error().message);
    return std::move(*fib);
}

void print(const char* family, std::size_t prefixes, const char* structure, double lookup_ns,
           double load_s, double changes_a_second, std::uint64_t bytes) {
    std::printf("%s,%zu,%s,%.2f,%.3f,%.0f,%llu\n", family, prefixes, structure, lookup_ns, load_s,
                changes_a_second, static_cast<unsigned long long>(bytes));
    std::fflush(stdout);
}

// Each prefix of a sample goes and comes back.
double change_rate(std::size_t count, const std::function<void(std::size_t)>& change) {
    const std::size_t changes = std::min<std::size_t>(count, 20000);
    const double spent = seconds([&] {
        for (std::size_t i = 0; i < changes; ++i)
            change(i * (count / changes));
    });
    return 2 * static_cast<double>(changes) / spent;
}

struct Subject {
    const char* name;
    std::function<void()> lookups;  // all destinations once
    double load_s = 0;
    double changes = 0;
    std::uint64_t bytes = 0;
    std::vector<double> rounds = {};
};

void run(const char* family, std::size_t prefixes, std::vector<Subject> subjects) {
    for (unsigned round = 0; round < kRounds; ++round)
        for (Subject& subject : subjects)
            subject.rounds.push_back(seconds(subject.lookups) * 1e9 / kDestinations);
    for (const Subject& subject : subjects)
        print(family, prefixes, subject.name, median(subject.rounds), subject.load_s,
              subject.changes, subject.bytes);
}

void measure4(std::size_t count) {
    const auto prefixes = prefixes4(count);
    const auto fib = make_fib();
    Subject ours{.name = "fib", .lookups = {}};
    ours.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            if (!fib->set_route({Ipv4::from_host(prefixes[i].address), prefixes[i].length},
                                route_by(static_cast<unsigned>(i))))
                fail("a route was refused");
    });
    rte_lpm_config lpm_config{.max_rules = static_cast<std::uint32_t>(2 * count + 1000),
                              .number_tbl8s = 1U << 18,
                              .flags = 0};
    rte_lpm* lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &lpm_config);
    if (lpm == nullptr)
        fail("rte_lpm_create");
    Subject theirs{.name = "rte_lpm", .lookups = {}};
    theirs.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            if (rte_lpm_add(lpm, prefixes[i].address, prefixes[i].length, i % kNextHops) != 0)
                fail("rte_lpm_add");
    });
    std::mt19937 random(3);
    std::vector<Ipv4> destinations(kDestinations);
    std::vector<std::uint32_t> numbers(kDestinations), hashes(kDestinations), answers(kBurst);
    for (std::size_t i = 0; i < kDestinations; ++i) {
        const Prefix4& prefix = prefixes[random() % count];
        numbers[i] = prefix.address | (prefix.length == 32 ? 0
                                                           : static_cast<std::uint32_t>(random()) &
                                                                 (0xffffffffU >> prefix.length));
        destinations[i] = Ipv4::from_host(numbers[i]);
        hashes[i] = static_cast<std::uint32_t>(random());
        // The same answers, or the comparison means nothing.
        std::uint32_t theirs_says = 0;
        if (rte_lpm_lookup(lpm, numbers[i], &theirs_says) != 0 ||
            fib->find(destinations[i], 0).gateway4().host() != 0xc0000200 + theirs_says)
            fail("fib and rte_lpm do not agree about " + to_string(destinations[i]));
    }
    std::vector<const route::NextHop*> found(kBurst);
    ours.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst)
            fib->find(std::span(destinations).subspan(i, kBurst),
                      std::span(hashes).subspan(i, kBurst), found);
    };
    theirs.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst)
            rte_lpm_lookup_bulk(lpm, &numbers[i], answers.data(), kBurst);
    };
    Subject single{.name = "fib, one by one", .lookups = {}};
    std::uint64_t sum = 0;
    single.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; ++i)
            sum += fib->find(destinations[i], hashes[i]).interface;
    };
    ours.changes = change_rate(count, [&](std::size_t i) {
        const route::Prefix prefix{Ipv4::from_host(prefixes[i].address), prefixes[i].length};
        fib->remove_route(prefix);
        (void)fib->set_route(prefix, route_by(static_cast<unsigned>(i)));
        if (i % 64 == 0)
            fib->reclaim_all();
    });
    theirs.changes = change_rate(count, [&](std::size_t i) {
        rte_lpm_delete(lpm, prefixes[i].address, prefixes[i].length);
        rte_lpm_add(lpm, prefixes[i].address, prefixes[i].length, i % kNextHops);
    });
    ours.bytes = fib->usage().bytes;
    // As it is allocated: the table of 24 bits, the groups, the rules.
    theirs.bytes = (std::uint64_t{4} << 24) + (std::uint64_t{1024} << 18) + 8 * (2 * count + 1000);
    run("IPv4", count, {ours, theirs, single});
    rte_lpm_free(lpm);
    if (sum == 1)
        std::puts("");
}

void measure6(std::size_t count) {
    const auto prefixes = prefixes6(count);
    const auto fib = make_fib();
    Subject ours{.name = "fib", .lookups = {}};
    ours.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            if (!fib->set_route({prefixes[i].address, prefixes[i].length},
                                route_by(static_cast<unsigned>(i))))
                fail("a route was refused");
    });
    rte_fib6_conf config{};
    config.type = RTE_FIB6_TRIE;
    config.default_nh = 0xffff;
    config.max_routes = static_cast<int>(2 * count + 1000);
    config.trie.nh_sz = RTE_FIB6_TRIE_4B;
    config.trie.num_tbl8 = 1U << 19;
    rte_fib6* theirs_fib = rte_fib6_create("fib6", SOCKET_ID_ANY, &config);
    if (theirs_fib == nullptr)
        fail("rte_fib6_create");
    Subject theirs{.name = "rte_fib6", .lookups = {}};
    theirs.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            if (rte_fib6_add(theirs_fib, prefixes[i].address.bytes.data(), prefixes[i].length,
                             i % kNextHops) != 0)
                fail("rte_fib6_add");
    });
    std::mt19937 random(3);
    std::vector<Ipv6> destinations(kDestinations);
    std::vector<std::uint32_t> hashes(kDestinations);
    for (std::size_t i = 0; i < kDestinations; ++i) {
        const Prefix6& prefix = prefixes[random() % count];
        destinations[i] = prefix.address;
        for (std::size_t byte = prefix.length / 8; byte < 16; ++byte)
            destinations[i].bytes[byte] = static_cast<std::uint8_t>(random());
        hashes[i] = static_cast<std::uint32_t>(random());
    }
    std::vector<const route::NextHop*> found(kBurst);
    std::vector<std::uint64_t> answers(kBurst);
    const auto theirs_burst = [&](std::size_t i) {
        rte_fib6_lookup_bulk(theirs_fib,
                             reinterpret_cast<std::uint8_t(*)[RTE_FIB6_IPV6_ADDR_SIZE]>(
                                 destinations[i].bytes.data()),
                             answers.data(), kBurst);
    };
    for (std::size_t i = 0; i < kDestinations; i += kBurst) {
        theirs_burst(i);
        for (std::size_t at = 0; at < kBurst; ++at)
            if (fib->find(destinations[i + at], 0).gateway4().host() != 0xc0000200 + answers[at])
                fail("fib and rte_fib6 do not agree about " + to_string(destinations[i + at]));
    }
    ours.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst)
            fib->find(std::span(destinations).subspan(i, kBurst),
                      std::span(hashes).subspan(i, kBurst), found);
    };
    theirs.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst)
            theirs_burst(i);
    };
    ours.changes = change_rate(count, [&](std::size_t i) {
        const route::Prefix prefix{prefixes[i].address, prefixes[i].length};
        fib->remove_route(prefix);
        (void)fib->set_route(prefix, route_by(static_cast<unsigned>(i)));
        if (i % 64 == 0)
            fib->reclaim_all();
    });
    theirs.changes = change_rate(count, [&](std::size_t i) {
        rte_fib6_delete(theirs_fib, prefixes[i].address.bytes.data(), prefixes[i].length);
        rte_fib6_add(theirs_fib, prefixes[i].address.bytes.data(), prefixes[i].length,
                     i % kNextHops);
    });
    ours.bytes = fib->usage().bytes;
    theirs.bytes = (std::uint64_t{4} << 24) + (std::uint64_t{1024} << 19);
    run("IPv6", count, {ours, theirs});
    rte_fib6_free(theirs_fib);
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<char*> eal(argv, argv + argc);
    std::string defaults[] = {"--no-huge", "--no-pci",          "--in-memory", "-m",
                              "4096",      "--log-level=error", "--lcores=0"};
    if (argc == 1)
        for (std::string& argument : defaults)
            eal.push_back(argument.data());
    if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0)
        fail("DPDK does not start");
    std::puts("family,prefixes,structure,look-up ns,load s,changes a second,bytes");
    for (const std::size_t count : {10, 1000, 100000, 1000000})
        measure4(count);
    for (const std::size_t count : {10, 1000, 200000})
        measure6(count);
    rte_eal_cleanup();
}
