// What tables cost, in time of one CPU: memory for each prefix, look-ups by size, additions, and
// look-ups while another thread changes entries 10,000 times a second. Nothing of DPDK; one table
// of addresses, filled with prefixes whose lengths are those of a routing table.
//
//     table_benchmark [NUMBER OF PREFIXES]
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/table/table_store.h"

namespace {

using namespace sluice;
using table::Failures;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLookups = std::size_t{1} << 20;
constexpr int kRounds = 3;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Time that this thread had a CPU: what else runs on the machine does not count.
double cpu_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// One reader that says when it holds nothing.
class Quiescence final : public table::GracePeriods {
  public:
    std::uint64_t begin() override { return period_.fetch_add(1) + 1; }
    bool over(std::uint64_t period) override {
        return !reading_.load() || seen_.load(std::memory_order_acquire) >= period;
    }
    void quiescent() { seen_.store(period_.load(), std::memory_order_release); }
    void reading(bool on) { reading_.store(on); }

  private:
    std::atomic<std::uint64_t> period_ = 0, seen_ = 0;
    std::atomic<bool> reading_ = false;
};

contract::TableKey prefix_key(std::mt19937_64& random, bool v6) {
    // Per mille, roughly as in the routing tables of 2024.
    constexpr struct {
        unsigned share, length;
    } kV4[] = {{590, 24}, {700, 22}, {800, 23}, {850, 20},
               {900, 21}, {930, 19}, {960, 16}, {1000, 32}},
      kV6[] = {{460, 48}, {600, 32}, {680, 44}, {750, 40},
               {800, 36}, {850, 29}, {950, 64}, {1000, 128}};
    contract::TableKey key;
    key.ip_version = v6 ? 6 : 4;
    const unsigned draw = static_cast<unsigned>(random() % 1000);
    for (const auto& each : v6 ? kV6 : kV4)
        if (draw < each.share) {
            key.prefix_length = static_cast<std::uint8_t>(each.length);
            break;
        }
    for (std::size_t i = 0; i < (v6 ? 16u : 4u); ++i)
        key.bytes[i] = static_cast<std::uint8_t>(random());
    if (v6)
        key.bytes[0] = 0x20 | (key.bytes[0] & 0x0f);
    return key;
}

contract::TableChange change(contract::TableVerb verb, const contract::TableKey& key = {}) {
    contract::TableChange result;
    result.verb = verb;
    result.table = 1;
    result.key = key;
    return result;
}

const contract::TableValue kValue{};

table::Answer carry_out(table::Store& store, const std::vector<contract::TableChange>& changes) {
    return store.apply({changes, {&kValue, 1}, {}}, Failures::skip, 0);
}

void make_table(table::Store& store) {
    contract::TableDescriptor descriptor;
    descriptor.id = 1;
    descriptor.value_fields = contract::kLegacyValue;
    std::strcpy(descriptor.name, "t");
    contract::TableChange create = change(contract::TableVerb::create);
    store.apply({{&create, 1}, {}, {&descriptor, 1}}, Failures::stop, 0);
}

enum class Wanted { below_prefixes, anything };

// One for each look-up, from the whole of the table: those of one prefix seldom follow each other.
std::vector<Ipv6> addresses(const std::vector<contract::TableKey>& keys, std::mt19937_64& random,
                            Wanted wanted) {
    std::vector<Ipv6> result(kLookups);
    for (Ipv6& address : result) {
        const contract::TableKey& key = keys[random() % keys.size()];
        const unsigned kept = wanted == Wanted::anything ? 8 : key.prefix_length;
        address.bytes = key.bytes;
        for (std::size_t i = (kept + 7) / 8; i < 16; ++i)
            address.bytes[i] = static_cast<std::uint8_t>(random());
    }
    return result;
}

double lookup_ns(const table::Store& store, const std::vector<Ipv6>& wanted, bool v6) {
    std::size_t found = 0;
    const double begin = cpu_seconds();
    for (std::size_t i = 0; i < kLookups; ++i) {
        const table::View& view = *store.load().find(1);
        const Ipv6& address = wanted[i];
        std::uint32_t word = 0;
        std::memcpy(&word, address.bytes.data(), sizeof word);
        const table::Reference entry = v6 ? store.find_address6(view, address)
                                          : store.find_address4(view, __builtin_bswap32(word));
        found += entry != 0 ? store.value(entry).of(contract::TableField::tag) + 1 : 0;
    }
    const double ns = (cpu_seconds() - begin) * 1e9 / kLookups;
    // The compiler must not see that nobody wants to know.
    if (found > 0xffffffff0000)
        std::puts("too much found");
    return ns;
}

// The same, as workers do it where a rule asks a table: a burst of addresses at once.
double burst_lookup_ns(const table::Store& store, const std::vector<Ipv6>& wanted, bool v6) {
    constexpr std::size_t kBurst = table::Store::kMany;
    std::uint32_t words[kBurst];
    table::Reference entries[kBurst];
    std::size_t found = 0;
    const double begin = cpu_seconds();
    for (std::size_t i = 0; i < kLookups; i += kBurst) {
        const table::View& view = *store.load().find(1);
        if (v6) {
            store.find_addresses6(view, {&wanted[i], kBurst}, entries);
        } else {
            for (std::size_t j = 0; j < kBurst; ++j) {
                std::memcpy(&words[j], wanted[i + j].bytes.data(), sizeof words[j]);
                words[j] = __builtin_bswap32(words[j]);
            }
            store.find_addresses4(view, words, entries);
        }
        for (const table::Reference entry : entries)
            if (entry != 0)
                store.prefetch(0, entry);
        for (const table::Reference entry : entries)
            found += entry != 0 ? store.value(entry).of(contract::TableField::tag) + 1 : 0;
    }
    const double ns = (cpu_seconds() - begin) * 1e9 / kLookups;
    if (found > 0xffffffff0000)
        std::puts("too much found");
    return ns;
}

using Lookup = double (*)(const table::Store&, const std::vector<Ipv6>&, bool);

double median_ns(Lookup lookup, const table::Store& store, const std::vector<Ipv6>& wanted,
                 bool v6) {
    std::vector<double> rounds;
    for (int i = 0; i < kRounds; ++i)
        rounds.push_back(lookup(store, wanted, v6));
    std::sort(rounds.begin(), rounds.end());
    return rounds[kRounds / 2];
}

void by_size(std::size_t count, bool v6) {
    std::mt19937_64 random(count);
    table::Store store({});
    make_table(store);
    std::vector<contract::TableKey> keys(count);
    for (contract::TableKey& key : keys)
        key = prefix_key(random, v6);
    std::vector<contract::TableChange> changes;
    for (const contract::TableKey& key : keys)
        changes.push_back(change(contract::TableVerb::add, key));
    const double begin = cpu_seconds();
    carry_out(store, changes);
    const double batch_s = cpu_seconds() - begin;
    const auto info = carry_out(store, {change(contract::TableVerb::info)}).results[0];
    const std::vector<Ipv6> below = addresses(keys, random, Wanted::below_prefixes);
    const double found_ns = median_ns(lookup_ns, store, below, v6);
    const double burst_ns = median_ns(burst_lookup_ns, store, below, v6);
    const double any_ns =
        median_ns(lookup_ns, store, addresses(keys, random, Wanted::anything), v6);
    std::printf("| IPv%d | %zu | %.1f | %.0f | %.0f | %.0f | %.2f |\n", v6 ? 6 : 4,
                static_cast<std::size_t>(info.count), static_cast<double>(info.bytes) / info.count,
                burst_ns, found_ns, any_ns, static_cast<double>(count) / batch_s / 1e6);
}

void while_changing(std::size_t count) {
    std::mt19937_64 random(7);
    Quiescence quiescence;
    table::Store store({.grace_periods = &quiescence});
    make_table(store);
    std::vector<contract::TableKey> keys(count);
    std::vector<contract::TableChange> changes;
    for (contract::TableKey& key : keys) {
        key = prefix_key(random, false);
        changes.push_back(change(contract::TableVerb::add, key));
    }
    carry_out(store, changes);
    const std::vector<Ipv6> wanted = addresses(keys, random, Wanted::below_prefixes);
    const double quiet_ns = median_ns(lookup_ns, store, wanted, false);

    std::vector<contract::TableKey> others(50000);
    for (contract::TableKey& key : others)
        key = prefix_key(random, false);
    const double single_begin = cpu_seconds();
    for (const contract::TableKey& key : others)
        carry_out(store, {change(contract::TableVerb::add, key)});
    const double single_s = cpu_seconds() - single_begin;

    std::atomic<bool> stop = false;
    std::atomic<double> busy_ns = 0;
    quiescence.reading(true);
    std::thread reader([&] {
        std::vector<double> rounds;
        while (!stop.load()) {
            std::size_t found = 0;
            const double start = cpu_seconds();
            for (std::size_t i = 0; i < kLookups; ++i) {
                if (i % 32 == 0)
                    quiescence.quiescent();
                const table::View& view = *store.load().find(1);
                std::uint32_t word = 0;
                std::memcpy(&word, wanted[i].bytes.data(), sizeof word);
                found += store.find_address4(view, __builtin_bswap32(word));
            }
            rounds.push_back((cpu_seconds() - start) * 1e9 / kLookups);
            if (found == 0)
                std::puts("nothing found");
        }
        std::sort(rounds.begin(), rounds.end());
        busy_ns = rounds.empty() ? 0 : rounds[rounds.size() / 2];
        quiescence.reading(false);
    });
    std::size_t made = 0;
    const auto begin = Clock::now();
    while (seconds_since(begin) < 3) {
        for (int i = 0; i < 10; ++i, ++made)
            carry_out(store, {change(made % 2 == 0 ? contract::TableVerb::remove
                                                   : contract::TableVerb::add,
                                     others[made / 2 % others.size()])});
        const double ahead = static_cast<double>(made) / 10000 - seconds_since(begin);
        if (ahead > 0)
            std::this_thread::sleep_for(std::chrono::duration<double>(ahead));
    }
    const double rate = static_cast<double>(made) / seconds_since(begin);
    stop = true;
    reader.join();
    std::printf(
        "\n%zu prefixes of IPv4: %.0f additions a second, each published by itself; a look-up "
        "takes %.0f ns, and %.0f ns while %.0f entries a second change.\n",
        count, static_cast<double>(others.size()) / single_s, quiet_ns, busy_ns.load(), rate);
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t largest = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
    std::puts(
        "| family | prefixes | bytes a prefix | ns a look-up in bursts of 64, found | ns, one by "
        "one | ns, one by one, of anything | million additions a second, in one batch |");
    std::puts("|---|---|---|---|---|---|---|");
    for (const bool v6 : {false, true})
        for (std::size_t count = 1000; count <= largest; count *= 10)
            by_size(count, v6);
    while_changing(largest);
    return 0;
}
