// What the state table costs, beside DPDK's rte_hash with the same flows in the same run: look-up
// in bursts of 32, insertion, expiry, and bytes a flow. One line for each round, in which both have
// their turn. Times are of the CPU, so that other work on the machine does little harm.
//
// rte_hash finds a position. The table also tells whether the state's time is up, so its look-up
// reads the state itself, and an insertion writes it and hangs it into the timer wheel. What a user
// of rte_hash pays who reads one cache line of his own for each flow has a column too.
//
// Pages: small ones for both, or with --huge huge ones for both: transparent ones for the table,
// as always, and reserved ones (/proc/sys/vm/nr_hugepages) for DPDK.
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "dataplane/state/state_table.h"

namespace {

using namespace sluice;

constexpr std::size_t kBurst = 32;
constexpr std::size_t kLookups = std::size_t{1} << 21;
constexpr std::uint32_t kStart = 1000;  // second

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "state_benchmark: %s\n", why.c_str());
    std::exit(1);
}

// A flow as it comes: the key of rte_hash, 16 bytes without padding. Addresses in network byte
// order, ports in host byte order.
struct Flow {
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t protocol = 6;
};

Flow flow_of(std::uint32_t number) {
    return {.source = __builtin_bswap32(0x0a000000 + number / 16),
            .destination = __builtin_bswap32(0xc0a80000 + number % 4096),
            .source_port = static_cast<std::uint16_t>(1024 + number % 60000),
            .destination_port = 443};
}

// All that the table wants to know of a packet beside its flow.
packet::Packet packet_with(std::uint8_t tcp_flags) {
    packet::Packet packet;
    packet.headers.ip_version = 4;
    packet.headers.protocol = 6;
    packet.headers.tcp_flags = tcp_flags;
    packet.headers.ip_length = 40;
    packet.uptime_s = kStart;
    return packet;
}

void set_key(state::FlowKey& key, const Flow& flow) {
    state::set_flow_key4(key, flow.source, flow.destination, flow.source_port,
                         flow.destination_port, static_cast<std::uint8_t>(flow.protocol));
}

// Small tables are made in no time, so that more rounds are needed for the same certainty.
int rounds_for(std::uint32_t flows) {
    return flows <= 10'000 ? 25 : 5;
}

// Of the CPU time of this thread: what others do meanwhile is not counted.
double now_ns() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Nanoseconds for each of `count` operations.
double time_of(std::size_t count, const std::function<void()>& work) {
    const double begin = now_ns();
    work();
    return (now_ns() - begin) / static_cast<double>(count);
}

class Table {
  public:
    explicit Table(std::uint32_t flows) : rules_(2) {
        auto table = state::StateTable::create({.cells = flows,
                                                .secret = {0x8c6f5d1be3a90b47, 0x2545f4914f6cdd1d,
                                                           0xda942042e4dd58b5, 0x9fb21c651e98df25},
                                                .counters = &counters_,
                                                .rules = rules_});
        if (!table || !(*table)->populate())
            fail("no memory for " + std::to_string(flows) + " states");
        table_ = std::move(*table);
        rule_.slot = 1;
        rule_.id = 1;
        rule_.state = contract::StateOption::keep;
        rule_.state_name = contract::state_name_id("default");
        sysctls_.dyn_max = flows;
        sysctls_.dyn_established_share = 0;
        sysctls_.dyn_adaptive_start = 0;
    }

    // A burst of new flows, as the engine does it: looked for, then made.
    void insert(const Flow* flows, const std::uint32_t* order, std::size_t count) {
        prepare(flows, order, count);
        for (std::size_t i = 0; i < count; ++i)
            if (table_->find(keys_[i], hashes_[i], guesses_[i], rule_.state_name, kStart) ||
                table_->create(keys_[i], hashes_[i], rule_, first_, sysctls_, {}) !=
                    state::Creation::made)
                fail("a state could not be made");
    }

    template <typename Found>
    void look_up(const Flow* flows, const std::uint32_t* order, Found found) {
        prepare(flows, order, kBurst);
        for (std::size_t i = 0; i < kBurst; ++i) {
            const auto hit =
                table_->find(keys_[i], hashes_[i], guesses_[i], rule_.state_name, kStart);
            if (!hit)
                fail("a state was not found");
            found(*hit);
        }
    }

    void expire_all() {
        while (table_->expire(kStart + 100, 64, sysctls_, nullptr)) {
        }
        if (counters_.states != 0)
            fail("states are left");
    }

    state::StateTable& states() { return *table_; }

  private:
    void prepare(const Flow* flows, const std::uint32_t* order, std::size_t count) {
        // rte_hash fetches keys ahead by itself; here they stand for packets, which are in the
        // cache.
        for (std::size_t i = 0; i < count; ++i)
            __builtin_prefetch(&flows[order[i]]);
        for (std::size_t i = 0; i < count; ++i) {
            set_key(keys_[i], flows[order[i]]);
            hashes_[i] = table_->hash(keys_[i]);
            table_->prefetch(hashes_[i]);
        }
        for (std::size_t i = 0; i < count; ++i)
            guesses_[i] = table_->prefetch_state(hashes_[i]);
    }

    const packet::Packet first_ = packet_with(2);  // SYN
    std::array<state::FlowKey, kBurst> keys_;
    std::array<state::FlowHash, kBurst> hashes_;
    std::array<state::CellIndex, kBurst> guesses_;
    contract::WorkerCounters counters_;
    std::vector<contract::RuleCounters> rules_;
    contract::RuleRecord rule_;
    contract::Sysctls sysctls_;
    std::unique_ptr<state::StateTable> table_;
};

class Peer {
  public:
    explicit Peer(std::uint32_t flows) {
        rte_hash_parameters parameters{};
        parameters.name = "flows";
        // It is not promised to take the last entries of a table without spare places.
        parameters.entries = flows + flows / 8 + 64;
        parameters.key_len = sizeof(Flow);
        parameters.hash_func = rte_hash_crc;
        hash_ = rte_hash_create(&parameters);
        if (hash_ == nullptr)
            fail("rte_hash has no memory for " + std::to_string(flows) + " flows");
        const auto records = static_cast<std::size_t>(rte_hash_max_key_id(hash_)) + 1;
        records_ = static_cast<Record*>(rte_malloc(nullptr, records * sizeof(Record), 64));
        if (records_ == nullptr)
            fail("DPDK has no memory for " + std::to_string(records) + " records");
        std::uninitialized_default_construct_n(records_, records);
    }
    Peer(const Peer&) = delete;
    ~Peer() {
        rte_free(records_);
        rte_hash_free(hash_);
    }

    void insert(const Flow& key) {
        if (rte_hash_add_key(hash_, &key) < 0)
            fail("rte_hash refuses a flow");
    }

    void look_up(const Flow* keys, const std::uint32_t* order) {
        find_burst(keys, order);
        for (const std::int32_t position : positions_)
            if (position < 0)
                fail("rte_hash has lost a flow");
    }

    // What is kept for a flow, at the position found.
    struct alignas(64) Record {
        std::uint32_t expires_s = kStart + 1;
    };

    void look_up_records(const Flow* keys, const std::uint32_t* order) {
        find_burst(keys, order);
        for (const std::int32_t position : positions_) {
            if (position < 0)
                fail("rte_hash has lost a flow");
            __builtin_prefetch(&records_[static_cast<std::size_t>(position)]);
        }
        for (const std::int32_t position : positions_)
            if (records_[static_cast<std::size_t>(position)].expires_s <= kStart)
                fail("a record is wrong");
    }

    void erase(const Flow& key) {
        if (rte_hash_del_key(hash_, &key) < 0)
            fail("rte_hash has lost a flow");
    }

  private:
    void find_burst(const Flow* keys, const std::uint32_t* order) {
        std::array<const void*, kBurst> wanted;
        for (std::size_t i = 0; i < kBurst; ++i)
            wanted[i] = &keys[order[i]];
        rte_hash_lookup_bulk(hash_, wanted.data(), kBurst, positions_.data());
    }

    rte_hash* hash_ = nullptr;
    std::array<std::int32_t, kBurst> positions_;
    Record* records_ = nullptr;
};

void measure(std::uint32_t flows) {
    std::vector<Flow> keys(flows);
    for (std::uint32_t i = 0; i < flows; ++i)
        keys[i] = flow_of(i);
    std::vector<std::uint32_t> order(kLookups);
    std::mt19937 random(7);
    for (std::uint32_t& index : order)
        index = random() % flows;
    std::vector<std::uint32_t> arrival(flows);
    std::iota(arrival.begin(), arrival.end(), 0);
    std::shuffle(arrival.begin(), arrival.end(), random);

    const packet::Packet later = packet_with(16);  // ACK
    for (int round = 0; round < rounds_for(flows); ++round) {
        double insert, look_up, hit, expire;
        {
            Table table(flows);
            insert = time_of(flows, [&] {
                for (std::size_t i = 0; i < flows; i += kBurst)
                    table.insert(keys.data(), &arrival[i], std::min(kBurst, flows - i));
            });
            look_up = time_of(kLookups, [&] {
                for (std::size_t i = 0; i < kLookups; i += kBurst)
                    table.look_up(keys.data(), &order[i], [](const state::Hit&) {});
            });
            hit = time_of(kLookups, [&] {
                for (std::size_t i = 0; i < kLookups; i += kBurst)
                    table.look_up(keys.data(), &order[i], [&](const state::Hit& found) {
                        table.states().hit(found, later, {});
                    });
            });
            expire = time_of(flows, [&] { table.expire_all(); });
        }
        Peer peer(flows);
        const double peer_insert = time_of(flows, [&] {
            for (const std::uint32_t i : arrival)
                peer.insert(keys[i]);
        });
        const double peer_look_up = time_of(kLookups, [&] {
            for (std::size_t i = 0; i < kLookups; i += kBurst)
                peer.look_up(keys.data(), &order[i]);
        });
        const double peer_record = time_of(kLookups, [&] {
            for (std::size_t i = 0; i < kLookups; i += kBurst)
                peer.look_up_records(keys.data(), &order[i]);
        });
        const double peer_erase = time_of(flows, [&] {
            for (const std::uint32_t i : arrival)
                peer.erase(keys[i]);
        });
        std::printf("%u,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f\n", flows, look_up,
                    peer_look_up, peer_record, hit, insert, peer_insert, expire, peer_erase,
                    static_cast<double>(state::StateTable::memory_for(flows)) / flows);
        std::fflush(stdout);
    }
}

}  // namespace

// state_benchmark [--huge] FLOWS…: times are of one flow, in nanoseconds.
int main(int count, char** arguments) {
    std::vector<std::uint32_t> sizes;
    bool huge = false;
    for (int i = 1; i < count; ++i) {
        if (std::strcmp(arguments[i], "--huge") == 0)
            huge = true;
        else
            sizes.push_back(static_cast<std::uint32_t>(std::strtoul(arguments[i], nullptr, 10)));
    }
    if (!huge)
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    // On the CPU that it was started on.
    std::vector<std::string> words = {
        "state_benchmark", "--no-pci",          "--no-telemetry",
        "--iova-mode=va",  "--log-level=error", "--lcores=0@" + std::to_string(sched_getcpu())};
    if (huge)
        words.insert(words.end(), {"--in-memory"});
    else
        words.insert(words.end(), {"--no-shconf", "--no-huge", "-m", "8192"});
    std::vector<char*> eal;
    for (std::string& word : words)
        eal.push_back(word.data());
    if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0)
        fail("DPDK does not start");
    std::puts(
        "flows,look-up ns,rte_hash look-up ns,rte_hash look-up and record ns,"
        "look-up and update ns,insert ns,rte_hash insert ns,expiry ns,rte_hash delete ns,"
        "bytes a flow");
    for (const std::uint32_t flows : sizes)
        measure(flows);
    rte_eal_cleanup();
}
