// route_benchmark: the forwarding table beside those of DPDK (rte_lpm, rte_fib, rte_fib6), with the
// same made-up prefixes and the same destinations in one run.
//
//     taskset -c CPU route_benchmark
//
// Lines of CSV, one for each round in which the structures take turns. Destinations are drawn from
// the prefixes. Times are those of the thread on its CPU, so that other work on the machine counts
// by what it does to the caches only. Where a table is changed while it is read, the writer is on
// another CPU, if the machine has one.
#include <pthread.h>
#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <thread>
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

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds(const std::function<void()>& work) {
    const double begin = cpu_seconds();
    work();
    return cpu_seconds() - begin;
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
    double changes = 0;  // a second
    std::uint64_t bytes = 0;
};

double lookup_ns(const Subject& subject) {
    return seconds(subject.lookups) * 1e9 / kDestinations;
}

void print(const char* family, std::size_t prefixes, const Subject& subject, double ns) {
    std::printf("%s,%zu,%s,%.2f,%.3f,%.0f,%llu\n", family, prefixes, subject.name, ns,
                subject.load_s, subject.changes, static_cast<unsigned long long>(subject.bytes));
    std::fflush(stdout);
}

void run(const char* family, std::size_t prefixes, const std::vector<Subject>& subjects) {
    for (unsigned round = 0; round <= kRounds; ++round)
        for (std::size_t turn = 0; turn < subjects.size(); ++turn) {
            // So that each has been the first one.
            const Subject& subject = subjects[(turn + round) % subjects.size()];
            const double ns = lookup_ns(subject);
            if (round > 0)  // the first one warms up
                print(family, prefixes, subject, ns);
        }
}

// One reader, which holds nothing between two bursts.
class Periods {
  public:
    std::uint64_t begin_period() { return period_.fetch_add(1) + 1; }
    bool period_over(std::uint64_t period) const { return seen_.load() >= period; }
    void quiescent() {
        seen_.store(period_.load(std::memory_order_acquire), std::memory_order_release);
    }

  private:
    alignas(64) std::atomic<std::uint64_t> period_ = 0;
    alignas(64) std::atomic<std::uint64_t> seen_ = 0;
};

void leave_this_cpu() {
    cpu_set_t others;
    CPU_ZERO(&others);
    for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu)
        if (static_cast<int>(cpu) != sched_getcpu())
            CPU_SET(cpu, &others);
    // Without another CPU they share this one.
    pthread_setaffinity_np(pthread_self(), sizeof others, &others);
}

// `change` removes and adds a prefix by its number.
void run_changing(const char* family, std::size_t count, route::Fib& fib, Periods& periods,
                  Subject reader, const std::function<void(std::size_t)>& change) {
    reader.name = "fib while it changes";
    std::atomic<bool> stop = false;
    double spent = 0;
    std::uint64_t changes = 0;
    std::thread writer([&] {
        leave_this_cpu();
        spent = seconds([&] {
            for (std::size_t i = 0; !stop.load(std::memory_order_relaxed); i = (i + 7919) % count) {
                change(i);
                changes += 2;
                fib.reclaim(periods);
            }
        });
    });
    std::vector<double> rounds;
    for (unsigned round = 0; round < kRounds; ++round)
        rounds.push_back(lookup_ns(reader));
    stop = true;
    writer.join();
    reader.changes = static_cast<double>(changes) / spent;
    for (const double ns : rounds)
        print(family, count, reader, ns);
}

// rte_lpm searches its rules in order when one is added: a million take minutes.
constexpr std::size_t kLpmPrefixes = 100000;

Subject rte_lpm_subject(const std::vector<Prefix4>& prefixes,
                        const std::vector<std::uint32_t>& destinations,
                        std::vector<std::uint32_t>& answers) {
    const std::size_t count = prefixes.size();
    const rte_lpm_config config{.max_rules = static_cast<std::uint32_t>(2 * count + 1000),
                                .number_tbl8s = 1U << 18,
                                .flags = 0};
    rte_lpm* lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &config);
    if (lpm == nullptr)
        fail("rte_lpm_create");
    const auto add = [lpm, &prefixes](std::size_t i) {
        if (rte_lpm_add(lpm, prefixes[i].address, prefixes[i].length, i % kNextHops) != 0)
            fail("rte_lpm_add");
    };
    Subject subject{.name = "rte_lpm", .lookups = [lpm, &destinations, &answers] {
                        for (std::size_t i = 0; i < kDestinations; i += kBurst)
                            rte_lpm_lookup_bulk(lpm, &destinations[i], answers.data(), kBurst);
                    }};
    subject.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            add(i);
    });
    subject.changes = change_rate(count, [&](std::size_t i) {
        rte_lpm_delete(lpm, prefixes[i].address, prefixes[i].length);
        add(i);
    });
    // As it is allocated: the table of 24 bits, the groups, the rules.
    subject.bytes = (std::uint64_t{4} << 24) + (std::uint64_t{1024} << 18) + 8 * (2 * count + 1000);
    return subject;
}

Subject rte_fib_subject(const std::vector<Prefix4>& prefixes,
                        std::vector<std::uint32_t>& destinations,
                        std::vector<std::uint64_t>& answers) {
    const std::size_t count = prefixes.size();
    rte_fib_conf config{};
    config.type = RTE_FIB_DIR24_8;
    config.default_nh = 0xffff;
    config.max_routes = static_cast<int>(2 * count + 1000);
    config.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
    config.dir24_8.num_tbl8 = 1U << 18;
    rte_fib* fib = rte_fib_create("fib4", SOCKET_ID_ANY, &config);
    if (fib == nullptr)
        fail("rte_fib_create");
    const auto add = [fib, &prefixes](std::size_t i) {
        if (rte_fib_add(fib, prefixes[i].address, prefixes[i].length, i % kNextHops) != 0)
            fail("rte_fib_add");
    };
    Subject subject{.name = "rte_fib", .lookups = [fib, &destinations, &answers] {
                        for (std::size_t i = 0; i < kDestinations; i += kBurst)
                            rte_fib_lookup_bulk(fib, &destinations[i], answers.data(), kBurst);
                    }};
    subject.load_s = seconds([&] {
        for (std::size_t i = 0; i < count; ++i)
            add(i);
    });
    subject.changes = change_rate(count, [&](std::size_t i) {
        rte_fib_delete(fib, prefixes[i].address, prefixes[i].length);
        add(i);
    });
    subject.bytes = (std::uint64_t{4} << 24) + (std::uint64_t{1024} << 18);
    return subject;
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
    std::vector<std::uint32_t> numbers(kDestinations), answers32(kBurst);
    std::vector<std::uint64_t> answers(kBurst);
    std::vector<Subject> peers = {
        rte_fib_subject(prefixes, numbers, answers),
    };
    if (count <= kLpmPrefixes)
        peers.push_back(rte_lpm_subject(prefixes, numbers, answers32));
    std::mt19937 random(3);
    std::vector<Ipv4> destinations(kDestinations);
    std::vector<std::uint32_t> hashes(kDestinations);
    for (std::size_t i = 0; i < kDestinations; ++i) {
        const Prefix4& prefix = prefixes[random() % count];
        numbers[i] = prefix.address | (prefix.length == 32 ? 0
                                                           : static_cast<std::uint32_t>(random()) &
                                                                 (0xffffffffU >> prefix.length));
        destinations[i] = Ipv4::from_host(numbers[i]);
        hashes[i] = static_cast<std::uint32_t>(random());
    }
    // The same answers, or the comparison means nothing.
    rte_fib* judge = rte_fib_find_existing("fib4");
    for (std::size_t i = 0; i < kDestinations; i += kBurst) {
        rte_fib_lookup_bulk(judge, &numbers[i], answers.data(), kBurst);
        for (std::size_t at = 0; at < kBurst; ++at)
            if (fib->find(destinations[i + at], 0).gateway4().host() != 0xc0000200 + answers[at])
                fail("fib and rte_fib do not agree about " + to_string(destinations[i + at]));
    }
    std::vector<const route::NextHop*> found(kBurst);
    Periods periods;
    ours.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst) {
            fib->find(std::span(destinations).subspan(i, kBurst),
                      std::span(hashes).subspan(i, kBurst), found);
            periods.quiescent();
        }
    };
    const auto change = [&](std::size_t i) {
        const route::Prefix prefix{Ipv4::from_host(prefixes[i].address), prefixes[i].length};
        fib->remove_route(prefix);
        (void)fib->set_route(prefix, route_by(static_cast<unsigned>(i)));
    };
    ours.changes = change_rate(count, [&](std::size_t i) {
        change(i);
        fib->reclaim_all();
    });
    ours.bytes = fib->usage().bytes;
    Subject single = ours;
    single.name = "fib one by one";
    std::uint64_t sum = 0;
    single.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; ++i)
            sum += fib->find(destinations[i], hashes[i]).interface;
    };
    std::vector<Subject> subjects = {ours, single};
    subjects.insert(subjects.end(), peers.begin(), peers.end());
    run("IPv4", count, subjects);
    run_changing("IPv4", count, *fib, periods, ours, change);
    rte_fib_free(judge);
    if (rte_lpm* lpm = rte_lpm_find_existing("lpm"))
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
    Periods periods;
    ours.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst) {
            fib->find(std::span(destinations).subspan(i, kBurst),
                      std::span(hashes).subspan(i, kBurst), found);
            periods.quiescent();
        }
    };
    theirs.lookups = [&] {
        for (std::size_t i = 0; i < kDestinations; i += kBurst)
            theirs_burst(i);
    };
    const auto change = [&](std::size_t i) {
        const route::Prefix prefix{prefixes[i].address, prefixes[i].length};
        fib->remove_route(prefix);
        (void)fib->set_route(prefix, route_by(static_cast<unsigned>(i)));
    };
    ours.changes = change_rate(count, [&](std::size_t i) {
        change(i);
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
    run_changing("IPv6", count, *fib, periods, ours, change);
    rte_fib6_free(theirs_fib);
}

}  // namespace

int main(int, char** argv) {
    // EAL would move this thread to a CPU of its own choice.
    std::string arguments[] = {"--no-huge",
                               "-m",
                               "4096",
                               "--no-pci",
                               "--no-telemetry",
                               "--no-shconf",
                               "--iova-mode=va",
                               "--log-level=error",
                               "--lcores=0@" + std::to_string(sched_getcpu())};
    std::vector<char*> eal = {argv[0]};
    for (std::string& argument : arguments)
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
